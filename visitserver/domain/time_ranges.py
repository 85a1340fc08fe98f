"""From a prison's days and wall-clock times to moments, and to whole cells."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from visitserver.domain.errors import Invalid
from visitserver.domain.occupancy import CELL, Span
from visitserver.domain.slots import day_starts, to_utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = range(1900, 2200)


def check_day(day: date, *, field: str) -> date:
    """`day`, which calendar and zones can reckon with; Invalid outside 1900 to 2199. `field` names the input."""
    if day.year not in _YEARS:
        raise Invalid("There is no such day.", code="day", field=field)
    return day


def check_times(from_time: time | None, to_time: time | None, *, field: str) -> None:
    """Two wall-clock times of one day, the second later where both are there; Invalid with a zone or the other way."""
    if any(each is not None and each.tzinfo is not None for each in (from_time, to_time)):
        raise Invalid("Say the time as the prison's clocks show it, without a zone.", code="time_zone", field=field)
    if from_time is not None and to_time is not None and to_time <= from_time:
        raise Invalid("The time ends before it begins.", code="time_order", field=field)


def moment_of(day: date, wall: time | None, zone: ZoneInfo) -> datetime:
    """The first moment (UTC) at which the clocks of `zone` show `wall` on `day`; None: the beginning of the day.

    For a time that the clocks skip, the moment to which they jump.
    """
    if wall is None:
        return day_starts(day, zone)
    naive = datetime.combine(day, wall)
    # The offset that holds before a gap, read off a skipped wall-clock time, gives a moment after the gap.
    return to_utc(naive, zone) or naive.replace(tzinfo=zone, fold=0).astimezone(UTC)


def whole_span(starts_at: datetime, ends_at: datetime) -> Span:
    """The shortest span of whole five-minute cells that holds both moments (UTC, the second later than the first)."""
    return Span(starts_at - (starts_at - _EPOCH) % CELL, ends_at + -(ends_at - _EPOCH) % CELL)
