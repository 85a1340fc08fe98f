"""Minutes owed: what a visit lost without its callers' doing, kept per relationship until a later visit uses it.

Seconds inside, whole minutes outside. An account is replayed from its events like the ledger of credits, and an event
key that is in it already changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from visitserver.domain.errors import Conflict

MINUTE = 60


class OwedEventKind(StrEnum):
    """EARNED by lost time; USED by a visit (paid for or made longer); RETURNED when that visit does not take place.

    CARRIED_OUT, CARRIED_IN: two records of one person became one, and the minutes are owed to the relationship that
    stayed.
    """

    EARNED = "earned"
    USED = "used"
    RETURNED = "returned"
    CARRIED_OUT = "carried_out"
    CARRIED_IN = "carried_in"


@dataclass(eq=False)
class OwedEvent:
    """One line of an account; lines are only ever appended.

    `sequence` counts from 1 per relationship, `seconds` is positive, `event_key` unique among all accounts.
    """

    id: str
    prisoner_id: str
    relationship_id: str
    sequence: int
    at: datetime
    kind: OwedEventKind
    seconds: int
    reason: str
    actor: str
    event_key: str
    balance_after: int
    booking_id: str


class OwedAccount:
    """What is owed to one relationship. `new` holds the events appended since it was loaded.

    Raises ValueError when the events contradict themselves.
    """

    def __init__(
        self,
        prisoner_id: str,
        relationship_id: str,
        events: Iterable[OwedEvent] = (),
        *,
        new_id: Callable[[str], str],
    ) -> None:
        self.prisoner_id = prisoner_id
        self.relationship_id = relationship_id
        self.new: list[OwedEvent] = []
        self.balance = 0
        self._new_id = new_id
        self._sequence = 0
        self._keys: set[str] = set()
        self._used: dict[str, int] = {}  # by booking: what it took and has not given back
        self._lost: dict[str, int] = {}  # by booking: the time it lost
        for event in events:
            if event.sequence != self._sequence + 1:
                raise ValueError(f"line {self._sequence + 1} of what is owed to {relationship_id} is missing")
            self._apply(event)
            if event.balance_after != self.balance:
                raise ValueError(f"line {event.sequence} of what is owed to {relationship_id} has a wrong balance")

    @property
    def minutes(self) -> int:
        """Whole minutes that can be used."""
        return self.balance // MINUTE

    def used_by(self, booking_id: str) -> int:
        """Seconds that a booking has taken and not given back."""
        return self._used.get(booking_id, 0)

    def earn(self, booking_id: str, seconds: int, *, at: datetime, actor: str, reason: str) -> bool:
        """Time lost of a visit, once per visit however often it is told. False when nothing changes."""
        return self._append(OwedEventKind.EARNED, seconds, booking_id, at, actor, reason, f"owed:{booking_id}")

    def use(self, booking_id: str, minutes: int, *, purpose: str, at: datetime, actor: str) -> bool:
        """Spend minutes on a visit, once per visit and purpose. Conflict (`not_owed`) when there are not as many."""
        key = f"owed-use:{booking_id}:{purpose}"
        if key in self._keys:
            return False
        if minutes > self.minutes:
            raise Conflict("There are not as many minutes owed.", code="not_owed")
        return self._append(OwedEventKind.USED, minutes * MINUTE, booking_id, at, actor, purpose, key)

    def give_back(self, booking_id: str, *, at: datetime, actor: str, reason: str) -> bool:
        """What a visit used and does not need after all, once. False when there is nothing to give back."""
        key = f"owed-back:{booking_id}"
        return self._append(OwedEventKind.RETURNED, self.used_by(booking_id), booking_id, at, actor, reason, key)

    def carry_into(self, other: OwedAccount, *, at: datetime, actor: str) -> int:
        """Hand everything over to the account of the relationship that stays; how many seconds were left to use.

        What each visit lost and took goes along, so that none is owed for twice and each can give back what it took.
        A second time there is nothing left to hand over.
        """
        source, left = self.relationship_id, self.balance
        out = f"owed-out:{source}"
        if out in self._keys:
            return 0
        reason = f"carried over from {source}"
        for booking_id, seconds in self._lost.items():
            other._append(
                OwedEventKind.CARRIED_IN, seconds, booking_id, at, actor, reason, f"owed-in:{source}:{booking_id}"
            )
        for booking_id, seconds in self._used.items():
            other._append(
                OwedEventKind.USED, seconds, booking_id, at, actor, reason, f"owed-use-in:{source}:{booking_id}"
            )
        for booking_id in [*self._lost][-1:]:
            gone = f"carried over to {other.relationship_id}"
            self._append(OwedEventKind.CARRIED_OUT, left, booking_id, at, actor, gone, out)
        return left

    def _append(
        self, kind: OwedEventKind, seconds: int, booking_id: str, at: datetime, actor: str, reason: str, key: str
    ) -> bool:
        if key in self._keys or seconds <= 0:
            return False
        event = OwedEvent(
            id=self._new_id("owd"),
            prisoner_id=self.prisoner_id,
            relationship_id=self.relationship_id,
            sequence=self._sequence + 1,
            at=at,
            kind=kind,
            seconds=seconds,
            reason=reason,
            actor=actor,
            event_key=key,
            balance_after=0,
            booking_id=booking_id,
        )
        self._apply(event)
        event.balance_after = self.balance
        self.new.append(event)
        return True

    def _apply(self, event: OwedEvent) -> None:
        used = self._used.get(event.booking_id, 0)
        match event.kind:
            case OwedEventKind.EARNED | OwedEventKind.CARRIED_IN:
                self.balance += event.seconds
                self._lost[event.booking_id] = self._lost.get(event.booking_id, 0) + event.seconds
                # Also where the line came from another account: no visit is owed for twice.
                self._keys.add(f"owed:{event.booking_id}")
            case OwedEventKind.CARRIED_OUT:
                self.balance -= event.seconds
            case OwedEventKind.USED:
                self.balance -= event.seconds
                self._used[event.booking_id] = used + event.seconds
            case OwedEventKind.RETURNED:
                self.balance += event.seconds
                self._used[event.booking_id] = used - event.seconds
        if self.balance < 0:
            raise ValueError(f"more than is owed to {event.relationship_id} was used")
        self._sequence = event.sequence
        self._keys.add(event.event_key)
