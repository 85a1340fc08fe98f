"""What a ledger consists of: credits, and the ways in which a call can be paid for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from visitserver.domain.allowance import CreditState, CreditType, Occasion
from visitserver.domain.floors import Floor

SPENDABLE: Final = frozenset({CreditState.AVAILABLE, CreditState.ACCUMULATED})
REGULAR: Final = frozenset({CreditType.STANDARD, CreditType.PRIVILEGED})
"""What comes by the calendar: it is capped, and repays an overdraft. The other types are promises of their own."""


@dataclass(slots=True)
class Credit:
    """One visit credit. `kept_as` is the state it returns to when its booking gives it back.

    `floor_day` is the prison's day of the call for which the floor made it.
    """

    id: str
    type: CreditType
    state: CreditState
    granted_at: datetime
    expires_at: datetime | None = None
    booking_id: str | None = None
    kept_as: CreditState = CreditState.AVAILABLE
    floor_day: date | None = None

    def spendable_at(self, at: datetime, occasion: Occasion | None = None) -> bool:
        """Whether it is there at `at`. Reception and floor credits pay only for calls that begin before their end."""
        if self.state not in SPENDABLE:
            return False
        if self.type in (CreditType.RECEPTION, CreditType.FLOOR):
            if occasion is None:
                return False
            at = max(at, occasion.starts_at)
        return self.expires_at is None or at < self.expires_at


@dataclass(frozen=True, slots=True)
class Holding:
    """What one ledger hands over to another: a credit, or (None) the debt of a booking that lacks one.

    `id` is the credit's or the debt's in the ledger that it leaves. `booking_id` is what it pays for, `call` the
    prison's day and the minutes of that call.
    """

    id: str
    credit: Credit | None
    booking_id: str | None
    call: tuple[date, int] | None

    @property
    def type(self) -> CreditType:
        return CreditType.STANDARD if self.credit is None else self.credit.type


class Means(StrEnum):
    """What pays for a call."""

    CREDIT = "credit"
    OWED_MINUTES = "owed_minutes"
    FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Payment:
    """How a call would be paid for: by `credit`, by minutes owed, or by the `floor`, which makes a credit for it."""

    means: Means
    credit: Credit | None = None
    floor: Floor | None = None
