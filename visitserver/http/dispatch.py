"""The way of a request that found its route: who asks, may they, is it their own page, then the handler."""

from __future__ import annotations

from aiohttp import web
from aiohttp.http import HttpProcessingError
from pydantic import BaseModel

from visitserver.domain.access import allows
from visitserver.http import csrf
from visitserver.http.context import SESSION_AUDIENCES, make_context
from visitserver.http.core import Core
from visitserver.http.ctx import Ctx
from visitserver.http.keys import CONTEXT, ROUTE
from visitserver.http.problems import AccessDenied, SignInRequired
from visitserver.http.registry import DEFAULT_MAX_BODY, SAFE_METHODS, Audience, Route, RouteKind


class Endpoint:
    """One route as aiohttp calls it."""

    def __init__(self, route: Route, core: Core) -> None:
        self.route = route
        self._core = core

    async def handle(self, request: web.Request) -> web.StreamResponse:
        route = self.route
        request[ROUTE] = route
        if (request.content_length or 0) > route.max_body:
            raise web.HTTPRequestEntityTooLarge(max_size=route.max_body, actual_size=request.content_length or 0)
        if route.max_body != DEFAULT_MAX_BODY:  # the application limits every other body to the default
            request = request.clone(client_max_size=route.max_body)
        ctx = await make_context(request, route, self._core)
        request[CONTEXT] = ctx
        self._authorise(ctx)
        await self._check_csrf(request, ctx)
        if route.rate is not None:
            await ctx.limit(route.rate, ctx.principal.account_id or ctx.principal.station_id or ctx.address)
        answer = await route.handler(request, ctx)
        response = _json(answer, route) if isinstance(answer, BaseModel) else answer
        if not response.prepared:
            for step in ctx.answer_with:
                step(response)
        return response

    def _authorise(self, ctx: Ctx) -> None:
        principal, action = ctx.principal, self.route.action
        if self.route.audience is Audience.API:
            grant = self._core.policy.get(action)
            if grant is not None and grant.client and action in principal.actions:
                return
        elif allows(action, principal.roles, self._core.policy):
            return
        if principal.signed_in:
            raise AccessDenied
        raise SignInRequired(bearer=self.route.audience is Audience.API)

    async def _check_csrf(self, request: web.Request, ctx: Ctx) -> None:
        route = self.route
        if request.method in SAFE_METHODS or not route.csrf or route.audience not in SESSION_AUDIENCES:
            return
        try:
            await csrf.check(request, ctx.csrf_secret, form=route.kind is RouteKind.PAGE)
        except (ValueError, LookupError, AssertionError, HttpProcessingError):
            # aiohttp's words for a form that cannot be read: no boundary, an unknown charset, text that is none
            raise web.HTTPBadRequest from None


def _json(model: BaseModel, route: Route) -> web.Response:
    return web.Response(text=model.model_dump_json(by_alias=True), status=route.status, content_type="application/json")
