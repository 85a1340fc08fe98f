"""The nightly look at all bookings of the next weeks: what changed without anybody saying so, or while nobody heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from visitserver.domain.clock import Clock
from visitserver.domain.flags import FlagScan
from visitserver.domain.paging import PageRequest
from visitserver.domain.people import Prison
from visitserver.services.flagging import Flagging
from visitserver.services.partly_failed import Turns
from visitserver.services.ports.flags import BookingScope
from visitserver.services.ports.uow import UnitOfWorkFactory

log = structlog.get_logger(__name__)

NIGHT_FROM: Final = 2
"""The prison's hour from which its scan of the day may begin: later only where the server was down."""
AHEAD: Final = timedelta(days=28)
PAGE: Final = 100
FORGET: Final = timedelta(days=30)


@dataclass(slots=True)
class _Tally:
    checked: int = 0
    failed: int = 0
    raised: int = 0
    resolved: int = 0


class FlagScanner:
    """`run_once` is called every few minutes; it scans the prisons whose night it is and that have had no scan."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, flagging: Flagging) -> None:
        self._uow = uow
        self._clock = clock
        self._flagging = flagging

    async def run_once(self) -> int:
        """Scan what is due; of how many prisons."""
        scanned, cursor = 0, None
        while True:
            async with self._uow(read_only=True) as u:
                page = await u.people.prisons(PageRequest(PAGE, cursor))
            for prison in page.items:
                night = self._night(prison)
                if night is not None and await self._begin(prison, night):
                    await self._scan(prison, night)
                    scanned += 1
            cursor = page.next_cursor
            if cursor is None:
                break
        if scanned:
            async with self._uow() as u:
                await u.flags.delete_done(self._clock() - FORGET)
                await u.commit()
            # Last: it raises when some could not be looked at.
            await self._flagging.tidy()
        return scanned

    def _night(self, prison: Prison) -> date | None:
        """The prison's day, once its night has come; None before."""
        local = self._clock().astimezone(prison.zone)
        return local.date() if local.hour >= NIGHT_FROM else None

    async def _begin(self, prison: Prison, night: date) -> bool:
        """Note that the scan has begun; False when it is done already."""
        async with self._uow() as u:
            scan = await u.flags.scan(prison.id, night)
            if scan is None:
                u.flags.add(FlagScan(prison.id, night, self._clock()))
                await u.commit()
                return True
            return scan.finished_at is None

    async def _scan(self, prison: Prison, night: date) -> None:
        """Page by page; where it was interrupted it goes on, at the page that was not finished."""
        async with self._uow(read_only=True) as u:
            scan = await u.flags.scan(prison.id, night)
        cursor = None if scan is None else scan.cursor
        now = self._clock()
        while True:
            async with self._uow(read_only=True) as u:
                scope = BookingScope(after=now, prison_id=prison.id, starts_before=now + AHEAD)
                page = await u.flags.bookings(scope, PageRequest(PAGE, cursor))
            tally = await self._look([booking.id for booking in page.items])
            cursor = page.next_cursor
            await self._note(prison, night, tally, cursor, self._clock() if cursor is None else None)
            if cursor is None:
                return

    async def _look(self, booking_ids: list[str]) -> _Tally:
        tally, turns = _Tally(), Turns()
        for booking_id in booking_ids:
            tally.checked += 1
            with turns.turn("booking not looked at", booking_id=booking_id):
                looked = await self._flagging.look(booking_id)
                tally.raised += looked.raised
                tally.resolved += looked.resolved
        tally.failed = turns.failed
        return tally

    async def _note(
        self, prison: Prison, night: date, tally: _Tally, cursor: str | None, finished_at: datetime | None
    ) -> None:
        async with self._uow() as u:
            scan = await u.flags.scan(prison.id, night)
            if scan is None:
                return
            scan.checked += tally.checked
            scan.failed += tally.failed
            scan.raised += tally.raised
            scan.resolved += tally.resolved
            scan.cursor, scan.finished_at = cursor, finished_at
            await u.commit()
            figures = {"checked": scan.checked, "failed": scan.failed, "raised": scan.raised, "resolved": scan.resolved}
        log.info("flag scan", prison_id=prison.id, done=finished_at is not None, **figures)
