"""Before anything is looked up: the host's name, and how often this address asks."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from visitserver.http.keys import CORE, PEER
from visitserver.http.problems import RateLimited
from visitserver.http.ratelimit import retry_after


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """400 for a host that is not ours, 429 for an address that asks too much. Files and probes are not counted."""
    core = request.app[CORE]
    hosts = core.settings.server.allowed_hosts
    if hosts and request.url.host not in hosts:
        raise web.HTTPBadRequest
    if not request.path.startswith(("/static/", "/healthz", "/readyz")):
        wait = await core.limiter.take("request", request[PEER].bucket)
        if wait > 0:
            raise RateLimited(retry_after(wait))
    return await handler(request)
