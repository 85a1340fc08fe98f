"""A slot's rewriting: the receiver never sees a jump, whatever happens before the relay."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media.forwarder import Forwarder
from signaling.media.keyframes import KeyframeCache
from signaling.media.layer import SenderClock
from signaling.media.leg import Kind
from signaling.media.reception import Reception
from signaling.media.retransmission import PacketCache
from signaling.media.rtp import ExtensionIds, RtpView, abs_send_time, parse
from tests.fakes.media_client import LEVEL_ID, MID_ID, TIME_ID, extensions_map

IDS = ExtensionIds(mid=MID_ID, audio_level=LEVEL_ID, abs_send_time=TIME_ID)


class Wire:
    """An outlet that keeps what is sent; `broken` lets nothing through."""

    native = None

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.again: list[bytes] = []
        self.reports: list[tuple[int, int]] = []
        self.starvations = 0
        self.broken = False
        self.timers: list[Callable[[], None]] = []

    def send_rtp(self, packet: bytes) -> bytes | None:
        if self.broken:
            return None
        self.sent.append(packet)
        return packet

    def transmit(self, datagram: bytes) -> None:
        self.again.append(datagram)

    def send_sender_report(self, forwarder: Forwarder, ntp: int, rtp_timestamp: int) -> None:
        self.reports.append((ntp, rtp_timestamp))

    def starved(self, forwarder: Forwarder) -> None:
        self.starvations += 1

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        self.timers.append(callback)

    def run_timers(self) -> None:
        """Let every timer fire, and those that they set, until none is left."""
        while self.timers:
            self.timers.pop(0)()

    def packets(self) -> list[RtpPacket]:
        return [RtpPacket.parse(packet, extensions_map()) for packet in self.sent]


class Source:
    """A publisher's track with one layer, as far as a forwarder uses them."""

    def __init__(self, kind: Kind, sequence: int = 0, timestamp: int = 0, ssrc: int = 5) -> None:
        self.cache = KeyframeCache() if kind is Kind.VIDEO else None
        self.packets = PacketCache() if kind is Kind.VIDEO else None
        self.clock: SenderClock | None = None
        self.track = self
        self.is_open = True
        self.slots: list[Forwarder] = []
        self._kind = kind
        self._reception = Reception(90000 if kind is Kind.VIDEO else 48000)
        self._sequence, self._timestamp, self._ssrc = sequence, timestamp, ssrc

    def add_slot(self, slot: Forwarder) -> None:
        self.slots.append(slot)

    def remove_slot(self, slot: Forwarder) -> None:
        self.slots.remove(slot)

    def first_layer(self, slot: Forwarder) -> Source:
        return self

    @property
    def highest(self) -> int:
        return self._reception.highest

    def view(
        self, number: int, arrival: float, *, key: bool = False, ticks: int | None = None, level: int | None = None
    ) -> RtpView:
        """Packet `number` of this source; packets of one frame share `ticks`."""
        step = 3000 if self._kind is Kind.VIDEO else 960
        packet = RtpPacket(
            payload_type=100,
            marker=1,
            sequence_number=self._sequence + number & 0xFFFF,
            timestamp=self._timestamp + (number * step if ticks is None else ticks) & 0xFFFFFFFF,
            ssrc=self._ssrc,
            payload=number.to_bytes(4, "big"),
        )
        if level is not None:
            packet.extensions.audio_level = (False, level)
        view = parse(packet.serialize(extensions_map()), IDS, arrival)
        view.index = self._reception.add(view.sequence, view.timestamp, arrival)
        view.keyframe = key
        view.departure = abs_send_time(arrival)
        if self.packets is not None:
            self.packets.add(view)
        return view


def make(kind: Kind, wire: Wire, **changes: Any) -> Forwarder:
    values: dict[str, Any] = {
        "kind": kind,
        "mid": "3",
        "index": 0,
        "cname": "name",
        "ssrc": 0xAABBCCDD,
        "payload_type": 96,
        "clock_rate": 90000 if kind is Kind.VIDEO else 48000,
        "extensions": IDS,
        "outlet": wire,
        "hidden": False,
        "first_sequence": 65530,
        "first_timestamp": 0xFFFFFF00,
    }
    slot = Forwarder(**{**values, **changes})
    slot.open()
    return slot


def numbers(wire: Wire) -> list[int]:
    return [int.from_bytes(packet.payload, "big") for packet in wire.packets()]


def check_continuous(packets: list[RtpPacket]) -> None:
    """No hole and no repetition in the sequence numbers, and timestamps that only grow."""
    for earlier, later in pairwise(packets):
        assert later.sequence_number - earlier.sequence_number & 0xFFFF == 1
        assert 0 <= later.timestamp - earlier.timestamp & 0xFFFFFFFF < 1 << 31


def test_header_and_extensions_are_the_legs_own() -> None:
    wire, source = Wire(), Source(Kind.AUDIO)
    slot = make(Kind.AUDIO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    assert slot.forward(source.view(7, 1.5, level=33)) == len(wire.sent[0])
    packet = wire.packets()[0]
    assert (packet.ssrc, packet.payload_type, packet.marker) == (0xAABBCCDD, 96, 1)
    assert packet.payload == (7).to_bytes(4, "big")
    assert (packet.extensions.mid, packet.extensions.audio_level) == ("3", (False, 33))
    assert packet.extensions.abs_send_time == 3 << 17


def test_a_leg_that_negotiated_nothing_gets_a_bare_header() -> None:
    wire, source = Wire(), Source(Kind.AUDIO)
    slot = make(Kind.AUDIO, wire, extensions=ExtensionIds())
    slot.attach(source)  # type: ignore[arg-type]
    slot.forward(source.view(0, 0.0, level=3))
    assert len(wire.sent[0]) == 12 + 4
    assert wire.sent[0][0] == 0x80


def test_each_choice_of_extensions_can_be_read_again() -> None:
    for mid in (0, MID_ID):
        for level in (0, LEVEL_ID):
            for time in (0, TIME_ID):
                wire, source = Wire(), Source(Kind.AUDIO)
                slot = make(Kind.AUDIO, wire, mid="sixteen-letters-", extensions=ExtensionIds(mid, level, time))
                slot.attach(source)  # type: ignore[arg-type]
                slot.forward(source.view(0, 1.0, level=5))
                slot.forward(source.view(1, 1.0))
                for packet, has_level in zip(wire.packets(), (True, False), strict=True):
                    assert packet.payload == (0 if has_level else 1).to_bytes(4, "big")
                    assert packet.extensions.mid == ("sixteen-letters-" if mid else None)
                    assert (packet.extensions.abs_send_time is not None) == bool(time)
                    assert packet.extensions.audio_level == ((False, 5) if level and has_level else None)


def test_padding_stays_padding() -> None:
    """RFC 3550 section 5.1: the padding bit and the padded bytes go together."""
    wire, source = Wire(), Source(Kind.AUDIO)
    slot = make(Kind.AUDIO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    packet = RtpPacket(100, 0, 1, 2, 3, b"voice")
    packet.padding_size = 9
    view = parse(packet.serialize(), IDS, 0.0)
    view.index, view.keyframe, view.departure = 65537, False, b"\0\0\0"
    slot.forward(view)
    assert wire.packets()[0].payload == b"voice"
    assert wire.packets()[0].padding_size == 9


def test_a_video_waits_for_a_keyframe_and_an_audio_for_nothing() -> None:
    wire, source = Wire(), Source(Kind.VIDEO)
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    assert wire.starvations == 1
    assert slot.forward(source.view(0, 0.0)) == 0
    slot.forward(source.view(1, 0.1, key=True))
    slot.forward(source.view(2, 0.2))
    assert numbers(wire) == [1, 2]
    assert slot.skipped == 1
    wire, source = Wire(), Source(Kind.AUDIO)
    slot = make(Kind.AUDIO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    slot.forward(source.view(0, 0.0))
    assert numbers(wire) == [0]


def test_loss_and_disorder_before_the_relay_look_the_same_behind_it() -> None:
    wire, source = Wire(), Source(Kind.VIDEO, sequence=65533)
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    for number in (0, 1, 4, 3, 6, 5, 7):  # 2 is lost
        slot.forward(source.view(number, number / 30, key=number == 0))
    first = wire.packets()[0].sequence_number
    assert [packet.sequence_number - first & 0xFFFF for packet in wire.packets()] == [0, 1, 4, 3, 6, 5, 7]


def test_what_is_from_before_a_start_is_dropped() -> None:
    wire, source = Wire(), Source(Kind.VIDEO)
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    for number in (0, 2, 3):
        slot.forward(source.view(number, number / 30, key=number == 0))
    slot.pause()
    slot.forward(source.view(5, 0.2, key=True))
    slot.forward(source.view(4, 0.21))  # would get the number of packet 3
    slot.forward(source.view(6, 0.22))
    assert numbers(wire) == [0, 2, 3, 5, 6]
    sequences = [packet.sequence_number for packet in wire.packets()]
    assert len(set(sequences)) == 5


def test_a_pause_moves_the_timestamp_on_by_the_time_that_passed() -> None:
    wire, source = Wire(), Source(Kind.AUDIO)
    slot = make(Kind.AUDIO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    slot.forward(source.view(0, 10.0))
    slot.pause()
    slot.forward(source.view(500, 15.0))
    first, second = wire.packets()
    assert second.timestamp - first.timestamp & 0xFFFFFFFF == 5 * 48000
    assert second.sequence_number - first.sequence_number & 0xFFFF == 1


Step = tuple[str, int]


@settings(deadline=None, max_examples=200)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["play", "pause", "switch", "break"]), st.integers(1, 40)), max_size=25),
    kind=st.sampled_from([Kind.AUDIO, Kind.VIDEO]),
    origins=st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)),
)
def test_whatever_happens_the_receiver_sees_one_unbroken_stream(
    steps: list[Step], kind: Kind, origins: tuple[int, int]
) -> None:
    wire = Wire()
    slot = make(kind, wire, hidden=True)
    sources = [Source(kind, *origins, ssrc=1), Source(kind, origins[0] + 30000, origins[1] + (1 << 31), ssrc=2)]
    counts = [0, 0]
    current, now = 0, 100.0
    slot.attach(sources[0])  # type: ignore[arg-type]
    expected = 0
    for what, amount in steps:
        if what == "pause":
            slot.pause()
        elif what == "switch":
            current = 1 - current
            slot.attach(sources[current])  # type: ignore[arg-type]
        elif what == "break":
            wire.broken = True
            slot.forward(_next(sources, counts, current, now, key=True))
            wire.broken = False
        else:
            for number in range(amount):
                now += 0.02
                expected += slot.forward(_next(sources, counts, current, now, key=number == 0)) > 0
    assert len(wire.sent) == expected == slot.sent
    check_continuous(wire.packets())
    assert {packet.ssrc for packet in wire.packets()} <= {0xAABBCCDD}


def _next(sources: list[Source], counts: list[int], current: int, now: float, *, key: bool) -> RtpView:
    counts[current] += 1
    return sources[current].view(counts[current], now, key=key)


def cached(count: int) -> tuple[Wire, Source]:
    """A video source whose cache holds `count` packets, two per frame, the last 33 ms ago."""
    wire, source = Wire(), Source(Kind.VIDEO, sequence=65500, timestamp=0xFFFFF000)
    assert source.cache is not None
    for number in range(count):
        source.cache.add(source.view(number, number / 60, key=number == 0, ticks=number // 2 * 3000))
    return wire, source


def test_a_start_from_the_cache_is_quick_and_goes_over_into_live_without_a_seam() -> None:
    wire, source = cached(101)  # the last frame is still incomplete
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    assert wire.starvations == 0
    wire.timers.pop(0)()
    assert 0 < len(wire.sent) < 101  # in steps
    live = source.view(101, 1.7, ticks=50 * 3000)
    assert source.cache is not None
    source.cache.add(live)
    assert slot.forward(live) == 0  # it goes out with the cache
    wire.run_timers()
    for number in range(102, 120):
        slot.forward(source.view(number, number / 60, ticks=number // 2 * 3000))
    assert numbers(wire) == list(range(120))
    packets = wire.packets()
    check_continuous(packets)
    assert packets[101].timestamp - packets[0].timestamp & 0xFFFFFFFF <= 51 * 90  # 1 ms a frame
    assert packets[101].timestamp == packets[100].timestamp  # the same frame
    assert packets[102].timestamp - packets[101].timestamp & 0xFFFFFFFF == 3000
    assert slot.sent == 120


def test_a_late_packet_of_a_frame_that_was_sent_to_catch_up_gets_that_frames_timestamp() -> None:
    wire, source = Wire(), Source(Kind.VIDEO)
    assert source.cache is not None
    late = None
    for number in range(20):
        view = source.view(number, number / 60, key=number == 0, ticks=number // 2 * 3000)
        if number == 11:
            late = view
        else:
            source.cache.add(view)
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    wire.run_timers()
    assert late is not None
    slot.forward(late)
    by_number = dict(zip(numbers(wire), wire.packets(), strict=True))
    assert by_number[11].timestamp == by_number[10].timestamp
    assert by_number[11].sequence_number == by_number[10].sequence_number + 1 & 0xFFFF


def test_a_new_keyframe_while_catching_up_is_jumped_to() -> None:
    wire, source = cached(200)
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    wire.timers.pop(0)()
    sent = len(wire.sent)
    assert source.cache is not None
    source.cache.add(source.view(200, 4.0, key=True, ticks=100 * 3000))
    wire.run_timers()
    assert numbers(wire) == [*range(sent), 200]
    check_continuous(wire.packets())


def test_a_closed_gate_stops_catching_up() -> None:
    wire, source = cached(200)
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    wire.timers.pop(0)()
    sent = len(wire.sent)
    source.is_open = False
    assert source.cache is not None
    source.cache.clear()
    slot.pause()
    wire.run_timers()
    assert len(wire.sent) == sent
    assert not slot.restart(100.0)


def test_restarts_are_limited_and_never_run_twice_at_once() -> None:
    wire, source = cached(100)
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    assert slot.restart(10.0)
    assert not slot.restart(10.2)
    assert len(wire.timers) == 1
    wire.run_timers()
    assert numbers(wire) == list(range(100))
    assert slot.restart(11.0)
    wire.run_timers()
    assert numbers(wire) == [*range(100), *range(100)]
    check_continuous(wire.packets())


def test_a_packet_that_could_not_be_sent_leaves_no_hole() -> None:
    wire, source = Wire(), Source(Kind.VIDEO)
    slot = make(Kind.VIDEO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    slot.forward(source.view(0, 0.0, key=True))
    wire.broken = True
    assert slot.forward(source.view(1, 0.1)) == 0
    wire.broken = False
    assert slot.forward(source.view(2, 0.2)) == 0  # not decodable without packet 1
    slot.forward(source.view(3, 0.3, key=True))
    assert numbers(wire) == [0, 3]
    check_continuous(wire.packets())
    assert wire.starvations == 2


def test_sender_reports_are_in_the_slots_timestamps_and_only_when_live() -> None:
    wire, source = Wire(), Source(Kind.AUDIO, timestamp=1000)
    slot = make(Kind.AUDIO, wire)
    slot.attach(source)  # type: ignore[arg-type]
    slot.pass_sender_report(1 << 40, 1000, 0.0)
    assert wire.reports == []
    slot.forward(source.view(0, 0.0))
    slot.pass_sender_report(0x0123_4567_89AB_CDEF, 1000 + 480, 0.0)
    assert wire.reports == [(0x0123_4567_89AB_CDEF, wire.packets()[0].timestamp + 480 & 0xFFFFFFFF)]
    slot.receiver_report(64, 12, 0x4567_89AB, 65536, 1.25)
    assert (slot.report.fraction_lost, slot.report.jitter, slot.report.round_trip) == (0.25, 12, 0.25)


@pytest.mark.parametrize("kind", [Kind.VIDEO, Kind.AUDIO])
def test_retransmissions_without_rtx_are_the_bytes_that_were_sent(kind: Kind) -> None:
    wire, source = Wire(), Source(kind)
    slot = make(kind, wire)
    slot.attach(source)  # type: ignore[arg-type]
    for number in range(5):
        slot.forward(source.view(number, number / 30, key=number == 0))
    assert slot.retransmit(wire.packets()[2].sequence_number, 1.0)
    assert wire.again == [wire.sent[2]]
    assert not slot.retransmit(12345, 1.0)
    assert slot.retransmitted == 1


def test_a_track_is_no_longer_told_of_a_slot_that_left_it() -> None:
    first, second = Source(Kind.AUDIO), Source(Kind.AUDIO)
    slot = make(Kind.AUDIO, Wire())
    slot.attach(first)  # type: ignore[arg-type]
    slot.attach(second)  # type: ignore[arg-type]
    assert (first.slots, second.slots) == ([], [slot])
    slot.attach(None)
    assert second.slots == []


@pytest.mark.parametrize("kind", [Kind.VIDEO, Kind.AUDIO])
def test_nothing_of_whoever_was_in_the_slot_is_sent_again(kind: Kind) -> None:
    wire, source = Wire(), Source(kind)
    slot = make(kind, wire)
    slot.attach(source)  # type: ignore[arg-type]
    slot.forward(source.view(0, 0.0, key=True))
    sequence = wire.packets()[0].sequence_number
    slot.attach(Source(kind))  # type: ignore[arg-type]
    assert not slot.retransmit(sequence, 1.0)
    assert wire.again == []
