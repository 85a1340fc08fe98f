"""Moving a booking: choose another time or station, see what the rules say, say why, do it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NeedsReview, NotFound
from visitserver.domain.paging import Page
from visitserver.domain.scheduling import BookingState
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.console.words import family_words
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.desk_moves import MovePreview

routes = RouteTable("staff")

DAYS_SHOWN = 14


class MoveQuery(PageQuery):
    """How far the move is: from which day on times are shown, which slot and station. `back`: where it began."""

    first: Day | None = None
    slot: str = Field("", max_length=80)
    station: str = Field("", max_length=80)
    back: Literal["", "week", "table"] = ""


class MoveForm(Body):
    """The move itself. `revision` is the booking's as the page showed it: a booking that changed since is not moved."""

    slot: str = Field(max_length=80)
    station: str = Field("", max_length=80)
    revision: int = Field(ge=0)
    reason: str = Field(min_length=3, max_length=2000)
    back: Literal["", "week", "table"] = ""


@routes.get("/staff/bookings/{booking_id}/move", action="schedule.move", summary="Move a booking", query=MoveQuery)
async def move_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, ctx.query(MoveQuery))


@routes.post("/staff/bookings/{booking_id}/move", action="schedule.move", summary="Move a booking", body=MoveForm)
async def move(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(MoveForm)
    booking_id = ctx.param("booking_id")
    values = form.values
    again = MoveQuery(slot=values.get("slot", "")[:80], station=values.get("station", "")[:80])
    if form.model is None:
        return await _page(ctx, again, form=form)
    wanted = form.model
    view = await ctx.services.desk.view(ctx.actor, booking_id)
    if view.booking.revision != wanted.revision:
        return await _page(ctx, again, form=form, said="Somebody changed this booking since you opened this page.")
    try:
        booking = await ctx.services.booking.change(
            ctx.actor,
            booking_id,
            wanted.slot,
            station_id=wanted.station or None,
            reason=wanted.reason,
            revision=wanted.revision,
            request_id=ctx.request_id,
        )
    except (DecisionRefused, NeedsReview) as error:
        refused = " ".join(result.staff_text for result in error.decision.deciding)
        return await _page(ctx, again, form=form, said=f"It was not moved. {refused}")
    except (Conflict, Invalid) as error:
        return await _page(ctx, again, form=form, said=f"It was not moved. {error.detail}")
    if not wanted.back:
        return ctx.redirect(f"/staff/bookings/{booking.id}")
    zone = (await ctx.services.desk.prison(ctx.actor)).zone
    day = booking.starts_at.astimezone(zone).date()
    return ctx.redirect(f"/staff/schedule?view={wanted.back}&day={day.isoformat()}&moved={booking.id}")


async def _page(ctx: Ctx, query: MoveQuery, *, form: Form[MoveForm] = EMPTY, said: str = "") -> web.StreamResponse:
    services, actor = ctx.services, ctx.actor
    view = await services.desk.view(actor, ctx.param("booking_id"))
    prison = await services.desk.prison(actor)
    booking = view.booking
    preview: MovePreview | None = None
    if query.slot:
        try:
            preview = await services.moves.preview(actor, booking.id, query.slot, query.station or None)
        except (NotFound, Invalid):
            said = said or "This time is no longer offered."
    movable = booking.state in (BookingState.BOOKED, BookingState.REQUESTED) and booking.starts_at > ctx.clock()
    today = await services.desk.today(actor)
    here = booking.starts_at.astimezone(prison.zone).date()
    first = query.first or (preview.slot.day if preview else max(today, here - timedelta(days=here.weekday())))
    offers: Page[Any] = Page(())
    if movable:
        offers = await services.moves.offers(actor, booking.id, first, DAYS_SHOWN, query.part(40))
    return ctx.render(
        "staff/schedule_move.html",
        status=409 if said else 422 if form.errors else 200,
        view=view,
        booking=booking,
        zone=prison.timezone,
        day=here,
        first=first,
        query=query,
        preview=preview,
        family=family_words(ctx, preview.answer) if preview else None,
        movable=movable,
        offers=offers,
        links=links(ctx, offers, query),
        form=form,
        stations=[one for one in await services.desk.stations(actor) if one.active],
        said=said,
    )
