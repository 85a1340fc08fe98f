"""Blocked times: added and lifted by staff. What stands on them is flagged, never cancelled: a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.blocks import Block
from visitserver.domain.changes import ChangeKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Prison
from visitserver.domain.scheduling import Booking
from visitserver.domain.slots import day_starts
from visitserver.domain.time_ranges import check_day, check_times, moment_of, whole_span
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.changes import Changes
from visitserver.services.opened import note_opened
from visitserver.services.ports.offers import BlockFilter, TouchedFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.template_series import series_of

DAYS_MAX = 366
"""The longest block, in days."""


@dataclass(frozen=True, slots=True)
class BlockDraft:
    """What staff say about a block. Days and times are the prison's; both days are included.

    It goes on without a break from `from_time` of the first day (None: its beginning) to `to_time` of the last (None:
    its end). No station: all of them; no template: every session. A session is blocked in all its versions.
    `public_words` is what families may read.
    """

    first_day: date
    last_day: date
    reason: str
    from_time: time | None = None
    to_time: time | None = None
    station_ids: frozenset[str] = frozenset()
    template_ids: frozenset[str] = frozenset()
    public_words: str | None = None


@dataclass(frozen=True, slots=True)
class BlockPreview:
    """What a block would do: its times (UTC), how many bookings it touches, a page of them, what is blocked already."""

    starts_at: datetime
    ends_at: datetime
    affected: int
    bookings: Page[Booking]
    overlapping: Sequence[Block]


class BlockService:
    """The use cases of a block."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes) -> None:
        self._uow = uow
        self._clock = clock
        self._changes = changes

    async def preview(
        self, actor: Actor, draft: BlockDraft, page: PageRequest, *, prison_id: str | None = None
    ) -> BlockPreview:
        """What adding it would touch. Changes nothing. Errors as `add`."""
        async with self._uow(read_only=True) as u:
            block = await self._make(u, actor, draft, prison_id)
            wanted = _touched(block)
            return BlockPreview(
                starts_at=block.starts_at,
                ends_at=block.ends_at,
                affected=await u.offers.count_touched(wanted),
                bookings=await u.offers.touched(wanted, page),
                overlapping=await self._overlapping(u, block),
            )

    async def add(
        self, actor: Actor, draft: BlockDraft, *, prison_id: str | None = None, request_id: str | None = None
    ) -> Block:
        """Block it. Bookings on it are flagged for a person to decide; nothing is cancelled.

        Blocks may overlap; Conflict (`block_exists`) for the very same one. Invalid for a time that is over, for more
        than 366 days, for stations or sessions of another prison. `prison_id` is for the system, which belongs to none.
        """
        async with self._uow() as u:
            block = await self._make(u, actor, draft, prison_id)
            # Whoever books holds the session's name shared: nobody is placed while this is written, and whoever comes
            # after it reads it. So every booking is either refused by the block or seen by the flags.
            await u.lock(f"blocks:{block.prison_id}", *await self._sessions(u, block))
            for other in await self._overlapping(u, block):
                if _scope(other) == _scope(block):
                    raise Conflict("This is blocked already.", code="block_exists")
            u.offers.add(block)
            u.audit.append(
                "block.add",
                actor,
                block.id,
                {
                    "from": block.starts_at.isoformat(),
                    "to": block.ends_at.isoformat(),
                    "stations": sorted(block.station_ids),
                    "templates": sorted(block.template_ids),
                },
                request_id,
                prison_id=block.prison_id,
            )
            self._note(u, ChangeKind.BLOCK_ADDED, actor, block)
            await u.commit()
        await self._changes.after_commit()
        return block

    async def lift(self, actor: Actor, block_id: str, reason: str, *, request_id: str | None = None) -> Block:
        """End it now: its flags close by themselves, and its places are offered again. Conflict when it is lifted."""
        reason = need_reason(reason)
        async with self._uow() as u:
            block = await u.offers.get_block(block_id)
            own_prison(actor, block.prison_id)
            await u.lock(f"blocks:{block.prison_id}")
            # A colleague may have lifted it while we waited.
            block = await u.offers.get_block(block_id, fresh=True)
            if not block.stands:
                raise Conflict("This block is lifted already.", code="block_lifted")
            now = self._clock()
            block.lifted_at, block.lifted_by = now, actor.reference
            u.audit.append("block.lift", actor, block.id, {"reason": reason}, request_id, prison_id=block.prison_id)
            self._note(u, ChangeKind.BLOCK_LIFTED, actor, block)
            prison = await u.people.get_prison(block.prison_id)
            note_opened(u, prison, max(now, block.starts_at), block.ends_at, cause=block.id)
            await u.commit()
        await self._changes.after_commit()
        return block

    async def get(self, actor: Actor, block_id: str) -> Block:
        """One block of the actor's prison, lifted or not."""
        async with self._uow(read_only=True) as u:
            block = await u.offers.get_block(block_id)
            own_prison(actor, block.prison_id)
            return block

    async def list(self, actor: Actor, page: PageRequest, *, past: bool = False, lifted: bool = False) -> Page[Block]:
        """The blocks of the actor's prison in order of end; those that are over and lifted ones only when asked for."""
        own_prison(actor, actor.prison_id)
        wanted = BlockFilter(actor.prison_id or "", ends_after=None if past else self._clock(), lifted=lifted)
        async with self._uow(read_only=True) as u:
            return await u.offers.list_blocks(wanted, page)

    async def between(self, actor: Actor, first: date, last: date) -> Sequence[Block]:
        """Those that stand on some of the prison's days `first` to `last`, in order of start: for the grid."""
        own_prison(actor, actor.prison_id)
        check_day(first, field="first")
        if not timedelta(0) <= last - first < timedelta(days=DAYS_MAX):
            raise Invalid(f"Ask for 1 to {DAYS_MAX} days.", field="first")
        async with self._uow(read_only=True) as u:
            prison = await u.people.get_prison(actor.prison_id or "")
            starts, ends = day_starts(first, prison.zone), day_starts(last + timedelta(days=1), prison.zone)
            return await u.offers.blocks(prison.id, whole_span(starts, ends))

    async def affected(self, actor: Actor, block_id: str, page: PageRequest) -> Page[Booking]:
        """The bookings that still stand on it, in order of start."""
        async with self._uow(read_only=True) as u:
            block = await u.offers.get_block(block_id)
            own_prison(actor, block.prison_id)
            return await u.offers.touched(_touched(block), page)

    async def _make(self, u: UnitOfWork, actor: Actor, draft: BlockDraft, prison_id: str | None) -> Block:
        prison_id = prison_id or actor.prison_id
        own_prison(actor, prison_id)
        prison = await u.people.get_prison(prison_id or "")
        starts_at, ends_at = self._times(draft, prison)
        known = {station.id for station in await u.scheduling.stations(prison.id)}
        if not known.issuperset(draft.station_ids):
            raise Invalid("A station of another prison.", code="block", field="station_ids")
        templates: frozenset[str] = frozenset()
        if draft.template_ids:
            valid = await u.scheduling.templates(prison.id, first=draft.first_day, last=draft.last_day)
            if not {each.id for each in valid}.issuperset(draft.template_ids):
                raise Invalid("There is no such session on these days.", code="block", field="template_ids")
            templates = series_of(valid, draft.template_ids)
        words = (draft.public_words or "").strip() or None
        if words is not None and len(words) > 500:
            raise Invalid("Words for families have at most 500 characters.", code="too_long", field="public_words")
        return Block(
            id=new_id("blk"),
            prison_id=prison.id,
            starts_at=starts_at,
            ends_at=ends_at,
            station_ids=draft.station_ids,
            template_ids=templates,
            reason=need_reason(draft.reason),
            public_words=words,
            created_at=self._clock(),
            created_by=actor.reference,
        )

    def _times(self, draft: BlockDraft, prison: Prison) -> tuple[datetime, datetime]:
        check_day(draft.first_day, field="first_day")
        check_day(draft.last_day, field="last_day")
        # Of different days, so each is looked at by itself.
        check_times(draft.from_time, None, field="from_time")
        check_times(None, draft.to_time, field="to_time")
        if not timedelta(0) <= draft.last_day - draft.first_day < timedelta(days=DAYS_MAX):
            raise Invalid(f"A block lasts 1 to {DAYS_MAX} days.", code="block", field="last_day")
        starts_at = moment_of(draft.first_day, draft.from_time, prison.zone)
        ends_at = (
            moment_of(draft.last_day, draft.to_time, prison.zone)
            if draft.to_time is not None
            else day_starts(draft.last_day + timedelta(days=1), prison.zone)
        )
        if ends_at <= starts_at:
            raise Invalid("The block ends before it begins.", code="block", field="to_time")
        if ends_at <= self._clock():
            raise Invalid("What has passed cannot be blocked.", code="block", field="last_day")
        return starts_at, ends_at

    async def _sessions(self, u: UnitOfWork, block: Block) -> Sequence[str]:
        """The names of the sessions from which it takes something."""
        if block.template_ids:
            return [f"template:{each}" for each in block.template_ids]
        prison = await u.people.get_prison(block.prison_id)
        first, last = (moment.astimezone(prison.zone).date() for moment in (block.starts_at, block.ends_at))
        valid = await u.scheduling.templates(prison.id, first=first, last=last)
        return [
            f"template:{each.id}"
            for each in valid
            if not block.station_ids or not block.station_ids.isdisjoint(each.station_ids)
        ]

    @staticmethod
    async def _overlapping(u: UnitOfWork, block: Block) -> Sequence[Block]:
        found = await u.offers.blocks(block.prison_id, whole_span(block.starts_at, block.ends_at))
        return [each for each in found if each.overlaps(block.starts_at, block.ends_at)]

    def _note(self, u: UnitOfWork, kind: ChangeKind, actor: Actor, block: Block) -> None:
        station = next(iter(block.station_ids)) if len(block.station_ids) == 1 else None
        template = next(iter(block.template_ids)) if len(block.template_ids) == 1 else None
        self._changes.note(
            u,
            kind,
            by=actor,
            prison_id=block.prison_id,
            station_id=station,
            template_id=template,
            from_=block.starts_at,
            to=block.ends_at,
            block_id=block.id,
        )


def _touched(block: Block) -> TouchedFilter:
    return TouchedFilter(
        prison_id=block.prison_id,
        starts_at=block.starts_at,
        ends_at=block.ends_at,
        station_ids=block.station_ids,
        template_ids=block.template_ids,
    )


def _scope(block: Block) -> tuple[object, ...]:
    return block.starts_at, block.ends_at, block.station_ids, block.template_ids
