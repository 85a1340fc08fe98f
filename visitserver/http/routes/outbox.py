"""Administration: what was told to people and programs, what waits, and what did not arrive."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from visitserver.domain.outbox import OutboxState
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

OUTBOX: Final = "/staff/admin/outbox"


class Wanted(PageQuery):
    """Messages in one state, or in any."""

    state: OutboxState | None = None


@routes.get(OUTBOX, action="outbox.read", summary="Letters and events: sent, waiting, failed", query=Wanted)
async def outbox(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(Wanted)
    page = await ctx.services.outbox.list(ctx.actor, query.state, query.part(50))
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "admin/outbox.html",
        page=page,
        state=query.state,
        states=list(OutboxState),
        links=links(ctx, page, query),
        zone=prison.timezone,
    )


@routes.post(OUTBOX + "/{message_id}/retry", action="outbox.retry", summary="Send a message again")
async def retry(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.outbox.retry(ctx.actor, ctx.param("message_id"), request_id=ctx.request_id)
    return ctx.redirect(OUTBOX)
