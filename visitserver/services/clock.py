"""Days at a prison. The clock itself is handed to every service (bootstrap makes it)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from visitserver.domain.errors import Invalid
from visitserver.domain.people import Prison

FIRST_DAY: Final = date(2000, 1, 1)
LAST_DAY: Final = date(2199, 12, 31)
"""Beyond these a day some weeks off, or in another time zone, may be no day of the calendar any more."""


def today_at(prison: Prison, now: datetime) -> date:
    """The day it is at the prison."""
    return now.astimezone(prison.zone).date()


def usable_day(day: date, field: str) -> date:
    """The day that somebody has asked for; Invalid for one outside FIRST_DAY to LAST_DAY."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise Invalid(f"Ask for a day from {FIRST_DAY.year} to {LAST_DAY.year}.", code="day", field=field)
    return day
