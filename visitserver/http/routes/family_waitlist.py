"""Waiting for a time: the waiting list with its offers, and up to three wishes when nothing fits (rule 22)."""

from __future__ import annotations

from datetime import date, time
from typing import Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, DecisionRefused, Invalid
from visitserver.domain.preferences import PREFERENCES_MAX
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.http.routes.family_booking import show_times
from visitserver.http.time_views import book_url, ids_of, refusal_words
from visitserver.services.clock import today_at
from visitserver.services.preferences import Wish
from visitserver.services.waitlist import WaitlistWish

routes = RouteTable("family")


class Wait(Body):
    """The time that is waited for, and for whom besides oneself."""

    slot: str = Field(min_length=1, max_length=100)
    also: str = Field("", max_length=200)


class WaitDays(Body):
    """The days and, narrower, the times of the day that are waited for."""

    first_day: date
    last_day: date | None = None
    part: Literal["any", "morning", "afternoon", "evening"] = "any"
    also: str = Field("", max_length=200)


class Wishes(Body):
    """Up to three wishes, the dearest first; those without a first day are none."""

    first_day_1: date
    last_day_1: date | None = None
    part_1: Literal["any", "morning", "afternoon", "evening"] = "any"
    first_day_2: date | None = None
    last_day_2: date | None = None
    part_2: Literal["any", "morning", "afternoon", "evening"] = "any"
    first_day_3: date | None = None
    last_day_3: date | None = None
    part_3: Literal["any", "morning", "afternoon", "evening"] = "any"
    note: str | None = Field(None, max_length=500)
    also: str = Field("", max_length=200)


class Party(Body):
    """For whom besides oneself."""

    also: str = Field("", max_length=200)
    lang: str = Field("", max_length=16)


PARTS: dict[str, tuple[time | None, time | None]] = {
    "any": (None, None),
    "morning": (None, time(12)),
    "afternoon": (time(12), time(17)),
    "evening": (time(17), None),
}
"""Parts of the day by the prison's clock: a visit begins at or after the one and before the other."""


@routes.post("/book/{relationship_id}/wait", action="waitlist.join", summary="Wait for a time that is taken", body=Wait)
async def wait(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    relationship_id = ctx.param("relationship_id")
    form = await ctx.form(Wait)
    if form.model is None:
        return ctx.redirect(f"/book/{relationship_id}")
    also = ids_of(form.model.also)
    try:
        await ctx.services.waitlist.join(
            ctx.actor, relationship_id, WaitlistWish(slot_key=form.model.slot), guests=also, request_id=ctx.request_id
        )
    except (Conflict, Invalid) as error:
        return await show_times(ctx, relationship_id, None, [ctx._(error.detail)], also=also, status=409)
    return ctx.redirect("/visits#waiting")


@routes.get("/book/{relationship_id}/wishes", action="preference.put", summary="When nothing fits", query=Party)
async def wishes_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _wishes(ctx, ctx.param("relationship_id"), ids_of(ctx.query(Party).also), EMPTY)


@routes.post(
    "/book/{relationship_id}/wait/days", action="waitlist.join", summary="Wait for any time of some days", body=WaitDays
)
async def wait_days(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    relationship_id = ctx.param("relationship_id")
    form = await ctx.form(WaitDays)
    also = ids_of(form.values.get("also", ""))
    if form.model is None:
        return await _wishes(ctx, relationship_id, also, form, status=422)
    wish = form.model
    from_time, to_time = PARTS[wish.part]
    days = WaitlistWish(first_day=wish.first_day, last_day=wish.last_day, from_time=from_time, to_time=to_time)
    try:
        await ctx.services.waitlist.join(ctx.actor, relationship_id, days, guests=also, request_id=ctx.request_id)
    except Invalid as error:
        shown = form.error(error.field or "first_day", ctx._(error.detail))
        return await _wishes(ctx, relationship_id, also, shown, status=422)
    except Conflict as error:
        return await _wishes(ctx, relationship_id, also, form.error("first_day", ctx._(error.detail)), status=409)
    return ctx.redirect("/visits#waiting")


@routes.post("/book/{relationship_id}/wishes", action="preference.put", summary="Say up to three wishes", body=Wishes)
async def put_wishes(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    relationship_id = ctx.param("relationship_id")
    form = await ctx.form(Wishes)
    also = ids_of(form.values.get("also", ""))
    if form.model is None:
        return await _wishes(ctx, relationship_id, also, form, status=422)
    said = form.model
    wishes = []
    for number in range(1, PREFERENCES_MAX + 1):
        first = getattr(said, f"first_day_{number}")
        if first is not None:
            from_time, to_time = PARTS[getattr(said, f"part_{number}")]
            last = getattr(said, f"last_day_{number}") or first
            wishes.append(Wish(first, last, from_time=from_time, to_time=to_time))
    try:
        await ctx.services.preferences.put(
            ctx.actor, relationship_id, wishes, note=said.note, guests=also, request_id=ctx.request_id
        )
    except Invalid as error:
        shown = form.error("first_day_1", ctx._(error.detail))
        return await _wishes(ctx, relationship_id, also, shown, status=422)
    except Conflict as error:
        return await _wishes(ctx, relationship_id, also, form.error("first_day_1", ctx._(error.detail)), status=409)
    return ctx.redirect("/visits#waiting")


@routes.post("/book/{relationship_id}/wishes/withdraw", action="preference.put", summary="Take the wishes back")
async def withdraw_wishes(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.preferences.withdraw(ctx.actor, ctx.param("relationship_id"), request_id=ctx.request_id)
    return ctx.redirect("/visits#waiting")


@routes.post("/waitlist/{entry_id}/leave", action="waitlist.leave", summary="Wait no more")
async def leave(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.waitlist.leave(ctx.actor, ctx.param("entry_id"), request_id=ctx.request_id)
    return ctx.redirect("/visits#waiting")


@routes.post("/waitlist/{entry_id}/accept", action="waitlist.answer", summary="Take the place that is offered")
async def accept(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    view = await ctx.services.waitlist.get(ctx.actor, ctx.param("entry_id"))
    if view.offer is None:
        raise Conflict("The place was kept for two hours, and they are over.", code="offer_over")
    try:
        booking = await ctx.services.waitlist.accept(ctx.actor, view.offer.id, request_id=ctx.request_id)
    except DecisionRefused as error:
        said = refusal_words(ctx, error.decision)
        relationship_id = view.entry.relationship_id
        return await show_times(ctx, relationship_id, None, said or [ctx._(error.detail)], status=409)
    return ctx.redirect(f"/visits/{booking.id}")


@routes.post("/waitlist/{entry_id}/decline", action="waitlist.answer", summary="Not this place")
async def decline(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    view = await ctx.services.waitlist.get(ctx.actor, ctx.param("entry_id"))
    if view.offer is not None:
        await ctx.services.waitlist.decline(ctx.actor, view.offer.id, request_id=ctx.request_id)
    return ctx.redirect("/visits#waiting")


async def _wishes(
    ctx: Ctx, relationship_id: str, also: tuple[str, ...], form: Form[WaitDays] | Form[Wishes], status: int = 200
) -> web.StreamResponse:
    view = await ctx.services.relationships.get(ctx.actor, relationship_id)
    prison = (await ctx.services.visits.prisons([view.prisoner.prison_id])).get(view.prisoner.prison_id or "")
    if prison is None:
        raise Conflict("This person is at no prison now.", code="prisoner_moved")
    return ctx.render(
        "family/wishes.html",
        status=status,
        relationship_id=relationship_id,
        person=view.prisoner.name,
        prison=prison.name,
        today=today_at(prison, ctx.clock()),
        standing=await ctx.services.preferences.of(ctx.actor, relationship_id),
        parts=[
            ("any", ctx._("any time of day")),
            ("morning", ctx._("before 12")),
            ("afternoon", ctx._("between 12 and 17")),
            ("evening", ctx._("after 17")),
        ],
        numbers=range(1, PREFERENCES_MAX + 1),
        also=",".join(also),
        form=form,
        list_url=book_url(relationship_id, also),
    )
