"""What is missing of a track, counted and told."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.gaps import PATIENCE_NS, GapChange, SequenceTracker
from recorder.reorder import Reorder

SECOND = 1_000_000_000


def test_numbers_wrap_without_a_gap() -> None:
    tracker = SequenceTracker()
    counted = [tracker.packet(number & 0xFFFF, 0) for number in range(65_530, 65_545)]
    assert counted == list(range(65_530, 65_545))
    assert tracker.take() == []


def test_a_gap_is_noticed_recovered_in_part_and_the_rest_given_up() -> None:
    tracker = SequenceTracker()
    for number in (10, 11, 15):
        tracker.packet(number, SECOND)
    tracker.packet(13, 2 * SECOND)
    tracker.expire(SECOND + PATIENCE_NS - 1)
    assert [(gap.change, gap.first, gap.last) for gap in tracker.take()] == [
        (GapChange.NOTICED, 12, 14),
        (GapChange.RECOVERED, 13, 13),
    ]
    tracker.expire(SECOND + PATIENCE_NS)
    lost = tracker.take()
    assert [(gap.change, gap.first, gap.last) for gap in lost] == [(GapChange.LOST, 12, 12), (GapChange.LOST, 14, 14)]
    assert [gap.since_ns for gap in lost] == [SECOND, SECOND]
    assert (tracker.lost, tracker.recovered, tracker.duplicates) == (2, 1, 0)


def test_what_the_relay_held_back_is_not_lost() -> None:
    tracker = SequenceTracker()
    tracker.packet(1, 0)
    tracker.withhold()
    assert tracker.packet(500, SECOND) == 500
    assert [(gap.change, gap.packets) for gap in tracker.take()] == [(GapChange.WITHHELD, 498)]
    tracker.packet(502, SECOND)  # afterwards a gap is a gap again
    assert [gap.change for gap in tracker.take()] == [GapChange.NOTICED]
    assert (tracker.withheld, tracker.lost) == (498, 0)


def test_a_hold_longer_than_half_the_number_space_is_a_restart() -> None:
    tracker = SequenceTracker()
    tracker.packet(40_000, 0)
    tracker.withhold()
    counted = tracker.packet(39_000, SECOND)
    assert counted == 39_000 + 65_536
    assert [tracker.packet(39_001, SECOND), tracker.restarts, tracker.duplicates] == [counted + 1, 1, 0]


def test_one_stray_packet_far_behind_changes_nothing_and_two_in_order_are_a_restart() -> None:
    tracker = SequenceTracker()
    tracker.packet(60_000, 0)
    tracker.packet(40_000, 0)
    assert tracker.packet(60_001, 0) == 60_001
    assert tracker.restarts == 0
    tracker.packet(30_000, 0)
    assert tracker.packet(30_001, 0) == 30_001 + 65_536
    assert tracker.restarts == 1


@settings(deadline=None)
@given(
    st.integers(0, 65_535),
    st.integers(10, 400),
    st.floats(0, 0.3),
    st.floats(0, 0.3),
    st.randoms(use_true_random=False),
)
def test_every_packet_is_accounted_for(start: int, count: int, loss: float, late: float, chance: random.Random) -> None:
    """Received, lost and recovered agree with what a network of random loss and delay did; order is restored."""
    fate = [chance.random() for _ in range(count)]
    fate[0] = fate[-1] = 1.0  # the first and the last arrive in time: what is outside of them cannot be known
    sent = list(range(start, start + count))
    lost = {number for number, draw in zip(sent, fate, strict=True) if draw < loss}
    arrivals = sorted(
        (
            (position + (chance.randint(2, 40) if loss <= fate[position] < loss + late else 0), number)
            for position, number in enumerate(sent)
            if number not in lost
        ),
    )
    if arrivals[0][1] != start:
        arrivals.insert(0, arrivals.pop([number for _, number in arrivals].index(start)))
    tracker = SequenceTracker()
    counted = [tracker.packet(number & 0xFFFF, at * SECOND // 50) for at, number in arrivals]
    assert counted == [number for _, number in arrivals]
    tracker.expire(1 << 60, 0)
    changes = tracker.take()
    found = {n for gap in changes if gap.change is GapChange.LOST for n in range(gap.first, gap.last + 1)}
    assert found == lost
    assert tracker.lost == len(lost)
    assert tracker.received == count - len(lost)
    assert tracker.duplicates == 0
    absent = sorted((gap.first, gap.last) for gap in changes if gap.change is GapChange.LOST)
    reorder: Reorder[int] = Reorder(absent)
    given_out = [entry for number in counted for entry in reorder.push(number, number)]
    assert [number for _, number in given_out] == sorted(counted)
    before_gap = {number for gap, number in given_out if gap}
    assert before_gap == {number for number in counted if number - 1 in lost}
