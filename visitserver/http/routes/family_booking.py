"""Booking: free times first, why the others are not, a hold, and the confirmation."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import BookingState
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.http.time_views import book_url, common_words, days_of, ids_of, refusal_words, whole_days
from visitserver.http.views import visit_view
from visitserver.services.guests import MOST_GUESTS

routes = RouteTable("family")

TIMES_AT_ONCE = 60


class Days(Body):
    """From which point of the list on, and for whom besides oneself: relationships, separated by commas."""

    cursor: str | None = Field(None, max_length=200)
    also: str = Field("", max_length=200)
    lang: str = Field("", max_length=16)


class Choice(Body):
    """The chosen time, by its key, and who takes part besides oneself."""

    slot: str = Field(min_length=1, max_length=100)
    also: str = Field("", max_length=200)


class Further(Body):
    """Somebody who is to take part, by the address with which they sign in."""

    email: str = Field(min_length=3, max_length=254)
    also: str = Field("", max_length=200)


@routes.get("/book/{relationship_id}", action="slot.list", summary="Free times, and why the others are not", query=Days)
async def times(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(Days)
    return await show_times(ctx, ctx.param("relationship_id"), query.cursor, [], also=ids_of(query.also))


@routes.post("/book/{relationship_id}/also", action="booking.guest", summary="Somebody else takes part", body=Further)
async def also(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    relationship_id = ctx.param("relationship_id")
    form = await ctx.form(Further)
    if form.model is None:
        return await show_times(
            ctx, relationship_id, None, [], also=ids_of(form.values.get("also", "")), form=form, status=422
        )
    chosen = ids_of(form.model.also)
    await ctx.limit("guest", ctx.actor.id)
    try:
        guest = await ctx.services.relationships.guest(ctx.actor, relationship_id, form.model.email)
    except Invalid as error:
        form = form.error("email", ctx._(error.detail))
        return await show_times(ctx, relationship_id, None, [], also=chosen, form=form, status=422)
    together = chosen if guest.relationship_id in chosen else (*chosen, guest.relationship_id)
    return ctx.redirect(book_url(relationship_id, together))


@routes.post("/book/{relationship_id}/hold", action="booking.hold", summary="Keep a time for some minutes", body=Choice)
async def hold(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    relationship_id = ctx.param("relationship_id")
    form = await ctx.form(Choice)
    if form.model is None:
        return ctx.redirect(f"/book/{relationship_id}")
    guests = ids_of(form.model.also)
    try:
        held = await ctx.services.booking.hold(
            ctx.actor, relationship_id, form.model.slot, guests=guests, request_id=ctx.request_id
        )
    except DecisionRefused as error:
        said = refusal_words(ctx, error.decision)
        return await show_times(ctx, relationship_id, None, said or [ctx._(error.detail)], also=guests, status=409)
    except (Conflict, Invalid) as error:
        return await show_times(ctx, relationship_id, None, [ctx._(error.detail)], also=guests, status=409)
    return ctx.redirect(f"/book/confirm/{held.id}")


@routes.get("/book/confirm/{hold_id}", action="booking.confirm", summary="What is about to be booked")
async def confirm_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    visit = await ctx.services.visits.get(ctx.actor, ctx.param("hold_id"))
    booking = visit.booking
    if booking.state is not BookingState.HELD:
        return ctx.redirect(f"/visits/{booking.id}")
    if booking.lead.contact_id != ctx.actor.id:
        raise NotFound("There is no such booking.")
    shown = visit_view(
        booking,
        visit.prison,
        visit.prisoner.name,
        ctx.clock(),
        ctx._,
        recorded=visit.recorded,
        others=tuple(contact.name for contact in visit.contacts if contact.id != ctx.actor.id),
    )
    cost = ctx._("This visit uses one of the visits that the person may have.") if booking.credit_type else ""
    return ctx.render(
        "family/confirm.html",
        visit=shown,
        hold={"id": booking.id, "expires_at": booking.hold_expires_at, "may_extend": not booking.hold_extended},
        relationship_id=visit.relationship_of(ctx.actor.id),
        cost="" if booking.privileged else cost,
    )


@routes.post("/book/confirm/{hold_id}", action="booking.confirm", summary="Book the kept time")
async def confirm(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    visit = await ctx.services.visits.get(ctx.actor, ctx.param("hold_id"))
    relationship_id = visit.relationship_of(ctx.actor.id)
    try:
        booking = await ctx.services.booking.confirm(ctx.actor, visit.booking.id, request_id=ctx.request_id)
    except DecisionRefused as error:
        said = refusal_words(ctx, error.decision)
        return await show_times(ctx, relationship_id, None, said or [ctx._(error.detail)], status=409)
    except Conflict as error:
        return await show_times(ctx, relationship_id, None, [ctx._(error.detail)], status=409)
    return ctx.redirect(f"/visits/{booking.id}")


@routes.post("/book/confirm/{hold_id}/extend", action="booking.confirm", summary="Keep the time a little longer, once")
async def extend(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    booking = await ctx.services.booking.extend(ctx.actor, ctx.param("hold_id"), request_id=ctx.request_id)
    return ctx.redirect(f"/book/confirm/{booking.id}")


@routes.post("/book/confirm/{hold_id}/release", action="booking.confirm", summary="Give the kept time back")
async def release(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    visit = await ctx.services.visits.get(ctx.actor, ctx.param("hold_id"))
    if visit.booking.state is BookingState.HELD:
        await ctx.services.booking.cancel(ctx.actor, visit.booking.id, request_id=ctx.request_id)
    return ctx.redirect(f"/book/{visit.relationship_of(ctx.actor.id)}")


async def show_times(
    ctx: Ctx,
    relationship_id: str,
    cursor: str | None,
    notices: list[str],
    *,
    also: Sequence[str] = (),
    form: Form[Further] = EMPTY,
    status: int = 200,
) -> web.StreamResponse:
    view = await ctx.services.relationships.get(ctx.actor, relationship_id)
    prison = (await ctx.services.visits.prisons([view.prisoner.prison_id])).get(view.prisoner.prison_id or "")
    if prison is None:
        raise Conflict("This person is at no prison now.", code="prisoner_moved")
    uncounted = view.relationship.call_kind.privileged
    guests = await ctx.services.relationships.guests(ctx.actor, relationship_id, also)
    page = await ctx.services.slots.offers(ctx.actor, relationship_id, PageRequest(TIMES_AT_ONCE, cursor), guests=also)
    offers = whole_days(page.items, prison.zone, cut=page.next_cursor is not None)
    more = offers[-1].cursor if offers and (len(offers) < len(page.items) or page.next_cursor) else None
    days = days_of(offers, prison.zone, ctx)
    general = common_words(days)
    if general:
        days = []
    return ctx.render(
        "family/book.html",
        status=status,
        relationship_id=relationship_id,
        person=view.prisoner.name,
        prison=prison.name,
        zone=prison.timezone,
        allowance=None if uncounted else await ctx.services.allowance.view(ctx.actor, view.prisoner.id),
        general=notices + general,
        calendar=book_url(relationship_id, also, page="calendar"),
        wishes=book_url(relationship_id, also, page="wishes"),
        days=days,
        free_count=sum(len(day.free) for day in days),
        closed_count=sum(len(day.closed) for day in days),
        earlier=book_url(relationship_id, also) if cursor else "",
        later=book_url(relationship_id, also, more) if more else "",
        also=",".join(also),
        guests=[
            {
                "name": guest.name,
                "without": book_url(relationship_id, [each for each in also if each != guest.relationship_id]),
            }
            for guest in guests
        ],
        may_add=len(guests) < MOST_GUESTS,
        form=form,
    )
