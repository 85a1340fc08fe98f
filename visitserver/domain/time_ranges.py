"""From a prison's days and wall-clock times to moments, and to whole cells."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from visitserver.domain.occupancy import CELL, Span
from visitserver.domain.slots import day_starts, to_utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
