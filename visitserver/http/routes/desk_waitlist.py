"""The waiting list and the families' preferences, as the desk sees them."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web

from visitserver.domain.errors import Conflict, DomainError
from visitserver.domain.paging import Page
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

PREFERENCES_SHOWN = 10
"""Each is looked up against the rules, so that the page says which times would fit."""


class WaitlistQuery(PageQuery):
    """Which of the two lists; with those that have ended."""

    show: Literal["waiting", "preferences"] = "waiting"
    ended: bool = False


class LeaveForm(Body):
    """Nothing but the wish."""


@routes.get("/staff/waitlist", action="schedule.waitlist", summary="Waiting list and preferences", query=WaitlistQuery)
async def waitlist_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, ctx.query(WaitlistQuery))


@routes.post(
    "/staff/waitlist/{entry_id}/leave", action="schedule.waitlist", summary="Take off the waiting list", body=LeaveForm
)
async def leave(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    try:
        await ctx.services.waitlist.leave(ctx.actor, ctx.param("entry_id"), request_id=ctx.request_id)
    except Conflict as error:
        return await _page(ctx, WaitlistQuery(), said=ctx._(error.detail))
    return ctx.redirect("/staff/waitlist")


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
        prisoners=await services.desk.prisoner_names(actor, [one.prisoner_id for one in entries]),
        contacts=await services.desk.contact_names(actor, [one.contact_id for one in entries]),
        zone=prison.timezone,
        day=None,
        view="waitlist",
        said=said,
    )
