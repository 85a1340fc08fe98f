"""Rule 21: how long a booking that a person must decide may wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from visitserver.domain.policies import ESCALATE_HOURS, LAPSE_HOUR, NOTICE_DAYS_MIN, REVIEW_WORKING_DAYS, Policies
from visitserver.domain.scheduling import Booking
from visitserver.domain.slots import to_utc
from visitserver.domain.working_days import WorkingDays


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an undecided request is rejected, and from when on a supervisor is to know of it. UTC."""

    lapses_at: datetime
    escalates_at: datetime


def deadline(booking: Booking, zone: ZoneInfo, policies: Policies, *, asked_at: datetime) -> Deadline:
    """The deadline of a booking that was asked for at `asked_at`.

    Counted as its offer was (`time_to_review` and `window`), in working days: it lapses at `review.lapse_hour` (20:00
    of the prison) on the last working day on which a family could still ask for the visit, and not before the working
    day after the one on which it was asked for, so somebody could always look. A request that no family could have made
    any more (staff set the notice aside) lapses when the visit begins, and so does every one for a privileged visit:
    hours of notice are enough for it. It is escalated `review.escalate_hours` before, or at once.
    """
    at = booking.starts_at
    day = None if booking.privileged else _lapse_day(booking, zone, policies, asked_at.astimezone(zone).date())
    if day is not None:
        wall = datetime.combine(day, time(policies.number(LAPSE_HOUR)))
        # An hour that a clock change skips: the first moment after it.
        at = min(at, to_utc(wall, zone) or wall.replace(tzinfo=zone, fold=0).astimezone(UTC))
    return Deadline(at, at - timedelta(hours=policies.number(ESCALATE_HOURS)))


def _lapse_day(booking: Booking, zone: ZoneInfo, policies: Policies, asked: date) -> date | None:
    """The prison's day on which the request lapses; None: not before the visit."""
    visit = booking.starts_at.astimezone(zone).date()
    working, count = WorkingDays.of(policies), policies.number(REVIEW_WORKING_DAYS)
    soonest = timedelta(days=policies.number(NOTICE_DAYS_MIN))
    last = working.before(visit, count, until=visit - soonest)
    if last is None or visit < asked + soonest or visit < working.after(asked, count):
        return None
    day = max(last, working.after(asked, 1))
    return day if day <= visit else None
