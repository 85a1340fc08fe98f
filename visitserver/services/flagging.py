"""Raising and closing the flags of one booking: the rules are asked, the difference is written, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from signaling.ids import new_id
from visitserver.domain.actors import system_actor
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.clock import Clock
from visitserver.domain.flagging import Difference, compare
from visitserver.domain.flags import Flag, FlagClosed
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.booking_check import BookingCheck
from visitserver.services.partly_failed import Turns
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

log = structlog.get_logger(__name__)

ACTOR: Final = system_actor("flags")
STANDING: Final = frozenset({BookingState.REQUESTED, BookingState.BOOKED})
LEFT_OVER: Final = 200


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at a booking has brought about: how many flags were raised, and closed by themselves."""

    raised: int = 0
    resolved: int = 0


class Flagging:
    """Keeps the flags of bookings as the rules say. Doing it again changes nothing."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, check: BookingCheck) -> None:
        self._uow = uow
        self._clock = clock
        self._check = check
        self._tidied: str | None = None

    async def look(self, booking_id: str) -> Looked:
        """Ask the rules about the booking and bring its flags up to date."""
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            # Most of a night's bookings have nothing against them: writers need not wait for that.
            if not await self._difference(u, booking, fresh=False):
                return Looked()
        async with self._uow() as u:
            await u.lock(flags_of(booking_id))
            booking = await u.scheduling.get_booking(booking_id)
            looked = self._write(u, booking, await self._difference(u, booking, fresh=True))
            await u.commit()
        return looked

    async def tidy(self) -> int:
        """Bring up to date what is left open on bookings that were moved or cancelled, or are over. How many.

        A part of them in one run; the next goes on behind it, so those that cannot be looked at keep no other waiting.
        PartlyFailed, after every booking's turn, when some could not be.
        """
        async with self._uow(read_only=True) as u:
            page = await u.flags.left_over(PageRequest(LEFT_OVER, self._tidied))
        self._tidied = page.next_cursor
        turns, done = Turns(), 0
        for booking_id in sorted({flag.booking_id for flag in page.items}):
            with turns.turn("booking not looked at", booking_id=booking_id):
                await self.look(booking_id)
                done += 1
        return turns.outcome(done)

    async def _difference(self, u: UnitOfWork, booking: Booking, *, fresh: bool) -> Difference:
        flags = await u.flags.of_booking(booking.id, fresh=fresh)
        if booking.state not in STANDING:
            return Difference((), (), tuple(flag for flag in flags if flag.open), ())
        return compare(flags, (await self._check.check(u, booking)).found, booking.starts_at)

    def _write(self, u: UnitOfWork, booking: Booking, difference: Difference) -> Looked:
        now = self._clock()
        for reason in difference.new:
            flag = Flag(
                id=new_id("flg"),
                prison_id=booking.prison_id,
                booking_id=booking.id,
                type=reason.type,
                key=reason.key,
                starts_at=booking.starts_at,
                raised_at=now,
                attributes=dict(reason.attributes),
            )
            u.flags.add(flag)
            self._note(u, "flag.raise", flag)
            u.outbox.add("booking.flagged", {"booking_id": booking.id, "flag_id": flag.id, "type": flag.type.value})
        for flag, reason in difference.changed:
            flag.attributes, flag.starts_at = dict(reason.attributes), booking.starts_at
        for flag in difference.gone:
            self._close(u, flag, how_it_ended(flag, booking))
        for flag in difference.lapsed:
            flag.lapsed_at = now
        return Looked(len(difference.new), len(difference.gone))

    def _close(self, u: UnitOfWork, flag: Flag, how: FlagClosed) -> None:
        flag.close(how, by=ACTOR.reference, at=self._clock())
        self._note(u, "flag.close", flag)

    @staticmethod
    def _note(u: UnitOfWork, action: str, flag: Flag) -> None:
        data = {"booking": flag.booking_id, "type": flag.type.value, "about": flag.key}
        if flag.closed_how is not None:
            data["how"] = flag.closed_how.value
        u.audit.append(action, ACTOR, flag.id, data, prison_id=flag.prison_id)


def flags_of(booking_id: str) -> str:
    """The name that whoever changes a booking's flags locks."""
    return f"flags:{booking_id}"


def how_it_ended(flag: Flag, booking: Booking) -> FlagClosed:
    """How a flag is closed whose reason is gone: by itself, or with what became of the booking."""
    if flag.starts_at != booking.starts_at or booking.outcome == OutcomeCode.SUPERSEDED.value:
        return FlagClosed.MOVED
    if booking.state in STANDING:
        return FlagClosed.RESOLVED
    over = booking.state in (BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED)
    return FlagClosed.RESOLVED if over else FlagClosed.CANCELLED


def most_serious(flags: Sequence[Flag]) -> Flag | None:
    """The one to show first: what binds before what a person may decide, then the oldest."""
    return min(flags, key=lambda flag: (flag.keepable, flag.raised_at, flag.id), default=None)
