"""Layers of one track: a slot goes from one to another with no seam, RTX finds what went out, a recorder sees one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.ids import OrdinaryCallId, new_id
from signaling.media.forwarder import Forwarder, RtxStream
from signaling.media.gate import Gate
from signaling.media.layer import Layer
from signaling.media.leg import Kind, Side, TrackInfo
from signaling.media.retransmission import unwrap
from signaling.media.rtp import ExtensionIds, RtpView, parse
from signaling.media.stats import RoomCounters
from signaling.media.track import LegOutput, Track
from signaling.media.vp8 import picture_numbers
from tests.integration.media.conftest import ListeningLeg
from tests.unit.media.test_forwarder import Wire
from tests.unit.media.test_rewrite import descriptor

SECOND = 1 << 32  # of NTP time
RATE = 90_000


class Publisher:
    """The session a track comes from: it remembers what it was asked."""

    round_trip = 0.05

    def __init__(self) -> None:
        self.plis: list[int] = []
        self.nacks: list[tuple[int, list[int]]] = []

    def send_pli(self, ssrc: int) -> None:
        self.plis.append(ssrc)

    def send_nack(self, ssrc: int, sequences: list[int]) -> None:
        self.nacks.append((ssrc, sequences))


class Camera:
    """A publisher of simulcast: each layer has its own SSRC, numbers and clock, as libwebrtc makes them."""

    def __init__(self, *rids: str, gate_open: bool = True) -> None:
        self.now = 1000.0
        self.counters = RoomCounters()
        self.publisher = Publisher()
        self.gate = Gate()
        self.gate.open = gate_open
        self.info = TrackInfo(
            "trk", OrdinaryCallId(new_id("call")), "anna", Side.FAMILY, Kind.VIDEO, "VP8", RATE, 96, 100
        )
        self.track = Track(
            self.info,
            extensions=ExtensionIds(),
            gate=self.gate,
            counters=self.counters,
            publisher=self.publisher,
            nack=True,
            keep_fresh=False,
            talking=lambda level: None,
            leg_failed=lambda output: None,
        )
        self.track.name_layer(rids[0])
        for number, rid in enumerate(rids[1:], 1):
            self.track.add_layer(100 + number, rid, self.now)
        self.frame = [0] * len(rids)
        self.sequence = [60_000 + 1_000 * number for number in range(len(rids))]
        self.heights = [180 * (1 << number) for number in range(len(rids))]

    def layer(self, number: int) -> Layer:
        return next(layer for layer in self.track.layers if layer.ssrc == 100 + number)

    def timestamp(self, number: int, now: float) -> int:
        """Every layer's clock starts somewhere else."""
        return round(now * RATE) + 0x7000_0000 * (number + 1) & 0xFFFFFFFF

    def packet(self, number: int, *, key: bool = False, start: bool = True, end: bool = True) -> bytes:
        """The next packet of a layer."""
        if start:
            self.frame[number] += 1
        size = (self.heights[number] * 16 // 9, self.heights[number])
        frame = self.frame[number] + 500 * number
        head = descriptor(frame & 0x7FFF, (frame // 2 + 50 * number) & 0xFF, tid=True)
        if not start:
            head = bytes([head[0] & ~0x10]) + head[1:]
        first = b"\x10" if key else b"\x11"
        body = first + b"\x02\x00\x9d\x01\x2a" + size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little")
        header = bytes([0x80, (0x80 if end else 0) | 96]) + self.sequence[number].to_bytes(2, "big")
        self.sequence[number] = (self.sequence[number] + 1) & 0xFFFF
        stamp = self.timestamp(number, self.now).to_bytes(4, "big")
        return header + stamp + (100 + number).to_bytes(4, "big") + head + (body if start else b"\x00") + bytes(50)

    def play(self, *numbers: int, key: bool = False, delay: float = 1 / 30) -> None:
        """One frame, of one packet, on each of these layers (all when none is named)."""
        for number in numbers or range(len(self.frame)):
            self.layer(number).receive(self.packet(number, key=key), self.now)
        self.now += delay

    def report(self, now: float | None = None) -> None:
        """A sender report of each layer."""
        at = self.now if now is None else now
        for number in range(len(self.frame)):
            ntp = round((at + 5_000) * SECOND)
            stamp = self.timestamp(number, at)
            report = bytes([0x80, 200, 0, 6]) + (100 + number).to_bytes(4, "big") + ntp.to_bytes(8, "big")
            self.layer(number).sender_report(report + stamp.to_bytes(4, "big") + bytes(8), ntp, stamp, at)


def slot_on(camera: Camera, **changes: Any) -> tuple[Forwarder, Wire]:
    wire = Wire()
    values: dict[str, Any] = {
        "kind": Kind.VIDEO,
        "mid": "1",
        "index": 0,
        "cname": "name",
        "ssrc": 0xAABBCCDD,
        "payload_type": 96,
        "clock_rate": RATE,
        "extensions": ExtensionIds(),
        "outlet": wire,
        "hidden": False,
        "first_sequence": 65_500,
        "first_timestamp": 0xFFFF_0000,
        "rtx": RtxStream(0x11223344, 97, 65_535),
    }
    slot = Forwarder(**{**values, **changes})
    slot.open()
    slot.attach(camera.track)
    return slot, wire


def seen(wire: Wire) -> list[RtpView]:
    return [parse(packet, ExtensionIds(), 0.0) for packet in wire.sent]


def height(view: RtpView) -> int:
    at = view.payload.find(b"\x9d\x01\x2a")
    return int.from_bytes(view.payload[at + 5 : at + 7], "little")


def check_seamless(packets: list[RtpView]) -> None:
    """Sequence numbers and picture IDs one by one; timestamps and TL0PICIDX that only grow, and never far."""
    for earlier, later in pairwise(packets):
        assert later.sequence - earlier.sequence & 0xFFFF == 1
        assert 0 < (later.timestamp - earlier.timestamp & 0xFFFFFFFF) < RATE
        before, after = picture_numbers(earlier.payload), picture_numbers(later.payload)
        assert after.picture - before.picture & 0x7FFF == 1
        assert (after.tl0 - before.tl0 & 0xFF) <= 1


def test_a_slot_goes_over_at_the_other_layers_keyframe_and_not_before() -> None:
    camera = Camera("q", "f")
    slot, wire = slot_on(camera)
    camera.play(key=True)
    slot.switch(camera.layer(0))
    wire.run_timers()
    for _ in range(300):  # the other layer's cache is too much to send at once by now
        camera.play()
        camera.layer(1).receive(camera.packet(1, start=False), camera.now)
        camera.layer(1).cache.size += 1000  # type: ignore[union-attr]
    slot.switch(camera.layer(1))
    assert slot.layer is camera.layer(0)
    assert slot.next_layer is camera.layer(1)
    assert wire.starvations >= 1
    camera.play()
    assert height(seen(wire)[-1]) == 180
    camera.play(key=True)
    camera.play()
    assert slot.layer is camera.layer(1)
    assert height(seen(wire)[-1]) == 360
    assert slot.next_layer is None
    check_seamless(seen(wire))


def test_a_slot_goes_over_at_once_where_the_cache_is_small() -> None:
    camera = Camera("q", "f")
    slot, wire = slot_on(camera, hidden=True)
    camera.play(key=True)
    for _ in range(20):
        camera.play()
    camera.report()
    wire.run_timers()
    before = len(camera.publisher.plis)
    slot.switch(camera.layer(1))
    wire.run_timers()
    camera.play()
    packets = seen(wire)
    assert height(packets[-1]) == 360
    assert len(camera.publisher.plis) == before  # an officer's choice asks nobody for anything
    for earlier, later in pairwise(packets):
        assert later.sequence - earlier.sequence & 0xFFFF == 1
        assert 0 < (later.timestamp - earlier.timestamp & 0xFFFFFFFF) < RATE


def test_what_a_narrow_line_does_not_take_at_once_does_not_come_out_of_the_cache() -> None:
    camera = Camera("q", "f")
    slot, wire = slot_on(camera)
    camera.play(key=True)
    for _ in range(20):
        camera.play()
    wire.run_timers()
    slot.burst = 500
    slot.switch(camera.layer(1))
    assert slot.next_layer is camera.layer(1)
    assert wire.starvations >= 1
    wire.run_timers()
    camera.play()
    assert slot.layer is camera.layer(0)
    camera.play(key=True)
    assert slot.layer is camera.layer(1)
    check_seamless(seen(wire))
    for _ in range(20):
        camera.play()
    slot.suspend(True)
    camera.play()
    sent, starved = len(wire.sent), wire.starvations
    slot.suspend(False)
    wire.run_timers()
    assert len(wire.sent) == sent
    assert wire.starvations == starved + 1
    camera.play(key=True)
    assert len(wire.sent) == sent + 1
    assert height(seen(wire)[-1]) == 360


def test_an_officers_slot_starts_from_the_cache_whatever_its_line() -> None:
    camera = Camera("q", "f")
    camera.play(key=True)
    for _ in range(20):
        camera.play()
    slot, wire = slot_on(camera, hidden=True)
    slot.burst = 500
    slot.switch(camera.layer(1))
    wire.run_timers()
    assert slot.layer is camera.layer(1)
    assert height(seen(wire)[0]) == 360
    assert not wire.starvations


def test_a_layer_that_stops_for_a_moment_is_kept_and_one_that_stops_for_good_is_left() -> None:
    camera = Camera("q", "f")
    slot, wire = slot_on(camera)
    camera.play(key=True)
    slot.switch(camera.layer(0))
    wire.run_timers()
    until = camera.now + 2.0
    while camera.now < until:
        camera.play(1)
        camera.track.tick(camera.now)
    assert slot.layer is camera.layer(0)
    assert slot.next_layer is None
    until = camera.now + 2.0
    while camera.now < until:
        camera.play(1)
        camera.track.tick(camera.now)
    assert camera.layer(1) in (slot.layer, slot.next_layer)


Step = tuple[str, int]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["play", "switch", "pause", "restart", "report"]), st.integers(0, 2)), max_size=25
    ),
    st.booleans(),
)
def test_whatever_is_switched_the_receiver_sees_one_unbroken_stream(steps: list[Step], hidden: bool) -> None:
    camera = Camera("q", "h", "f")
    slot, wire = slot_on(camera, hidden=hidden)
    camera.play(key=True)
    wire.run_timers()
    for what, number in steps:
        if what == "switch":
            slot.switch(camera.layer(number))
        elif what == "pause":
            slot.suspend(True)
            camera.play()
            slot.suspend(False)
        elif what == "restart":
            slot.restart(camera.now)
        elif what == "report":
            camera.report()
        for count in range(4):
            camera.play(key=what == "play" and count == number)
            wire.run_timers()
    check_seamless(seen(wire))
    assert len({packet.ssrc for packet in seen(wire)}) == 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2), max_size=7))
def test_whatever_went_out_comes_again_by_rtx_and_under_no_number_twice(switches: list[int]) -> None:
    camera = Camera("q", "h", "f")
    slot, wire = slot_on(camera)
    camera.play(key=True)
    for number in switches:
        slot.switch(camera.layer(number))
        for _ in range(3):
            camera.play()
            wire.run_timers()
    first = list(wire.sent)
    for packet in first:
        assert slot.retransmit(int.from_bytes(packet[2:4], "big"), camera.now)
    again = wire.sent[len(first) :]
    numbers = [int.from_bytes(packet[2:4], "big") for packet in again]
    assert len(set(numbers)) == len(again)
    assert {parse(packet, ExtensionIds(), 0.0).ssrc for packet in again} <= {0x11223344}
    originals = [unwrap(packet, 0xAABBCCDD, 96) for packet in again]
    assert originals == first
    assert not slot.retransmit(int.from_bytes(first[-1][2:4], "big") + 1 & 0xFFFF, camera.now)
    assert not slot.retransmit(int.from_bytes(first[0][2:4], "big") - 1 & 0xFFFF, camera.now)


def offset_at(wire: Wire, camera: Camera, slot: Forwarder) -> int:
    """The slot's timestamp at the publisher's time 0, by the sender report that is passed on next."""
    camera.report()
    ntp, stamp = wire.reports[-1]
    return (stamp - round((ntp / SECOND - 5_000) * RATE)) & 0xFFFFFFFF


def test_lips_stay_with_the_voice_when_the_layer_changes() -> None:
    """The slot's clock is the publisher's, whatever layer is shown: at most three ticks off after three switches."""
    camera = Camera("q", "h", "f")
    slot, wire = slot_on(camera)
    camera.play(key=True)
    wire.run_timers()
    camera.report()
    first = offset_at(wire, camera, slot)
    for number in (2, 0, 1):
        slot.switch(camera.layer(number))
        wire.run_timers()
        for _ in range(30):
            camera.play(key=False, delay=0.033)
        camera.play(key=True)
        for _ in range(3):
            camera.play()
        wire.run_timers()
        assert slot.layer is camera.layer(number)
        off = (offset_at(wire, camera, slot) - first + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        assert abs(off) <= 40  # 0.4 ms
        newest = seen(wire)[-1].timestamp - first & 0xFFFFFFFF
        assert abs(newest - round((camera.now - 1 / 30) * RATE)) <= 45


def test_a_recorder_gets_one_continuous_stream_of_the_best_layer() -> None:
    camera = Camera("q", "h", "f")
    leg = ListeningLeg("recorder")
    camera.track.set_outputs((LegOutput(leg),))
    camera.play(key=True)
    camera.track.tick(camera.now)
    for _ in range(30):
        camera.play()
        camera.track.tick(camera.now)
    for _ in range(60):
        camera.play()
        camera.track.tick(camera.now)
    camera.report()
    camera.play(key=True)
    for _ in range(5):
        camera.play()
    best = len(leg.rtp)
    for _ in range(40):  # the browser gives up its highest layer
        camera.play(0, 1)
        camera.track.tick(camera.now)
    camera.play(0, 1, key=True)
    for _ in range(5):
        camera.play(0, 1)
    packets = [parse(packet, ExtensionIds(), 0.0) for _, packet, _ in leg.rtp]
    assert height(packets[best - 1]) == 720
    assert height(packets[-1]) == 360
    assert {packet.ssrc for packet in packets} == {camera.info.ssrc}
    for earlier, later in pairwise(packets):
        assert later.sequence - earlier.sequence & 0xFFFF == 1
        assert picture_numbers(later.payload).picture - picture_numbers(earlier.payload).picture & 0x7FFF == 1
        assert 0 < (later.timestamp - earlier.timestamp & 0xFFFFFFFF) < 3 * RATE
    assert leg.rtcp
    for _, report, _ in leg.rtcp:
        assert int.from_bytes(report[4:8], "big") == camera.info.ssrc


def test_a_packet_repaired_after_the_recorder_went_over_takes_its_own_place() -> None:
    camera = Camera("q", "f")
    leg = ListeningLeg("recorder")
    camera.track.set_outputs((LegOutput(leg),))
    camera.play(0, key=True)
    camera.play(0)
    lost = camera.packet(0)
    camera.play(0)
    camera.layer(1).since = camera.now - 10
    camera.track.tick(camera.now)
    camera.layer(1).last_arrival = camera.now
    camera.track.tick(camera.now)
    camera.play(0, 1, key=True)
    rtx = bytes([lost[0], lost[1] & 0x80 | 97]) + b"\0\1" + lost[4:8] + b"\0\0\0\x09" + lost[2:4] + lost[12:]
    camera.layer(0).receive_again(rtx, camera.now)
    numbers = [int.from_bytes(packet[2:4], "big") for _, packet, _ in leg.rtp]
    assert sorted(number - numbers[0] & 0xFFFF for number in numbers) == list(range(len(numbers)))
    assert numbers[-1] - numbers[0] & 0xFFFF == 2
    assert camera.counters.repaired == 1


def test_rtx_that_nobody_asked_for_is_counted_and_goes_nowhere() -> None:
    camera = Camera("q")
    _, wire = slot_on(camera)
    camera.play(0, key=True)
    again = camera.packet(0)
    camera.layer(0).receive(again, camera.now)
    sent = len(wire.sent)
    rtx = bytes([again[0], 97]) + b"\0\1" + again[4:8] + b"\0\0\0\x09" + again[2:4] + again[12:]
    for bad in (rtx, rtx[:12], rtx[:13], rtx[:14], b"", b"\x80", rtx[:1] + b"\xff" * 30, bytes(40)):
        camera.layer(0).receive_again(bad, camera.now)
    assert len(wire.sent) == sent
    assert camera.counters.rtx_received == camera.counters.rtx_unusable == 8
    assert camera.counters.repaired == 0


def test_an_original_that_comes_after_its_repair_goes_out_once() -> None:
    """Two packets under one sequence number would use one AEAD nonce twice (RFC 7714 section 8.4)."""
    camera = Camera("q")
    _, wire = slot_on(camera)
    camera.play(0, key=True)
    late = camera.packet(0)
    camera.play(0)
    rtx = bytes([late[0], 0x80 | 97]) + b"\0\1" + late[4:8] + b"\0\0\0\x09" + late[2:4] + late[12:]
    camera.layer(0).receive_again(rtx, camera.now)
    camera.layer(0).receive(late, camera.now)
    assert sorted(packet.sequence for packet in seen(wire)) == [0xFFFF & 65_500 + n for n in range(3)]
    assert camera.counters.duplicates == 1


def test_a_keyframe_repaired_late_starts_those_who_wait_with_what_came_after_it() -> None:
    camera = Camera("q")
    _, wire = slot_on(camera)
    camera.play(0)
    key = camera.packet(0, key=True, end=False)
    camera.layer(0).receive(camera.packet(0, start=False), camera.now)
    camera.play(0)
    assert wire.sent == []
    rtx = bytes([key[0], 97]) + b"\0\1" + key[4:8] + b"\0\0\0\x09" + key[2:4] + key[12:]
    camera.layer(0).receive_again(rtx, camera.now)
    wire.run_timers()
    camera.play(0)
    packets = seen(wire)
    assert [packet.sequence for packet in packets] == [65_500 + n for n in range(4)]
    assert b"\x9d\x01\x2a" in packets[0].payload


def test_a_recording_is_repaired_for_longer_than_a_call() -> None:
    asked: dict[bool, list[float]] = {}
    for recorded in (False, True):
        camera = Camera("q")
        camera.track.name_layer("")
        camera.track._merge = None
        if recorded:
            camera.track.set_outputs((LegOutput(ListeningLeg("recorder")),))
        camera.play(0, key=True)
        camera.packet(0)
        camera.play(0)
        start = camera.now
        times = asked[recorded] = []
        while camera.now < start + 15:
            before = len(camera.publisher.nacks)
            camera.track.tick(camera.now)
            times += [camera.now - start] * (len(camera.publisher.nacks) - before)
            camera.now += 0.02
    assert len(asked[False]) == 10
    assert asked[False][-1] < 2
    assert asked[True][:10] == asked[False]
    assert 6 < asked[True][-1] < 9


def test_a_frame_repaired_after_the_catch_up_takes_its_place_between_its_neighbours() -> None:
    camera = Camera("q", "f")
    slot, wire = slot_on(camera)
    camera.play(key=True)
    slot.switch(camera.layer(0))
    wire.run_timers()
    for _ in range(20):
        camera.play()
    camera.report()
    lost = camera.packet(1)
    camera.play(0)
    camera.play()
    slot.switch(camera.layer(1))  # from its cache, in which one frame is missing
    wire.run_timers()
    camera.play()
    rtx = bytes([lost[0], 0x80 | 97]) + b"\0\1" + lost[4:8] + b"\0\0\0\x09" + lost[2:4] + lost[12:]
    camera.layer(1).receive_again(rtx, camera.now)
    camera.play()
    packets = sorted(seen(wire), key=lambda packet: packet.sequence + 0x8000 & 0xFFFF)
    check_seamless(packets)
    sequence = next(packet.sequence for packet in seen(wire) if packet.payload[-50:] == lost[-50:])
    assert slot.retransmit(sequence, camera.now)


def test_starts_from_the_cache_do_not_push_the_picture_away_from_the_voice() -> None:
    camera = Camera("q")
    slot, wire = slot_on(camera, hidden=True)
    camera.play(key=True)
    wire.run_timers()
    camera.play()
    first = offset_at(wire, camera, slot)
    for _ in range(30):
        for _ in range(30):
            camera.play()
        assert slot.restart(camera.now)
        wire.run_timers()
        camera.play()
    check_seamless(seen(wire))
    assert offset_at(wire, camera, slot) == first


def test_only_layers_that_miss_packets_are_asked_about() -> None:
    camera = Camera("q", "h")
    camera.play(key=True)
    assert not camera.track.incomplete
    lost = camera.packet(1)
    camera.play()
    assert camera.track.incomplete == {camera.layer(1)}
    camera.layer(1).receive(lost, camera.now)
    camera.layer(1).ask_again(camera.now)
    assert not camera.track.incomplete
    assert not camera.publisher.nacks
    camera.packet(1)
    camera.play()
    camera.layer(1).end()
    assert not camera.track.incomplete
