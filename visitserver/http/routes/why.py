"""Why (not)? For a prisoner, a contact and a time, or for a booking as it stands: the answer of every rule."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.paging import Page
from visitserver.domain.slots import parse_slot_key
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.console.words import family_words
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.services.desk_why import Answer

routes = RouteTable("staff")


class WhyQuery(PageQuery):
    """How far the question is: the prisoner, the contact, the day, the time; or a booking. `also`: further callers."""

    prisoner: str = Field("", max_length=80)
    prisoner_id: str = Field("", max_length=80)
    relationship_id: str = Field("", max_length=80)
    also: list[str] = Field(default=[], max_length=10)
    booking: str = Field("", max_length=80)
    day: Day | None = None
    slot: str = Field("", max_length=80)


@routes.get("/staff/why", action="decision.why", summary="Why (not): the trace of every rule", query=WhyQuery)
async def why(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(WhyQuery)
    services, actor = ctx.services, ctx.actor
    prison = await services.desk.prison(actor)
    found: dict[str, Any] = dict.fromkeys(("matches", "people", "offers", "chosen", "prisoner", "view"))
    answer: Answer | None = None
    said = ""
    day = query.day or await services.desk.today(actor)
    if query.slot and query.day is None:
        day = parse_slot_key(query.slot)[1].astimezone(prison.zone).date()
    if query.booking:
        booking = (await services.desk.view(actor, query.booking)).booking
        preview = await services.moves.preview(actor, booking.id, booking.slot_key, booking.station_id)
        found["view"], answer, day = preview.view, preview.answer, preview.slot.day
    elif query.relationship_id:
        found["chosen"] = await services.relationships.get(actor, query.relationship_id)
        found["prisoner"] = found["chosen"].prisoner
        found["people"] = await services.relationships.of_prisoner(actor, found["prisoner"].id, query.part())
        found["offers"] = await services.slots.offers(
            actor, query.relationship_id, query.part(100), guests=query.also, first=day, days=1
        )
        if query.slot:
            try:
                answer = await services.desk_why.about(actor, query.relationship_id, query.slot, guests=query.also)
            except (NotFound, Invalid) as error:
                said = error.detail
    elif query.prisoner_id:
        found["prisoner"] = await services.desk.prisoner(actor, query.prisoner_id)
        found["people"] = await services.relationships.of_prisoner(actor, query.prisoner_id, query.part())
    elif query.prisoner:
        found["matches"] = await services.desk.search_prisoners(actor, query.prisoner, query.part())
    listed: Page[Any] = found["offers"] or found["people"] or found["matches"] or Page(())
    return ctx.render(
        "staff/why.html",
        status=404 if said else 200,
        query=query,
        zone=prison.timezone,
        day=day,
        links=links(ctx, listed, query),
        answer=answer,
        family=family_words(ctx, answer) if answer else None,
        said=said,
        **found,
    )
