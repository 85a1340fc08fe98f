"""The outermost layer: a request id of our own, one log line and the metrics for every request."""

from __future__ import annotations

import secrets
import time
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from visitserver.http.keys import CORE, PEER, REQUEST_ID, ROUTE
from visitserver.http.peer_address import peer_of

log: Final = structlog.get_logger("visitserver.http")
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id (one from outside is never taken over) and note how it went.

    The log line names the route's pattern, not the path: a path holds identifiers, a query may hold more.
    """
    core = request.app[CORE]
    request_id = f"req_{secrets.token_hex(12)}"
    request[REQUEST_ID] = request_id
    request[PEER] = peer_of(request, core.settings.server.trusted_proxies)
    started = time.perf_counter()
    status = 500
    core.metrics.in_progress.inc()
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            seconds = time.perf_counter() - started
            route = request.get(ROUTE)
            pattern = "none" if route is None else route.path
            method = request.method if request.method in _METHODS else "OTHER"
            core.metrics.in_progress.dec()
            core.metrics.requests.labels(method, pattern, str(status)).inc()
            core.metrics.seconds.labels(pattern).observe(seconds)
            if pattern not in _QUIET:
                log.info("request", method=method, route=pattern, status=status, milliseconds=round(seconds * 1000, 1))


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
