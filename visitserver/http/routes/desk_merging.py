"""Two records of one person: hints, previews, and making them one."""

from __future__ import annotations

from collections.abc import Awaitable

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Invalid, NotFound
from visitserver.http.console.doing import act
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.http.routes.desk_people import URL, PersonReasonForm

routes = RouteTable("staff")


class OtherQuery(PageQuery):
    """The other record: a contact's identifier, or a prisoner's number."""

    other: str = Field("", max_length=80)
    failed: str = Field("", max_length=300)


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
    query, contact_id = ctx.query(OtherQuery), ctx.param("contact_id")
    view = await ctx.services.people.contact(ctx.actor, contact_id)
    preview = None
    if query.other:
        preview = await ctx.services.merging.preview_contacts(ctx.actor, contact_id, query.other)
    return ctx.render(
        "staff/person_merge.html",
        person=view.person,
        preview=preview,
        other=query.other,
        base=f"{URL}/contacts/{contact_id}",
        by_number=False,
        failed=query.failed,
    )


@routes.post(
    URL + "/contacts/{contact_id}/merge", action="people.merge", summary="Make two contacts one", body=MergeForm
)
async def contact_merge(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    contact_id = ctx.param("contact_id")
    await ctx.services.people.contact(ctx.actor, contact_id)
    back = f"{URL}/contacts/{contact_id}"

    def work(form: MergeForm) -> Awaitable[object]:
        return ctx.services.merging.merge_contacts(
            ctx.actor, contact_id, form.other, token=form.token, reason=form.reason, request_id=ctx.request_id
        )

    return await act(ctx, MergeForm, work, back=back, done="merged", retry=back + "/merge", keep="other")


@routes.get(
    URL + "/prisoners/{prisoner_id}/merge",
    action="people.merge",
    summary="Two records of a prisoner as one",
    query=OtherQuery,
)
async def prisoner_merge_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(OtherQuery)
    prisoner = await ctx.services.desk.prisoner(ctx.actor, ctx.param("prisoner_id"))
    preview, failed = None, query.failed
    if query.other:
        try:
            preview = await ctx.services.merging.preview_prisoners(ctx.actor, prisoner.number, query.other)
        except (NotFound, Invalid) as error:
            failed = error.detail
    return ctx.render(
        "staff/person_merge.html",
        person=prisoner,
        preview=preview,
        other=query.other,
        base=f"{URL}/prisoners/{prisoner.id}",
        by_number=True,
        failed=failed,
    )


@routes.post(
    URL + "/prisoners/{prisoner_id}/merge",
    action="people.merge",
    summary="Make two records of a prisoner one",
    body=MergeForm,
)
async def prisoner_merge(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    prisoner = await ctx.services.desk.prisoner(ctx.actor, ctx.param("prisoner_id"))
    back = f"{URL}/prisoners/{prisoner.id}"

    def work(form: MergeForm) -> Awaitable[object]:
        return ctx.services.merging.merge_prisoners(
            ctx.actor, prisoner.number, form.other, token=form.token, reason=form.reason, request_id=ctx.request_id
        )

    return await act(ctx, MergeForm, work, back=back, done="merged", retry=back + "/merge", keep="other")
