"""The waiting room, the door, the call and afterwards, for families."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import BaseModel

from signaling.media.leg import Side
from visitserver.domain.identity import CheckState
from visitserver.http.ctx import Ctx
from visitserver.http.identity_view import problem_words
from visitserver.http.pictures import read_pictures
from visitserver.http.registry import RouteTable
from visitserver.http.routes.family_visits import shown
from visitserver.http.views import ending_words
from visitserver.http.visit_state import Ticket, VisitState, ticket_for, visit_state

routes = RouteTable("family")

DOOR_FRAMES: Final = 8
DOOR_BYTES: Final = 8 * 1024 * 1024


class DoorAnswer(BaseModel):
    """passed, review (an officer looks), retake (with sentences why), or refused (an officer's word)."""

    door: str
    words: list[str]


@routes.get("/visits/{booking_id}/waiting", action="visit.state", summary="The waiting room, with the door")
async def waiting(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    lobby = await ctx.services.waiting_room.look(ctx.actor, ctx.param("booking_id"))
    view = shown(ctx, lobby.visit)
    if not view.coming:
        return ctx.redirect(f"/visits/{view.id}/after")
    faces = await ctx.services.door.uses_faces(ctx.actor)
    return ctx.render("family/waiting.html", visit=view, faces=faces)


@routes.get(
    "/api/visits/{booking_id}/state",
    action="visit.state",
    summary="How the visit stands",
    kind="json",
    response=VisitState,
)
async def state(_request: web.Request, ctx: Ctx) -> VisitState:
    lobby = await ctx.services.waiting_room.look(ctx.actor, ctx.param("booking_id"))
    return visit_state(lobby, ctx.clock(), ctx._, side=Side.FAMILY, you=ctx.actor.id)


@routes.post(
    "/api/visits/{booking_id}/ticket",
    action="visit.join",
    summary="A ticket for the call",
    kind="json",
    response=Ticket,
)
async def ticket(_request: web.Request, ctx: Ctx) -> Ticket:
    given = await ctx.services.calls.join_ticket(ctx.actor, ctx.param("booking_id"), request_id=ctx.request_id)
    return ticket_for(given)


@routes.get("/visits/{booking_id}/call", action="visit.join", summary="The call")
async def call(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    lobby = await ctx.services.waiting_room.look(ctx.actor, ctx.param("booking_id"))
    now = visit_state(lobby, ctx.clock(), ctx._, side=Side.FAMILY, you=ctx.actor.id)
    if now.phase in ("over", "cancelled"):
        return ctx.redirect(f"/visits/{lobby.visit.booking.id}/after")
    if not now.may_enter:
        return ctx.redirect(f"/visits/{lobby.visit.booking.id}/waiting")
    return ctx.render("family/call.html", visit=shown(ctx, lobby.visit))


@routes.get("/visits/{booking_id}/after", action="visit.read", summary="What came of the visit")
async def after(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    lobby = await ctx.services.waiting_room.look(ctx.actor, ctx.param("booking_id"))
    visit, made = lobby.visit, lobby.call
    over = made is not None and made.over
    ending = ending_words(made, visit.booking, ctx.clock(), ctx._)
    return ctx.render(
        "family/after.html",
        visit=shown(ctx, visit),
        ending=ctx._("An officer has taken you out of this visit.") if lobby.removed else ending,
        minutes={"used": made.connected_seconds // 60, "owed": made.owed_seconds // 60} if made and over else None,
        back=not over and not lobby.removed and made is not None and ctx.clock() < made.ends_at,
        relationship_id=visit.relationship_of(ctx.actor.id),
    )


@routes.post(
    "/api/visits/{booking_id}/door",
    action="visit.door",
    summary="Fresh pictures at the door; with the document for the way without faces",
    kind="json",
    response=DoorAnswer,
    max_body=DOOR_BYTES,
    media_type="multipart/form-data",
    rate="upload",
)
async def door(request: web.Request, ctx: Ctx) -> DoorAnswer:
    sent = await read_pictures(request, "frame", most=DOOR_FRAMES, beside="document")
    check = await ctx.services.door.check(
        ctx.actor, ctx.param("booking_id"), sent.pictures, document=sent.beside, request_id=ctx.request_id
    )
    retake = check.state is CheckState.RETAKE
    return DoorAnswer(door=check.state.value, words=problem_words(check.reasons, ctx._) if retake else [])
