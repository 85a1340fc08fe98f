"""Why (not)? For a prisoner, a contact and a time: the answer of every rule."""

from __future__ import annotations

from datetime import date
from typing import Any

from aiohttp import web
from pydantic import Field

from visitserver.domain.paging import Page
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")


class WhyQuery(PageQuery):
    """How far the question is: the prisoner, the contact, the day, the time."""

    prisoner: str = Field("", max_length=80)
    prisoner_id: str = Field("", max_length=80)
    relationship_id: str = Field("", max_length=80)
    day: date | None = None
    slot: str = Field("", max_length=80)


@routes.get("/staff/why", action="decision.why", summary="Why (not): the trace of every rule", query=WhyQuery)
async def why(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(WhyQuery)
    services, actor = ctx.services, ctx.actor
    prison = await services.desk.prison(actor)
    matches: Page[Any] | None = None
    people: Page[Any] | None = None
    offers: Page[Any] | None = None
    chosen: Any = None
    prisoner: Any = None
    decision: Any = None
    day = query.day or await services.desk.today(actor)
    if query.relationship_id:
        chosen = await services.relationships.get(actor, query.relationship_id)
        prisoner = chosen.prisoner
        offers = await services.slots.offers(actor, query.relationship_id, query.part(), first=day, days=1)
        if query.slot:
            decision = await services.why.about(actor, query.relationship_id, query.slot)
    elif query.prisoner_id:
        prisoner = await services.desk.prisoner(actor, query.prisoner_id)
        people = await services.relationships.of_prisoner(actor, query.prisoner_id, query.part())
    elif query.prisoner:
        matches = await services.desk.search_prisoners(actor, query.prisoner, query.part())
    listed: Page[Any] = offers or people or matches or Page(())
    return ctx.render(
        "staff/why.html",
        query=query,
        zone=prison.timezone,
        day=day,
        matches=matches,
        prisoner=prisoner,
        people=people,
        chosen=chosen,
        offers=offers,
        links=links(ctx, listed, query),
        decision=decision,
    )
