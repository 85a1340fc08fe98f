"""Blocked times: listed, added with a look at what they touch, lifted."""

from __future__ import annotations

from datetime import date, time

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.paging import PageRequest
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.console.looked_at import digest
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.blocks import BlockDraft, BlockPreview

routes = RouteTable("staff")

SHOWN = 50
FIRST = "first"
"""In the place of a cursor: the beginning."""


class BlocksQuery(PageQuery):
    """`past`: those that are over, or lifted, too."""

    past: bool = False


class NewBlockQuery(PageQuery):
    """What the form begins with."""

    first_day: Day | None = None
    station: str = Field("", max_length=80)


class BlockForm(Body):
    """A block, as BlockDraft says. `seen`: what was filled in when the bookings that it touches were shown
    (looked_at.digest), so that it may be added. `part`: show those from there on (a cursor, or `first`)."""

    first_day: Day
    last_day: Day | None = None
    from_time: time | None = None
    to_time: time | None = None
    station_ids: list[str] = Field(default=[], max_length=200)
    template_ids: list[str] = Field(default=[], max_length=200)
    reason: str = Field(min_length=3, max_length=2000)
    public_words: str = Field("", max_length=500)
    seen: str = Field("", max_length=64)
    part: str = Field("", max_length=400)


class LiftForm(Body):
    """Why it can be lifted."""

    reason: str = Field(min_length=3, max_length=2000)


@routes.get("/staff/blocks", action="schedule.block", summary="Blocked times", query=BlocksQuery)
async def block_list(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(BlocksQuery)
    page = await ctx.services.blocks.list(ctx.actor, query.part(), past=query.past, lifted=query.past)
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "staff/blocks.html",
        page=page,
        links=links(ctx, page, query),
        query=query,
        zone=prison.timezone,
        day=None,
        view="blocks",
        names=await ctx.services.desk.staff_names(ctx.actor, [one.created_by for one in page.items]),
        stations={one.id: one.name for one in await ctx.services.desk.stations(ctx.actor)},
    )


@routes.get("/staff/blocks/new", action="schedule.block", summary="Block a time", query=NewBlockQuery)
async def new_block(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(NewBlockQuery)
    values = {"first_day": query.first_day.isoformat()} if query.first_day else {}
    return await _form(ctx, Form(values, {}, None), stations={query.station})


@routes.post("/staff/blocks/new", action="schedule.block", summary="Block a time", body=BlockForm)
async def add(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    """The first time the bookings it touches are shown; with `seen` it is done."""
    form = await ctx.form(BlockForm)
    filled = await request.post()
    chosen = {str(each) for name in ("station_ids", "template_ids") for each in filled.getall(name, [])}
    if form.model is None:
        return await _form(ctx, form, stations=chosen)
    try:
        draft = _draft(form.model)
        part = form.model.part
        if part or form.model.seen != digest(filled, {"public_words"}):
            page = PageRequest(SHOWN, part if part not in ("", FIRST) else None)
            preview = await ctx.services.blocks.preview(ctx.actor, draft, page)
            return await _form(ctx, form, stations=chosen, preview=preview)
        block = await ctx.services.blocks.add(ctx.actor, draft, request_id=ctx.request_id)
    except Invalid as error:
        return await _form(ctx, form.error(error.field or "first_day", ctx._(error.detail)), stations=chosen)
    except Conflict as error:
        return await _form(ctx, form.error("first_day", ctx._(error.detail)), stations=chosen)
    return ctx.redirect(f"/staff/blocks/{block.id}")


@routes.get(
    "/staff/blocks/{block_id}", action="schedule.block", summary="One block and what it touches", query=PageQuery
)
async def block_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _one(ctx, ctx.query(PageQuery))


@routes.post("/staff/blocks/{block_id}/lift", action="schedule.block", summary="Lift a block", body=LiftForm)
async def lift(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(LiftForm)
    if form.model is None:
        return await _one(ctx, PageQuery(), form=form)
    block_id = ctx.param("block_id")
    try:
        await ctx.services.blocks.lift(ctx.actor, block_id, form.model.reason, request_id=ctx.request_id)
    except Conflict as error:
        return await _one(ctx, PageQuery(), said=ctx._(error.detail))
    return ctx.redirect(f"/staff/blocks/{block_id}")


def _draft(model: BlockForm) -> BlockDraft:
    return BlockDraft(
        first_day=model.first_day,
        last_day=model.last_day or model.first_day,
        reason=model.reason,
        from_time=model.from_time,
        to_time=model.to_time,
        station_ids=frozenset(model.station_ids),
        template_ids=frozenset(model.template_ids),
        public_words=model.public_words or None,
    )


async def _one(ctx: Ctx, query: PageQuery, *, form: Form[LiftForm] = EMPTY, said: str = "") -> web.StreamResponse:
    services, actor = ctx.services, ctx.actor
    block = await services.blocks.get(actor, ctx.param("block_id"))
    page = await services.blocks.affected(actor, block.id, query.part(SHOWN))
    prison = await services.desk.prison(actor)
    today = await services.desk.today(actor)
    return ctx.render(
        "staff/block.html",
        status=409 if said else 422 if form.errors else 200,
        block=block,
        views=await services.desk.views(actor, page.items),
        page=page,
        links=links(ctx, page, query),
        form=form,
        said=said,
        day=None,
        view="",
        zone=prison.timezone,
        over=block.ends_at <= ctx.clock(),
        names=await services.desk.staff_names(actor, [block.created_by, block.lifted_by or ""]),
        stations={one.id: one.name for one in await services.desk.stations(actor)},
        templates={one.id: one.name for one in await services.templates.list(actor, first=today, last=date.max)},
    )


async def _form(
    ctx: Ctx, form: Form[BlockForm], *, stations: set[str], preview: BlockPreview | None = None
) -> web.StreamResponse:
    services, actor = ctx.services, ctx.actor
    today = await services.desk.today(actor)
    prison = await services.desk.prison(actor)
    return ctx.render(
        "staff/block_new.html",
        status=422 if form.errors else 200,
        form=form,
        chosen=stations,
        preview=preview,
        looked=digest(await ctx.request.post(), {"public_words"}) if preview else "",
        earlier=FIRST if preview and form.values.get("part") not in (None, "", FIRST) else "",
        left=await services.desk.views(actor, preview.bookings.items) if preview else [],
        zone=prison.timezone,
        today=today,
        stations=await services.desk.stations(actor),
        templates=await services.templates.list(actor, first=today, last=date.max),
    )
