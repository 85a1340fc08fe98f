"""Preferences (rule 22): when no time fits, a family may say up to three that would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import Final

PREFERENCES_MAX: Final = 3
"""How many a contact may have standing with one prisoner."""

DAYS_MAX: Final = 62
"""The longest range of days that one preference may name."""


class PreferenceEnd(StrEnum):
    """How a preference was closed."""

    MET = "met"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    EXPIRED = "expired"


@dataclass(eq=False)
class Preference:
    """A wish of one contact for a call with one prisoner. `rank` 1 is the dearest.

    Days are the prison's, both included; `weekdays` (Monday is 0) empty: any. `from_time` and `to_time` are wall-clock
    times of the prison: a slot has to begin at or after the one and before the other. `note` is theirs, for staff.
    `matched_slot_key`: the last time they were told of.
    """

    id: str
    prison_id: str
    prisoner_id: str
    contact_id: str
    relationship_id: str
    rank: int
    first_day: date
    last_day: date
    created_at: datetime
    created_by: str
    weekdays: tuple[int, ...] = ()
    from_time: time | None = None
    to_time: time | None = None
    guest_ids: tuple[str, ...] = ()
    note: str | None = None
    matched_slot_key: str | None = None
    matched_at: datetime | None = None
    closed_at: datetime | None = None
    closed_how: PreferenceEnd | None = None

    @property
    def stands(self) -> bool:
        """Whether it is still looked after."""
        return self.closed_at is None

    def wants(self, day: date, wall: time) -> bool:
        """Whether a slot that begins on that day at that time of the prison fits."""
        return (
            self.first_day <= day <= self.last_day
            and (not self.weekdays or day.weekday() in self.weekdays)
            and (self.from_time is None or self.from_time <= wall)
            and (self.to_time is None or wall < self.to_time)
        )

    def close(self, how: PreferenceEnd, *, at: datetime) -> None:
        """It needs no more looking after. Closing what is closed changes nothing."""
        if self.closed_at is None:
            self.closed_at, self.closed_how = at, how
