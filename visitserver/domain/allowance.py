"""Visit credits: a ledger of appended events, each with the balance after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CreditType(StrEnum):
    """What a credit is. Standard and privileged come by the calendar; the others are given for a reason."""

    STANDARD = "standard"
    PRIVILEGED = "privileged"
    RECEPTION = "reception"
    COMPASSIONATE = "compassionate"


class CreditState(StrEnum):
    """Where a credit stands. ACCUMULATED is an old standard credit that is kept."""

    AVAILABLE = "available"
    ACCUMULATED = "accumulated"
    USED = "used"
    EXPIRED = "expired"


class LedgerEventKind(StrEnum):
    """What happened to a credit. OVERDRAWN: a booking was let through without one, by staff."""

    GRANTED = "granted"
    ACCUMULATED = "accumulated"
    SPENT = "spent"
    OVERDRAWN = "overdrawn"
    REFUNDED = "refunded"
    EXPIRED = "expired"


@dataclass(eq=False)
class LedgerEvent:
    """One line of a prisoner's ledger; lines are only ever appended.

    `sequence` counts from 1 per prisoner. `event_key` is unique in the whole ledger: the same happening, told twice,
    makes one line. `balance_after` is the number of credits that may be spent after this line; it is negative after an
    override. `expires_at` belongs to GRANTED lines (privileged credits).
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
