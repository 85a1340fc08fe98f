"""Cross-site request forgery: a token per session, and where the browser says that the request comes from."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from visitserver.http.forms import CSRF_FIELD
from visitserver.http.problems import CsrfFailed

HEADER: Final = "X-CSRF-Token"


def token_for(secret: str) -> str:
    """The token of a session (or of a visitor who is not signed in yet), made from the secret in its cookie.

    Only our own pages can learn it: the cookie is HttpOnly and the page is readable from our origin alone. Nothing has
    to be kept on the server, and the database's hash of the session token does not give it away.
    """
    return hmac.new(secret.encode(), b"visitserver csrf v1", hashlib.sha256).hexdigest()


async def check(request: web.Request, secret: str | None, *, form: bool) -> None:
    """CsrfFailed unless the request comes from our own origin and carries the token of `secret`.

    `form`: the token is the form's hidden field; otherwise it is the header X-CSRF-Token.
    """
    _check_origin(request)
    if secret is None:
        raise CsrfFailed
    if form:
        value = (await request.post()).get(CSRF_FIELD)
        shown = value if isinstance(value, str) else ""
    else:
        shown = request.headers.get(HEADER, "")
    if not hmac.compare_digest(shown.encode("utf-8", "replace"), token_for(secret).encode()):
        raise CsrfFailed


def _check_origin(request: web.Request) -> None:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        raise CsrfFailed
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        raise CsrfFailed
