"""The scheduling desk: the week by station and time, the same as a table, the day as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.access import allows
from visitserver.domain.flags import Flag
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.services.board import Board, CellState

routes = RouteTable("staff")


class ScheduleQuery(PageQuery):
    """Which day, or which week: the one with `day` in it; today without one. `stations`: which twelve of them.

    `moved`: the booking that was put somewhere just now.
    """

    day: Day | None = None
    view: Literal["week", "table", "day", "requests"] = "week"
    by: Literal["station", "time"] = "station"
    wing: str = Field("", max_length=80)
    stations: int = Field(0, ge=0, le=1000)
    moved: str = Field("", max_length=80)


@routes.get(
    "/staff/schedule", action="schedule.read", summary="Week by station, as grid or table; day", query=ScheduleQuery
)
async def schedule(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(ScheduleQuery)
    if query.view == "requests":  # addresses that these pages had
        return ctx.redirect("/staff/schedule/requests")
    if query.view == "day":
        return ctx.redirect("/staff/schedule/day" + (f"?day={query.day.isoformat()}" if query.day else ""))
    prison = await ctx.services.desk.prison(ctx.actor)
    today = await ctx.services.desk.today(ctx.actor)
    day = query.day or today
    common: dict[str, Any] = {"day": day, "today": today, "zone": prison.timezone, "prison": prison, "view": query.view}
    monday = day - timedelta(days=day.weekday())
    board: Board = await ctx.services.board.board(
        ctx.actor, monday, by_time=query.by == "time", wing_id=query.wing, part=query.stations
    )
    shown = [view.booking.id for cell in board.cells for view in cell.views]
    return ctx.render(
        "staff/schedule_table.html" if query.view == "table" else "staff/schedule_week.html",
        query=query,
        board=board,
        monday=monday,
        wings=await ctx.services.desk.wings(ctx.actor),
        free=sum(cell.state is CellState.FREE for cell in board.cells),
        booked=sum(cell.state is CellState.BOOKED for cell in board.cells),
        here=str(request.rel_url),
        flags=_worst_first(await ctx.services.flags.of_bookings(ctx.actor, shown)),
        may_see_flags=allows("flag.list", ctx.principal.roles),
        **common,
    )


def _worst_first(flags: Mapping[str, Sequence[Flag]]) -> dict[str, list[Flag]]:
    """By booking; those first that nobody at the desk can set aside, then the oldest."""
    return {
        booking_id: sorted(found, key=lambda flag: (flag.keepable, flag.raised_at, flag.id))
        for booking_id, found in flags.items()
    }
