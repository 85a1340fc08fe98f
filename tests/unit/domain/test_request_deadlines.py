"""Rule 21: a request is offered and lapses by one calendar, that of the prison's working days."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.policies import (
    HOLIDAYS,
    LAPSE_HOUR,
    NOTICE_DAYS_MIN,
    REVIEW_WORKING_DAYS,
    WEEKDAYS,
    WORKING_DAYS,
    Policies,
    PolicyKey,
)
from visitserver.domain.requests import deadline
from visitserver.domain.scheduling import Booking, BookingState, SupervisionLevel
from visitserver.domain.working_days import WorkingDays, first_review_day

ZONE = ZoneInfo("Europe/Helsinki")
BEGINS = "when the visit begins"
EASTER = {HOLIDAYS: ["2026-04-03", "2026-04-06"]}
EVERY_DAY = {WORKING_DAYS: list(WEEKDAYS)}


@dataclass(frozen=True)
class Case:
    """Asked at a time of the prison's clock for a visit at nine on a day; it lapses at a time of the prison's clock."""

    name: str
    asked: str
    visit: str
    lapses: str
    policies: dict[PolicyKey, Any] = field(default_factory=dict)


CASES = (
    Case(
        "Monday for Friday: two working days ahead is Wednesday", "2026-03-02 10:00", "2026-03-06", "2026-03-04 20:00"
    ),
    Case("Wednesday noon for Friday: there is Thursday to look", "2026-03-04 12:00", "2026-03-06", "2026-03-05 20:00"),
    Case("Wednesday night for Friday: there is Thursday to look", "2026-03-04 21:00", "2026-03-06", "2026-03-05 20:00"),
    Case("Thursday for Tuesday: not on a Sunday", "2026-03-05 10:00", "2026-03-10", "2026-03-06 20:00"),
    Case("Friday night for Tuesday: Monday is for looking", "2026-03-06 21:00", "2026-03-10", "2026-03-09 20:00"),
    Case("Saturday for Tuesday: Monday is for looking", "2026-03-07 10:00", "2026-03-10", "2026-03-09 20:00"),
    Case("Sunday for Tuesday: Monday is for looking", "2026-03-08 23:59", "2026-03-10", "2026-03-09 20:00"),
    Case("Monday for a Monday: Thursday, not Saturday", "2026-03-02 10:00", "2026-03-09", "2026-03-05 20:00"),
    Case("Monday for a Sunday: Wednesday, not Friday", "2026-03-02 10:00", "2026-03-08", "2026-03-04 20:00"),
    Case("Over Easter: before the holidays", "2026-04-01 10:00", "2026-04-08", "2026-04-02 20:00", EASTER),
    Case("Maundy Thursday for Wednesday: on Tuesday", "2026-04-02 10:00", "2026-04-08", "2026-04-07 20:00", EASTER),
    Case("Good Friday for Wednesday: on Tuesday", "2026-04-03 10:00", "2026-04-08", "2026-04-07 20:00", EASTER),
    Case("The evening before the clocks change", "2026-03-25 10:00", "2026-03-30", "2026-03-28 20:00", EVERY_DAY),
    Case("The evening after they have", "2026-03-25 10:00", "2026-03-31", "2026-03-29 20:00", EVERY_DAY),
    Case(
        "At an hour that is skipped: the first moment after it",
        *("2026-03-25 10:00", "2026-03-31", "2026-03-29 04:00", {**EVERY_DAY, LAPSE_HOUR: 3}),
    ),
    Case("Staff's, on Thursday for Friday", "2026-03-05 10:00", "2026-03-06", BEGINS),
    Case("Staff's, on Monday for Tuesday", "2026-03-09 10:00", "2026-03-10", BEGINS),
    Case("Five days of notice", "2026-03-02 10:00", "2026-03-13", "2026-03-06 20:00", {NOTICE_DAYS_MIN: 5}),
    Case("One working day", "2026-03-05 10:00", "2026-03-09", "2026-03-06 20:00", {REVIEW_WORKING_DAYS: 1}),
    Case("No working day is needed", "2026-03-02 10:00", "2026-03-09", "2026-03-06 20:00", {REVIEW_WORKING_DAYS: 0}),
    Case("Nobody works", "2026-03-02 10:00", "2026-03-09", BEGINS, {WORKING_DAYS: []}),
)


def of(values: dict[PolicyKey, Any]) -> Policies:
    return Policies({key.name: (value, "prison.1") for key, value in values.items()})


def visit_at(starts_at: datetime) -> Booking:
    return Booking(
        id="bkg_1",
        prison_id="prn_1",
        prisoner_id="prs_1",
        kind=CallKind.SOCIAL,
        state=BookingState.REQUESTED,
        template_id="tpl_1",
        slot_key="tpl_1@x",
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=30),
        supervision=SupervisionLevel.NONE,
        created_at=starts_at - timedelta(days=40),
        created_by="test",
        station_id="stn_1",
        credit_type=CreditType.STANDARD,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_when_a_request_lapses(case: Case) -> None:
    booking = visit_at(datetime.combine(date.fromisoformat(case.visit), time(9), ZONE).astimezone(UTC))
    asked = datetime.fromisoformat(case.asked).replace(tzinfo=ZONE).astimezone(UTC)
    end = deadline(booking, ZONE, of(case.policies), asked_at=asked)
    wall = end.lapses_at.astimezone(ZONE)
    assert (BEGINS if end.lapses_at == booking.starts_at else f"{wall:%Y-%m-%d %H:%M}") == case.lapses
    assert end.lapses_at - end.escalates_at == timedelta(hours=24)


@given(
    st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    st.times(),
    st.integers(0, 12),
    st.integers(2, 6),
    st.integers(0, 9),
    st.sets(st.sampled_from(WEEKDAYS), min_size=1),
    st.sets(st.dates(date(2026, 1, 1), date(2026, 4, 1)), max_size=20),
)
def test_whoever_could_ask_leaves_a_working_day_to_look(
    today: date, clock: time, further: int, notice: int, ahead: int, weekdays: set[str], holidays: set[date]
) -> None:
    policies = of(
        {
            NOTICE_DAYS_MIN: notice,
            REVIEW_WORKING_DAYS: ahead,
            WORKING_DAYS: sorted(weekdays),
            HOLIDAYS: [each.isoformat() for each in holidays],
        }
    )
    day = max(first_review_day(today, policies), today + timedelta(days=notice)) + timedelta(days=further)
    booking = visit_at(datetime.combine(day, time(9), ZONE).astimezone(UTC))
    lapses = deadline(booking, ZONE, policies, asked_at=datetime.combine(today, clock, ZONE)).lapses_at
    assert lapses <= booking.starts_at
    if lapses < booking.starts_at:
        working = WorkingDays.of(policies)
        last = lapses.astimezone(ZONE).date()
        assert working.works_on(last)
        assert today < working.after(today, 1) <= last
