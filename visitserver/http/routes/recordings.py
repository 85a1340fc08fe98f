"""Recordings: list, reasoned opening, playback, verification, legal hold."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import DomainError, Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.recordings import RecordingState
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.console.streaming import send_track
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.ports.recordings import RecordingFilter

routes = RouteTable("staff")


class RecordingsQuery(PageQuery):
    """The filters of the list. `since` and `until` are the prison's days, both included."""

    prisoner: str = Field("", max_length=80)
    prisoner_id: str = Field("", max_length=80)
    state: RecordingState | None = None
    since: date | None = None
    until: date | None = None


class TrackQuery(Body):
    """Under which opening the track is asked for."""

    opening: str = Field(max_length=80)


class Reason(Body):
    """Why."""

    reason: str = Field(min_length=3, max_length=2000)


class HoldForm(Reason):
    """Place a legal hold, or lift it."""

    hold: bool


class Source(Body):
    """One side's WebM."""

    number: int
    side: str
    url: str


class Opened(Body):
    """A recording that may now be played: `timeline` as docs/recording-format.md says."""

    opening_id: str
    tracks: list[Source]
    timeline: dict[str, Any]


@routes.get("/staff/recordings", action="recording.list", summary="Recordings, newest first", query=RecordingsQuery)
async def recording_list(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(RecordingsQuery)
    desk = ctx.services.desk
    prison = await desk.prison(ctx.actor)
    matches: list[Any] = []
    prisoner_id = query.prisoner_id or None
    if query.prisoner and prisoner_id is None:
        found = await desk.search_prisoners(ctx.actor, query.prisoner, PageRequest(10))
        matches = list(found.items)
        prisoner_id = matches[0].id if len(matches) == 1 else "nobody"
    wanted = RecordingFilter(
        prison_id=ctx.actor.prison_id,
        prisoner_id=prisoner_id,
        states=frozenset({query.state}) if query.state else frozenset(),
        since=_midnight(query.since, prison.zone),
        until=_midnight(query.until + timedelta(days=1), prison.zone) if query.until else None,
    )
    page: Page[Any] = await ctx.services.recordings.list(ctx.actor, wanted, query.part())
    names = await desk.prisoner_names(ctx.actor, [recording.prisoner_id for recording in page.items])
    return ctx.render(
        "staff/recordings.html",
        page=page,
        links=links(ctx, page, query),
        names=names,
        zone=prison.timezone,
        query=query,
        matches=matches if len(matches) != 1 else [],
        states=list(RecordingState),
    )


@routes.get("/staff/recordings/{recording_id}", action="recording.read", summary="One recording", query=PageQuery)
async def recording(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, ctx.query(PageQuery))


@routes.post("/staff/recordings/{recording_id}/verify", action="recording.verify", summary="Verify a recording")
async def verify(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    verdict = await ctx.services.recordings.verify(ctx.actor, ctx.param("recording_id"), ctx.request_id)
    return await _page(ctx, PageQuery(), verdict=verdict)


@routes.post(
    "/staff/recordings/{recording_id}/hold",
    action="recording.legal_hold",
    summary="Place or lift a legal hold",
    body=HoldForm,
)
async def legal_hold(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    recording_id = ctx.param("recording_id")
    form = await ctx.form(HoldForm)
    if form.model is None:
        return await _page(ctx, PageQuery(), form=form)
    service = ctx.services.recordings
    change = service.place_hold if form.model.hold else service.lift_hold
    try:
        await change(ctx.actor, recording_id, form.model.reason, ctx.request_id)
    except Invalid as error:
        return await _page(ctx, PageQuery(), form=form.error(error.field or "reason", ctx._(error.detail)))
    return ctx.redirect(f"/staff/recordings/{recording_id}")


@routes.post(
    "/api/recordings/{recording_id}/open",
    action="recording.open",
    summary="Open a recording for playback, with a reason",
    kind="json",
    body=Reason,
    response=Opened,
)
async def open_recording(request: web.Request, ctx: Ctx) -> Opened:
    recording_id = ctx.param("recording_id")
    body = await ctx.body(Reason)
    playback = await ctx.services.recordings.open_for_playback(ctx.actor, recording_id, body.reason, ctx.request_id)
    opening_id = playback.opening.id
    sources = [
        Source(
            number=track["number"],
            side=track["side"],
            url=f"/api/recordings/{recording_id}/tracks/{track['number']}.webm?opening={opening_id}",
        )
        for track in playback.timeline["tracks"]
        if track["kinds"]
    ]
    return Opened(opening_id=opening_id, tracks=sources, timeline=playback.timeline)


@routes.get(
    "/api/recordings/{recording_id}/tracks/{number:[0-9]+}.webm",
    action="recording.open",
    summary="One side of an opened recording (WebM, by range)",
    kind="media",
    query=TrackQuery,
)
async def track(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    opening = ctx.query(TrackQuery).opening
    number = int(ctx.param("number")[:3])  # a call has five participants; what is longer is none
    file = await ctx.services.recordings.open_track(ctx.actor, ctx.param("recording_id"), number, opening)
    return await send_track(request, file)


async def _page(ctx: Ctx, query: PageQuery, *, form: Form[HoldForm] = EMPTY, verdict: Any = None) -> web.StreamResponse:
    recording_id = ctx.param("recording_id")
    found = await ctx.services.recordings.get(ctx.actor, recording_id)
    desk = ctx.services.desk
    prison = await desk.prison(ctx.actor)
    openings: Page[Any] = await ctx.services.recordings.openings(ctx.actor, recording_id, query.part(10))
    people = [opening.actor for opening in openings.items] + ([found.held_by] if found.held_by else [])
    names = await desk.prisoner_names(ctx.actor, [found.prisoner_id])
    visit = None
    if found.booking_id is not None:
        try:
            visit = await desk.view(ctx.actor, found.booking_id)
        except DomainError:
            visit = None  # the booking is gone; the recording is not
    return ctx.render(
        "staff/recording.html",
        status=422 if form.errors else 200,
        recording=found,
        prisoner=names.get(found.prisoner_id, "–"),
        visit=visit,
        zone=prison.timezone,
        openings=openings,
        links=links(ctx, openings, query),
        names=await desk.staff_names(ctx.actor, people),
        form=form,
        verdict=verdict,
    )


def _midnight(day: date | None, zone: ZoneInfo) -> datetime | None:
    return None if day is None else datetime.combine(day, time.min, zone).astimezone(UTC)
