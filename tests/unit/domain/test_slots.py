"""Slots in the prison's time, across the days on which clocks change."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.rights import make_template
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Invalid
from visitserver.domain.occupancy import Span
from visitserver.domain.scheduling import Slot
from visitserver.domain.slots import check_template, day_starts, parse_slot_key, slot_at, slots_of, to_utc

HELSINKI = ZoneInfo("Europe/Helsinki")
BUFFER = timedelta(minutes=5)
SPRING = date(2026, 3, 29)  # 03:00 becomes 04:00
AUTUMN = date(2026, 10, 25)  # 04:00 becomes 03:00


def walls(day: date, **template: Any) -> list[str]:
    return [
        f"{slot.starts_at.astimezone(HELSINKI):%H:%M%z}"
        for slot in slots_of(make_template(**template), HELSINKI, day, day, buffer=BUFFER)
    ]


def test_a_session_is_cut_into_slots_with_the_buffer_between() -> None:
    found = list(
        slots_of(make_template(starts_at=time(9), ends_at=time(10, 40)), HELSINKI, SPRING, SPRING, buffer=BUFFER)
    )
    assert [(f"{s.starts_at:%H:%M}", f"{s.ends_at:%H:%M}") for s in found] == [
        ("06:00", "06:30"),
        ("06:35", "07:05"),
        ("07:10", "07:40"),
    ]


def test_four_in_the_afternoon_stays_four_in_the_afternoon() -> None:
    template = make_template(starts_at=time(16), ends_at=time(16, 30))
    found = list(slots_of(template, HELSINKI, date(2026, 3, 28), date(2026, 3, 30), buffer=BUFFER))
    assert [slot.starts_at.hour for slot in found] == [14, 13, 13]
    assert {slot.starts_at.astimezone(HELSINKI).hour for slot in found} == {16}


def test_times_that_the_clocks_skip_have_no_slot() -> None:
    found = walls(SPRING, starts_at=time(2), ends_at=time(6), duration_minutes=25)
    assert found == [
        "02:00+0200",
        "02:30+0200",
        *(f"{hour:02}:{minute:02}+0300" for hour in (4, 5) for minute in (0, 30)),
    ]


def test_a_slot_that_the_gap_pushes_into_the_one_before_is_left_out() -> None:
    # 02:30 to 03:15 ends at 04:15 by the clock of that night; the 04:10 would begin before it is over
    found = walls(SPRING, starts_at=time(2, 30), ends_at=time(6), duration_minutes=45)
    assert found == ["02:30+0200", "05:00+0300"]


def test_of_times_that_come_twice_the_first_is_meant() -> None:
    found = walls(AUTUMN, starts_at=time(3), ends_at=time(5), duration_minutes=25)
    assert found == ["03:00+0300", "03:30+0300", "04:00+0200", "04:30+0200"]


def test_the_wall_clock_that_is_skipped_has_no_moment() -> None:
    assert to_utc(datetime.combine(SPRING, time(3, 30)), HELSINKI) is None
    assert to_utc(datetime.combine(AUTUMN, time(3, 30)), HELSINKI) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_day_has_a_first_moment_even_where_midnight_is_skipped() -> None:
    assert day_starts(SPRING, HELSINKI) == datetime(2026, 3, 28, 22, tzinfo=UTC)
    assert day_starts(SPRING + timedelta(days=1), HELSINKI) - day_starts(SPRING, HELSINKI) == timedelta(hours=23)
    assert day_starts(AUTUMN + timedelta(days=1), HELSINKI) - day_starts(AUTUMN, HELSINKI) == timedelta(hours=25)
    havana = ZoneInfo("America/Havana")  # 8 March 2026: 00:00 becomes 01:00
    first = day_starts(date(2026, 3, 8), havana)
    assert first.astimezone(havana) == datetime(2026, 3, 8, 1, tzinfo=havana)


@pytest.mark.parametrize(
    ("changes", "first", "last", "days"),
    [
        ({"weekdays": (0, 2)}, date(2026, 3, 2), date(2026, 3, 8), [2, 4]),
        (
            {"weekdays": (0,), "every_weeks": 2, "valid_from": date(2026, 2, 25)},
            date(2026, 3, 1),
            date(2026, 3, 31),
            [9, 23],
        ),
        ({"valid_from": date(2026, 3, 5), "valid_to": date(2026, 3, 6)}, date(2026, 3, 1), date(2026, 3, 31), [5, 6]),
        ({"valid_to": date(2026, 2, 1)}, date(2026, 3, 1), date(2026, 3, 31), []),
    ],
)
def test_recurrence(changes: dict[str, Any], first: date, last: date, days: list[int]) -> None:
    template = make_template(starts_at=time(9), ends_at=time(9, 30), **changes)
    assert [slot.day.day for slot in slots_of(template, HELSINKI, first, last, buffer=BUFFER)] == days


def test_a_recurrence_counted_from_years_ago_keeps_its_weeks() -> None:
    long_ago = make_template(
        weekdays=(0,), every_weeks=3, valid_from=date(2015, 1, 5), starts_at=time(9), ends_at=time(9, 30)
    )
    days = [slot.day for slot in slots_of(long_ago, HELSINKI, date(2026, 3, 1), date(2026, 4, 30), buffer=BUFFER)]
    assert days
    assert all((day - date(2015, 1, 5)).days % 21 == 0 for day in days)


@settings(max_examples=200, deadline=None)
@given(
    zone=st.sampled_from(
        ["Europe/Helsinki", "Europe/London", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Auckland"]
    ),
    day=st.dates(date(2025, 1, 1), date(2027, 12, 31)),
    start=st.integers(0, 200),
    length=st.integers(1, 88),
    duration=st.integers(1, 36),
)
def test_slots_never_overlap_and_are_found_by_their_key(
    zone: str, day: date, start: int, length: int, duration: int
) -> None:
    end = min(start + length, 287)
    if end - start < duration:
        return
    template = make_template(
        valid_from=date(2024, 1, 1),
        starts_at=time(start * 5 // 60, start * 5 % 60),
        ends_at=time(end * 5 // 60, end * 5 % 60),
        duration_minutes=duration * 5,
    )
    check_template(template)
    where = ZoneInfo(zone)
    found: list[Slot] = list(slots_of(template, where, day, day, buffer=BUFFER))
    spans = [Span.of_call(slot.starts_at, slot.ends_at, buffer=BUFFER) for slot in found]
    for before, after in itertools.pairwise(spans):
        assert before.ends_at <= after.starts_at
    for slot in found:
        template_id, starts_at = parse_slot_key(slot.key)
        assert template_id == template.id
        assert slot_at(template, where, starts_at, buffer=BUFFER) == slot
    if len(found) < (end - start + 1) // (duration + 1):
        # only a clock change may take slots away
        offsets = {datetime.combine(day, time(hour), tzinfo=where).utcoffset() for hour in range(24)}
        assert len(offsets) == 2


@pytest.mark.parametrize(
    "key", ["", "tpl_x", "tpl_x@", "tpl_x@20260230T0900Z", "tpl_x@20260301T0900", "TPL@20260301T0900Z"]
)
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(Invalid):
        parse_slot_key(key)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"weekdays": ()}, "weekdays"),
        ({"weekdays": (7,)}, "weekdays"),
        ({"duration_minutes": 31}, "duration_minutes"),
        ({"duration_minutes": 185}, "duration_minutes"),
        ({"starts_at": time(9, 1)}, "starts_at"),
        ({"ends_at": time(9, 20)}, "ends_at"),
        ({"every_weeks": 0}, "every_weeks"),
        ({"capacity": 0}, "capacity"),
        ({"station_ids": ()}, "station_ids"),
        ({"kinds": frozenset()}, "kinds"),
        ({"kinds": frozenset({CallKind.SOCIAL, CallKind.LEGAL})}, "kinds"),
        ({"valid_to": date(2025, 12, 31)}, "valid_to"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_template(make_template(**changes))
    assert refused.value.field == field


@given(st.integers(0, 500), st.integers(1, 40), st.integers(0, 500), st.integers(1, 40))
def test_spans_share_a_cell_exactly_when_they_overlap(a: int, length_a: int, b: int, length_b: int) -> None:
    def span(start: int, length: int) -> Span:
        begin = datetime(2026, 3, 29, tzinfo=UTC) + start * BUFFER
        return Span(begin, begin + length * BUFFER)

    one, two = span(a, length_a), span(b, length_b)
    assert one.overlaps(two) == bool(set(one.cells) & set(two.cells))


def test_a_span_keeps_to_the_grid() -> None:
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    with pytest.raises(Invalid):
        Span(start + timedelta(minutes=1), start + timedelta(minutes=30))
    with pytest.raises(Invalid):
        Span(start, start)
    assert len(Span.of_call(start, start + timedelta(minutes=30), buffer=timedelta(minutes=5)).cells) == 7
    assert len(Span.of_call(start, start + timedelta(minutes=30), buffer=timedelta(minutes=7)).cells) == 8
