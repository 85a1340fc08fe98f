"""Moving a visit to another time: the nearest ones that would do, and all of them."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.http.routes.family_visits import shown
from visitserver.http.time_views import days_of, refusal_words

routes = RouteTable("family")

TIMES = 12


class Move(Body):
    """The other time, and why, where a reason is needed."""

    slot: str = Field(min_length=1, max_length=100)
    reason: str | None = Field(None, max_length=500)


@routes.get("/visits/{booking_id}/change", action="booking.change", summary="Other times for a visit")
async def change_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, EMPTY, [])


@routes.post("/visits/{booking_id}/change", action="booking.change", summary="Move a visit", body=Move)
async def change(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(Move)
    if form.model is None:
        return await _page(ctx, form.error("slot", ctx._("Choose a time.")), [], status=422)
    try:
        booking = await ctx.services.booking.change(
            ctx.actor, ctx.param("booking_id"), form.model.slot, reason=form.model.reason, request_id=ctx.request_id
        )
    except DecisionRefused as error:
        return await _page(ctx, form, refusal_words(ctx, error.decision) or [ctx._(error.detail)], status=409)
    except Invalid as error:
        return await _page(ctx, form.error(error.field or "slot", ctx._(error.detail)), [], status=422)
    except Conflict as error:
        return await _page(ctx, form, [ctx._(error.detail)], status=409)
    return ctx.redirect(f"/visits/{booking.id}")


async def _page(ctx: Ctx, form: Form[Move], notices: list[str], status: int = 200) -> web.StreamResponse:
    visit = await ctx.services.visits.get(ctx.actor, ctx.param("booking_id"))
    view = shown(ctx, visit)
    if visit.booking.lead.contact_id != ctx.actor.id:
        raise NotFound("There is no such booking.")
    if not view.can_cancel:
        raise Conflict("This visit cannot be moved any more.", code="booking_state")
    offers = await ctx.services.slots.alternatives(ctx.actor, visit.booking.id, TIMES)
    return ctx.render(
        "family/change.html",
        status=status,
        visit=view,
        days=days_of(offers, visit.prison.zone, ctx),
        notices=notices,
        form=form,
    )
