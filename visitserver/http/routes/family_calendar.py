"""Booking by the calendar: the 28 days that can be booked, and the times of one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.http.time_views import DayView, book_url, days_of, ids_of
from visitserver.services.clock import today_at

routes = RouteTable("family")

DAYS = 29
"""Today and the 28 days of the booking window."""


class Month(Body):
    """Whose times are shown: a day's, and for whom besides oneself."""

    day: date | None = None
    also: str = Field("", max_length=200)
    lang: str = Field("", max_length=16)


@dataclass(frozen=True, slots=True)
class Cell:
    """A day in the calendar: how many of its times are free, of how many; `shown` below the calendar; `href` there."""

    day: date
    free: int
    times: int
    shown: bool
    href: str


@routes.get("/book/{relationship_id}/calendar", action="slot.list", summary="The days that can be booked", query=Month)
async def calendar(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    relationship_id, wanted = ctx.param("relationship_id"), ctx.query(Month)
    view = await ctx.services.relationships.get(ctx.actor, relationship_id)
    prison = (await ctx.services.visits.prisons([view.prisoner.prison_id])).get(view.prisoner.prison_id or "")
    if prison is None:
        raise Conflict("This person is at no prison now.", code="prisoner_moved")
    also = ids_of(wanted.also)
    today = today_at(prison, ctx.clock())
    offers = await ctx.services.slots.calendar(ctx.actor, relationship_id, guests=also, first=today, days=DAYS)
    days = {each.day: each for each in days_of(offers, prison.zone, ctx)}
    shown = wanted.day if wanted.day in days else next((each.day for each in days.values() if each.free), None)
    return ctx.render(
        "family/calendar.html",
        relationship_id=relationship_id,
        person=view.prisoner.name,
        prison=prison.name,
        zone=prison.timezone,
        weeks=_weeks(relationship_id, also, days, today, shown),
        shown=None if shown is None else days[shown],
        also=",".join(also),
        list_url=book_url(relationship_id, also),
        wishes=book_url(relationship_id, also, page="wishes"),
    )


def _weeks(
    relationship_id: str, also: tuple[str, ...], days: dict[date, DayView], today: date, shown: date | None
) -> list[list[Cell | None]]:
    """Weeks from Monday to Sunday around the days; None outside them."""
    monday = today - timedelta(days=today.weekday())
    last = today + timedelta(days=DAYS - 1)
    base = book_url(relationship_id, also, page="calendar")
    weeks: list[list[Cell | None]] = []
    while monday <= last:
        week: list[Cell | None] = []
        for day in (monday + timedelta(days=number) for number in range(7)):
            if not today <= day <= last:
                week.append(None)
                continue
            view = days.get(day)
            free, times = (len(view.free), len(view.free) + len(view.closed)) if view else (0, 0)
            href = f"{base}{'&' if also else '?'}day={day.isoformat()}#day"
            week.append(Cell(day, free, times, day == shown, href))
        weeks.append(week)
        monday += timedelta(days=7)
    return weeks
