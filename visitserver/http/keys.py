"""The names under which things are kept on the application and on a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from visitserver.http.core import Core
    from visitserver.http.ctx import Ctx
    from visitserver.http.peer_address import Peer
    from visitserver.http.registry import Route

CORE: Final[web.AppKey[Core]] = web.AppKey("core")
ROUTES: Final[web.AppKey[tuple[Route, ...]]] = web.AppKey("routes")

REQUEST_ID: Final = web.RequestKey[str]("request_id")
PEER: Final[web.RequestKey[Peer]] = web.RequestKey("peer")
CONTEXT: Final[web.RequestKey[Ctx]] = web.RequestKey("context")
ROUTE: Final[web.RequestKey[Route]] = web.RequestKey("route")
