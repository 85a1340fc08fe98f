"""Rule 23: slots, whole days and deadlines where clocks change, in four zones and at both changes of the year."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tests.fixtures.rights import make_template
from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.policies import WEEKDAYS, WORKING_DAYS, Policies
from visitserver.domain.requests import deadline
from visitserver.domain.scheduling import Booking, BookingState, SupervisionLevel
from visitserver.domain.slots import day_starts, slot_at, slots_of

BUFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class Change:
    """A day on which the clocks of a zone change. `before` and `after`: the hours from UTC on the days around it."""

    zone: str
    day: date
    before: int
    after: int

    @property
    def forward(self) -> bool:
        return self.after > self.before

    def __str__(self) -> str:
        return f"{self.zone}, {'forward' if self.forward else 'back'}"


CHANGES = [
    Change("Europe/Helsinki", date(2026, 3, 29), 2, 3),
    Change("Europe/Helsinki", date(2026, 10, 25), 3, 2),
    Change("Europe/London", date(2026, 3, 29), 0, 1),
    Change("Europe/London", date(2026, 10, 25), 1, 0),
    Change("America/New_York", date(2026, 3, 8), -5, -4),
    Change("America/New_York", date(2026, 11, 1), -4, -5),
    Change("Pacific/Auckland", date(2026, 9, 27), 12, 13),
    Change("Pacific/Auckland", date(2026, 4, 5), 13, 12),
]
each_change = pytest.mark.parametrize("change", CHANGES, ids=str)


def whole_day(**changes: object):  # type: ignore[no-untyped-def]
    return make_template(starts_at=time(0), ends_at=time(23, 55), **changes)


@each_change
def test_a_visit_keeps_its_wall_clock_time_and_its_length_across_the_change(change: Change) -> None:
    zone = ZoneInfo(change.zone)
    first, last = change.day - timedelta(days=1), change.day + timedelta(days=1)
    slots = [
        s
        for s in slots_of(make_template(), zone, first, last, buffer=BUFFER)
        if s.starts_at.astimezone(zone).hour == 14
    ]
    walls = {slot.starts_at.astimezone(zone).time() for slot in slots}
    assert {slot.day for slot in slots} == {first, change.day, last}
    assert len(walls) * 3 == len(slots)
    offsets = {slot.day: slot.starts_at.astimezone(zone).utcoffset() for slot in slots}
    assert (offsets[first], offsets[last]) == (timedelta(hours=change.before), timedelta(hours=change.after))
    assert all(slot.ends_at - slot.starts_at == timedelta(minutes=30) for slot in slots)


@each_change
def test_no_slot_lies_in_the_gap_and_none_comes_twice(change: Change) -> None:
    zone = ZoneInfo(change.zone)
    slots = list(slots_of(whole_day(), zone, change.day, change.day, buffer=BUFFER))
    usual = list(
        slots_of(whole_day(), zone, change.day + timedelta(days=7), change.day + timedelta(days=7), buffer=BUFFER)
    )
    starts = [slot.starts_at for slot in slots]
    assert starts == sorted(set(starts))
    assert all(later - earlier >= timedelta(minutes=35) for earlier, later in pairwise(starts))
    assert all(slot.starts_at.astimezone(zone).date() == change.day for slot in slots)
    # An hour less has one or two slots less; an hour that comes twice is offered once.
    assert len(usual) - len(slots) in ((1, 2) if change.forward else (0,))
    for slot in slots:
        found = slot_at(whole_day(), zone, slot.starts_at, buffer=BUFFER)
        assert found is not None
        assert found.key == slot.key


@each_change
def test_the_day_of_the_change_has_an_hour_more_or_less(change: Change) -> None:
    zone = ZoneInfo(change.zone)
    length = day_starts(change.day + timedelta(days=1), zone) - day_starts(change.day, zone)
    assert length == timedelta(hours=23 if change.forward else 25)


@each_change
def test_whole_days_ahead_are_days_of_the_prison(change: Change) -> None:
    """A visit in two days is two days ahead at one in the morning and at eleven at night."""
    zone = ZoneInfo(change.zone)
    visit = change.day + timedelta(days=1)
    slots = list(slots_of(make_template(), zone, visit, visit, buffer=BUFFER))
    assert slots
    for hour in (1, 23):
        now = datetime.combine(change.day - timedelta(days=1), time(hour), zone).astimezone(UTC)
        assert (slots[0].day - now.astimezone(zone).date()).days == 2


@each_change
def test_a_request_lapses_at_eight_in_the_evening_of_the_prison(change: Change) -> None:
    zone = ZoneInfo(change.zone)
    for ahead in (1, 2, 3):
        visit = change.day + timedelta(days=ahead)
        (slot, *_) = slots_of(make_template(), zone, visit, visit, buffer=BUFFER)
        booking = Booking(
            id="bkg_1",
            prison_id="prn_1",
            prisoner_id="prs_1",
            kind=CallKind.SOCIAL,
            state=BookingState.REQUESTED,
            template_id=slot.template_id,
            slot_key=slot.key,
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            supervision=SupervisionLevel.NONE,
            created_at=slot.starts_at - timedelta(days=20),
            created_by="test",
            station_id="stn_1",
            credit_type=CreditType.STANDARD,
        )
        # Every day a working day: weekends are test_request_deadlines' matter.
        policies = Policies({WORKING_DAYS.name: (list(WEEKDAYS), "prison.1")})
        end = deadline(booking, zone, policies, asked_at=booking.created_at)
        wall = end.lapses_at.astimezone(zone)
        assert (wall.date(), wall.time()) == (visit - timedelta(days=2), time(20))
        assert end.lapses_at - end.escalates_at == timedelta(hours=24)
        # Asked for after that moment it lapses a day later, asked for on that day when the visit begins.
        late = deadline(booking, zone, policies, asked_at=end.lapses_at)
        wall = late.lapses_at.astimezone(zone)
        assert (wall.date(), wall.time()) == (visit - timedelta(days=1), time(20))
        assert deadline(booking, zone, policies, asked_at=late.lapses_at).lapses_at == slot.starts_at
        # A lawyer may come at two hours' notice: nobody's time is over two days before.
        for kind in (CallKind.LEGAL, CallKind.CONSULAR, CallKind.INSPECTION):
            private = deadline(replace(booking, kind=kind), zone, policies, asked_at=booking.created_at)
            assert private.lapses_at == slot.starts_at
            assert private.lapses_at - private.escalates_at == timedelta(hours=24)


@each_change
@pytest.mark.parametrize("weeks", [1, 2, 3])
def test_sessions_that_come_every_so_many_weeks_keep_their_day(change: Change, weeks: int) -> None:
    zone = ZoneInfo(change.zone)
    begin = change.day - timedelta(days=28)
    template = make_template(weekdays=(change.day.weekday(),), every_weeks=weeks, valid_from=begin)
    last = change.day + timedelta(days=42)
    days = sorted({slot.day for slot in slots_of(template, zone, begin, last, buffer=BUFFER)})
    assert days == [begin + timedelta(weeks=weeks * number) for number in range(len(days))]
    assert len(days) == (last - begin).days // (7 * weeks) + 1
    # Asked for any part of it the answer is the same part.
    for first in (change.day - timedelta(days=10), change.day, change.day + timedelta(days=1)):
        part = sorted({slot.day for slot in slots_of(template, zone, first, last, buffer=BUFFER)})
        assert part == [day for day in days if day >= first]
