"""The pages of the terminals: my visits, my people, one visit. No page leads to an address outside /terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from aiohttp import web
from pydantic import Field

from signaling.media.leg import Side
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import PrisonerAnswer
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.http.views import VisitView, person_for_prisoner, visit_view
from visitserver.http.visit_state import Ticket, VisitState, ticket_for, visit_state
from visitserver.services.relationships import RelationshipView
from visitserver.services.visits import Visit

routes = RouteTable("terminal")

AT_ONCE = 20


class Paged(Body):
    """Where the list goes on."""

    cursor: str | None = Field(None, max_length=200)
    lang: str = Field("", max_length=16)


class Answer(Body):
    """What the prisoner says about a contact."""

    answer: Literal["accept", "refuse"]


REASONS: Final[Mapping[str, str]] = {
    "unwanted": "prisoner: does not want this visit",
    "ill": "prisoner: is ill",
    "busy": "prisoner: has something else then",
    "other": "prisoner: another reason",
}
"""Why a prisoner does not want a visit, for staff. The people outside are only told that it was cancelled."""


class Refusal(Body):
    """Why."""

    why: Literal["unwanted", "ill", "busy", "other"]


def shown(ctx: Ctx, visit: Visit) -> VisitView:
    """The view of a visit for the prisoner who is signed in."""
    names = ", ".join(contact.name for contact in visit.contacts)
    return visit_view(
        *(visit.booking, visit.prison, names, ctx.clock(), ctx._),
        recorded=visit.recorded,
        for_terminal=True,
        in_the_way=visit.in_the_way,
    )


@routes.get("/terminal/home", action="terminal.home", summary="My visits", query=Paged)
async def home(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    page = await ctx.services.visits.coming(ctx.actor, PageRequest(AT_ONCE, ctx.query(Paged).cursor))
    people = await ctx.services.relationships.mine(ctx.actor, PageRequest(100))
    unanswered = sum(
        each.relationship.prisoner_answer is PrisonerAnswer.UNANSWERED and each.relationship.withdrawn_at is None
        for each in people.items
    )
    views = [shown(ctx, visit) for visit in page.items]
    allowance = await ctx.services.allowance.view(ctx.actor, ctx.actor.id)
    return ctx.render(
        "terminal/home.html",
        next_visit=views[0] if views else None,
        later=views[1:],
        unanswered=unanswered,
        unseen=sum(view.booked and not view.acknowledged for view in views),
        allowance=allowance,
        owed=_owed(people.items, allowance.owed),
        more=f"/terminal/home?cursor={page.next_cursor}" if page.next_cursor else "",
    )


def _owed(links: Sequence[RelationshipView], owed: Mapping[str, int]) -> list[tuple[str, int]]:
    """Minutes owed, by the person with whom they can be used."""
    return [(each.contact.name, owed[each.relationship.id]) for each in links if owed.get(each.relationship.id)]


@routes.get("/terminal/people", action="terminal.people", summary="My people", query=Paged)
async def people(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    page = await ctx.services.relationships.mine(ctx.actor, PageRequest(AT_ONCE, ctx.query(Paged).cursor))
    return ctx.render(
        "terminal/people.html",
        people=[
            person_for_prisoner(each.relationship, each.contact.name, ctx._)
            for each in page.items
            if each.relationship.withdrawn_at is None
        ],
        more=f"/terminal/people?cursor={page.next_cursor}" if page.next_cursor else "",
    )


@routes.post(
    "/terminal/people/{relationship_id}",
    action="terminal.relationship.answer",
    summary="Accept, refuse or stop a contact, in private",
    body=Answer,
)
async def answer(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(Answer)
    if form.model is not None:
        accept = form.model.answer == "accept"
        await ctx.services.relationships.answer(
            ctx.actor, ctx.param("relationship_id"), accept=accept, request_id=ctx.request_id
        )
    return ctx.redirect("/terminal/people")


@routes.get("/terminal/devices", action="terminal.visit.read", summary="Try camera and sound")
async def devices(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return ctx.render("terminal/devices.html")


@routes.get("/terminal/visits/{booking_id}", action="terminal.visit.read", summary="One visit, and the way into it")
async def visit_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    visit = await ctx.services.visits.get(ctx.actor, ctx.param("booking_id"))
    return ctx.render("terminal/visit.html", visit=shown(ctx, visit), reasons=_reasons(ctx))


@routes.post(
    "/terminal/visits/{booking_id}/acknowledge", action="terminal.visit.acknowledge", summary="I have seen it and come"
)
async def acknowledge(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    booking = await ctx.services.visits.acknowledge(ctx.actor, ctx.param("booking_id"), request_id=ctx.request_id)
    return ctx.redirect(f"/terminal/visits/{booking.id}")


@routes.post(
    "/terminal/visits/{booking_id}/cancel",
    action="terminal.visit.cancel",
    summary="I do not want this visit",
    body=Refusal,
)
async def refuse(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(Refusal)
    if form.model is None:
        return ctx.redirect(f"/terminal/visits/{ctx.param('booking_id')}")
    # The reason is kept in the prison's own words: the page's are in the reader's language.
    reason = REASONS[form.model.why]
    await ctx.services.booking.cancel(ctx.actor, ctx.param("booking_id"), reason=reason, request_id=ctx.request_id)
    return ctx.redirect("/terminal/home")


def _reasons(ctx: Ctx) -> list[tuple[str, str]]:
    return [
        ("unwanted", ctx._("I do not want this visit")),
        ("ill", ctx._("I am ill")),
        ("busy", ctx._("I have something else then")),
        ("other", ctx._("Another reason")),
    ]


@routes.get(
    "/api/terminal/visits/{booking_id}/state",
    action="terminal.visit.state",
    summary="How the visit stands",
    kind="json",
    response=VisitState,
)
async def state(_request: web.Request, ctx: Ctx) -> VisitState:
    lobby = await ctx.services.waiting_room.look(ctx.actor, ctx.param("booking_id"))
    return visit_state(lobby, ctx.clock(), ctx._, side=Side.PRISONER)


@routes.post(
    "/api/terminal/visits/{booking_id}/ticket",
    action="terminal.visit.join",
    summary="A ticket for the call",
    kind="json",
    response=Ticket,
)
async def ticket(_request: web.Request, ctx: Ctx) -> Ticket:
    given = await ctx.services.calls.join_ticket(
        ctx.actor, ctx.param("booking_id"), station_id=ctx.principal.station_id, request_id=ctx.request_id
    )
    return ticket_for(given)


@routes.get("/terminal/visits/{booking_id}/call", action="terminal.visit.join", summary="The call")
async def call(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    lobby = await ctx.services.waiting_room.look(ctx.actor, ctx.param("booking_id"))
    if not visit_state(lobby, ctx.clock(), ctx._, side=Side.PRISONER).may_enter:
        return ctx.redirect(f"/terminal/visits/{lobby.visit.booking.id}")
    return ctx.render("terminal/call.html", visit=shown(ctx, lobby.visit))
