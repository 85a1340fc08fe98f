"""Cross-origin requests (Fetch standard, section 3.3). RFC 9725 section 4.2 demands that WHIP takes them.

A call's media node may stand at another address than the page. Nothing here goes by cookies: who has a good ticket may
ask from anywhere, and who has none gets nowhere, so every origin is allowed and credentials are not.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import wraps

from aiohttp import web

from signaling.problems import Handler

_REQUEST_HEADERS = "Authorization, Content-Type, If-Match"
_RESPONSE_HEADERS = "Location, ETag, Link, Accept-Patch, Retry-After, WWW-Authenticate"
_MAX_AGE = "7200"  # seconds; Chromium remembers no longer


def with_cors(handler: Handler) -> Handler:
    """The handler, whose answers pages of every origin may read."""

    @wraps(handler)
    async def answered(request: web.Request) -> web.StreamResponse:
        response = await handler(request)
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS
        return response

    return answered


def preflight(methods: Collection[str], accepts: str | None = None) -> Handler:
    """A handler for OPTIONS on a resource with these methods; `accepts` is the media type that it takes by POST."""
    names = ", ".join(sorted(methods))
    headers = {
        "Allow": ", ".join(sorted({*methods, "OPTIONS"})),
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": names,
        "Access-Control-Allow-Headers": _REQUEST_HEADERS,
        "Access-Control-Max-Age": _MAX_AGE,
    }
    if accepts is not None:
        headers["Accept-Post"] = accepts

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=200, headers=headers)

    return answer
