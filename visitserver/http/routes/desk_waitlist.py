"""The waiting list and the families' preferences, as the desk sees them."""

from __future__ import annotations

from datetime import time
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, DomainError, Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.waitlist import WaitlistWish

routes = RouteTable("staff")

SAID: Final = {
    "waitlist_exists": "They are on the waiting list for one of these days already.",
    "waitlist_full": "They are on the waiting list often enough. Take one of their entries off first.",
    "relationship_inactive": "These two may not have visits now, so there is nothing to wait for.",
}
"""What the service says to a family, in words for staff, by its code."""

PREFERENCES_SHOWN = 10
"""Each is looked up against the rules, so that the page says which times would fit."""


class WaitlistQuery(PageQuery):
    """Which of the two lists; with those that have ended. `done`: what has just been done."""

    show: Literal["waiting", "preferences"] = "waiting"
    ended: bool = False
    done: Literal["", "added", "taken"] = ""


class TakeOffForm(Body):
    """Why somebody waits no more."""

    reason: str = Field(min_length=3, max_length=2000)


class AddQuery(PageQuery):
    """How far it is: whom, with whom (`also`: further callers); `slot`: for this one time only."""

    prisoner: str = Field("", max_length=80)
    prisoner_id: str = Field("", max_length=80)
    relationship_id: str = Field("", max_length=80)
    also: list[str] = Field(default=[], max_length=10)
    slot: str = Field("", max_length=80)


class AddForm(Body):
    """What is waited for, one time or days and, narrower, times of the day; and why staff write it down."""

    relationship_id: str = Field(max_length=80)
    also: list[str] = Field(default=[], max_length=10)
    slot: str = Field("", max_length=80)
    first_day: Day | None = None
    last_day: Day | None = None
    from_time: time | None = None
    to_time: time | None = None
    reason: str = Field(min_length=3, max_length=2000)


@routes.get("/staff/waitlist", action="schedule.waitlist", summary="Waiting list and preferences", query=WaitlistQuery)
async def waitlist_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, ctx.query(WaitlistQuery))


@routes.get(
    "/staff/waitlist/add", action="schedule.waitlist", summary="Put somebody on the waiting list", query=AddQuery
)
async def add_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _add(ctx, ctx.query(AddQuery))


@routes.post(
    "/staff/waitlist/add", action="schedule.waitlist", summary="Put somebody on the waiting list", body=AddForm
)
async def add(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(AddForm)
    filled = await request.post()
    again = AddQuery(
        relationship_id=form.values.get("relationship_id", "")[:80],
        also=[str(each)[:80] for each in filled.getall("also", [])][:10],
        slot=form.values.get("slot", "")[:80],
    )
    if form.model is None:
        return await _add(ctx, again, form=form)
    wanted = form.model
    days = WaitlistWish(
        first_day=wanted.first_day, last_day=wanted.last_day, from_time=wanted.from_time, to_time=wanted.to_time
    )
    try:
        await ctx.services.waitlist.put_on(
            ctx.actor,
            wanted.relationship_id,
            WaitlistWish(slot_key=wanted.slot) if wanted.slot else days,
            wanted.reason,
            guests=wanted.also,
            request_id=ctx.request_id,
        )
    except Invalid as error:
        return await _add(ctx, again, form=form.error(error.field or "first_day", error.detail))
    except Conflict as error:
        return await _add(ctx, again, form=form, said=SAID.get(error.code, error.detail))
    return ctx.redirect("/staff/waitlist?done=added")


@routes.post(
    "/staff/waitlist/{entry_id}/leave",
    action="schedule.waitlist",
    summary="Take off the waiting list",
    body=TakeOffForm,
)
async def take_off(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    waitlist, entry_id = ctx.services.waitlist, ctx.param("entry_id")
    await waitlist.get(ctx.actor, entry_id)  # whose it is comes before what is wrong with the form
    form = await ctx.form(TakeOffForm)
    if form.model is None:
        return await _page(ctx, WaitlistQuery(), said="Nobody was taken off: give a reason.")
    try:
        await waitlist.take_off(ctx.actor, entry_id, form.model.reason, request_id=ctx.request_id)
    except Conflict as error:
        return await _page(ctx, WaitlistQuery(), said=ctx._(error.detail))
    return ctx.redirect("/staff/waitlist?done=taken")


async def _add(ctx: Ctx, query: AddQuery, *, form: Form[AddForm] = EMPTY, said: str = "") -> web.StreamResponse:
    """Steps on one page: the prisoner, the contact, the days."""
    services, actor = ctx.services, ctx.actor
    prison = await services.desk.prison(actor)
    found: dict[str, Any] = dict.fromkeys(("matches", "people", "chosen", "prisoner", "slot"))
    if query.slot:
        found["slot"] = (await services.board.slot(actor, query.slot)).slot
    if query.relationship_id:
        found["chosen"] = await services.relationships.get(actor, query.relationship_id)
        found["prisoner"] = found["chosen"].prisoner
        found["people"] = await services.relationships.of_prisoner(actor, found["prisoner"].id, PageRequest(100))
    elif query.prisoner_id:
        found["prisoner"] = await services.desk.prisoner(actor, query.prisoner_id)
        found["people"] = await services.relationships.of_prisoner(actor, query.prisoner_id, query.part())
    elif query.prisoner:
        found["matches"] = await services.desk.search_prisoners(actor, query.prisoner, query.part())
    listed: Page[Any] = Page(()) if found["chosen"] else found["people"] or found["matches"] or Page(())
    return ctx.render(
        "staff/waitlist_add.html",
        status=409 if said else 422 if form.errors else 200,
        query=query,
        form=form,
        said=said,
        links=links(ctx, listed, query),
        zone=prison.timezone,
        today=await services.desk.today(actor),
        day=None,
        view="waitlist",
        **found,
    )


async def _page(ctx: Ctx, query: WaitlistQuery, *, said: str = "") -> web.StreamResponse:
    services, actor = ctx.services, ctx.actor
    prison = await services.desk.prison(actor)
    page: Page[Any]
    fitting: dict[str, Any] = {}
    entries: list[Any]
    if query.show == "preferences":
        page = await services.preferences.list(actor, query.part(PREFERENCES_SHOWN))
        entries = list(page.items)
        for one in entries:
            try:
                fitting[one.id] = await services.preferences.matches(actor, one.id, count=3)
            except DomainError:  # who has left the prison has no times; the wish is worth showing
                fitting[one.id] = ()
    else:
        page = await services.waitlist.list(actor, query.part(), ended=query.ended)
        entries = [one.entry for one in page.items]
    return ctx.render(
        "staff/waitlist.html",
        status=409 if said else 200,
        query=query,
        page=page,
        links=links(ctx, page, query),
        fitting=fitting,
        staff=await services.desk.staff_names(actor, [one.created_by for one in entries if query.show == "waiting"]),
        prisoners=await services.desk.prisoner_names(actor, [one.prisoner_id for one in entries]),
        contacts=await services.desk.contact_names(actor, [one.contact_id for one in entries]),
        zone=prison.timezone,
        day=None,
        view="waitlist",
        said=said,
    )
