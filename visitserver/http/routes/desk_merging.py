"""Two records of one person: hints, previews, and making them one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Invalid, NotFound
from visitserver.http.console.doing import NOTHING, NotDone, act
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.http.routes.desk_people import URL, PersonReasonForm

routes = RouteTable("staff")


class OtherQuery(PageQuery):
    """The other record: a contact's identifier, or a prisoner's number."""

    other: str = Field("", max_length=80)


class MergeForm(PersonReasonForm):
    """The record that goes, and the preview that was shown."""

    other: str = Field(min_length=1, max_length=80)
    token: str = Field(min_length=1, max_length=80)


@routes.get(URL + "/duplicates", action="people.merge", summary="Who may be one person", query=PageQuery)
async def duplicates(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(PageQuery)
    page = await ctx.services.merging.hints(ctx.actor, query.part())
    return ctx.render("staff/person_duplicates.html", page=page, links=links(ctx, page, query))


@routes.get(
    URL + "/contacts/{contact_id}/merge", action="people.merge", summary="Two contacts as one", query=OtherQuery
)
async def contact_merge_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _contacts(ctx, ctx.query(OtherQuery).other)


@routes.post(
    URL + "/contacts/{contact_id}/merge", action="people.merge", summary="Make two contacts one", body=MergeForm
)
async def contact_merge(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    contact_id = ctx.param("contact_id")
    await ctx.services.people.contact(ctx.actor, contact_id)

    def work(form: MergeForm) -> Awaitable[object]:
        return ctx.services.merging.merge_contacts(
            ctx.actor, contact_id, form.other, token=form.token, reason=form.reason, request_id=ctx.request_id
        )

    return await _merge(ctx, work, f"{URL}/contacts/{contact_id}", _contacts)


@routes.get(
    URL + "/prisoners/{prisoner_id}/merge",
    action="people.merge",
    summary="Two records of a prisoner as one",
    query=OtherQuery,
)
async def prisoner_merge_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _prisoners(ctx, ctx.query(OtherQuery).other)


@routes.post(
    URL + "/prisoners/{prisoner_id}/merge",
    action="people.merge",
    summary="Make two records of a prisoner one",
    body=MergeForm,
)
async def prisoner_merge(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    prisoner = await ctx.services.desk.prisoner(ctx.actor, ctx.param("prisoner_id"))

    def work(form: MergeForm) -> Awaitable[object]:
        return ctx.services.merging.merge_prisoners(
            ctx.actor, prisoner.number, form.other, token=form.token, reason=form.reason, request_id=ctx.request_id
        )

    return await _merge(ctx, work, f"{URL}/prisoners/{prisoner.id}", _prisoners)


async def _merge(
    ctx: Ctx,
    work: Callable[[MergeForm], Awaitable[object]],
    person: str,
    page: Callable[[Ctx, str, NotDone], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """Make the two one, and to the page of the `person` who stays; or the comparison again, as it is now."""

    def again(no: NotDone) -> Awaitable[web.StreamResponse]:
        return page(ctx, no.value("merge", "other")[:80], no)

    return await act(ctx, MergeForm, work, form="merge", done=f"{person}?done=merged", again=again)


async def _contacts(ctx: Ctx, other: str, no: NotDone = NOTHING) -> web.StreamResponse:
    contact_id = ctx.param("contact_id")
    view = await ctx.services.people.contact(ctx.actor, contact_id)
    preview = await ctx.services.merging.preview_contacts(ctx.actor, contact_id, other) if other else None
    return ctx.render(
        "staff/person_merge.html",
        status=no.status,
        person=view.person,
        preview=preview,
        other=other,
        base=f"{URL}/contacts/{contact_id}",
        by_number=False,
        no=no,
    )


async def _prisoners(ctx: Ctx, other: str, no: NotDone = NOTHING) -> web.StreamResponse:
    prisoner = await ctx.services.desk.prisoner(ctx.actor, ctx.param("prisoner_id"))
    preview = None
    if other:
        try:
            preview = await ctx.services.merging.preview_prisoners(ctx.actor, prisoner.number, other)
        except (NotFound, Invalid) as error:
            no = NotDone(words=no.words or error.detail, status=no.status)
    return ctx.render(
        "staff/person_merge.html",
        status=no.status,
        person=prisoner,
        preview=preview,
        other=other,
        base=f"{URL}/prisoners/{prisoner.id}",
        by_number=True,
        no=no,
    )
