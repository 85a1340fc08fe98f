"""Reminders before a visit: a letter a day ahead and another one shortly before, once each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from visitserver.domain import policies as keys
from visitserver.domain.clock import Clock
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.policies import Policies
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

DAY_BEFORE: Final = "booking.reminder_day"
SHORTLY_BEFORE: Final = "booking.reminder_hour"
LONGEST_LEAD: Final = timedelta(hours=keys.REMINDER_FIRST_HOURS.highest)


@dataclass(frozen=True, slots=True)
class Reminder:
    """One reminder of one visit: its topic, and from when to when it makes sense to send it."""

    topic: str
    due_at: datetime
    useless_at: datetime

    def is_due(self, booking: Booking, now: datetime) -> bool:
        """Whether it is to be sent now. Who booked after its moment was told of the visit just then."""
        told_at = max(booking.created_at, booking.decided_at or booking.created_at)
        return told_at < self.due_at <= now < self.useless_at

    def key(self, booking: Booking) -> str:
        """Names it for good: a visit that is moved is reminded of anew."""
        return f"{self.topic}:{booking.id}:{booking.starts_at:%Y%m%dT%H%MZ}"


def reminders_of(booking: Booking, policies: Policies) -> list[Reminder]:
    """Those that the policies ask for; a lead of 0 means none. The first is useless once the second is due."""
    first = timedelta(hours=policies.number(keys.REMINDER_FIRST_HOURS))
    second = timedelta(minutes=policies.number(keys.REMINDER_SECOND_MINUTES))
    starts_at = booking.starts_at
    found = []
    if first > second:
        found.append(Reminder(DAY_BEFORE, starts_at - first, starts_at - second))
    if second:
        found.append(Reminder(SHORTLY_BEFORE, starts_at - second, starts_at))
    return found


class ReminderService:
    """Writes reminders into the outbox."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def run_once(self) -> int:
        """Write what is due; how many. A page of visits is one transaction, and each reminder is written once."""
        now = self._clock()
        written = 0
        page = PageRequest(MAX_LIMIT)
        wanted = BookingFilter(
            states=frozenset({BookingState.BOOKED}), starts_from=now, starts_before=now + LONGEST_LEAD
        )
        while True:
            async with self._uow() as u:
                found = await u.scheduling.bookings(wanted, page)
                count = await self._write(u, found.items, now)
                if count:
                    await u.commit()
            written += count
            if found.next_cursor is None:
                return written
            page = PageRequest(MAX_LIMIT, found.next_cursor)

    @staticmethod
    async def _write(u: UnitOfWork, bookings: Sequence[Booking], now: datetime) -> int:
        policies = {each: await u.policies.at(each, now) for each in sorted({one.prison_id for one in bookings})}
        due = {
            reminder.key(booking): (reminder.topic, booking)
            for booking in bookings
            for reminder in reminders_of(booking, policies[booking.prison_id])
            if reminder.is_due(booking, now)
        }
        known = await u.outbox.known_keys(list(due)) if due else set()
        for key, (topic, booking) in due.items():
            if key in known:
                continue
            payload = {
                "booking_id": booking.id,
                "prison_id": booking.prison_id,
                "starts_at": booking.starts_at.isoformat(),
            }
            if topic == DAY_BEFORE:
                u.outbox.add(DAY_BEFORE, payload, dedupe_key=key)
            else:
                u.outbox.add(SHORTLY_BEFORE, payload, dedupe_key=key)
        return len(due) - len(known)
