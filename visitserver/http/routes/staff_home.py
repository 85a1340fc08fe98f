"""Today: what goes on, who waits, what must be watched, what waits for a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from signaling.calls import IN_PROGRESS
from signaling.snapshot import RoomSnapshot
from visitserver.domain.access import allows
from visitserver.domain.calls import Call
from visitserver.domain.errors import Unavailable
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.console.queue import Waiting, waiting
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.services.desk import BookingView
from visitserver.services.ports.calls import CallFilter

routes = RouteTable("staff")

PER_DAY: Final = 100


@dataclass(frozen=True, slots=True)
class TodayCall:
    """A visit of today with its call, if its room has been opened. `here`: the names of those who are in."""

    view: BookingView
    call: Call | None
    room: RoomSnapshot | None

    @property
    def phase(self) -> str:
        """The call's phase, `scheduled` before there is a call."""
        if self.room is not None:
            return self.room.phase
        return "scheduled" if self.call is None else self.call.phase

    @property
    def here(self) -> list[str]:
        return [one.name for one in self.room.participants if one.present or one.connected] if self.room else []

    @property
    def unwatched(self) -> bool:
        """Whether it must be watched, has begun to gather, and nobody watches."""
        return self.room is not None and self.room.supervision == "live" and not self.room.officers

    @property
    def going_on(self) -> bool:
        return self.room is not None and self.room.phase in IN_PROGRESS


@routes.get("/staff", action="staff.home", summary="Today", query=PageQuery)
async def today(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(PageQuery)
    roles = ctx.principal.roles
    prison = await ctx.services.desk.prison(ctx.actor)
    day = await ctx.services.desk.today(ctx.actor)
    calls: list[TodayCall] | None = None
    following = None
    reachable = True
    if allows("schedule.read", roles):
        page = await ctx.services.desk.between(ctx.actor, day, 1, query.part(PER_DAY))
        rooms: Mapping[str, RoomSnapshot] = {}
        known: Mapping[str, Call] = {}
        if allows("call.wall", roles):
            known = await _calls_of(ctx)
            try:
                rooms = {room.call_id: room for room in await ctx.services.calls.wall(ctx.actor)}
            except Unavailable:
                reachable = False  # the page says so; the plan of the day is still worth reading
        calls = [_today(view, known.get(view.booking.id), rooms) for view in page.items]
        following = links(ctx, page, query)
    queue: list[Waiting] = await waiting(ctx) if allows("review.list", roles) else []
    requests = None
    if allows("review.booking.decide", roles):
        found = await ctx.services.bookings.requests(ctx.actor, PageRequest(50))
        requests = (len(found.items), found.next_cursor is not None)
    return ctx.render(
        "staff/today.html",
        prison=prison,
        zone=prison.timezone,
        day=day,
        calls=calls,
        links=following,
        queue=queue,
        requests=requests,
        reachable=reachable,
    )


def _today(view: BookingView, call: Call | None, rooms: Mapping[str, RoomSnapshot]) -> TodayCall:
    return TodayCall(view, call, rooms.get(call.id) if call else None)


async def _calls_of(ctx: Ctx) -> dict[str, Call]:
    """Today's calls by booking."""
    views = await ctx.services.desk.current(ctx.actor)
    earliest = min((view.booking.starts_at for view in views.values()), default=None)
    if earliest is None:
        return {}
    wanted = CallFilter(prison_id=ctx.actor.prison_id, starts_from=earliest)
    found = await ctx.services.calls.list(ctx.actor, wanted, PageRequest(MAX_LIMIT))
    return {call.booking_id: call for call in found.items}
