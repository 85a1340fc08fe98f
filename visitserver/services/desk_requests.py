"""The queue of bookings that a person must decide, by the moment at which nobody can any more. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import DecisionRecord
from visitserver.domain.paging import MAX_LIMIT, Page, PageRequest
from visitserver.domain.requests import deadline
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.access_checks import own_prison
from visitserver.services.desk import BookingView, read_views
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MOST: Final = 1000
"""So many requests are put in order of their deadlines. Beyond that the latest visits come last, as they are."""
SOON: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class WaitingBooking:
    """A request, when it lapses (UTC), whether a supervisor has been told so, and what the rules ask a person about."""

    view: BookingView
    lapses_at: datetime
    escalated: bool
    asks: tuple[str, ...]
    now: datetime

    @property
    def soon(self) -> bool:
        """Whether less than a day is left."""
        return self.lapses_at - self.now < SOON


class DeskRequests:
    """Everything is of the actor's own prison."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def queue(self, actor: Actor, page: PageRequest) -> Page[WaitingBooking]:
        """Escalated ones first, then by deadline, then by the visit's start. The cursor is a place in the queue.

        A deadline follows from the visit's day and the policies, and for a late request from the visit itself, so the
        order of the database is nearly right; the queue of one prison is short enough to put it right here.
        """
        own_prison(actor, actor.prison_id)
        now = self._clock()
        async with self._uow(read_only=True) as u:
            prison = await u.people.get_prison(actor.prison_id or "")
            policies = await u.policies.at(prison.id, now)
            wanted = BookingFilter(prison_id=prison.id, states=frozenset({BookingState.REQUESTED}))
            found: list[Booking] = []
            cursor: str | None = None
            while True:
                part = await u.scheduling.bookings(wanted, PageRequest(MAX_LIMIT, cursor))
                found += part.items
                cursor = part.next_cursor
                if cursor is None or len(found) >= MOST:
                    break
            ends = {
                one.id: deadline(one, prison.zone, policies, asked_at=one.requested_at or one.created_at)
                for one in found
            }
            escalated = {one.id for one in found if one.escalated_at is not None or ends[one.id].escalates_at <= now}
            found.sort(key=lambda one: (one.id not in escalated, ends[one.id].lapses_at, one.starts_at, one.id))
            start = _number(page.cursor)
            chosen = found[start : start + page.limit]
            views = await read_views(u, chosen)
            items = [
                WaitingBooking(
                    view, ends[view.booking.id].lapses_at, view.booking.id in escalated, await _asks(u, view), now
                )
                for view in views
            ]
        more = start + page.limit < len(found)
        return Page(items, str(start + page.limit) if more else None)


def _number(cursor: str | None) -> int:
    return int(cursor) if cursor is not None and cursor.isascii() and cursor.isdigit() and len(cursor) < 6 else 0


async def _asks(u: UnitOfWork, view: BookingView) -> tuple[str, ...]:
    """The keys of the rules that asked for a person, by the last decision kept."""
    kept: list[DecisionRecord] = list(await u.rights.decisions_of_booking(view.booking.id))
    if not kept:
        return ()
    return tuple(result["key"] for result in kept[-1].trace if result["outcome"] == "review")
