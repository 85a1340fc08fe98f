"""Every failure leaves here as a problem document or as a page with the same code; the unforeseen as an opaque 500."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from visitserver.domain.errors import NotFound
from visitserver.http.context import bare_context
from visitserver.http.keys import CONTEXT, CORE, REQUEST_ID, ROUTE
from visitserver.http.problems import INTERNAL, Problem, SignInRequired, problem_of, problem_response
from visitserver.http.registry import Audience, RouteKind

log: Final = structlog.get_logger("visitserver.http")

NO_PAGE: Final = "There is no such page."
"""What a person is told of a thing that is not there, or not theirs."""
SIGN_IN: Final = {
    Audience.FAMILY: "/signin",
    Audience.TERMINAL: "/terminal",
    Audience.STAFF: "/staff/signin",
}


@web.middleware
async def failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what was raised into an answer."""
    try:
        return await handler(request)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status < 400:
            raise
        if isinstance(error, web.HTTPMethodNotAllowed) and request.method == "OPTIONS":
            allowed = ", ".join(sorted(error.allowed_methods | {"OPTIONS"}))
            return web.Response(status=204, headers={"Allow": allowed})
        problem = problem_of(error)
        request.app[CORE].metrics.problems.labels(problem.code).inc()
        if problem.status >= 500:
            # exc_info goes to the log only: an exception's text may hold what a person typed.
            log.error("request failed", code=problem.code, exc_info=problem is INTERNAL)
        if isinstance(error, SignInRequired) and (to := _sign_in_page(request)) is not None:
            return web.Response(status=303, headers={"Location": to})
        if wants_page(request):
            return _page(request, problem)
        return problem_response(problem, request[REQUEST_ID])


def wants_page(request: web.Request) -> bool:
    """Whether the failure is shown to a person. Of unknown addresses the path and the Accept field decide."""
    route = request.get(ROUTE)
    if route is not None:
        return route.kind is RouteKind.PAGE
    if request.path.startswith(("/api/", "/media/", "/static/")):
        return False
    return "text/html" in request.headers.get("Accept", "")


def _sign_in_page(request: web.Request) -> str | None:
    route = request.get(ROUTE)
    if route is None or route.kind is not RouteKind.PAGE or route.audience not in SIGN_IN:
        return None
    page = SIGN_IN[route.audience]
    # After a form the person starts anew: what was to be sent is gone with the session.
    return f"{page}?next={quote(request.path_qs)}" if request.method in ("GET", "HEAD") else page


def _page(request: web.Request, problem: Problem) -> web.Response:
    ctx = request.get(CONTEXT) or bare_context(request)
    surface = {"staff": "console", "terminal": "terminal"}.get(request.path.split("/")[1], "calm")
    title = ctx._(problem.title)
    detail = NO_PAGE if problem.code == NotFound.default_code else problem.detail
    try:
        response = ctx.render(
            "error.html",
            status=problem.status,
            problem_status=problem.status,
            code=problem.code,
            title=title,
            detail=ctx._(detail),
            surface=surface,
        )
    except Exception:
        log.exception("the error page failed")
        return web.Response(text=f"{problem.status} {problem.title}\n", status=problem.status)
    response.headers.extend(problem.headers)
    return response
