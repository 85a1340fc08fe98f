"""One slot as the desk sees it: its places, who has them, what lies on it, and where to go from there."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from visitserver.http.console.lists import PageQuery
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")


class SlotQuery(PageQuery):
    """Which slot; which of its stations the grid was on."""

    slot: str = Field(max_length=80)
    station: str = Field("", max_length=80)


@routes.get("/staff/schedule/slot", action="schedule.read", summary="One slot and who has its places", query=SlotQuery)
async def slot_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(SlotQuery)
    found = await ctx.services.board.slot(ctx.actor, query.slot)
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "staff/schedule_slot.html",
        found=found,
        slot=found.slot,
        day=found.slot.day,
        zone=prison.timezone,
        station=next((one for one in found.stations if one.id == query.station), None),
    )
