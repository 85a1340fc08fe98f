"""One booking: its people, its decisions; cancelling it, deciding it. And booking for somebody."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NeedsReview
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import OPEN_STATES, BookingState
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.desk import BookingView
from visitserver.services.placing import OVERRIDABLE

routes = RouteTable("staff")


class CancelForm(Body):
    """Why the visit does not take place."""

    reason: str = Field(min_length=3, max_length=2000)


class DecideForm(CancelForm):
    """What a person decides about a booking that waits."""

    decision: Literal["approve", "refuse"]


class BookQuery(PageQuery):
    """How far the booking for somebody is: whom, with whom, from which day on."""

    prisoner: str = Field("", max_length=80)
    prisoner_id: str = Field("", max_length=80)
    relationship_id: str = Field("", max_length=80)
    first: date | None = None


class BookForm(Body):
    """A booking in one step. `override` sets one rule aside, for `override_reason`."""

    relationship_id: str = Field(max_length=80)
    slot: str = Field(max_length=80)
    override: str = Field("", max_length=40)
    override_reason: str = Field("", max_length=2000)


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
        await ctx.services.booking.cancel(ctx.actor, booking_id, reason=form.model.reason, request_id=ctx.request_id)
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
    approve = form.model.decision == "approve"
    try:
        await ctx.services.booking.decide(
            ctx.actor, booking_id, approve=approve, reason=form.model.reason, request_id=ctx.request_id
        )
    except Invalid as error:
        return await _booking(ctx, decide=form.error(error.field or "reason", ctx._(error.detail)))
    except DecisionRefused as error:
        return await _booking(ctx, said=" ".join(result.staff_text for result in error.decision.deciding))
    except Conflict as error:
        return await _booking(ctx, said=ctx._(error.detail))
    return ctx.redirect(f"/staff/bookings/{booking_id}")


@routes.get("/staff/book", action="schedule.book", summary="Book for somebody", query=BookQuery)
async def book_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _book(ctx, ctx.query(BookQuery))


@routes.post("/staff/book", action="schedule.book", summary="Book for somebody", body=BookForm)
async def book(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(BookForm)
    again = BookQuery(relationship_id=form.values.get("relationship_id", "")[:80])
    if form.model is None:
        return await _book(ctx, again, said=ctx._("Please choose a time again."))
    overrides = {form.model.override: form.model.override_reason} if form.model.override else None
    try:
        booking = await ctx.services.booking.book(
            ctx.actor,
            form.model.relationship_id,
            form.model.slot,
            overrides=overrides,
            request_id=ctx.request_id,
        )
    except (DecisionRefused, NeedsReview) as error:
        return await _book(ctx, again, refused=error.decision, said=ctx._("The rules do not allow this time."))
    except (Invalid, Conflict) as error:
        return await _book(ctx, again, said=ctx._(error.detail))
    return ctx.redirect(f"/staff/bookings/{booking.id}")


async def _booking(
    ctx: Ctx, *, cancel: Form[CancelForm] = EMPTY, decide: Form[DecideForm] = EMPTY, said: str = ""
) -> web.StreamResponse:
    view: BookingView = await ctx.services.desk.view(ctx.actor, ctx.param("booking_id"))
    prison = await ctx.services.desk.prison(ctx.actor)
    booking = view.booking
    decisions = await ctx.services.why.kept(ctx.actor, booking.id)
    people = [record.actor for record in decisions] + [booking.created_by, booking.decided_by or ""]
    return ctx.render(
        "staff/booking.html",
        status=409 if said else 422 if cancel.errors or decide.errors else 200,
        view=view,
        booking=booking,
        zone=prison.timezone,
        day=booking.starts_at.astimezone(prison.zone).date(),
        decisions=list(reversed(decisions)),
        names=await ctx.services.desk.staff_names(ctx.actor, people),
        can_cancel=booking.state in OPEN_STATES and booking.starts_at > ctx.clock(),
        waiting=booking.state is BookingState.REQUESTED,
        cancel=cancel,
        decide=decide,
        said=said,
    )


async def _book(ctx: Ctx, query: BookQuery, *, refused: Any = None, said: str = "") -> web.StreamResponse:
    """Three steps on one page: the prisoner, the visitor, the time."""
    services, actor = ctx.services, ctx.actor
    prison = await services.desk.prison(actor)
    matches: Page[Any] | None = None
    people: Page[Any] | None = None
    offers: Page[Any] | None = None
    chosen: Any = None
    prisoner: Any = None
    if query.relationship_id:
        chosen = await services.relationships.get(actor, query.relationship_id)
        prisoner = chosen.prisoner
        offers = await services.slots.offers(actor, query.relationship_id, query.part(), first=query.first, days=14)
    elif query.prisoner_id:
        prisoner = await services.desk.prisoner(actor, query.prisoner_id)
        people = await services.relationships.of_prisoner(actor, query.prisoner_id, query.part())
    elif query.prisoner:
        matches = await services.desk.search_prisoners(actor, query.prisoner, PageRequest(25, query.cursor))
    listed: Page[Any] = offers or people or matches or Page(())
    return ctx.render(
        "staff/book.html",
        status=409 if said else 200,
        query=query,
        zone=prison.timezone,
        matches=matches,
        prisoner=prisoner,
        people=people,
        chosen=chosen,
        offers=offers,
        links=links(ctx, listed, query),
        refused=refused,
        overridable=sorted(OVERRIDABLE),
        said=said,
    )
