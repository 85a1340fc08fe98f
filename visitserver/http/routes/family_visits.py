"""A family's visits: the list, one visit, cancelling, the calendar file, the device check, and afterwards."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import BookingState
from visitserver.http.calendar import visit_calendar
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.http.views import VisitView, visit_view
from visitserver.services.visits import Visit

routes = RouteTable("family")

VISITS_AT_ONCE = 20


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
    )


@routes.get("/visits", action="visit.list", summary="One's own visits", query=Paged)
async def visits(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    cursor = ctx.query(Paged).cursor
    coming = await ctx.services.visits.coming(ctx.actor, PageRequest(VISITS_AT_ONCE, cursor))
    past = await ctx.services.visits.past(ctx.actor, PageRequest(VISITS_AT_ONCE)) if cursor is None else None
    return ctx.render(
        "family/visits.html",
        coming=[shown(ctx, visit) for visit in coming.items],
        past=[shown(ctx, visit) for visit in reversed(past.items)] if past else [],
        more=f"/visits?cursor={coming.next_cursor}" if coming.next_cursor else "",
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
    "/visits/{booking_id}/calendar.ics", action="visit.read", summary="The visit as a calendar file", kind="json"
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


def _lead_only(ctx: Ctx, visit: Visit) -> None:
    """What is not booked yet is the booker's alone."""
    if visit.booking.lead.contact_id != ctx.actor.id:
        raise NotFound("There is no such booking.")


async def _visit(ctx: Ctx, form: Form[Cancellation], status: int = 200) -> web.StreamResponse:
    visit = await ctx.services.visits.get(ctx.actor, ctx.param("booking_id"))
    if visit.booking.state is BookingState.HELD:
        _lead_only(ctx, visit)
        return ctx.redirect(f"/book/confirm/{visit.booking.id}")
    return ctx.render("family/visit.html", status=status, visit=shown(ctx, visit), form=form)
