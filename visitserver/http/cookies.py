"""Our cookies: one session cookie per audience, one for a terminal's device, one for a visitor who is not signed in."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

STATION: Final = "visit_station"
VISITOR: Final = "visit_visitor"
LANGUAGE: Final = "visit_language"
_DEVICE_DAYS: Final = 400  # browsers keep a cookie no longer (RFC 6265bis, 5.5)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{20,64}")


def session_cookie(audience: str) -> str:
    """The plain name of an audience's session cookie."""
    return f"visit_{audience}"


def read(request: web.Request, name: str, *, secure: bool) -> str | None:
    """The token in a cookie; None when there is none, or it cannot be one of ours."""
    value = request.cookies.get(_name(name, secure))
    return value if value is not None and _TOKEN.fullmatch(value) else None


def language(request: web.Request, *, secure: bool) -> str | None:
    """The language that was chosen in this browser, whatever stands there: only the name of a catalogue counts."""
    return request.cookies.get(_name(LANGUAGE, secure))


def write(response: web.StreamResponse, name: str, value: str, *, secure: bool, lasting: bool = False) -> None:
    """Set a cookie that scripts cannot read and other sites' forms do not send. `lasting`: beyond the browser's end."""
    response.set_cookie(
        _name(name, secure),
        value,
        path="/",
        max_age=_DEVICE_DAYS * 86400 if lasting else None,
        secure=secure,
        httponly=True,
        samesite="Lax",
    )


def clear(response: web.StreamResponse, name: str, *, secure: bool) -> None:
    """Take a cookie back."""
    response.del_cookie(_name(name, secure), path="/", secure=secure, httponly=True, samesite="Lax")


def _name(name: str, secure: bool) -> str:
    # __Host-: the browser takes it from this very host over HTTPS only, so no neighbour domain can plant one.
    return f"__Host-{name}" if secure else name
