"""What becomes of the bookings that stand beyond the last day of a session's old version (docs/decisions/0231).

A booking whose very time the new version offers, for its kind of visit and at its station, is carried over: it keeps
its id, its time, its station and its price, and counts in the new version's capacity. The others stay what they are, on
the old version; their time no longer exists, so they are flagged, and a person decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.scheduling import OPEN_STATES, Booking, SessionTemplate, Slot
from visitserver.domain.slots import slot_at
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Standing:
    """Open bookings beyond a day, in order of start: `carried` go over to the new version, `left` lose their time."""

    carried: Sequence[Booking]
    left: Sequence[Booking]

    @property
    def affected(self) -> int:
        """How many there are in all."""
        return len(self.carried) + len(self.left)


async def standing(
    u: UnitOfWork,
    old: SessionTemplate,
    new: SessionTemplate | None,
    zone: ZoneInfo,
    *,
    after: datetime,
    buffer: timedelta,
) -> Standing:
    """Those of `old` that start at or after the moment `after`, sorted by what becomes of them. Changes nothing."""
    carried: list[Booking] = []
    left: list[Booking] = []
    async for booking in _open(u, old.id, after):
        slot = None if new is None else slot_at(new, zone, booking.starts_at, buffer=buffer)
        (left if slot is None or not _same_time(booking, slot) else carried).append(booking)
    return Standing(carried, left)


async def carry_over(u: UnitOfWork, new: SessionTemplate, bookings: Sequence[Booking]) -> Sequence[Booking]:
    """Put them on the new version, which must be in the store. The caller holds the old version's name alone.

    Gives those that were: one that was cancelled or moved meanwhile stays where it is.
    """
    seen = {each.id: each.slot_key for each in bookings}
    by_slot: dict[str, list[Booking]] = defaultdict(list)
    for each in bookings:
        # Whoever cancels or moves it just now holds its row: wait, and look again.
        booking = await u.scheduling.get_booking(each.id, for_update=True)
        if booking.open and booking.slot_key == seen[booking.id]:
            by_slot[booking.slot_key].append(booking)
    done: list[Booking] = []
    for old_key, members in by_slot.items():
        new_key = f"{new.id}@{old_key.split('@', 1)[1]}"
        for booking in members:
            booking.template_id, booking.slot_key = new.id, new_key
        await u.flush()
        await u.offers.carry_places(old_key, new_key)
        done += members
    return done


def _same_time(booking: Booking, slot: Slot) -> bool:
    return booking.ends_at == slot.ends_at and booking.kind in slot.kinds and booking.station_id in slot.station_ids


async def _open(u: UnitOfWork, template_id: str, after: datetime) -> AsyncIterator[Booking]:
    wanted = BookingFilter(template_id=template_id, states=OPEN_STATES, starts_from=after)
    cursor: str | None = None
    while True:
        page = await u.scheduling.bookings(wanted, PageRequest(MAX_LIMIT, cursor))
        for booking in page.items:
            yield booking
        cursor = page.next_cursor
        if cursor is None:
            return
