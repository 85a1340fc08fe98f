"""What officers do to a call, as JSON: watch it, pause it or one in it, mute, remove, end it, mark it, write to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from signaling.media.leg import Kind, Side
from visitserver.domain.access import allows
from visitserver.domain.calls import WatchGround
from visitserver.domain.errors import Invalid
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.services.call_access import ordinary_call_id

routes = RouteTable("staff")

PEOPLE = (Side.FAMILY, Side.PRISONER, Side.GUEST)


class WatchBody(Body):
    """Why the officer watches. An authorisation names who gave it and its number in `detail`."""

    ground: WatchGround
    detail: str = Field("", max_length=400)


class WatchOut(Body):
    """What the officer's page needs: the warrant, where to offer (WHEP; `wall`: for several calls of one media node in
    one connection), where the channel is.
    """

    warrant: str
    whep: str
    wall: str
    channel: str
    expires_at: datetime
    ice_servers: tuple[dict[str, Any], ...] = ()


class TalkBody(Body):
    """Who is to hear the officer: everybody, or one side."""

    to: Literal["all", "family", "prisoner", "guest"]


class TalkOut(Body):
    """What the page shows on the channel of its wall to be heard, within a minute."""

    warrant: str
    expires_at: datetime


class ReasonBody(Body):
    """Why."""

    reason: str = Field(min_length=1, max_length=500)


class WordsBody(ReasonBody):
    """Why, and what the participants read (nothing where it is empty)."""

    words: str = Field("", max_length=1000)


class HoldBody(WordsBody):
    """The same, and whom: one participant, or the whole call where it is left out."""

    participant_id: str | None = Field(None, max_length=80)


class ResumeBody(ReasonBody):
    """Why, and whose pause is lifted: one participant's, or the call's where it is left out."""

    participant_id: str | None = Field(None, max_length=80)


class RemoveBody(WordsBody):
    """Why, what the person reads, and who it is."""

    participant_id: str = Field(max_length=80)


class MuteBody(ReasonBody):
    """Whom, what of them, on or off, and why."""

    participant_id: str = Field(max_length=80)
    kind: Kind
    muted: bool


class BookmarkBody(Body):
    """A note at this moment, or none: then it is a bare mark."""

    note: str = Field("", max_length=1000)


class SayBody(Body):
    """A message to the participants."""

    text: str = Field(min_length=1, max_length=1000)


class Done(Body):
    """It was done. `phase` is the call's now."""

    call_id: str
    phase: str


@routes.post(
    "/api/calls/{call_id}/watch",
    action="call.watch",
    summary="A warrant to watch, on a stated ground",
    kind="json",
    body=WatchBody,
    response=WatchOut,
)
async def watch(request: web.Request, ctx: Ctx) -> WatchOut:
    body = await ctx.body(WatchBody)
    if body.ground is WatchGround.AUTHORISATION and not body.detail:
        raise Invalid(ctx._("Write who has authorised it, and the number."), code="detail_required", field="detail")
    call_id = ordinary_call_id(ctx.param("call_id"))
    grant = await ctx.services.calls.monitor_warrant(
        ctx.actor,
        call_id,
        body.ground,
        detail=body.detail,
        may_talk=allows("call.talk", ctx.principal.roles),
        request_id=ctx.request_id,
    )
    origin = grant.media_urls[call_id]
    return WatchOut(
        warrant=grant.warrant,
        whep=f"{origin}/media/whep/{call_id}",
        wall=f"{origin}/media/whep",
        channel=f"{origin}/media/channel",
        expires_at=grant.expires_at,
        ice_servers=tuple(server.as_json() for server in grant.ice_servers),
    )


@routes.post(
    "/api/calls/{call_id}/talk",
    action="call.talk",
    summary="A warrant to be heard in a call",
    kind="json",
    body=TalkBody,
    response=TalkOut,
)
async def talk(request: web.Request, ctx: Ctx) -> TalkOut:
    body = await ctx.body(TalkBody)
    sides = PEOPLE if body.to == "all" else (Side(body.to),)
    call_id = ordinary_call_id(ctx.param("call_id"))
    grant = await ctx.services.calls.talk_warrant(ctx.actor, call_id, sides, request_id=ctx.request_id)
    return TalkOut(warrant=grant.warrant, expires_at=grant.expires_at)


@routes.post(
    "/api/calls/{call_id}/hold",
    action="call.hold",
    summary="Pause a call, or one participant",
    kind="json",
    body=HoldBody,
    response=Done,
)
async def hold(request: web.Request, ctx: Ctx) -> Done:
    body = await ctx.body(HoldBody)
    return _done(
        await ctx.services.calls.hold(
            ctx.actor,
            ctx.param("call_id"),
            body.reason,
            words=body.words,
            participant_id=body.participant_id,
            request_id=ctx.request_id,
        )
    )


@routes.post(
    "/api/calls/{call_id}/resume",
    action="call.resume",
    summary="Let a paused call, or a paused participant, go on",
    kind="json",
    body=ResumeBody,
    response=Done,
)
async def resume(request: web.Request, ctx: Ctx) -> Done:
    body = await ctx.body(ResumeBody)
    return _done(
        await ctx.services.calls.resume(
            ctx.actor,
            ctx.param("call_id"),
            body.reason,
            participant_id=body.participant_id,
            request_id=ctx.request_id,
        )
    )


@routes.post(
    "/api/calls/{call_id}/remove",
    action="call.remove",
    summary="Take one participant out of a call for good",
    kind="json",
    body=RemoveBody,
    response=Done,
)
async def remove(request: web.Request, ctx: Ctx) -> Done:
    body = await ctx.body(RemoveBody)
    return _done(
        await ctx.services.calls.remove(
            ctx.actor,
            ctx.param("call_id"),
            body.participant_id,
            body.reason,
            body.words,
            request_id=ctx.request_id,
        )
    )


@routes.post(
    "/api/calls/{call_id}/mute",
    action="call.mute",
    summary="Mute a participant, or lift it",
    kind="json",
    body=MuteBody,
    response=Done,
)
async def mute(request: web.Request, ctx: Ctx) -> Done:
    body = await ctx.body(MuteBody)
    return _done(
        await ctx.services.calls.mute(
            ctx.actor,
            ctx.param("call_id"),
            body.participant_id,
            body.kind,
            body.muted,
            body.reason,
            request_id=ctx.request_id,
        )
    )


@routes.post(
    "/api/calls/{call_id}/terminate",
    action="call.terminate",
    summary="End a call",
    kind="json",
    body=WordsBody,
    response=Done,
)
async def terminate(request: web.Request, ctx: Ctx) -> Done:
    body = await ctx.body(WordsBody)
    return _done(
        await ctx.services.calls.terminate(
            ctx.actor, ctx.param("call_id"), body.reason, body.words, request_id=ctx.request_id
        )
    )


@routes.post(
    "/api/calls/{call_id}/bookmark",
    action="call.bookmark",
    summary="Mark this moment of a call",
    kind="json",
    body=BookmarkBody,
    response=Done,
)
async def bookmark(request: web.Request, ctx: Ctx) -> Done:
    body = await ctx.body(BookmarkBody)
    return _done(
        await ctx.services.calls.bookmark(ctx.actor, ctx.param("call_id"), body.note, request_id=ctx.request_id)
    )


@routes.post(
    "/api/calls/{call_id}/say",
    action="call.say",
    summary="Write to the participants",
    kind="json",
    body=SayBody,
    response=Done,
)
async def say(request: web.Request, ctx: Ctx) -> Done:
    body = await ctx.body(SayBody)
    return _done(await ctx.services.calls.say(ctx.actor, ctx.param("call_id"), body.text, request_id=ctx.request_id))


def _done(snapshot: Any) -> Done:
    return Done(call_id=snapshot.call_id, phase=snapshot.phase)
