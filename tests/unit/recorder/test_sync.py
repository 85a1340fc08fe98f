"""Clocks: drift, jumps, wraps."""

from __future__ import annotations

import random

import pytest

from recorder.sync import Report, SenderClock, TrackClock, counted_on


def reports(seconds: int, *, drift: float, offset: float, rate: int = 48000, seed: int = 1) -> list[Report]:
    """A report a second from a publisher whose wall clock is off by `offset` and fast by `drift`; delays 20 to 120
    ms.
    """
    chance = random.Random(seed)
    return [
        Report(at * (1 + drift) + offset, round(at * rate), 100 + at + 0.02 + 0.1 * chance.random() ** 3)
        for at in range(seconds)
    ]


@pytest.mark.parametrize("drift", [0.0, 80e-6, -80e-6])
def test_a_drifting_clock_is_followed_for_an_hour(drift: float) -> None:
    """80 ppm are 288 ms in an hour; the least delayed packets say so."""
    sender = SenderClock(reports(3600, drift=drift, offset=-1e6))
    for at in (0, 1000, 3599):
        assert sender.to_arrival(at * (1 + drift) - 1e6) == pytest.approx(100 + at + 0.02, abs=0.015)


def test_a_short_recording_believes_no_drift() -> None:
    sender = SenderClock(reports(30, drift=0.0, offset=5.0))
    assert sender.to_arrival(5.0 + 30) - sender.to_arrival(5.0) == pytest.approx(30, abs=1e-9)


def test_time_between_reports_is_exact_and_wraps() -> None:
    wrap = (1 << 32) - 48000 * 3
    sent = [Report(float(at), wrap + at * 48000, 100.0 + at) for at in range(10)]
    clock = TrackClock(48000, wrap, 100.0, sent, SenderClock(sent))
    times = [clock.time((wrap + step * 480) & 0xFFFFFFFF, 100 + step / 100) for step in range(1000)]
    assert times == pytest.approx([100 + step / 100 for step in range(1000)], abs=1e-6)
    assert clock.synchronised


def test_timestamps_before_the_first_report_are_placed_too() -> None:
    sent = [Report(5.0, 5 * 48000, 105.0), Report(6.0, 6 * 48000, 106.0)]
    clock = TrackClock(48000, 0, 100.0, sent, SenderClock(sent))
    assert clock.time(0, 100.0) == pytest.approx(100.0)
    assert clock.time(8 * 48000, 108.0) == pytest.approx(108.0)


def test_a_jump_of_the_publishers_clock_is_taken_from_arrival() -> None:
    clock = TrackClock(48000, 0, 100.0)
    assert clock.time(48000, 101.0) == 101.0
    assert clock.time(48000 * 1000, 101.02) == 101.02  # another device: the timestamps begin elsewhere
    assert clock.time(48000 * 1001, 102.02) == pytest.approx(102.02)
    assert not clock.synchronised


def test_counted_on_is_the_nearest() -> None:
    assert counted_on(5, 0xFFFFFFF0) == 0x100000005
    assert counted_on(0xFFFFFFF0, 0x100000005) == 0xFFFFFFF0
