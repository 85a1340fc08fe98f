"""Flagged bookings: what has come up against visits since they were booked, and what a person does about each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, Literal, TypeVar

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NeedsReview, NotFound
from visitserver.domain.flags import FlagType
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.flags import FlagQuery

routes = RouteTable("staff")

URL: Final = "/staff/schedule/flags"
AGES: Final = {"": None, "1h": timedelta(hours=1), "1d": timedelta(days=1), "3d": timedelta(days=3)}


class QueueQuery(PageQuery):
    """What part of the queue is shown. `done` says what has just been done, for the notice above it."""

    type: FlagType | Literal[""] = ""
    day: Day | None = None
    age: Literal["", "1h", "1d", "3d"] = ""
    seen: Literal["", "no", "yes"] = ""
    done: Literal["", "kept", "moved", "cancelled"] = ""

    def wanted(self) -> FlagQuery:
        """The same for the service."""
        types = frozenset({self.type}) if self.type else frozenset[FlagType]()
        return FlagQuery(types, self.day, AGES[self.age], {"": None, "no": False, "yes": True}[self.seen])


class ReasonForm(Body):
    """Why the booking is kept or cancelled."""

    reason: str = Field(min_length=3, max_length=2000)


class FlagMoveForm(ReasonForm):
    """Where it goes, and the booking's revision as the page showed it."""

    slot: str = Field(max_length=80)
    revision: int = Field(ge=0)


F = TypeVar("F", bound=ReasonForm)


@routes.get(URL, action="flag.list", summary="Flagged bookings", query=QueueQuery)
async def queue_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(QueueQuery)
    wanted = query.wanted()
    page = await ctx.services.flags.queue(ctx.actor, wanted, query.part())
    counts = await ctx.services.flags.counts(ctx.actor, wanted)
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "staff/flags.html",
        page=page,
        counts=counts,
        total=sum(counts.values()),
        types=list(FlagType),
        query=query,
        links=links(ctx, page, query),
        zone=prison.timezone,
        day=None,
        view="flags",
    )


@routes.get(URL + "/{flag_id}", action="flag.list", summary="A flagged booking")
async def flag_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx)


@routes.post(URL + "/{flag_id}/acknowledge", action="flag.decide", summary="Look after a flag")
async def acknowledge(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    flag_id = ctx.param("flag_id")
    try:
        await ctx.services.flags.acknowledge(ctx.actor, flag_id, request_id=ctx.request_id)
    except Conflict as error:
        return await _page(ctx, said=error.detail)
    return ctx.redirect(f"{URL}/{flag_id}")


@routes.post(URL + "/{flag_id}/keep", action="flag.decide", summary="Keep a flagged booking", body=ReasonForm)
async def keep(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    def work(flag_id: str, form: ReasonForm) -> Awaitable[object]:
        return ctx.services.flags.keep(ctx.actor, flag_id, form.reason, request_id=ctx.request_id)

    return await _decide(ctx, ReasonForm, work, asked="keep", done="kept")


@routes.post(URL + "/{flag_id}/cancel", action="flag.decide", summary="Cancel a flagged booking", body=ReasonForm)
async def cancel(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    def work(flag_id: str, form: ReasonForm) -> Awaitable[object]:
        return ctx.services.flags.cancel(ctx.actor, flag_id, form.reason, request_id=ctx.request_id)

    return await _decide(ctx, ReasonForm, work, asked="cancel", done="cancelled")


@routes.post(URL + "/{flag_id}/move", action="flag.decide", summary="Move a flagged booking", body=FlagMoveForm)
async def move(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    def work(flag_id: str, form: FlagMoveForm) -> Awaitable[object]:
        return ctx.services.flags.move(
            ctx.actor, flag_id, form.slot, form.reason, revision=form.revision, request_id=ctx.request_id
        )

    return await _decide(ctx, FlagMoveForm, work, asked="move", done="moved")


async def _decide(
    ctx: Ctx, model: type[F], work: Callable[[str, F], Awaitable[object]], *, asked: str, done: str
) -> web.StreamResponse:
    """Do what the form `asked` of the flag's page says, and back to the queue; or the page again, which says why not.

    `done` is what has become of the visit, in a word.
    """
    form = await ctx.form(model)
    if form.model is None:
        return await _page(ctx, form=form, asked=asked)
    try:
        await work(ctx.param("flag_id"), form.model)
    except (DecisionRefused, NeedsReview) as error:
        why = " ".join(result.staff_text for result in error.decision.deciding)
    except (Conflict, Invalid, NotFound) as error:
        # Not found: the time, or a prisoner who has left. Without the flag itself there is no page of it either.
        why = error.detail
    else:
        return ctx.redirect(f"{URL}?done={done}")
    return await _page(ctx, form=form, asked=asked, said=f"It was not {done}. {why}")


async def _page(ctx: Ctx, *, form: Form[Any] = EMPTY, asked: str = "", said: str = "") -> web.StreamResponse:
    """The flag with what can be done. `asked`: which of its forms the mistakes and words of `form` belong to."""
    found = await ctx.services.flags.get(ctx.actor, ctx.param("flag_id"))
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "staff/flag.html",
        status=409 if said else 422 if form.errors else 200,
        found=found,
        flag=found.one.flag,
        view=found.one.view,
        booking=found.one.view.booking,
        zone=prison.timezone,
        form=form,
        asked=asked,
        said=said,
    )
