"""Asking for missing packets (RFC 4585 section 6.2.1)."""

from __future__ import annotations

from itertools import pairwise

from signaling.media.nack import NackTracker


def test_a_missing_packet_is_asked_for_once_per_round_trip_ten_times_at_most() -> None:
    tracker = NackTracker()
    assert tracker.gap(100, 102, 0.0)
    assert tracker.due(0.005, 102, 0.1) == []  # it may only have changed places
    asked = [now for now in (step / 100 for step in range(1, 200)) if tracker.due(now, 102, 0.1)]
    assert len(asked) == 10
    assert all(0.095 < later - earlier < 0.125 for earlier, later in pairwise(asked))
    assert (len(tracker), tracker.given_up) == (0, 1)


def test_what_arrives_late_is_not_asked_for() -> None:
    tracker = NackTracker()
    tracker.gap(100, 104, 0.0)
    tracker.arrived(102)
    assert tracker.due(1.0, 104, 0.1) == [101, 103]


def test_sequence_numbers_wrap() -> None:
    tracker = NackTracker()
    tracker.gap(65534 + 65536, 65538 + 65536, 0.0)
    assert tracker.due(1.0, 65538 + 65536, 0.1) == [65535, 0, 1]


def test_a_break_is_not_repaired_packet_by_packet() -> None:
    tracker = NackTracker()
    assert tracker.gap(0, 200, 0.0)
    assert not tracker.gap(200, 300, 0.0)
    assert tracker.due(1.0, 300, 0.1) == []


def test_what_is_too_old_is_given_up() -> None:
    tracker = NackTracker()
    tracker.gap(1, 3, 0.0)
    assert tracker.due(1.0, 600, 0.1) == []
    assert tracker.given_up == 1
