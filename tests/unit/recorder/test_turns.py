"""Writers have the same moments in groups, and never wait longer than their interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import turns
from recorder.turns import Turns


@pytest.fixture(autouse=True)
def seats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_seats", turns._Seats())


def moment(one: Turns) -> float:
    """When it is due, after 1,000 s."""
    return round(1000 + one.wait(1000.0), 6)


def test_ten_come_together_and_the_next_ten_a_fifth_of_the_interval_later() -> None:
    all_of_them = [Turns(0.25) for _ in range(60)]
    moments = [moment(one) for one in all_of_them]
    assert [len(set(moments[start : start + 10])) for start in range(0, 60, 10)] == [1] * 6
    assert sorted(set(moments)) == pytest.approx([1000.05, 1000.1, 1000.15, 1000.2, 1000.25])
    assert moments[50] == moments[0]  # from the fifty-first on, more than ten


def test_who_comes_takes_the_place_of_who_has_gone() -> None:
    some = [Turns(0.25) for _ in range(15)]
    some[3].end()
    some[1].end()
    assert moment(Turns(0.25)) == moment(some[0])
    assert moment(Turns(0.25)) == moment(some[0])
    assert moment(Turns(0.25)) == moment(some[14]) != moment(some[0])


@given(st.floats(0, 1e7), st.floats(0.001, 10), st.integers(0, 60))
def test_nobody_waits_longer_than_the_interval(now: float, interval: float, seat: int) -> None:
    one = Turns(interval)
    one._phase = interval * (seat // 10 % 5) / 5
    assert 0 <= one.wait(now) <= interval
    one.end()
