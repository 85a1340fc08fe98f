"""Counting visits: what belongs to which week, and what is left out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Outcome
from visitserver.domain.reports import DecisionRow, Report, RequestRow, VisitRow, make_report, spread
from visitserver.domain.rights import RelationshipState
from visitserver.domain.scheduling import BookingState

HELSINKI = ZoneInfo("Europe/Helsinki")
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 15)  # a Monday, a Sunday


def visit(
    state: BookingState,
    starts_at: datetime = datetime(2026, 3, 4, 7, tzinfo=UTC),
    *,
    outcome: str | None = None,
    connected: int | None = None,
    prisoner: str = "prs_1",
    overbooked: bool = False,
) -> VisitRow:
    return VisitRow(
        booking_id="bkg_1",
        prisoner_id=prisoner,
        kind=CallKind.SOCIAL,
        state=state,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=30),
        created_at=starts_at - timedelta(days=3),
        decided_at=None,
        outcome=outcome,
        overbooked=overbooked,
        connected_seconds=connected,
    )


def report(
    *visits: VisitRow, decisions: list[DecisionRow] | None = None, requests: list[RequestRow] | None = None
) -> Report:
    return make_report(visits, decisions or [], requests or [], first=FIRST, last=LAST, zone=HELSINKI, held_now=40)


def test_each_visit_is_counted_once_in_the_prisons_own_week() -> None:
    sunday_evening = datetime(2026, 3, 8, 21, 30, tzinfo=UTC)  # 23:30 in Helsinki: still the first week
    monday_there = datetime(2026, 3, 8, 22, 30, tzinfo=UTC)  # 00:30 on Monday there
    found = report(
        visit(BookingState.COMPLETED, sunday_evening, connected=1800),
        visit(BookingState.COMPLETED, monday_there, connected=600, prisoner="prs_2"),
        visit(BookingState.BOOKED),
        visit(BookingState.HELD),
        visit(BookingState.EXPIRED),
    )
    assert [(week.monday, week.booked, week.held) for week in found.weeks] == [
        (date(2026, 3, 2), 2, 1),
        (date(2026, 3, 9), 1, 1),
    ]
    assert found.total.connected == timedelta(minutes=40)
    assert (found.visited, found.held_now) == (2, 40)


def test_what_did_not_take_place_is_counted_by_its_cause() -> None:
    found = report(
        visit(BookingState.CANCELLED, outcome="visitor_cancelled"),
        visit(BookingState.CANCELLED, outcome="visitor_cancelled"),
        visit(BookingState.NO_SHOW, outcome="visitor_did_not_arrive"),
        visit(BookingState.AUTO_REJECTED),
        visit(BookingState.COMPLETED, outcome="completed_normally"),
    )
    assert found.causes == {"visitor_cancelled": 2, "visitor_did_not_arrive": 1, "auto_rejected": 1}
    assert (found.total.cancelled, found.total.no_shows) == (3, 1)


def test_minutes_are_lost_where_the_technique_failed_and_nowhere_else() -> None:
    found = report(
        visit(BookingState.FAILED, outcome="technical_failure", connected=300),
        visit(BookingState.COMPLETED, outcome="technical_failure", connected=1500),
        visit(BookingState.COMPLETED, outcome="visitor_completed_early", connected=60),
        visit(BookingState.COMPLETED, outcome="technical_failure", connected=2400),  # longer than planned: nothing lost
    )
    assert found.total.lost == timedelta(minutes=30)


def test_refusals_and_reviews_are_counted_by_rule() -> None:
    found = report(
        decisions=[
            DecisionRow(Outcome.REFUSE, ("window", "allowance")),
            DecisionRow(Outcome.REFUSE, ("window",)),
            DecisionRow(Outcome.REVIEW, ("restrictions",)),
        ]
    )
    assert found.refusals == {"window": 2, "allowance": 1}
    assert found.reviews == {"restrictions": 1}


def test_waiting_is_told_by_times_that_occurred() -> None:
    asked = datetime(2026, 3, 2, 8, tzinfo=UTC)
    answers = [RequestRow(RelationshipState.APPROVED, asked, asked + timedelta(hours=hours)) for hours in range(1, 11)]
    found = report(requests=[*answers, RequestRow(RelationshipState.REQUESTED, asked, None)])
    assert (found.request_wait.count, found.requests_open) == (10, 1)
    assert found.request_wait.median == timedelta(hours=5)
    assert found.request_wait.ninth == timedelta(hours=9)
    assert found.ahead.median is None


def test_visits_beyond_capacity_are_told_by_day() -> None:
    found = report(visit(BookingState.BOOKED, overbooked=True), visit(BookingState.BOOKED))
    assert found.overbooked == {date(2026, 3, 4): 1}


@given(st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=60)), min_size=1, max_size=200))
def test_a_spread_covers_what_it_says(times: list[timedelta]) -> None:
    found = spread(times)
    assert found.median is not None
    assert found.ninth is not None
    assert found.median <= found.ninth
    assert {found.median, found.ninth} <= set(times)
    assert 10 * sum(each <= found.ninth for each in times) >= 9 * len(times)
    assert 2 * sum(each <= found.median for each in times) >= len(times)
