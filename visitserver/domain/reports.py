"""Numbers about visits, so that a prison sees how its video visits are used and what stands in their way.

Everything is counted from rows without names, in the prison's own weeks, and reported for groups, never for a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from visitserver.domain.calls import CallKind, OutcomeCode
from visitserver.domain.decisions import Outcome
from visitserver.domain.rights import RelationshipState
from visitserver.domain.scheduling import BookingState

MAX_DAYS: Final = 366


@dataclass(frozen=True, slots=True)
class VisitRow:
    """One booking of the period, as a report needs it. Times are UTC."""

    booking_id: str
    prisoner_id: str
    kind: CallKind
    state: BookingState
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    decided_at: datetime | None
    outcome: str | None
    overbooked: bool = False
    connected_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision that did not allow, and the rules that made it so."""

    outcome: Outcome
    deciding: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestRow:
    """A contact request of the period."""

    state: RelationshipState
    requested_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took: how often, the median and what nine of ten did not exceed. None: it did not happen."""

    count: int = 0
    median: timedelta | None = None
    ninth: timedelta | None = None


@dataclass(slots=True)
class Week:
    """The prison's week that begins on `monday`."""

    monday: date
    booked: int = 0
    held: int = 0
    cancelled: int = 0
    no_shows: int = 0
    failed: int = 0
    connected: timedelta = timedelta()
    lost: timedelta = timedelta()
    prisoners: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Report:
    """The numbers of a period. `first` and `last` are the prison's days, both included.

    `causes` counts the outcome codes of visits that did not take place, `refusals` and `reviews` the rules that decided
    so. `visited` is how many prisoners had a visit, of `held_now` who are at the prison.
    """

    first: date
    last: date
    weeks: Sequence[Week]
    kinds: Mapping[CallKind, int]
    causes: Mapping[str, int]
    refusals: Mapping[str, int]
    reviews: Mapping[str, int]
    ahead: Spread
    review_wait: Spread
    request_wait: Spread
    requests_open: int
    visited: int
    held_now: int
    overbooked: Mapping[date, int]

    @property
    def total(self) -> Week:
        """All weeks together."""
        whole = Week(self.first)
        for week in self.weeks:
            whole.booked += week.booked
            whole.held += week.held
            whole.cancelled += week.cancelled
            whole.no_shows += week.no_shows
            whole.failed += week.failed
            whole.connected += week.connected
            whole.lost += week.lost
            whole.prisoners |= week.prisoners
        return whole


_NEVER_STOOD: Final = frozenset({BookingState.HELD, BookingState.EXPIRED})
_CALLED_OFF: Final = frozenset(
    {BookingState.CANCELLED, BookingState.REJECTED, BookingState.AUTO_REJECTED, BookingState.WITHDRAWN}
)


def make_report(
    visits: Iterable[VisitRow],
    decisions: Iterable[DecisionRow],
    requests: Iterable[RequestRow],
    *,
    first: date,
    last: date,
    zone: ZoneInfo,
    held_now: int,
) -> Report:
    """Count. The rows must be of the period; holds that nobody confirmed are left out, and nothing else is.

    A visit counts as held when it was completed. Its lost time is what its connection lacks of its length, where it
    failed or ended for technical reasons.
    """
    counted = _Visits(first, last, zone)
    for visit in visits:
        if visit.state not in _NEVER_STOOD:
            counted.add(visit)
    refusals: Counter[str] = Counter()
    reviews: Counter[str] = Counter()
    for decision in decisions:
        (refusals if decision.outcome is Outcome.REFUSE else reviews).update(decision.deciding)
    asked = list(requests)
    answered = [each.decided_at - each.requested_at for each in asked if each.decided_at is not None]
    weeks = list(counted.weeks.values())
    return Report(
        first=first,
        last=last,
        weeks=weeks,
        kinds=dict(counted.kinds.most_common()),
        causes=dict(counted.causes.most_common()),
        refusals=dict(refusals.most_common()),
        reviews=dict(reviews.most_common()),
        ahead=spread(counted.ahead),
        review_wait=spread(counted.review_wait),
        request_wait=spread(answered),
        requests_open=sum(each.state is RelationshipState.REQUESTED for each in asked),
        visited=len(set[str]().union(*(week.prisoners for week in weeks))),
        held_now=held_now,
        overbooked=dict(sorted(counted.overbooked.items())),
    )


class _Visits:
    """What the visits of a period come to, counted one by one."""

    def __init__(self, first: date, last: date, zone: ZoneInfo) -> None:
        self._zone = zone
        monday = first - timedelta(days=first.weekday())
        mondays = (monday + timedelta(days=7 * number) for number in range((last - monday).days // 7 + 1))
        self.weeks = {each: Week(each) for each in mondays}
        self.kinds: Counter[CallKind] = Counter()
        self.causes: Counter[str] = Counter()
        self.overbooked: Counter[date] = Counter()
        self.ahead: list[timedelta] = []
        self.review_wait: list[timedelta] = []

    def add(self, visit: VisitRow) -> None:
        day = visit.starts_at.astimezone(self._zone).date()
        week = self.weeks[day - timedelta(days=day.weekday())]
        week.booked += 1
        self.kinds[visit.kind] += 1
        self.ahead.append(visit.starts_at - visit.created_at)
        if visit.overbooked:
            self.overbooked[day] += 1
        # A cancellation writes over when a person decided about the request: those are not counted.
        if visit.decided_at is not None and visit.state not in (BookingState.CANCELLED, BookingState.WITHDRAWN):
            self.review_wait.append(visit.decided_at - visit.created_at)
        self._ended(visit, week)
        if visit.connected_seconds is not None:
            connected = timedelta(seconds=visit.connected_seconds)
            week.connected += connected
            if visit.outcome == OutcomeCode.TECHNICAL_FAILURE:
                week.lost += max(timedelta(), visit.ends_at - visit.starts_at - connected)

    def _ended(self, visit: VisitRow, week: Week) -> None:
        if visit.state is BookingState.COMPLETED:
            week.held += 1
            week.prisoners.add(visit.prisoner_id)
            return
        if visit.state in _CALLED_OFF:
            week.cancelled += 1
        elif visit.state is BookingState.NO_SHOW:
            week.no_shows += 1
        elif visit.state is BookingState.FAILED:
            week.failed += 1
        else:
            return
        self.causes[visit.outcome or visit.state.value] += 1


def spread(times: Sequence[timedelta]) -> Spread:
    """Median and 90th percentile by the nearest-rank method: both are times that really occurred."""
    if not times:
        return Spread()
    ordered = sorted(times)
    return Spread(len(ordered), ordered[(len(ordered) - 1) // 2], ordered[-(-len(ordered) * 9 // 10) - 1])
