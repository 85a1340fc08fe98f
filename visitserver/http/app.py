"""Building the web application. Bootstrap calls `create_app`; nothing else here is for others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry

from visitserver.config import Settings
from visitserver.domain.access import POLICY, Grant
from visitserver.domain.clock import Clock
from visitserver.http.assets import scan_assets
from visitserver.http.core import Core
from visitserver.http.dispatch import Endpoint
from visitserver.http.headers import secure_headers_for
from visitserver.http.keys import CORE, ROUTES
from visitserver.http.metrics import Metrics
from visitserver.http.middleware.failures import failures
from visitserver.http.middleware.gate import gate
from visitserver.http.middleware.observe import observe
from visitserver.http.ratelimit import InProcessRateLimiter, RateLimiter, Unlimited
from visitserver.http.registry import DEFAULT_MAX_BODY, Route, RouteTable, check_routes
from visitserver.http.routes import all_tables
from visitserver.http.routes.media import MediaRoute, media_table
from visitserver.http.routes.system import ReadinessCheck, system_table
from visitserver.http.services import Services
from visitserver.http.templating import Templates


def create_app(
    services: Services,
    settings: Settings,
    media_routes: Iterable[MediaRoute] = (),
    *,
    clock: Clock,
    checks: Mapping[str, ReadinessCheck] | None = None,
    notes: Mapping[str, ReadinessCheck] | None = None,
    metrics_registry: CollectorRegistry | None = None,
    limiter: RateLimiter | None = None,
    tables: Iterable[RouteTable] | None = None,
    policy: Mapping[str, Grant] = POLICY,
) -> web.Application:
    """The application. Raises RouteError when a route lacks an action, or an action lacks a policy line.

    `media_routes` are those of the media node in this process (signaling.http.media_routes). `checks` are what /readyz
    asks: each raises when its part does not work; `notes` are asked and told, too, but do not decide.
    `metrics_registry` may carry the metrics of other rooms already. `tables` replaces the tables of routes in tests,
    and in a process that serves no pages.
    """
    web_directory = settings.server.web_directory or default_web_directory()
    assets = scan_assets(web_directory / "static")
    metrics = Metrics(metrics_registry)
    own = [*all_tables()] if tables is None else [*tables]
    routes: list[Route] = [route for table in (*own, media_table(media_routes)) for route in table]
    routes += system_table(assets, checks or {}, notes or {}, metrics, settings, lambda: tuple(routes), policy)
    check_routes(routes, policy)

    app = web.Application(middlewares=[observe, failures, gate], client_max_size=DEFAULT_MAX_BODY)
    if limiter is None:
        limiter = InProcessRateLimiter(time.monotonic) if settings.server.rate_limits else Unlimited()
    app[CORE] = Core(
        services=services,
        settings=settings,
        templates=Templates(app, web_directory, assets),
        clock=clock,
        limiter=limiter,
        metrics=metrics,
        policy=policy,
    )
    app[ROUTES] = tuple(routes)
    app.on_response_prepare.append(secure_headers_for(settings.cluster.media_origins))
    for route in routes:
        endpoint = Endpoint(route, app[CORE])
        app.router.add_route(route.method, route.path, endpoint.handle)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, endpoint.handle)
    return app


def default_web_directory() -> Path:
    """The `web` folder of a checkout, beside the package."""
    return Path(__file__).resolve().parent.parent.parent / "web"
