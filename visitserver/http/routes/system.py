"""Files, health, metrics, and the description of the interface."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from visitserver.config import Settings
from visitserver.domain.access import Grant
from visitserver.http.assets import MEDIA_TYPES, Assets
from visitserver.http.ctx import Ctx
from visitserver.http.metrics import Metrics
from visitserver.http.openapi import openapi_document
from visitserver.http.peer_address import is_in
from visitserver.http.registry import Route, RouteKind, RouteTable

ReadinessCheck = Callable[[], Awaitable[None]]

log: Final = structlog.get_logger("visitserver.http")
_CHECK_SECONDS: Final = 2.0
_FOR_EVER: Final = "public, max-age=31536000, immutable"


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """Whether requests can be served. `checks` is filled for the networks of server.metrics_networks only."""

    status: str
    checks: dict[str, str] = {}


def system_table(
    assets: Assets,
    checks: Mapping[str, ReadinessCheck],
    notes: Mapping[str, ReadinessCheck],
    metrics: Metrics,
    settings: Settings,
    routes: Callable[[], tuple[Route, ...]],
    policy: Mapping[str, Grant],
) -> RouteTable:
    """The routes that look at no session. `routes` gives all of the application's, once they are known."""
    table = RouteTable("system")
    document: list[dict[str, Any]] = []

    def described() -> dict[str, Any]:
        if not document:
            document.append(openapi_document(routes(), policy))
        return document[0]

    def is_ours(ctx: Ctx) -> bool:
        return is_in(ctx.peer.address, settings.server.metrics_networks)

    @table.get(
        "/static/{version}/{path:.+}", action="static.read", summary="A file of the pages", kind=RouteKind.STATIC
    )
    async def static(request: web.Request, _ctx: Ctx) -> web.StreamResponse:
        path = assets.files.get(request.match_info["path"])
        if path is None:
            raise web.HTTPNotFound
        # A page from before an update still gets its files, but nobody keeps them under the old address.
        current = request.match_info["version"] == assets.version
        headers = {"Cache-Control": _FOR_EVER if current else "no-cache", "Content-Type": MEDIA_TYPES[path.suffix]}
        return web.FileResponse(path, headers=headers)

    @table.get("/favicon.ico", action="static.read", summary="The icon that browsers ask for", kind=RouteKind.STATIC)
    async def favicon(_request: web.Request, _ctx: Ctx) -> web.StreamResponse:
        return web.Response(status=308, headers={"Location": assets.url("img/mark.svg")})

    @table.get("/healthz", action="system.health", summary="Is the process alive?", kind="json", response=Health)
    async def health(_request: web.Request, _ctx: Ctx) -> Health:
        return Health()

    @table.get("/readyz", action="system.ready", summary="Can it serve requests?", kind="json", response=Readiness)
    async def ready(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
        asked = {**notes, **checks}
        results = await asyncio.gather(*(_run(name, check) for name, check in asked.items()))
        found = dict(zip(asked, results, strict=True))
        good = all(found[name] == "ok" for name in checks)
        answer = Readiness(status="ready" if good else "not ready", checks=found if is_ours(ctx) else {})
        return web.json_response(text=answer.model_dump_json(), status=200 if good else 503)

    @table.get("/metrics", action="system.metrics", summary="Figures for Prometheus", kind=RouteKind.MEDIA)
    async def read_metrics(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
        if not is_ours(ctx):
            raise web.HTTPNotFound
        return web.Response(body=metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @table.get("/openapi.json", action="system.openapi", summary="This interface, OpenAPI 3.1", kind=RouteKind.MEDIA)
    async def openapi(_request: web.Request, _ctx: Ctx) -> web.StreamResponse:
        return web.json_response(described())

    @table.get("/docs", action="system.docs", summary="This interface, to read")
    async def docs(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
        return ctx.render("docs.html", document=described())

    return table


async def _run(name: str, check: ReadinessCheck) -> str:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except TimeoutError:
        return "timeout"
    except Exception:
        log.warning("readiness check failed", check=name, exc_info=True)
        return "failed"
    return "ok"
