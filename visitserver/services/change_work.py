"""Working noted changes off: calls under way first, then the flags of every booking that a change touches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import structlog

from visitserver.domain.changes import Change
from visitserver.domain.clock import Clock
from visitserver.domain.errors import NotFound
from visitserver.domain.live_rights import TOUCHES_CALLS
from visitserver.domain.paging import PageRequest
from visitserver.services.flagging import Flagging
from visitserver.services.live_rights import LiveRights
from visitserver.services.ports.flags import BookingScope
from visitserver.services.ports.uow import UnitOfWorkFactory

log = structlog.get_logger(__name__)

AT_ONCE: Final = 50
"""Bookings of one change that are looked at in one go: nobody's request waits for a whole prison's."""
CHANGES: Final = 50
CALLS_AGAIN: Final = timedelta(seconds=1)
MOST_ATTEMPTS: Final = 8
_ROUNDS: Final = 1000


class ChangeWorker:
    """`work_off` does what follows from a change for whoever has just committed it, `finish` is the job for the rest.

    Several may do it at once: every step may be done twice. Within one process, one at a time does the job's part, and
    whoever works off their own changes waits for nobody.
    """

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, flagging: Flagging, live: LiveRights | None) -> None:
        """`live` None: a process (or a test) that has no way to the calls leaves them to the others."""
        self._uow = uow
        self._clock = clock
        self._flagging = flagging
        self._live = live
        self._calls_turn = asyncio.Lock()
        self._flags_turn = asyncio.Lock()

    async def work_off(self, noted: Sequence[str] | None) -> None:
        """See to the calls of these changes, then look at up to AT_ONCE bookings of each.

        None: they were many. Then the calls that people are in are seen to now, and the bookings are left to the job.
        """
        if noted is None:
            if self._live is not None:
                for change in await self._in_calls():
                    await self._see_to_calls(self._live, change)
            return
        if self._live is not None:
            for change in await self._of(noted):
                await self._see_to_calls(self._live, change)
        for change in await self._of(noted):
            await self._flag(change)

    async def run_once(self) -> int:
        """The job's part: see to the calls, then look at up to AT_ONCE bookings of each of CHANGES changes. How many
        changes there were."""
        async with self._calls_turn:
            if self._live is not None:
                # However many wait (an import may note thousands): those that touch a call go first.
                for change in await self._in_calls():
                    await self._see_to_calls(self._live, change)
                for change in await self._pending():
                    if change.calls_done_at is None:
                        await self._see_to_calls(self._live, change)
        async with self._flags_turn:
            pending = await self._pending()
            for change in pending:
                await self._flag(change)
        return len(pending)

    async def finish(self) -> None:
        """The job: until nothing is left that is due, and whatever bookings that ended have left behind."""
        for _ in range(_ROUNDS):
            if all(change.cursor == _ALL for change in await self._pending()):
                break
            await self.run_once()
        await self.run_once()
        await self._flagging.tidy()

    async def _of(self, noted: Sequence[str]) -> list[Change]:
        """Those of the changes that are not worked off yet."""
        async with self._uow(read_only=True) as u:
            return list(await u.flags.pending(self._clock(), len(noted), only=noted))

    async def _pending(self) -> list[Change]:
        async with self._uow(read_only=True) as u:
            return list(await u.flags.pending(self._clock(), CHANGES))

    async def _in_calls(self) -> list[Change]:
        async with self._uow(read_only=True) as u:
            return list(await u.flags.pending_in_calls(self._clock(), TOUCHES_CALLS, CHANGES))

    async def _see_to_calls(self, live: LiveRights, change: Change) -> None:
        try:
            done = await live.see_to(change)
        except Exception:
            log.exception("calls not seen to after a change", change_id=change.id)
            done = False
        now = self._clock()
        async with self._uow() as u:
            if (current := await u.flags.change(change.id)) is None:
                return
            if done:
                current.calls_done_at = now
            await u.commit()

    async def _flag(self, change: Change) -> None:
        """Look at the next bookings of the change. One that fails is looked at again later, with all of them."""
        scope = BookingScope(
            after=change.from_at if change.from_at is not None and change.from_at > self._clock() else self._clock(),
            # Beside another id it says only where the change was noted: a prisoner's bookings may be elsewhere.
            prison_id=change.prison_id if _is_wide(change) else None,
            prisoner_id=change.prisoner_id,
            contact_id=change.contact_id,
            relationship_id=change.relationship_id,
            station_id=change.station_id,
            template_id=change.template_id,
            starts_before=change.to_at,
        )
        if change.cursor == _ALL:
            page_items, next_cursor = [], None
        else:
            async with self._uow(read_only=True) as u:
                page = await u.flags.bookings(scope, PageRequest(AT_ONCE, change.cursor))
            page_items, next_cursor = [booking.id for booking in page.items], page.next_cursor
        failed = 0
        for booking_id in page_items:
            try:
                await self._flagging.look(booking_id)
            except NotFound:
                log.warning("a booking rests on what is not there", booking_id=booking_id, change_id=change.id)
            except Exception:
                log.exception("booking not looked at", booking_id=booking_id, change_id=change.id)
                failed += 1
        await self._advance(change.id, next_cursor, failed)

    async def _advance(self, change_id: str, next_cursor: str | None, failed: int) -> None:
        now = self._clock()
        async with self._uow() as u:
            current = await u.flags.change(change_id)
            if current is None or current.done_at is not None:
                return
            if failed:
                current.attempts += 1
                current.attributes = {**current.attributes, "again": True}
            if next_cursor is not None:
                current.cursor = next_cursor
            elif current.attributes.get("again") and current.attempts < MOST_ATTEMPTS:
                current.cursor, current.due_at = None, now + timedelta(seconds=2**current.attempts)
                current.attributes = {key: value for key, value in current.attributes.items() if key != "again"}
            else:
                if current.attributes.get("again"):
                    log.error("change given up: the nightly scan looks again", change_id=change_id)
                current.cursor = _ALL
            if current.cursor == _ALL:
                if current.calls_done_at is not None or self._live is None:
                    current.done_at = now
                else:
                    current.due_at = now + CALLS_AGAIN
            await u.commit()


_ALL: Final = "all"
"""The cursor of a change whose bookings have all been looked at."""


def _is_wide(change: Change) -> bool:
    ids = (change.prisoner_id, change.contact_id, change.relationship_id, change.station_id, change.template_id)
    return not any(ids)
