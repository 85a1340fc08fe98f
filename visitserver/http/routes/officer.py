"""The wall and the focus of one call: pages, and what their modules ask again and again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.calls import Call
from visitserver.domain.errors import NotFound
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.http.console.calls import CallOut, EventOut, events_out, is_over, live_call, staff_in, stored_call
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.services.desk import BookingView
from visitserver.services.ports.calls import CallFilter

routes = RouteTable("staff")

PER_WALL: Final = 16
LONGEST_CALL: Final = timedelta(hours=3)


class WallQuery(Body):
    """Which calls: of one wing, only those that must be watched; sixteen a page, counted from 1."""

    lang: str = Field("", max_length=16)
    wing: str = Field("", max_length=80)
    required: bool = False
    page: int = Field(1, ge=1, le=100)


class CallQuery(Body):
    """`after`: the last event that is known already."""

    after: int = Field(0, ge=0)


class WallOut(Body):
    """The wall: the server's time, a page of calls, how many pages there are, who waits for an officer at the door.

    `door` counts up to 50.
    """

    now: datetime
    pages: int
    door: int
    calls: list[CallOut]


class FocusOut(Body):
    """One call and its events after the last known one."""

    now: datetime
    call: CallOut
    events: list[EventOut]


@routes.get("/staff/wall", action="call.wall", summary="The wall of live calls", query=WallQuery)
async def wall_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(WallQuery)
    wall = await _wall(ctx, query)
    url: Callable[[int], str] = lambda page: str(request.rel_url.update_query(page=str(page)))  # noqa: E731
    wings = await ctx.services.desk.wings(ctx.actor)
    return ctx.render("staff/wall.html", query=query, wings=wings, pages=wall.pages, page_url=url)


@routes.get("/api/calls", action="call.wall", summary="The wall now", kind="json", query=WallQuery, response=WallOut)
async def wall(request: web.Request, ctx: Ctx) -> WallOut:
    return await _wall(ctx, ctx.query(WallQuery))


@routes.get("/staff/calls/{call_id}", action="call.read", summary="One call, large")
async def focus_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    call = await ctx.services.calls.get(ctx.actor, ctx.param("call_id"))
    view = await _view(ctx, call)
    prison = await ctx.services.desk.prison(ctx.actor)
    out = stored_call(call, view)
    return ctx.render(
        "staff/call.html",
        call_id=call.id,
        privileged=call.privileged,
        title=" – ".join(filter(None, (out.prisoner, *out.visitors))) or ctx._("Call"),
        view=view,
        zone=prison.timezone,
    )


@routes.get(
    "/api/calls/{call_id}",
    action="call.read",
    summary="One call now, and its events",
    kind="json",
    query=CallQuery,
    response=FocusOut,
)
async def focus(request: web.Request, ctx: Ctx) -> FocusOut:
    call_id = ctx.param("call_id")
    call = await ctx.services.calls.get(ctx.actor, call_id)
    view = await _view(ctx, call)
    events = await ctx.services.calls.events(ctx.actor, call_id, ctx.query(CallQuery).after)
    names = await ctx.services.desk.staff_names(ctx.actor, staff_in(events))
    return FocusOut(now=ctx.clock(), call=await _now(ctx, call, view), events=events_out(events, view, names))


async def _now(ctx: Ctx, call: Call, view: BookingView | None) -> CallOut:
    if call.over:
        return stored_call(call, view)
    try:
        return live_call(await ctx.services.calls.snapshot(ctx.actor, call.id), view, ctx.actor.id)
    except NotFound:
        return stored_call(call, view)  # no room is open now


async def _view(ctx: Ctx, call: Call) -> BookingView | None:
    try:
        return await ctx.services.desk.view(ctx.actor, call.booking_id)
    except NotFound:
        return None


async def _wall(ctx: Ctx, query: WallQuery) -> WallOut:
    snapshots = await ctx.services.calls.wall(ctx.actor)
    now = ctx.clock()
    recent = CallFilter(prison_id=ctx.actor.prison_id, starts_from=now - LONGEST_CALL)
    found = await ctx.services.calls.list(ctx.actor, recent, PageRequest(MAX_LIMIT))
    booking_of = {call.id: call.booking_id for call in found.items}
    views = await ctx.services.desk.current(ctx.actor)
    calls = []
    for snapshot in snapshots:
        view = views.get(booking_of.get(snapshot.call_id, ""))
        call = live_call(snapshot, view, ctx.actor.id)
        wing_id = view.prisoner.wing_id if view else None
        if is_over(call) or (query.wing and wing_id != query.wing) or (query.required and not call.watch_required):
            continue
        calls.append(call)
    # A tile keeps its place while it lives: what happens to a call must not move the others under the finger.
    calls.sort(key=lambda call: (call.starts_at, call.call_id))
    pages = max(1, -(-len(calls) // PER_WALL))
    first = (query.page - 1) * PER_WALL
    door = await ctx.services.door.review.queue(ctx.actor, PageRequest(50))
    return WallOut(now=now, pages=pages, door=len(door.items), calls=calls[first : first + PER_WALL])
