"""The media node's own routes, put into the registry. A signed ticket authorises each; no session is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from aiohttp import web

from visitserver.http.ctx import Ctx
from visitserver.http.registry import Handler, RouteKind, RouteTable


class MediaRoute(Protocol):
    """What signaling.http declares. Its paths start with /media/."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def handler(self) -> Callable[[web.Request], Awaitable[web.StreamResponse]]: ...
    @property
    def action(self) -> str: ...
    @property
    def summary(self) -> str: ...


def media_table(media_routes: Iterable[MediaRoute]) -> RouteTable:
    """The routes as ours."""
    table = RouteTable("media")
    for route in media_routes:
        table.add(
            route.method,
            route.path,
            _wrapped(route),
            action=route.action,
            summary=route.summary,
            kind=RouteKind.MEDIA,
            csrf=False,
            media_type="application/sdp" if route.method == "POST" else None,
        )
    return table


def _wrapped(route: MediaRoute) -> Handler:
    async def handle(request: web.Request, _ctx: Ctx) -> web.StreamResponse:
        return await route.handler(request)

    return handle
