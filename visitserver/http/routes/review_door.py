"""A check at the door before an officer: fresh pictures beside the enrolled ones. Somebody sits and waits."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.identity import CheckState
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

PAGE = "/staff/reviews/door/{check_id}"


class DoorForm(Body):
    """Let in, or not, and why."""

    decision: Literal["pass", "refuse"]
    reason: str = Field(min_length=3, max_length=2000)


@routes.get(PAGE, action="review.door.read", summary="A check at the door, to decide")
async def door(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx)


@routes.post(PAGE, action="review.door.decide", summary="Decide a check at the door", body=DoorForm)
async def decide(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(DoorForm)
    if form.model is None:
        return await _page(ctx, form)
    check_id = ctx.param("check_id")
    try:
        await ctx.services.door.review.decide(
            ctx.actor,
            check_id,
            passed=form.model.decision == "pass",
            reason=form.model.reason,
            request_id=ctx.request_id,
        )
    except Invalid as error:
        return await _page(ctx, form.error(error.field or "reason", ctx._(error.detail)))
    except Conflict as error:
        return await _page(ctx, said=ctx._(error.detail))
    return ctx.redirect(f"/staff/reviews/door/{check_id}")


@routes.post(f"{PAGE}/scores", action="review.door.read", summary="What the machine said, after the decision")
async def scores(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    try:
        found = await ctx.services.door.review.reveal_scores(
            ctx.actor, ctx.param("check_id"), request_id=ctx.request_id
        )
    except Conflict as error:
        return await _page(ctx, said=ctx._(error.detail))
    return await _page(ctx, scores=found)


@routes.get(
    "/api/reviews/door/{check_id}/pictures/{picture_id}",
    action="review.door.read",
    summary="A picture of a check at the door (JPEG)",
    kind="media",
    produces="image/jpeg",
)
async def picture(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    content = await ctx.services.door.review.picture(
        ctx.actor, ctx.param("check_id"), ctx.param("picture_id"), request_id=ctx.request_id
    )
    return web.Response(body=content, content_type="image/jpeg")


async def _page(ctx: Ctx, form: Form[DoorForm] = EMPTY, *, said: str = "", scores: Any = None) -> web.StreamResponse:
    check_id = ctx.param("check_id")
    view = await ctx.services.door.review.view(ctx.actor, check_id, request_id=ctx.request_id)
    prison = await ctx.services.desk.prison(ctx.actor)
    visit = await ctx.services.desk.view(ctx.actor, view.booking_id)
    return ctx.render(
        "staff/review_door.html",
        status=409 if said else 422 if form.errors else 200,
        view=view,
        visit=visit,
        zone=prison.timezone,
        pictures=f"/api/reviews/door/{check_id}/pictures",
        waiting=view.state is CheckState.REVIEW,
        names=await ctx.services.desk.staff_names(ctx.actor, [view.decided_by or ""]),
        form=form,
        said=said,
        scores=scores,
    )
