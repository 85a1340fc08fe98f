"""The waiting list (rule 22): who waits for a place, and the places that were offered to them.

A freed place is offered to the one who has waited longest of those who may have it; they have two hours. Their place in
the queue is `queued_at`. Declining keeps it, because they answered. Letting an offer lapse sends the entry to the end
of the queue, and the second time off the list: somebody who does not answer cannot keep every place from the others for
two hours each. A slot is offered to an entry once. See docs/decisions/0230.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from visitserver.domain.errors import Conflict

OFFER_TIME: Final = timedelta(hours=2)
"""How long an offered place is kept, by default."""

LAPSES_MAX: Final = 2
"""With so many offers not answered an entry leaves the list."""

PLACE_FREED: Final = "place.freed"
"""News (an outbox topic) that one place of one slot is free again: prison_id, template_id, slot_key."""

PLACES_OPENED: Final = "places.opened"
"""News that times of some days can be booked that could not be: prison_id, first_day, last_day."""

NEWS_TOPICS: Final = (PLACE_FREED, PLACES_OPENED)
"""What the waiting list's job takes from the outbox, and nobody else."""

ENTRIES_MAX: Final = 5
"""How many entries a contact may have standing with one prisoner."""

DAYS_MAX: Final = 31
"""The longest range of days that one entry may wait for."""


class EntryState(StrEnum):
    """Where an entry stands. OFFERED: a place is kept for it just now."""

    WAITING = "waiting"
    OFFERED = "offered"
    SERVED = "served"
    LEFT = "left"
    LAPSED = "lapsed"
    EXPIRED = "expired"


STANDING: Final = frozenset({EntryState.WAITING, EntryState.OFFERED})


class OfferState(StrEnum):
    """What became of an offered place. WITHDRAWN: it was taken back, by staff or because the right is gone."""

    STANDING = "standing"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"


@dataclass(eq=False)
class WaitlistEntry:
    """One contact's wish for a place with one prisoner, from `first_day` to `last_day` (the prison's, both included).

    `slot_key`: for that one slot only. `from_time` and `to_time` (wall clock of the prison) narrow each day: a slot has
    to begin at or after the one and before the other. `guest_ids` are relationships of further callers.
    """

    id: str
    prison_id: str
    prisoner_id: str
    contact_id: str
    relationship_id: str
    first_day: date
    last_day: date
    created_at: datetime
    created_by: str
    queued_at: datetime
    slot_key: str | None = None
    guest_ids: tuple[str, ...] = ()
    from_time: time | None = None
    to_time: time | None = None
    state: EntryState = EntryState.WAITING
    lapses: int = 0
    ended_at: datetime | None = None
    booking_id: str | None = None

    @property
    def stands(self) -> bool:
        """Whether it is still on the list."""
        return self.state in STANDING

    def wants(self, slot_key: str, day: date, wall: time) -> bool:
        """Whether a slot that begins on that day at that time of the prison is one it waits for."""
        if self.slot_key is not None:
            return self.slot_key == slot_key
        return (
            self.first_day <= day <= self.last_day
            and (self.from_time is None or self.from_time <= wall)
            and (self.to_time is None or wall < self.to_time)
        )

    def offered(self) -> None:
        """A place is kept for it now. Conflict unless it waits."""
        self._need(EntryState.WAITING)
        self.state = EntryState.OFFERED

    def accepted(self, booking_id: str, *, at: datetime) -> None:
        """It has what it waited for."""
        self._need(EntryState.OFFERED)
        self.booking_id = booking_id
        self._end(EntryState.SERVED, at)

    def declined(self, *, at: datetime) -> None:
        """It did not want that place: it waits on at its place in the queue, or leaves when there is no other."""
        self._need(EntryState.OFFERED)
        if self.slot_key is not None:
            self._end(EntryState.LEFT, at)
        else:
            self.state = EntryState.WAITING

    def lapsed(self, *, at: datetime) -> None:
        """It did not answer: to the end of the queue, or off the list the second time or when there is no other."""
        self._need(EntryState.OFFERED)
        self.lapses += 1
        if self.slot_key is not None or self.lapses >= LAPSES_MAX:
            self._end(EntryState.LAPSED, at)
        else:
            self.state, self.queued_at = EntryState.WAITING, at

    def taken_back(self) -> None:
        """The offer is gone through no doing of theirs: it waits on, its place in the queue kept."""
        self._need(EntryState.OFFERED)
        self.state = EntryState.WAITING

    def leave(self, *, at: datetime) -> None:
        """They wait no more. Conflict when it has ended already."""
        self._need(*STANDING)
        self._end(EntryState.LEFT, at)

    def expire(self, *, at: datetime) -> None:
        """The days it waited for are over."""
        self._need(EntryState.WAITING)
        self._end(EntryState.EXPIRED, at)

    def _end(self, state: EntryState, at: datetime) -> None:
        self.state, self.ended_at = state, at

    def _need(self, *states: EntryState) -> None:
        if self.state not in states:
            raise Conflict(f"An entry that is {self.state} does not allow this.", code="waitlist_state")


@dataclass(eq=False)
class WaitlistOffer:
    """A place that was offered to an entry: the held booking `booking_id`, kept until `expires_at` (UTC)."""

    id: str
    entry_id: str
    booking_id: str
    slot_key: str
    starts_at: datetime
    offered_at: datetime
    expires_at: datetime
    state: OfferState = OfferState.STANDING
    settled_at: datetime | None = None

    def settle(self, state: OfferState, *, at: datetime) -> None:
        """What became of it. Conflict when that is known already."""
        if self.state is not OfferState.STANDING:
            raise Conflict("This offer is over.", code="offer_over")
        self.state, self.settled_at = state, at


def waiting_for(
    entries: Iterable[WaitlistEntry], slot_key: str, day: date, wall: time, offered: Collection[str]
) -> list[WaitlistEntry]:
    """Those who wait for the slot that begins on `day` at `wall` of the prison, whoever has waited longest first.

    Without those to whom it has been offered (`offered`: their ids) already.
    """
    found = [
        each
        for each in entries
        if each.state is EntryState.WAITING and each.id not in offered and each.wants(slot_key, day, wall)
    ]
    return sorted(found, key=lambda each: (each.queued_at, each.id))
