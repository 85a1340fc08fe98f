"""The day sheet: on the screen by pages, whole for the printer, whole as a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from visitserver.domain.paging import Page
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.csv_export import Value, csv_response
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.services.day_sheet import Line

routes = RouteTable("staff")

WATCH: Final = {"none": "not watched", "sample": "may be watched", "live": "must be watched"}
COLUMNS: Final = (
    *("date", "from", "to", "station", "prisoner number", "prisoner", "wing", "callers", "supervision"),
    *("state", "flags", "remarks", "booking"),
)


class DayQuery(PageQuery):
    """Which day (today without one), which wing's people; `whole`: all of it on one page, for the printer."""

    day: Day | None = None
    wing: str = Field("", max_length=80)
    whole: bool = False


@routes.get("/staff/schedule/day", action="schedule.day_sheet", summary="The day sheet", query=DayQuery)
async def day_sheet(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(DayQuery)
    prison = await ctx.services.desk.prison(ctx.actor)
    today = await ctx.services.desk.today(ctx.actor)
    day = query.day or today
    left_off = False
    if query.whole:
        lines, left_off = await ctx.services.day_sheet.whole(ctx.actor, day, wing_id=query.wing)
        page: Page[Line] = Page(lines)
    else:
        page = await ctx.services.day_sheet.page(ctx.actor, day, query.part(50), wing_id=query.wing)
    return ctx.render(
        "staff/schedule_day.html",
        page=page,
        links=links(ctx, page, query),
        query=query,
        view="day",
        day=day,
        today=today,
        prison=prison,
        zone=prison.timezone,
        wings=await ctx.services.desk.wings(ctx.actor),
        watch=WATCH,
        left_off=left_off,
    )


@routes.get(
    "/staff/schedule/day.csv",
    action="schedule.day_sheet",
    summary="The day sheet as a file",
    query=DayQuery,
    produces="text/csv",
)
async def day_file(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(DayQuery)
    prison = await ctx.services.desk.prison(ctx.actor)
    day = query.day or await ctx.services.desk.today(ctx.actor)
    lines, _ = await ctx.services.day_sheet.whole(ctx.actor, day, wing_id=query.wing)
    return csv_response(f"visits-{day.isoformat()}.csv", COLUMNS, [_row(line, prison.zone) for line in lines])


def _row(line: Line, zone: ZoneInfo) -> Sequence[Value]:
    view, booking = line.view, line.view.booking
    begins, ends = booking.starts_at.astimezone(zone), booking.ends_at.astimezone(zone)
    return (
        begins.date(),
        f"{begins:%H:%M}",
        f"{ends:%H:%M}",
        view.station.name,
        view.prisoner.number,
        view.prisoner.name,
        view.wing.name if view.wing else "",
        ", ".join(view.visitors),
        WATCH[booking.supervision.value],
        booking.state.value.replace("_", " "),
        ", ".join(sorted({flag.type.value.replace("_", " ") for flag in line.flags})),
        "; ".join(line.remarks),
        booking.id,
    )
