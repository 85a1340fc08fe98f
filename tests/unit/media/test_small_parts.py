"""The gate, the limit, the talking detector, the sent packets, the counters, the uplink's estimate."""

from __future__ import annotations

from dataclasses import fields

import pytest

from signaling.media.gate import Gate
from signaling.media.leg import Kind
from signaling.media.limit import TokenBucket
from signaling.media.remb import CEILING, FLOOR, UplinkEstimate
from signaling.media.retransmission import RepairBudget, SentPackets
from signaling.media.rtp import RtpView
from signaling.media.stats import RoomCounters
from signaling.media.talking import SILENT, TalkingDetector


def test_the_gate_is_closed_at_first() -> None:
    gate = Gate()
    assert not gate.open
    assert gate.set_muted("family", Kind.AUDIO, True)
    assert not gate.set_muted("family", Kind.AUDIO, True)
    assert gate.is_muted("family", Kind.AUDIO)
    assert not gate.is_muted("family", Kind.VIDEO)
    assert not gate.is_muted("prisoner", Kind.AUDIO)
    assert gate.set_muted("family", Kind.AUDIO, False)
    assert not gate.is_muted("family", Kind.AUDIO)


def test_the_bucket_lets_through_its_rate_and_no_more() -> None:
    bucket = TokenBucket(10, 0.0)
    assert sum(bucket.take(0.0) for _ in range(100)) == 10
    assert sum(bucket.take(step / 100) for step in range(1, 501)) in (49, 50, 51)


def test_repairs_take_a_part_of_the_line_and_no_more() -> None:
    budget = RepairBudget(0.0)
    assert all(budget.take(None, 0.0) for _ in range(500))  # nothing is known of the line
    taken = sum(budget.take(300_000, number / 100) for number in range(2000))
    assert 20 * 300_000 * 0.4 < taken * 1100 * 8 < 20 * 300_000 * 0.6
    assert sum(budget.take(0, 100 + number / 100) for number in range(1000)) >= 70  # some there are always


def test_talking_starts_after_four_loud_packets_and_is_repeated_each_second() -> None:
    heard: list[int] = []
    detector = TalkingDetector(heard.append)
    for number in range(3):
        detector.level(30, number * 0.02)
    assert heard == []
    for number in range(3, 150):
        detector.level(0x80 | 20 + number % 10, number * 0.02)
    assert heard == [23, 20, 20]
    detector.tick(149 * 0.02 + 0.5)
    assert len(heard) == 3
    detector.tick(149 * 0.02 + 0.7)
    assert heard[3:] == [SILENT]


def test_background_is_not_talking() -> None:
    heard: list[int] = []
    detector = TalkingDetector(heard.append)
    for number in range(500):
        detector.level(127 if number % 10 else 90, number * 0.02)
    detector.stop()
    assert heard == []


def test_a_cough_is_not_talking_even_if_more_follow() -> None:
    heard: list[int] = []
    detector = TalkingDetector(heard.append)
    for cough in range(5):
        for number in range(50):
            detector.level(20 if number < 2 else 127, cough + number * 0.02)
    assert heard == []


def test_stopping_says_so_once() -> None:
    heard: list[int] = []
    detector = TalkingDetector(heard.append)
    for number in range(10):
        detector.level(20, number * 0.02)
    detector.stop()
    detector.stop()
    assert heard == [20, SILENT]


def test_sent_packets_are_found_until_256_others_have_followed() -> None:
    sent = SentPackets()
    for sequence in range(65400, 65400 + 300):
        sent.add(sequence & 0xFFFF, str(sequence & 0xFFFF).encode())
    assert sent.find(65400) is None
    assert sent.find(65400 + 43) is None
    assert sent.find(65400 + 44) == b"65444"
    assert sent.find((65400 + 299) & 0xFFFF) == b"163"
    assert sent.find(164) is None


def test_counters_add_up_and_snapshots_stand_still() -> None:
    counters = RoomCounters()
    for number, field in enumerate(fields(counters)):
        setattr(counters, field.name, number + 1)
    snapshot = counters.snapshot()
    counters.add(snapshot)
    assert snapshot.received == 1
    assert all(getattr(counters, field.name) == 2 * getattr(snapshot, field.name) for field in fields(counters))


def frame(number: int, arrival: float, size: int) -> RtpView:
    view = RtpView()
    view.packet, view.marker, view.ssrc = bytes(size), 0x80, 7
    view.send_time = int(number / 30 * 262144) & 0xFFFFFF
    view.arrival = arrival
    return view


def test_the_uplink_may_have_everything_while_nothing_is_known() -> None:
    assert UplinkEstimate().bitrate([]) == CEILING
    assert UplinkEstimate().bitrate([700_000, 900_000]) == 700_000
    assert UplinkEstimate().bitrate([1_000]) == FLOOR


def test_a_steady_uplink_is_allowed_more_than_it_sends() -> None:
    estimate = UplinkEstimate(ceiling=10_000_000)
    for number in range(600):  # 20 s of 600 kbit/s
        estimate.add(frame(number, number / 30, 2500))
    assert estimate.bitrate([]) > 600_000


def test_a_congested_uplink_is_allowed_less_than_it_sends() -> None:
    estimate = UplinkEstimate(ceiling=10_000_000)
    for number in range(300):
        estimate.add(frame(number, number / 30, 2500))
    for number in range(300, 600):  # from here on each frame is 10 ms later than the one before
        estimate.add(frame(number, number / 30 + (number - 300) * 0.010, 2500))
    assert estimate.bitrate([]) < 600_000


def test_a_queue_is_what_everything_waits_in() -> None:
    estimate = UplinkEstimate()
    for number in range(300):  # every tenth frame is late by 300 ms, as on a busy machine
        estimate.add(frame(number, number / 30 + (0.3 if number % 10 == 0 else 0), 2500))
    assert estimate.queue < 0.05
    for number in range(300, 600):  # each frame waits a millisecond longer than the one before
        estimate.add(frame(number, number / 30 + (number - 300) * 0.001, 2500))
    assert 0.25 < estimate.queue < 0.31


def test_without_send_times_there_is_no_estimate() -> None:
    estimate = UplinkEstimate()
    for number in range(300):
        view = frame(number, number / 30, 2500)
        view.send_time = None
        estimate.add(view)
    assert estimate.bitrate([]) == CEILING


@pytest.mark.parametrize("name", ["received", "forwarded"])
def test_counters_have_no_other_attributes(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(RoomCounters(), name + "_typo", 1)
