"""Bookings that wait for a decision: those about to lapse first (rule 21)."""

from __future__ import annotations

from aiohttp import web

from visitserver.domain.paging import Page
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.services.desk_requests import WaitingBooking

routes = RouteTable("staff")


@routes.get(
    "/staff/schedule/requests", action="schedule.read", summary="Bookings that wait for a decision", query=PageQuery
)
async def requests_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(PageQuery)
    page: Page[WaitingBooking] = await ctx.services.requests.queue(ctx.actor, query.part())
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "staff/schedule_requests.html",
        page=page,
        links=links(ctx, page, query),
        zone=prison.timezone,
        day=None,
        view="requests",
    )
