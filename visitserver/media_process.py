"""A process of role `media`: the media node behind its own HTTP port. It has no database and signs no ticket."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from recorder.blobs import FolderStore
from recorder.disk import StorageState
from recorder.service import RecordingService
from signaling.cors import with_cors
from signaling.errors import RateLimited, Unavailable
from signaling.http import media_routes
from signaling.media.limit import SourceLimit
from signaling.problems import with_problems
from visitserver.config import Settings
from visitserver.domain.clock import Clock
from visitserver.http.headers import secure_headers
from visitserver.http.peer_address import peer_of
from visitserver.keyring import MediaKeys
from visitserver.links import Links
from visitserver.listening import tls_of, urls_of
from visitserver.media_wiring import ice_servers_of, make_media_node
from visitserver.serving import stop_signals, wait_or_hurry

log: Final = structlog.get_logger(__name__)

_CHECK_SECONDS: Final = 2.0
_FROM_ONE: Final = 50.0  # requests a second under /media/ from one address: a whole prison may stand behind it
_FROM_ALL: Final = 500.0
_CLIENT_GONE: Final = 499  # in the log alone; as nginx writes it
_PUBLIC: Final = frozenset({"/healthz", "/readyz"})


class MediaProcess:
    """The parts, wired. `serve` runs them until SIGTERM or SIGINT."""

    def __init__(self, settings: Settings, keys: MediaKeys, clock: Clock) -> None:
        self.settings = settings
        self.registry = CollectorRegistry()
        self._monotonic = time.monotonic
        self._requests = SourceLimit(_FROM_ONE, _FROM_ALL, self._monotonic())
        self.links = Links(settings)
        store = FolderStore(settings.recorder.directory)
        self.recorder = RecordingService(store, keys.recorder_ring, keys.recorder_signing, clock, continues=True)
        self._ice_servers = ice_servers_of(settings, clock)
        self.node = make_media_node(settings, self.links, keys.tickets, self.recorder.start, clock, self.registry)

    async def serve(self) -> None:
        """Start, serve, and at the end let calls go on for a while, then hand them over."""
        server = self.settings.server
        stop, hurry = stop_signals()
        # Whatever this process was doing when it was stopped, nothing passes before it knows whose its calls are.
        signal.signal(signal.SIGCONT, lambda _number, _frame: self.node.pause_over())
        runner = web.AppRunner(self.web_app(), access_log=None, shutdown_timeout=server.shutdown_seconds)
        try:
            await self.links.start()
            await runner.setup()
            site = web.TCPSite(runner, server.host, server.port, ssl_context=tls_of(server), reuse_address=True)
            # The port first: a node is in the directory only when its clients can reach it.
            await site.start()
            await self.node.start()
            log.info("serving", role="media", node_id=self.node.info.node_id, urls=urls_of(server, runner))
            await stop.wait()
            log.info("stopping")
            await wait_or_hurry(self.node.drain(self.settings.media.drain_seconds), hurry)
        finally:
            await self.node.stop()
            await self.recorder.close()
            await runner.cleanup()
            await self.links.aclose()

    def web_app(self) -> web.Application:
        """The media endpoints, health, readiness and figures."""
        app = web.Application(middlewares=[_logged, self._limited, self._origins], client_max_size=1 << 20)
        for route in media_routes(self.node, ice_servers=self._ice_servers):
            app.router.add_route(route.method, route.path, route.handler)
        app.router.add_get("/healthz", _health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.on_response_prepare.append(secure_headers)
        return app

    @web.middleware
    async def _limited(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """So many requests a second under /media/ and no more: each costs the check of a signature, good or not."""
        if request.path.startswith("/media/") and request.method != "OPTIONS":
            peer = peer_of(request, self.settings.server.trusted_proxies)
            if not self._requests.take(str(peer.address), self._monotonic()):
                return await _too_many(request)
        return await handler(request)

    @web.middleware
    async def _origins(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Pages of other origins than `cluster.page_origins` get nothing, the control channel's WebSocket included."""
        origin, allowed = request.headers.get("Origin"), self.settings.cluster.page_origins
        if not allowed or origin is None:
            return await handler(request)
        if origin not in allowed and origin != self.settings.cluster.media_url:
            raise web.HTTPForbidden(text="pages of this origin may not use this media server")
        response = await handler(request)
        if "Access-Control-Allow-Origin" in response.headers:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers.add("Vary", "Origin")
        return response

    async def _ready(self, request: web.Request) -> web.Response:
        """Redis is not among what decides: calls that are here go on without it."""
        deciding = {"media": self._accepts, "storage": self._has_room}
        found = {name: await _run(name, check) for name, check in {**deciding, "redis": self.links.ping}.items()}
        good = all(found[name] == "ok" for name in deciding)
        body: dict[str, Any] = {"status": "ready" if good else "not ready"}
        body["checks"] = found if self._is_ours(request) else {}
        return web.json_response(body, status=200 if good else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        if not self._is_ours(request):
            raise web.HTTPNotFound
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _is_ours(self, request: web.Request) -> bool:
        try:
            address = ip_address(request.remote or "")
        except ValueError:
            return False
        networks = self.settings.server.metrics_networks
        return any(address.version == network.version and address in network for network in networks)

    async def _accepts(self) -> None:
        if not self.node.rooms.accepting:
            raise Unavailable("the node takes no calls")

    async def _has_room(self) -> None:
        if await asyncio.to_thread(self.recorder.storage_state) is StorageState.FULL:
            raise OSError("the recordings' storage is full")


@with_cors
@with_problems
async def _too_many(_request: web.Request) -> web.StreamResponse:
    raise RateLimited("too many requests from this address")


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


@web.middleware
async def _logged(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line for every request; the route's pattern, never the path: that holds identifiers."""
    started, status = time.perf_counter(), 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    except (ConnectionError, asyncio.CancelledError):  # nobody is there to be answered: no fault of this server
        status = _CLIENT_GONE
        raise
    finally:
        resource = request.match_info.route.resource
        pattern = "none" if resource is None else resource.canonical
        if pattern not in _PUBLIC:
            spent = round((time.perf_counter() - started) * 1000, 1)
            log.info("request", method=request.method, route=pattern, status=status, milliseconds=spent)


async def _run(name: str, check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except TimeoutError:
        log.warning("not ready: no answer in time", check=name, seconds=_CHECK_SECONDS)
        return "timeout"
    except Exception as error:  # whoever asks learns no more than that; the operator finds the cause here
        log.warning("not ready", check=name, error=type(error).__name__, detail=str(error))
        return "failed"
    return "ok"
