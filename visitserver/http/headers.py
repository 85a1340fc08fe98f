"""What every answer says to the browser about itself."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import web

from visitserver.http.keys import PEER, REQUEST_ID

_PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not no-referrer: with that, browsers send "Origin: null" from our own forms (Fetch standard, 3.1)
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(self), microphone=(self), autoplay=(self), fullscreen=(self), screen-wake-lock=(self), "
        "display-capture=(), geolocation=(), payment=(), usb=(), serial=(), bluetooth=(), midi=(), hid=()"
    ),
}
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_HSTS: Final = "max-age=31536000"


Signal = Callable[[web.BaseRequest, web.StreamResponse], Awaitable[None]]


def secure_headers_for(media_origins: Sequence[str]) -> Signal:
    """`secure_headers` for pages that may connect to media nodes at these origins, too (https and wss, or http and ws).

    ValueError for what is no origin: it would be a hole in the policy, or break it.
    """
    sources: list[str] = []
    for origin in media_origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin!r} is no origin: scheme, host and port, nothing else")
        sources += [origin, f"ws{origin.removeprefix('http')}"]
    policy = _PAGE_POLICY.replace("connect-src 'self'", " ".join(["connect-src 'self'", *sources]))

    async def signal(request: web.BaseRequest, response: web.StreamResponse) -> None:
        if response.content_type == "text/html":
            response.headers.setdefault("Content-Security-Policy", policy)
        await secure_headers(request, response)

    return signal


async def secure_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """An on_response_prepare signal: it reaches every answer, files, WebSockets and errors included."""
    headers = response.headers
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    is_page = response.content_type == "text/html"
    headers.setdefault("Content-Security-Policy", _PAGE_POLICY if is_page else _DATA_POLICY)
    headers.setdefault("Cache-Control", "no-store")
    peer = request.get(PEER)
    if peer is not None and peer.secure:
        headers.setdefault("Strict-Transport-Security", _HSTS)
    request_id = request.get(REQUEST_ID)
    if request_id is not None:
        headers["X-Request-Id"] = request_id
    headers.popall("Server", None)
