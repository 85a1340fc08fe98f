"""/api/v1/…: what a prison's own system may read of bookings and free times."""

from __future__ import annotations

from functools import partial

from aiohttp import web
from pydantic import BaseModel, Field

from visitserver.domain.importing import ImportKind
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.people import Contact, Prisoner
from visitserver.http.console.days import Day
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.http.routes.api_records import ListQuery, page_of
from visitserver.services.desk import MAX_DAYS, BookingView
from visitserver.services.records import plain
from visitserver.services.slots import SlotOffer

routes = RouteTable("api")


class BookingsQuery(ListQuery):
    """The prison's days from `first` (today, unless said) on."""

    first: Day | None = None
    days: int = Field(7, ge=1, le=MAX_DAYS)


class AvailabilityQuery(Body):
    """Times of the prison's days from `first` (today, unless said) on."""

    first: Day | None = None
    days: int | None = Field(None, ge=1, le=62)
    limit: int = Field(100, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(None, max_length=400)


class Reference(BaseModel):
    """Somebody, by both identifiers."""

    id: str
    external_id: str | None


class BookingOut(BaseModel):
    """A booking, without names."""

    id: str
    kind: str
    state: str
    starts_at: str
    ends_at: str
    station: str
    supervision: str
    outcome: str | None
    revision: int
    prisoner: Reference
    contacts: list[Reference]


class BookingPage(BaseModel):
    """A part of the list of bookings, in order of start."""

    items: list[BookingOut]
    next_cursor: str | None


class TimeOut(BaseModel):
    """A time and the decision about it. `reasons` are the words that a family is told: a prisoner's no is private."""

    slot: str
    starts_at: str
    ends_at: str
    outcome: str
    free_places: int | None
    reasons: list[str]


class TimePage(BaseModel):
    """A part of the list of times, in order of start."""

    items: list[TimeOut]
    next_cursor: str | None


@routes.get(
    "/api/v1/bookings",
    action="api.booking.read",
    summary="The prison's bookings of some days",
    kind="json",
    query=BookingsQuery,
    response=BookingPage,
    rate="client",
)
async def bookings(request: web.Request, ctx: Ctx) -> BaseModel:
    query = ctx.query(BookingsQuery)
    first = query.first or await ctx.services.desk.today(ctx.actor)
    page = await ctx.services.desk.between(ctx.actor, first, query.days, query.part())
    source = await ctx.services.imports.source_of(ctx.actor)
    return page_of(BookingPage, page, partial(_booking, source=source))


@routes.get(
    "/api/v1/bookings/{booking_id}",
    action="api.booking.read",
    summary="One booking",
    kind="json",
    response=BookingOut,
    rate="client",
)
async def booking(request: web.Request, ctx: Ctx) -> BaseModel:
    view = await ctx.services.desk.view(ctx.actor, ctx.param("booking_id"))
    return _booking(view, await ctx.services.imports.source_of(ctx.actor))


@routes.get(
    "/api/v1/relationships/{external_id}/availability",
    action="api.availability.read",
    summary="The times for two people, each with the decision",
    kind="json",
    query=AvailabilityQuery,
    response=TimePage,
    rate="client",
)
async def availability(request: web.Request, ctx: Ctx) -> BaseModel:
    query = ctx.query(AvailabilityQuery)
    found = await ctx.services.imports.get(ctx.actor, ImportKind.RELATIONSHIPS, ctx.param("external_id"))
    page = await ctx.services.slots.offers(
        ctx.actor, found.id, PageRequest(query.limit, query.cursor), first=query.first, days=query.days
    )
    return page_of(TimePage, page, _time)


def _booking(view: BookingView, source: str) -> BookingOut:
    booking = view.booking
    return BookingOut(
        id=booking.id,
        kind=booking.kind,
        state=booking.state,
        starts_at=plain(booking.starts_at),
        ends_at=plain(booking.ends_at),
        station=view.station.name,
        supervision=booking.supervision,
        outcome=booking.outcome,
        revision=booking.revision,
        prisoner=_reference(view.prisoner, source),
        contacts=[_reference(contact, source) for contact in view.contacts],
    )


def _reference(person: Prisoner | Contact, source: str) -> Reference:
    """By the identifier of that source alone: another prison's could be somebody else's here."""
    return Reference(id=person.id, external_id=person.external_id if person.external_source == source else None)


def _time(offer: SlotOffer) -> TimeOut:
    return TimeOut(
        slot=offer.slot.key,
        starts_at=plain(offer.slot.starts_at),
        ends_at=plain(offer.slot.ends_at),
        outcome=offer.decision.outcome,
        free_places=offer.free_places,
        reasons=offer.decision.safe_words,
    )
