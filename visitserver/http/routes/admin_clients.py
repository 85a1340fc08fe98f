"""Administration: machine clients, their tokens and what they may do."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.access import CLIENT_ACTIONS
from visitserver.domain.errors import Invalid
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

CLIENTS: Final = "/staff/admin/clients"


class NewClient(Body):
    """A prison's own system, what it may do and for how long."""

    name: str = Field(min_length=1, max_length=100)
    days: int = Field(365, ge=1, le=400)
    actions: list[str] = Field(min_length=1, max_length=len(CLIENT_ACTIONS))


@routes.get(CLIENTS, action="admin.client.list", summary="Machine clients", query=PageQuery)
async def clients(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _list(ctx, ctx.query(PageQuery), EMPTY)


@routes.post(CLIENTS, action="admin.client.issue", summary="Issue a machine client's token", body=NewClient)
async def issue(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(NewClient)
    if form.model is None:
        return await _list(ctx, PageQuery(), form)
    try:
        issued = await ctx.services.clients.issue(
            ctx.actor, form.model.name, form.model.actions, days=form.model.days, request_id=ctx.request_id
        )
    except Invalid as error:
        return await _list(ctx, PageQuery(), form.error(error.field or "name", ctx._(error.detail)))
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render("admin/client_issued.html", issued=issued, zone=prison.timezone)


@routes.post(CLIENTS + "/{client_id}/revoke", action="admin.client.revoke", summary="Revoke a machine client's token")
async def revoke(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.clients.revoke(ctx.actor, ctx.param("client_id"), request_id=ctx.request_id)
    return ctx.redirect(CLIENTS)


async def _list(ctx: Ctx, query: PageQuery, form: Form[NewClient]) -> web.Response:
    page = await ctx.services.clients.list(ctx.actor, query.part())
    prison = await ctx.services.desk.prison(ctx.actor)
    chosen = (await ctx.request.post()).getall("actions", []) if form.errors else []
    return ctx.render(
        "admin/clients.html",
        status=422 if form.errors else 200,
        page=page,
        links=links(ctx, page, query),
        form=form,
        actions=sorted(ctx.services.clients.allowed),
        chosen=chosen,
        zone=prison.timezone,
    )
