"""One booking: its people, its story, its decisions; cancelling it, deciding it."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, DecisionRefused, DomainError, Invalid
from visitserver.domain.rejections import DATED, RejectionReason, words_of
from visitserver.domain.scheduling import OPEN_STATES, BookingState
from visitserver.http.console.days import Day
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.desk import BookingView
from visitserver.services.slots import SlotOffer

routes = RouteTable("staff")


class CancelForm(Body):
    """Why the visit does not take place, for staff; and what the family is told besides."""

    reason: str = Field(min_length=3, max_length=2000)
    words: str = Field("", max_length=500)


class DecideForm(Body):
    """What a person decides about a booking that waits. `rejection` and its day are what the family is told."""

    decision: Literal["approve", "refuse"]
    reason: str = Field(min_length=3, max_length=2000)
    rejection: RejectionReason | None = None
    rejection_day: Day | None = None
    words: str = Field("", max_length=500)


@routes.get("/staff/bookings/{booking_id}", action="schedule.read", summary="One booking, with every decision")
async def booking_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _booking(ctx)


@routes.post(
    "/staff/bookings/{booking_id}/cancel", action="schedule.cancel", summary="Cancel a booking", body=CancelForm
)
async def cancel(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(CancelForm)
    if form.model is None:
        return await _booking(ctx, cancel=form)
    booking_id = ctx.param("booking_id")
    try:
        await ctx.services.booking.cancel(
            ctx.actor,
            booking_id,
            reason=form.model.reason,
            words=form.model.words,
            request_id=ctx.request_id,
        )
    except Invalid as error:
        return await _booking(ctx, cancel=form.error(error.field or "reason", ctx._(error.detail)))
    except Conflict as error:
        return await _booking(ctx, said=ctx._(error.detail))
    return ctx.redirect(f"/staff/bookings/{booking_id}")


@routes.post(
    "/staff/bookings/{booking_id}/decide",
    action="review.booking.decide",
    summary="Decide a booking that waits",
    body=DecideForm,
)
async def decide(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(DecideForm)
    if form.model is None:
        return await _booking(ctx, decide=form)
    booking_id = ctx.param("booking_id")
    wanted = form.model
    approve = wanted.decision == "approve"
    try:
        await ctx.services.booking.decide(
            ctx.actor,
            booking_id,
            approve=approve,
            reason=wanted.reason,
            rejection=None if approve else wanted.rejection,
            rejection_day=None if approve else wanted.rejection_day,
            words=None if approve else wanted.words,
            request_id=ctx.request_id,
        )
    except Invalid as error:
        return await _booking(ctx, decide=form.error(error.field or "reason", ctx._(error.detail)))
    except DecisionRefused as error:
        return await _booking(ctx, said=" ".join(result.staff_text for result in error.decision.deciding))
    except Conflict as error:
        return await _booking(ctx, said=ctx._(error.detail))
    return ctx.redirect(f"/staff/bookings/{booking_id}")


async def _booking(
    ctx: Ctx, *, cancel: Form[CancelForm] = EMPTY, decide: Form[DecideForm] = EMPTY, said: str = ""
) -> web.StreamResponse:
    view: BookingView = await ctx.services.desk.view(ctx.actor, ctx.param("booking_id"))
    prison = await ctx.services.desk.prison(ctx.actor)
    booking = view.booking
    decisions = await ctx.services.why.kept(ctx.actor, booking.id)
    story = await ctx.services.desk.story(ctx.actor, booking.id)
    flagged = [flag for flag in story.flags if flag.open]
    to_come = booking.starts_at > ctx.clock()
    movable = to_come and booking.state in (BookingState.BOOKED, BookingState.REQUESTED)
    people = [record.actor for record in decisions] + [change.actor for change in story.changes]
    return ctx.render(
        "staff/booking.html",
        status=409 if said else 422 if cancel.errors or decide.errors else 200,
        view=view,
        booking=booking,
        story=story,
        flags=flagged,
        alternatives=await _alternatives(ctx, booking.id) if movable and flagged else [],
        zone=prison.timezone,
        day=booking.starts_at.astimezone(prison.zone).date(),
        decisions=list(reversed(decisions)),
        names=await ctx.services.desk.staff_names(ctx.actor, [*people, booking.created_by, booking.decided_by or ""]),
        can_cancel=booking.state in OPEN_STATES and to_come,
        movable=movable,
        waiting=booking.state is BookingState.REQUESTED,
        rejections=[(one.value, str(words_of(one)), one in DATED) for one in RejectionReason],
        told=str(words_of(booking.rejection, booking.rejection_day)) if booking.rejection else "",
        cancel=cancel,
        decide=decide,
        said=said,
    )


async def _alternatives(ctx: Ctx, booking_id: str) -> list[SlotOffer]:
    """Three other times. The page is worth reading without them: who has left the prison has none."""
    try:
        return await ctx.services.slots.alternatives(ctx.actor, booking_id)
    except DomainError:
        return []
