"""Rule 21: how long a booking that a person must decide may wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from visitserver.domain.policies import ESCALATE_HOURS, LAPSE_HOUR, NOTICE_DAYS_MIN, Policies
from visitserver.domain.scheduling import Booking
from visitserver.domain.slots import to_utc


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an undecided request is rejected, and from when on a supervisor is to know of it. UTC."""

    lapses_at: datetime
    escalates_at: datetime


def deadline(booking: Booking, zone: ZoneInfo, policies: Policies, *, asked_at: datetime) -> Deadline:
    """The deadline of a booking that was asked for at `asked_at`.

    It lapses at `review.lapse_hour` (20:00 of the prison) on the day on which the visit comes within the shortest
    notice, `booking.notice_days_min`: from then on nobody else could book the place. A request that was only made after
    that (staff set the notice aside) lapses when the visit begins, and so does every one for a privileged visit: hours
    of notice are enough for it. It is escalated `review.escalate_hours` before, or at once where it lapses sooner.
    """
    day = booking.starts_at.astimezone(zone).date() - timedelta(days=policies.number(NOTICE_DAYS_MIN))
    wall = datetime.combine(day, time(policies.number(LAPSE_HOUR)))
    # An hour that a clock change skips: the first moment after it.
    at = to_utc(wall, zone) or wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if booking.privileged or at <= asked_at or at > booking.starts_at:
        at = booking.starts_at
    return Deadline(at, at - timedelta(hours=policies.number(ESCALATE_HOURS)))
