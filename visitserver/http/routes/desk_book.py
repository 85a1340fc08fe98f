"""Staff book for somebody: the prisoner, the callers, the time; what the rules say; what is set aside, and why."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from visitserver.domain.access import allows
from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.errors import Conflict, DecisionRefused, Forbidden, Invalid, NeedsReview, NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.slots import parse_slot_key
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.console.words import family_words
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.desk_why import Answer
from visitserver.services.placing import OVERBOOK, OVERRIDABLE

routes = RouteTable("staff")

OVERBOOKING = "free_place"


class BookQuery(PageQuery):
    """How far the booking is: whom, with whom (`also`: further callers), from which day on, which slot."""

    prisoner: str = Field("", max_length=80)
    prisoner_id: str = Field("", max_length=80)
    relationship_id: str = Field("", max_length=80)
    also: list[str] = Field(default=[], max_length=10)
    first: Day | None = None
    slot: str = Field("", max_length=80)


class BookForm(Body):
    """A booking in one step. `override` names the rules that are set aside, all for `override_reason`."""

    relationship_id: str = Field(max_length=80)
    also: list[str] = Field(default=[], max_length=10)
    slot: str = Field(max_length=80)
    override: list[str] = Field(default=[], max_length=20)
    override_reason: str = Field("", max_length=2000)


@routes.get("/staff/book", action="schedule.book", summary="Book for somebody", query=BookQuery)
async def book_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _book(ctx, ctx.query(BookQuery))


@routes.post("/staff/book", action="schedule.book", summary="Book for somebody", body=BookForm)
async def book(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(BookForm)
    if form.model is None:
        return await _book(ctx, BookQuery(), said="Please begin again.")
    wanted = form.model
    again = BookQuery(relationship_id=wanted.relationship_id, also=wanted.also, slot=wanted.slot)
    try:
        booking = await ctx.services.booking.book(
            ctx.actor,
            wanted.relationship_id,
            wanted.slot,
            guests=wanted.also,
            overrides=dict.fromkeys(wanted.override, wanted.override_reason) or None,
            request_id=ctx.request_id,
        )
    except (DecisionRefused, NeedsReview) as error:
        refused = " ".join(result.staff_text for result in error.decision.deciding)
        return await _book(ctx, again, form=form, said=f"It was not booked. {refused}")
    except (Invalid, Conflict, Forbidden) as error:
        return await _book(ctx, again, form=form, said=f"It was not booked. {error.detail}")
    return ctx.redirect(f"/staff/bookings/{booking.id}")


async def _book(ctx: Ctx, query: BookQuery, *, form: Form[BookForm] = EMPTY, said: str = "") -> web.StreamResponse:
    """Steps on one page: the prisoner, the callers, the time, the rules."""
    services, actor = ctx.services, ctx.actor
    prison = await services.desk.prison(actor)
    found: dict[str, Any] = dict.fromkeys(("matches", "people", "offers", "chosen", "prisoner"))
    answer: Answer | None = None
    first = query.first
    if first is None and query.slot:
        first = parse_slot_key(query.slot)[1].astimezone(prison.zone).date()
    if query.relationship_id:
        found["chosen"] = await services.relationships.get(actor, query.relationship_id)
        found["prisoner"] = found["chosen"].prisoner
        found["people"] = await services.relationships.of_prisoner(actor, found["prisoner"].id, PageRequest(100))
        if query.slot:
            try:
                answer = await services.desk_why.about(actor, query.relationship_id, query.slot, guests=query.also)
            except (NotFound, Invalid) as error:
                said = said or error.detail
        found["offers"] = await services.slots.offers(
            actor, query.relationship_id, query.part(), guests=query.also, first=first, days=14
        )
    elif query.prisoner_id:
        found["prisoner"] = await services.desk.prisoner(actor, query.prisoner_id)
        found["people"] = await services.relationships.of_prisoner(actor, query.prisoner_id, query.part())
    elif query.prisoner:
        found["matches"] = await services.desk.search_prisoners(actor, query.prisoner, query.part())
    listed: Page[Any] = found["offers"] or found["people"] or found["matches"] or Page(())
    return ctx.render(
        "staff/book.html",
        status=409 if said else 200,
        query=query,
        first=first,
        day=first,
        view="book",
        zone=prison.timezone,
        links=links(ctx, listed, query),
        answer=answer,
        family=family_words(ctx, answer) if answer else None,
        blocking=_blocking(answer.decision) if answer else [],
        may=_may_set_aside(ctx),
        form=form,
        said=said,
        **found,
    )


def _blocking(decision: Decision) -> list[str]:
    """The rules that refuse, in their order."""
    return list(dict.fromkeys(result.key for result in decision.trace if result.outcome is Outcome.REFUSE))


def _may_set_aside(ctx: Ctx) -> frozenset[str]:
    """The rules that this member of staff may set aside."""
    if allows(OVERBOOK, ctx.principal.roles):
        return OVERRIDABLE
    return OVERRIDABLE - {OVERBOOKING}
