"""A family's visits: the list, one visit, cancelling, the calendar file, the device check, and afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import PrisonerAnswer, RelationshipState
from visitserver.domain.scheduling import BookingState
from visitserver.http.calendar import visit_calendar
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.http.time_views import days_of
from visitserver.http.views import VisitView, told_why, visit_view
from visitserver.http.wait_views import WaitView, WishView, wait_view
from visitserver.http.wording import shown_in
from visitserver.services.relationships import RelationshipView
from visitserver.services.visits import Visit

routes = RouteTable("family")

VISITS_AT_ONCE = 20
PEOPLE_AT_ONCE = 50


class Paged(Body):
    """Where the list goes on."""

    cursor: str | None = Field(None, max_length=200)
    lang: str = Field("", max_length=16)


class Cancellation(Body):
    """Why, where a reason is needed."""

    reason: str | None = Field(None, max_length=500)


def shown(ctx: Ctx, visit: Visit) -> VisitView:
    """The view of a visit for the family that is signed in."""
    return visit_view(
        visit.booking,
        visit.prison,
        visit.prisoner.name,
        ctx.clock(),
        ctx._,
        recorded=visit.recorded,
        guest=visit.booking.lead.contact_id != ctx.actor.id,
        others=tuple(contact.name for contact in visit.contacts if contact.id != ctx.actor.id),
        in_the_way=visit.in_the_way,
        told=told_why(visit.booking, ctx._, shown_in(ctx.locale)),
    )


@routes.get("/visits", action="visit.list", summary="One's own visits", query=Paged)
async def visits(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    cursor = ctx.query(Paged).cursor
    coming = await ctx.services.visits.coming(ctx.actor, PageRequest(VISITS_AT_ONCE, cursor))
    past = await ctx.services.visits.past(ctx.actor, PageRequest(VISITS_AT_ONCE)) if cursor is None else None
    links = await ctx.services.relationships.mine(ctx.actor, PageRequest(PEOPLE_AT_ONCE))
    return ctx.render(
        "family/visits.html",
        coming=[shown(ctx, visit) for visit in coming.items],
        past=[shown(ctx, visit) for visit in reversed(past.items)] if past else [],
        more=f"/visits?cursor={coming.next_cursor}" if coming.next_cursor else "",
        waits=await _waits(ctx, links.items) if cursor is None else [],
        wishes=await _wishes(ctx, links.items) if cursor is None else [],
        owed=await _owed(ctx, links.items) if cursor is None else [],
    )


@routes.get("/visits/{booking_id}", action="visit.read", summary="One visit")
async def visit_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _visit(ctx, EMPTY)


@routes.post("/visits/{booking_id}/cancel", action="booking.cancel", summary="Cancel a visit", body=Cancellation)
async def cancel(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(Cancellation)
    if form.model is None:
        return await _visit(ctx, form, status=422)
    try:
        await ctx.services.booking.cancel(
            ctx.actor, ctx.param("booking_id"), reason=form.model.reason, request_id=ctx.request_id
        )
    except Invalid as error:
        return await _visit(ctx, form.error("reason", ctx._(error.detail)), status=422)
    return ctx.redirect(f"/visits/{ctx.param('booking_id')}")


@routes.post("/visits/{booking_id}/decline", action="booking.decline", summary="A guest does not take part")
async def decline(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.booking.decline(ctx.actor, ctx.param("booking_id"), request_id=ctx.request_id)
    return ctx.redirect("/visits")


@routes.get(
    "/visits/{booking_id}/calendar.ics",
    action="visit.read",
    summary="The visit as a calendar file",
    kind="json",
    produces="text/calendar",
)
async def calendar(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    visit = await ctx.services.visits.get(ctx.actor, ctx.param("booking_id"))
    if visit.booking.state is BookingState.HELD:
        raise Conflict("This visit is not booked yet.", code="booking_state")
    origin = ctx.settings.server.public_url or f"{'https' if ctx.secure else 'http'}://{ctx.request.host}"
    link = f"{origin.rstrip('/')}/visits/{visit.booking.id}"
    return web.Response(
        body=visit_calendar(visit.booking, link, ctx.clock(), ctx._),
        content_type="text/calendar",
        charset="utf-8",
        headers={"Content-Disposition": 'attachment; filename="visit.ics"'},
    )


@routes.get("/visits/{booking_id}/ready", action="visit.prepare", summary="Try camera, microphone and speaker")
async def ready(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return ctx.render(
        "family/ready.html", visit=shown(ctx, await ctx.services.visits.get(ctx.actor, ctx.param("booking_id")))
    )


async def _waits(ctx: Ctx, links: Sequence[RelationshipView]) -> list[WaitView]:
    """What one waits for, with the place that is offered just now."""
    page = await ctx.services.waitlist.mine(ctx.actor, PageRequest(VISITS_AT_ONCE))
    names = {each.relationship.id: each.prisoner.name for each in links}
    prisons = await ctx.services.visits.prisons(each.entry.prison_id for each in page.items)
    return [wait_view(each, names.get(each.entry.relationship_id, ""), prisons) for each in page.items]


async def _wishes(ctx: Ctx, links: Sequence[RelationshipView]) -> list[WishView]:
    """What one has wished for, by person."""
    found = []
    for each in _bookable(links):
        standing = await ctx.services.preferences.of(ctx.actor, each.relationship.id)
        if standing:
            days = [(one.first_day, one.last_day) for one in standing]
            found.append(WishView(each.relationship.id, each.prisoner.name, days))
    return found


async def _owed(ctx: Ctx, links: Sequence[RelationshipView]) -> list[tuple[str, int]]:
    """Minutes owed, by person."""
    found = []
    for each in _bookable(links):
        view = await ctx.services.allowance.view(ctx.actor, each.prisoner.id)
        if view.minutes_owed:
            found.append((each.prisoner.name, view.minutes_owed))
    return found


def _bookable(links: Sequence[RelationshipView]) -> list[RelationshipView]:
    """Those by which one may book now."""
    return [
        each
        for each in links
        if each.relationship.state is RelationshipState.APPROVED
        and each.relationship.withdrawn_at is None
        and each.relationship.prisoner_answer is not PrisonerAnswer.REFUSED
        and each.prisoner.prison_id is not None
    ]


def _lead_only(ctx: Ctx, visit: Visit) -> None:
    """What is not booked yet is the booker's alone."""
    if visit.booking.lead.contact_id != ctx.actor.id:
        raise NotFound("There is no such booking.")


async def _visit(ctx: Ctx, form: Form[Cancellation], status: int = 200) -> web.StreamResponse:
    visit = await ctx.services.visits.get(ctx.actor, ctx.param("booking_id"))
    if visit.booking.state is BookingState.HELD:
        _lead_only(ctx, visit)
        return ctx.redirect(f"/book/confirm/{visit.booking.id}")
    view = shown(ctx, visit)
    offers = (
        await ctx.services.slots.alternatives(ctx.actor, visit.booking.id, 3)
        if view.in_the_way and view.can_change
        else []
    )
    return ctx.render(
        "family/visit.html",
        status=status,
        visit=view,
        form=form,
        instead=days_of(offers, visit.prison.zone, ctx),
        relationship_id=visit.relationship_of(ctx.actor.id),
    )
