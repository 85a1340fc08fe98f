"""Booking: free times first, why the others are not, a hold, and the confirmation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import BookingState, SupervisionLevel
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.http.views import visit_view
from visitserver.http.wording import shown_in
from visitserver.services.guests import MOST_GUESTS
from visitserver.services.slots import SlotOffer

routes = RouteTable("family")

TIMES_AT_ONCE = 60
FREE_DAYS_AT_ONCE = 7


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


@dataclass(frozen=True, slots=True)
class TimeView:
    """A time on the booking page. `why` and `change` are sentences for the family; empty when it is free."""

    key: str
    starts_at: datetime
    ends_at: datetime
    minutes: int
    review: bool
    watched: bool
    why: list[str] = field(default_factory=list)
    change: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DayView:
    """A day of the prison with its times."""

    day: date
    free: list[TimeView]
    closed: list[TimeView]


@routes.get("/book/{relationship_id}", action="slot.list", summary="Free times, and why the others are not", query=Days)
async def times(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(Days)
    return await _times(ctx, ctx.param("relationship_id"), query.cursor, [], also=_ids(query.also))


@routes.post("/book/{relationship_id}/also", action="booking.guest", summary="Somebody else takes part", body=Further)
async def also(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    relationship_id = ctx.param("relationship_id")
    form = await ctx.form(Further)
    if form.model is None:
        return await _times(
            ctx, relationship_id, None, [], also=_ids(form.values.get("also", "")), form=form, status=422
        )
    chosen = _ids(form.model.also)
    await ctx.limit("guest", ctx.actor.id)
    try:
        guest = await ctx.services.relationships.guest(ctx.actor, relationship_id, form.model.email)
    except Invalid as error:
        form = form.error("email", ctx._(error.detail))
        return await _times(ctx, relationship_id, None, [], also=chosen, form=form, status=422)
    together = chosen if guest.relationship_id in chosen else (*chosen, guest.relationship_id)
    return ctx.redirect(_book(relationship_id, together))


@routes.post("/book/{relationship_id}/hold", action="booking.hold", summary="Keep a time for some minutes", body=Choice)
async def hold(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    relationship_id = ctx.param("relationship_id")
    form = await ctx.form(Choice)
    if form.model is None:
        return ctx.redirect(f"/book/{relationship_id}")
    guests = _ids(form.model.also)
    try:
        held = await ctx.services.booking.hold(
            ctx.actor, relationship_id, form.model.slot, guests=guests, request_id=ctx.request_id
        )
    except DecisionRefused as error:
        said = _said(ctx, error.decision)
        return await _times(ctx, relationship_id, None, said or [ctx._(error.detail)], also=guests, status=409)
    except (Conflict, Invalid) as error:
        return await _times(ctx, relationship_id, None, [ctx._(error.detail)], also=guests, status=409)
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
        said = _said(ctx, error.decision)
        return await _times(ctx, relationship_id, None, said or [ctx._(error.detail)], status=409)
    except Conflict as error:
        return await _times(ctx, relationship_id, None, [ctx._(error.detail)], status=409)
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


async def _times(
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
    offers = _whole_days(page.items, prison.zone, cut=page.next_cursor is not None)
    more = offers[-1].cursor if offers and (len(offers) < len(page.items) or page.next_cursor) else None
    days = _days(offers, prison.zone, ctx)
    general = _common(days)
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
        days=days,
        free_count=sum(len(day.free) for day in days),
        closed_count=sum(len(day.closed) for day in days),
        earlier=_book(relationship_id, also) if cursor else "",
        later=_book(relationship_id, also, more) if more else "",
        also=",".join(also),
        guests=[
            {
                "name": guest.name,
                "without": _book(relationship_id, [each for each in also if each != guest.relationship_id]),
            }
            for guest in guests
        ],
        may_add=len(guests) < MOST_GUESTS,
        form=form,
    )


def _ids(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for each in text.split(",") if each))


def _book(relationship_id: str, also: Sequence[str], cursor: str | None = None) -> str:
    """The address of the times for this party."""
    wanted = {"also": ",".join(also)} if also else {}
    if cursor is not None:
        wanted["cursor"] = cursor
    return f"/book/{relationship_id}" + (f"?{urlencode(wanted)}" if wanted else "")


def _said(ctx: Ctx, decision: Decision) -> list[str]:
    """What a refusal says to the family, and what would change it. Times in it are UTC moments or the prison's days."""
    show = shown_in(ctx.locale)
    return decision.say(ctx._, show) + decision.say_change(ctx._, show)


def _whole_days(offers: Sequence[SlotOffer], zone: ZoneInfo, *, cut: bool) -> list[SlotOffer]:
    """The days that fit a phone: up to the seventh with a free time. `cut`: the list ends before the times do, so its
    last day is left to the next page (unless it is the only one)."""
    days = [list(group) for _, group in groupby(offers, key=lambda offer: offer.slot.starts_at.astimezone(zone).date())]
    if cut and len(days) > 1:
        days.pop()
    chosen: list[SlotOffer] = []
    free = 0
    for day in days:
        chosen += day
        free += any(offer.decision.outcome is not Outcome.REFUSE for offer in day)
        if free == FREE_DAYS_AT_ONCE:
            break
    return chosen


def _days(offers: Iterable[SlotOffer], zone: ZoneInfo, ctx: Ctx) -> list[DayView]:
    show = shown_in(ctx.locale, zone)
    days = []
    for day, group in groupby(offers, key=lambda offer: offer.slot.starts_at.astimezone(zone).date()):
        views = [(offer, _time(offer, ctx, show)) for offer in group]
        days.append(
            DayView(
                day=day,
                free=[view for offer, view in views if offer.decision.outcome is not Outcome.REFUSE],
                closed=[view for offer, view in views if offer.decision.outcome is Outcome.REFUSE],
            )
        )
    return days


def _time(offer: SlotOffer, ctx: Ctx, show: Callable[[Any], str]) -> TimeView:
    refused = offer.decision.outcome is Outcome.REFUSE
    watched = offer.slot.supervision is SupervisionLevel.LIVE or offer.decision.live_supervision
    return TimeView(
        key=offer.slot.key,
        starts_at=offer.slot.starts_at,
        ends_at=offer.slot.ends_at,
        minutes=int(offer.slot.duration / timedelta(minutes=1)),
        review=offer.decision.outcome is Outcome.REVIEW,
        watched=watched,
        why=offer.decision.say(ctx._, show) if refused else [],
        change=offer.decision.say_change(ctx._, show) if refused else [],
    )


def _common(days: list[DayView]) -> list[str]:
    """When nothing is free and every time is closed for one and the same reason, that is said once, at the head."""
    closed = [view for day in days for view in day.closed]
    if not closed or any(day.free for day in days):
        return []
    first = (closed[0].why, closed[0].change)
    return [*first[0], *first[1]] if all((view.why, view.change) == first for view in closed) else []
