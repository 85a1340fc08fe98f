"""The landing page, and home: whom a family wants to visit."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.paging import PageRequest
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.identity_view import standing_view
from visitserver.http.registry import RouteTable
from visitserver.http.views import person_for_family, relations, visit_view

routes = RouteTable("family")

PEOPLE_AT_ONCE = 20
CALL_KIND_OF = {
    "lawyer": CallKind.LEGAL,
    "consul": CallKind.CONSULAR,
    "inspector": CallKind.INSPECTION,
    "official": CallKind.OFFICIAL,
}
"""What a relation asks for; staff confirm or change it. Everything else is a social visit."""


class Paged(Body):
    """Where a list goes on."""

    cursor: str | None = Field(None, max_length=200)
    lang: str = Field("", max_length=16)


class ContactRequest(Body):
    """Whom somebody wants to visit, and as what."""

    prisoner_number: str = Field(min_length=1, max_length=40)
    family_name: str = Field(min_length=1, max_length=100)
    relation: str = Field(min_length=1, max_length=100)
    statement: str | None = Field(None, max_length=2000)


@routes.get("/", action="page.landing", summary="What this is, and how to begin")
async def landing(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    if ctx.principal.signed_in:
        return ctx.redirect("/home")
    return ctx.render("family/landing.html")


@routes.get("/home", action="family.home", summary="Whom do you want to visit?", query=Paged)
async def home(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _home(ctx, EMPTY, ctx.query(Paged).cursor)


@routes.post("/contacts/request", action="relationship.request", summary="Ask to visit somebody", body=ContactRequest)
async def request_contact(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(ContactRequest)
    if form.model is None:
        return await _home(ctx, form, None, status=422)
    wish = form.model
    try:
        await ctx.services.relationships.request(
            ctx.actor,
            prisoner_number=wish.prisoner_number,
            prisoner_family_name=wish.family_name,
            relation=wish.relation,
            call_kind=CALL_KIND_OF.get(wish.relation, CallKind.SOCIAL),
            statement=wish.statement,
            request_id=ctx.request_id,
        )
    except Invalid as error:
        return await _home(ctx, form.error(error.field or "prisoner_number", ctx._(error.detail)), None, status=422)
    except Conflict as error:
        return await _home(ctx, form.error("prisoner_number", ctx._(error.detail)), None, status=409)
    return ctx.redirect("/home")


@routes.post("/contacts/{relationship_id}/withdraw", action="relationship.withdraw", summary="Stop visiting somebody")
async def withdraw(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.relationships.withdraw(ctx.actor, ctx.param("relationship_id"), request_id=ctx.request_id)
    return ctx.redirect("/home")


async def _home(ctx: Ctx, form: Form[ContactRequest], cursor: str | None, status: int = 200) -> web.StreamResponse:
    page = await ctx.services.relationships.mine(ctx.actor, PageRequest(PEOPLE_AT_ONCE, cursor))
    prisons = await ctx.services.visits.prisons(each.prisoner.prison_id for each in page.items)
    people = [
        person_for_family(each.relationship, each.prisoner, prisons.get(each.prisoner.prison_id or ""), ctx._)
        for each in page.items
    ]
    coming = await ctx.services.visits.coming(ctx.actor, PageRequest(1))
    next_visit = None
    if coming.items:
        visit = coming.items[0]
        next_visit = visit_view(
            visit.booking, visit.prison, visit.prisoner.name, ctx.clock(), ctx._, recorded=visit.recorded
        )
    return ctx.render(
        "family/home.html",
        status=status,
        form=form,
        people=people,
        more_people=f"/home?cursor={page.next_cursor}" if page.next_cursor else "",
        next_visit=next_visit,
        identity=standing_view(await ctx.services.enrolment.mine(ctx.actor), ctx.clock(), ctx._),
        relations=relations(ctx._),
    )
