"""The scheduling desk: the week by station, the day as a list, what waits for a decision."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from typing import Any, Final, Literal

from aiohttp import web

from visitserver.domain.paging import MAX_LIMIT, Page, PageRequest
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.services.desk import BookingView

routes = RouteTable("staff")

MOST_OF_A_WEEK: Final = 1000
"""So many bookings are put into a grid. Beyond that the page says that something is left, and the day lists have it."""


class ScheduleQuery(PageQuery):
    """Which day, or which week: the one with `day` in it; today without one."""

    day: date | None = None
    view: Literal["week", "day", "requests"] = "week"


@routes.get("/staff/schedule", action="schedule.read", summary="Week by station, day, requests", query=ScheduleQuery)
async def schedule(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(ScheduleQuery)
    prison = await ctx.services.desk.prison(ctx.actor)
    today = await ctx.services.desk.today(ctx.actor)
    day = query.day or today
    common: dict[str, Any] = {"day": day, "today": today, "zone": prison.timezone, "prison": prison, "view": query.view}
    if query.view == "day":
        page: Page[BookingView] = await ctx.services.desk.between(ctx.actor, day, 1, query.part())
        return ctx.render("staff/schedule_day.html", page=page, links=links(ctx, page, query), **common)
    if query.view == "requests":
        found: Page[Any] = await ctx.services.bookings.requests(ctx.actor, query.part())
        views = await ctx.services.desk.views(ctx.actor, found.items)
        page = Page(views, found.next_cursor)
        return ctx.render("staff/schedule_requests.html", page=page, links=links(ctx, page, query), **common)
    monday = day - timedelta(days=day.weekday())
    bookings, left_off = await _week(ctx, monday)
    days = [monday + timedelta(days=number) for number in range(7)]
    grid: dict[str, dict[date, list[BookingView]]] = defaultdict(lambda: defaultdict(list))
    for view in bookings:
        grid[view.station.id][view.booking.starts_at.astimezone(prison.zone).date()].append(view)
    stations = [one for one in await ctx.services.desk.stations(ctx.actor) if one.active or one.id in grid]
    rows = [(station, [grid[station.id][each] for each in days]) for station in stations]
    return ctx.render("staff/schedule_week.html", rows=rows, days=days, monday=monday, left_off=left_off, **common)


async def _week(ctx: Ctx, monday: date) -> tuple[list[BookingView], bool]:
    found: list[BookingView] = []
    cursor: str | None = None
    while True:
        page = await ctx.services.desk.between(ctx.actor, monday, 7, PageRequest(MAX_LIMIT, cursor))
        found += page.items
        cursor = page.next_cursor
        if cursor is None or len(found) >= MOST_OF_A_WEEK:
            return found, cursor is not None
