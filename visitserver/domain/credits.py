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
