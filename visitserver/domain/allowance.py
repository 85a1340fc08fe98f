"""Visit credits: a ledger of appended events, each with the balance after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class CreditType(StrEnum):
    """What a credit is.

    Standard and privileged ones come by the calendar. The reception credit comes once, on admission. A floor credit is
    made when a call is booked that the floor guarantees and nothing else pays for. Compassionate ones are given by
    staff for a reason.
    """

    STANDARD = "standard"
    PRIVILEGED = "privileged"
    RECEPTION = "reception"
    COMPASSIONATE = "compassionate"
    FLOOR = "floor"


class CreditState(StrEnum):
    """Where a credit stands. ACCUMULATED is an old standard credit that is kept."""

    AVAILABLE = "available"
    ACCUMULATED = "accumulated"
    USED = "used"
    EXPIRED = "expired"


class LedgerEventKind(StrEnum):
    """What happened to a credit. OVERDRAWN: a booking was let through without one, by staff. MOVED: the call that it
    pays for is on another day now. CARRIED_OUT, CARRIED_IN: two records of one person became one, and the credit (or
    the debt) is in the ledger of the one that stayed."""

    GRANTED = "granted"
    ACCUMULATED = "accumulated"
    SPENT = "spent"
    OVERDRAWN = "overdrawn"
    MOVED = "moved"
    REFUNDED = "refunded"
    EXPIRED = "expired"
    CARRIED_OUT = "carried_out"
    CARRIED_IN = "carried_in"


@dataclass(frozen=True, slots=True)
class Occasion:
    """The call that a credit is to pay for: its start (UTC), the prison's day of it, and its length."""

    starts_at: datetime
    day: date
    minutes: int


@dataclass(eq=False)
class LedgerEvent:
    """One line of a prisoner's ledger; lines are only ever appended.

    `sequence` counts from 1 per prisoner. `event_key` is unique in the whole ledger: the same happening, told twice,
    makes one line. `balance_after` is the number of credits that may be spent after this line; it is negative after an
    override. `expires_at` belongs to GRANTED, REFUNDED and CARRIED_IN lines, `granted_at` (when the credit was given,
    in the ledger that it came from) to CARRIED_IN lines. `call_day` (the prison's) and `call_minutes` say which call
    was paid for, or is to be (FLOOR): calls count against the floor of their own week or month.
    """

    id: str
    prisoner_id: str
    sequence: int
    at: datetime
    kind: LedgerEventKind
    credit_id: str
    credit_type: CreditType
    reason: str
    actor: str
    event_key: str
    balance_after: int
    booking_id: str | None = None
    expires_at: datetime | None = None
    call_day: date | None = None
    call_minutes: int | None = None
    granted_at: datetime | None = None
