"""An enrolment before an officer: what the document says beside what was typed, two faces at equal size, a decision."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, Forbidden, Invalid
from visitserver.domain.identity import EnrolmentState, PictureKind
from visitserver.http.console.document import rows_of
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

PAGE = "/staff/reviews/identity/{enrolment_id}"


class IdentityForm(Body):
    """The decision. `words` are for the caller: needed to ask for more or to refuse."""

    decision: Literal["approve", "more", "refuse"]
    reason: str = Field("", max_length=2000)
    words: str = Field("", max_length=2000)


@routes.get(PAGE, action="review.identity.read", summary="An identity enrolment, to decide")
async def identity(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx)


@routes.post(PAGE, action="review.identity.decide", summary="Decide an identity enrolment", body=IdentityForm)
async def decide(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(IdentityForm)
    if form.model is None:
        return await _page(ctx, form)
    review, enrolment_id, model = ctx.services.enrolment.review, ctx.param("enrolment_id"), form.model
    form = _complete(ctx, form)
    if form.errors:
        return await _page(ctx, form)
    try:
        if model.decision == "approve":
            await review.approve(ctx.actor, enrolment_id, model.reason, request_id=ctx.request_id)
        elif model.decision == "more":
            await review.ask_more(ctx.actor, enrolment_id, model.words, request_id=ctx.request_id)
        else:
            await review.refuse(ctx.actor, enrolment_id, model.reason, model.words, request_id=ctx.request_id)
    except Invalid as error:
        return await _page(ctx, form.error(error.field or "reason", ctx._(error.detail)))
    except (Conflict, Forbidden) as error:
        return await _page(ctx, said=ctx._(error.detail))
    return ctx.redirect(f"/staff/reviews/identity/{enrolment_id}")


@routes.post(f"{PAGE}/scores", action="review.identity.read", summary="What the machine said, after the decision")
async def scores(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    enrolment_id = ctx.param("enrolment_id")
    try:
        found = await ctx.services.enrolment.review.reveal_scores(ctx.actor, enrolment_id, request_id=ctx.request_id)
    except Conflict as error:
        return await _page(ctx, said=ctx._(error.detail))
    return await _page(ctx, scores=found)


@routes.get(
    "/api/reviews/identity/{enrolment_id}/pictures/{picture_id}",
    action="review.identity.read",
    summary="A picture of an enrolment (JPEG)",
    kind="media",
    produces="image/jpeg",
)
async def picture(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    content = await ctx.services.enrolment.review.picture(
        ctx.actor, ctx.param("enrolment_id"), ctx.param("picture_id"), request_id=ctx.request_id
    )
    return web.Response(body=content, content_type="image/jpeg")


def _complete(ctx: Ctx, form: Form[IdentityForm]) -> Form[IdentityForm]:
    """What a decision needs besides itself: a reason for the record, words for the caller."""
    assert form.model is not None  # noqa: S101  the caller has looked
    decision, checked = form.model.decision, form
    if decision != "more" and not form.model.reason:
        checked = checked.error("reason", ctx._("Please give a reason."))
    if decision != "approve" and not form.model.words:
        checked = checked.error("words", ctx._("Please write what the caller reads."))
    return checked


async def _page(
    ctx: Ctx, form: Form[IdentityForm] = EMPTY, *, said: str = "", scores: Any = None
) -> web.StreamResponse:
    enrolment_id = ctx.param("enrolment_id")
    view = await ctx.services.enrolment.review.view(ctx.actor, enrolment_id, request_id=ctx.request_id)
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "staff/review_identity.html",
        status=409 if said else 422 if form.errors else 200,
        view=view,
        zone=prison.timezone,
        rows=rows_of(view.reading, view.contact),
        documents=[one for one in view.pictures if one.kind is PictureKind.DOCUMENT],
        selfies=[one for one in view.pictures if one.kind is PictureKind.SELFIE],
        pictures=f"/api/reviews/identity/{enrolment_id}/pictures",
        waiting=view.state is EnrolmentState.SUBMITTED,
        names=await ctx.services.desk.staff_names(ctx.actor, [view.decided_by or ""]),
        form=form,
        said=said,
        scores=scores,
    )
