"""/api/v1/…: blocked times, and what stands in the way of an appointment, for a prison's own systems."""

from __future__ import annotations

from datetime import time

from aiohttp import web
from pydantic import BaseModel, Field

from visitserver.domain.blocks import Block
from visitserver.domain.importing import ImportKind
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.http.console.days import Day
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.http.routes.api_records import ListQuery, page_of
from visitserver.services.appointments import InTheWay
from visitserver.services.blocks import BlockDraft
from visitserver.services.records import plain

routes = RouteTable("api")


class BlocksQuery(ListQuery):
    """`past`: those that are over, too; `lifted`: those that were lifted, too."""

    past: bool = False
    lifted: bool = False


class BlockIn(Body):
    """A block. Days and times are the prison's; both days are included. It goes on without a break from `from_time` of
    the first day (its beginning, unless said) to `to_time` of the last (its end). No stations: all of them; no
    templates: every session. `public_words` is what families may read.
    """

    first_day: Day
    last_day: Day
    from_time: time | None = None
    to_time: time | None = None
    station_ids: list[str] = Field(default=[], max_length=200)
    template_ids: list[str] = Field(default=[], max_length=200)
    reason: str = Field(min_length=1, max_length=2000)
    public_words: str | None = Field(None, max_length=500)


class LiftIn(Body):
    """Why it can be lifted."""

    reason: str = Field(min_length=1, max_length=2000)


class BlockOut(BaseModel):
    """A block. Moments are UTC."""

    id: str
    starts_at: str
    ends_at: str
    station_ids: list[str]
    template_ids: list[str]
    reason: str
    public_words: str | None
    created_at: str
    lifted_at: str | None


class BlockPage(BaseModel):
    """A part of the list of blocks, in order of end."""

    items: list[BlockOut]
    next_cursor: str | None


class PreviewOut(BaseModel):
    """What a block would do: how many bookings it touches, the first of them, and the blocks that overlap it."""

    starts_at: str
    ends_at: str
    affected: int
    booking_ids: list[str]
    overlapping: list[str]


class InTheWayOut(BaseModel):
    """A booking at the time of an appointment. `gives_way`: it has to; `alternatives` are the keys of other slots."""

    booking_id: str
    starts_at: str
    ends_at: str
    gives_way: bool
    alternatives: list[str]


class InTheWayPage(BaseModel):
    """A part of the list, in order of start."""

    items: list[InTheWayOut]
    next_cursor: str | None


@routes.get(
    "/api/v1/blocks",
    action="api.block.read",
    summary="The prison's blocked times",
    kind="json",
    query=BlocksQuery,
    response=BlockPage,
    rate="client",
)
async def blocks(request: web.Request, ctx: Ctx) -> BaseModel:
    query = ctx.query(BlocksQuery)
    page = await ctx.services.blocks.list(ctx.actor, query.part(), past=query.past, lifted=query.lifted)
    return page_of(BlockPage, page, _block)


@routes.get(
    "/api/v1/blocks/{block_id}",
    action="api.block.read",
    summary="One blocked time",
    kind="json",
    response=BlockOut,
    rate="client",
)
async def block(request: web.Request, ctx: Ctx) -> BaseModel:
    return _block(await ctx.services.blocks.get(ctx.actor, ctx.param("block_id")))


@routes.post(
    "/api/v1/blocks/preview",
    action="api.block.read",
    summary="What a block would touch; changes nothing",
    kind="json",
    body=BlockIn,
    response=PreviewOut,
    rate="client",
)
async def preview(request: web.Request, ctx: Ctx) -> BaseModel:
    found = await ctx.services.blocks.preview(ctx.actor, _draft(await ctx.body(BlockIn)), PageRequest(MAX_LIMIT))
    return PreviewOut(
        starts_at=plain(found.starts_at),
        ends_at=plain(found.ends_at),
        affected=found.affected,
        booking_ids=[each.id for each in found.bookings.items],
        overlapping=[each.id for each in found.overlapping],
    )


@routes.post(
    "/api/v1/blocks",
    action="api.block.write",
    summary="Block a time: bookings on it are flagged, none is cancelled",
    kind="json",
    body=BlockIn,
    response=BlockOut,
    rate="client",
)
async def add(request: web.Request, ctx: Ctx) -> BaseModel:
    draft = _draft(await ctx.body(BlockIn))
    return _block(await ctx.services.blocks.add(ctx.actor, draft, request_id=ctx.request_id))


@routes.post(
    "/api/v1/blocks/{block_id}/lift",
    action="api.block.write",
    summary="Lift a block: its flags close, its times are offered again",
    kind="json",
    body=LiftIn,
    response=BlockOut,
    rate="client",
)
async def lift(request: web.Request, ctx: Ctx) -> BaseModel:
    reason = (await ctx.body(LiftIn)).reason
    lifted = await ctx.services.blocks.lift(ctx.actor, ctx.param("block_id"), reason, request_id=ctx.request_id)
    return _block(lifted)


@routes.get(
    "/api/v1/appointments/{external_id}/bookings",
    action="api.appointment.read",
    summary="The bookings in the way of an appointment, with other times for those that give way",
    kind="json",
    query=ListQuery,
    response=InTheWayPage,
    rate="client",
)
async def in_the_way(request: web.Request, ctx: Ctx) -> BaseModel:
    found = await ctx.services.imports.get(ctx.actor, ImportKind.APPOINTMENTS, ctx.param("external_id"))
    page = await ctx.services.appointments.in_the_way(ctx.actor, found.id, ctx.query(ListQuery).part())
    return page_of(InTheWayPage, page, _in_the_way)


def _draft(body: BlockIn) -> BlockDraft:
    return BlockDraft(
        first_day=body.first_day,
        last_day=body.last_day,
        reason=body.reason,
        from_time=body.from_time,
        to_time=body.to_time,
        station_ids=frozenset(body.station_ids),
        template_ids=frozenset(body.template_ids),
        public_words=body.public_words,
    )


def _block(block: Block) -> BlockOut:
    return BlockOut(
        id=block.id,
        starts_at=plain(block.starts_at),
        ends_at=plain(block.ends_at),
        station_ids=sorted(block.station_ids),
        template_ids=sorted(block.template_ids),
        reason=block.reason,
        public_words=block.public_words,
        created_at=plain(block.created_at),
        lifted_at=plain(block.lifted_at),
    )


def _in_the_way(found: InTheWay) -> InTheWayOut:
    return InTheWayOut(
        booking_id=found.booking.id,
        starts_at=plain(found.booking.starts_at),
        ends_at=plain(found.booking.ends_at),
        gives_way=found.gives_way,
        alternatives=[offer.slot.key for offer in found.alternatives],
    )
