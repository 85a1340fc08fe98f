"""The queue of what waits for a person, and contact requests."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.rights import RelationshipState, kind_for
from visitserver.http.console.lists import PER_PAGE, PageQuery
from visitserver.http.console.queue import QueueKind, waiting
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")


class QueueQuery(PageQuery):
    """One kind alone, and then page by page; without it the beginnings of all kinds."""

    kind: QueueKind | None = None


class RelationshipForm(Body):
    """What staff decide about a contact request. `call_kind` confirms or changes what was asked for."""

    decision: Literal["approve", "refuse"]
    reason: str = Field(min_length=3, max_length=2000)
    call_kind: CallKind | None = None


@routes.get("/staff/reviews", action="review.list", summary="What waits for a person", query=QueueQuery)
async def queue(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(QueueQuery)
    prison = await ctx.services.desk.prison(ctx.actor)
    limit = 10 if query.kind is None else PER_PAGE
    parts = await waiting(ctx, limit, query.kind, query.cursor)
    return ctx.render("staff/reviews.html", parts=parts, kind=query.kind, zone=prison.timezone)


@routes.get(
    "/staff/reviews/relationships/{relationship_id}", action="review.relationship.read", summary="A contact request"
)
async def relationship(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _relationship(ctx, EMPTY)


@routes.post(
    "/staff/reviews/relationships/{relationship_id}",
    action="review.relationship.decide",
    summary="Decide a contact request",
    body=RelationshipForm,
)
async def decide_relationship(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(RelationshipForm)
    if form.model is None:
        return await _relationship(ctx, form)
    service, relationship_id = ctx.services.relationships, ctx.param("relationship_id")
    try:
        if form.model.decision == "approve":
            await service.approve(
                ctx.actor,
                relationship_id,
                form.model.reason,
                call_kind=form.model.call_kind,
                request_id=ctx.request_id,
            )
        else:
            await service.refuse(ctx.actor, relationship_id, form.model.reason, request_id=ctx.request_id)
    except Invalid as error:
        return await _relationship(ctx, form.error(error.field or "reason", ctx._(error.detail)))
    except Conflict as error:
        return await _relationship(ctx, EMPTY, said=ctx._(error.detail))
    return ctx.redirect("/staff/reviews")


async def _relationship(ctx: Ctx, form: Form[RelationshipForm], said: str = "") -> web.StreamResponse:
    view = await ctx.services.relationships.get(ctx.actor, ctx.param("relationship_id"))
    prison = await ctx.services.desk.prison(ctx.actor)
    found = view.relationship
    return ctx.render(
        "staff/review_relationship.html",
        status=409 if said else 422 if form.errors else 200,
        view=view,
        zone=prison.timezone,
        form=form,
        said=said,
        kinds=[kind for kind in CallKind if kind_for(kind) is found.kind],
        waiting=found.state is RelationshipState.REQUESTED and found.withdrawn_at is None,
        names=await ctx.services.desk.staff_names(ctx.actor, [found.decided_by or ""]),
    )
