"""Reading in C: datagrams find their session, and a source's quick way leaves everything as its long way would."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from signaling.ids import OrdinaryCallId, new_id
from signaling.media import native, srtp
from signaling.media.forwarder import Forwarder, RtxStream
from signaling.media.gate import Gate
from signaling.media.keyframes import KeyframeCache
from signaling.media.layer import Layer
from signaling.media.leg import Kind, Side, TrackInfo
from signaling.media.pacing import BUSY, RHYTHM, Beat, PacedReader, rhythm
from signaling.media.reception import PlainArrivals
from signaling.media.remb import PlainUplink
from signaling.media.retransmission import PacketCache
from signaling.media.rtp import HEADER, ExtensionIds, parse
from signaling.media.stats import RoomCounters
from signaling.media.talking import PlainLevels
from signaling.media.track import LegOutput, Track
from tests.integration.media.conftest import ListeningLeg
from tests.unit.media.test_forwarder import Wire
from tests.unit.media.test_layers import Publisher

needs_native = pytest.mark.skipif(native.module is None, reason="the packet path in C is not there, or switched off")
_native: Any = native.module
IDS = ExtensionIds(mid=4, audio_level=1, abs_send_time=2)
KEY = bytes(range(28))


# Numbers

sequences = st.lists(
    st.tuples(st.integers(0, 65535), st.integers(0, (1 << 32) - 1), st.floats(0, 1e6, allow_nan=False)), max_size=40
)


@needs_native
@settings(deadline=None, max_examples=100)
@given(sequences, st.sampled_from((48_000, 90_000)))
def test_counts_arrivals_as_python_does(packets: list[tuple[int, int, float]], clock_rate: int) -> None:
    plain, ours = PlainArrivals(clock_rate), _native.Arrivals(clock_rate)
    for sequence, timestamp, arrival in packets:
        assert ours.add(sequence, timestamp, arrival) == plain.add(sequence, timestamp, arrival)
        assert ours.place(timestamp & 0xFFFF) == plain.place(timestamp & 0xFFFF)
        for name in ("highest", "received", "_base", "_jitter"):
            assert getattr(ours, name) == getattr(plain, name)


class _Heard:
    """What levels lead to."""

    def _speaks(self, now: float) -> None:
        self.said.append(("speaks", now, self._peak))  # type: ignore[attr-defined]
        self.talking, self._last_report, self._peak = True, now, 127

    def stop(self) -> None:
        self.said.append(("stop",))  # type: ignore[attr-defined]
        self.talking = False


@needs_native
@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 255), st.floats(0, 0.7)), max_size=60))
def test_hears_as_python_does(packets: list[tuple[int, float]]) -> None:
    heard = []
    for base in (PlainLevels, _native.Levels):
        kind = type("Heard", (_Heard, base), {})
        levels: Any = kind()
        levels.said = []
        now = 0.0
        for value, step in packets:
            now += step
            levels.level(value, now)
        state = [getattr(levels, name) for name in ("talking", "loudness", "_loud", "_peak", "_last_loud")]
        heard.append((levels.said, state))
    assert heard[0] == heard[1]


frames = st.lists(
    st.tuples(
        st.integers(0, 4000),  # bytes
        st.booleans(),  # the frame's last packet
        st.none() | st.integers(0, 20_000),  # after the one before, in units of abs-send-time
        st.floats(-0.002, 0.05),  # seconds later, or a clock that goes back a little
        st.integers(0, 300),  # bytes besides
    ),
    max_size=30,
)


@needs_native
@settings(deadline=None, max_examples=100)
@given(frames, st.integers(1, 12), st.integers(0, (1 << 24) - 1))
def test_estimates_an_uplink_as_python_does(
    packets: list[tuple[int, bool, int | None, float, int]], times: int, sent: int
) -> None:
    plain, ours = PlainUplink(), _native.Uplink()
    now = 5.0
    for size, is_last, step, later, besides in packets * times:
        now += later
        sent = (sent + (step or 0)) % (1 << 24)
        for one in (plain, ours):
            one.take(size, is_last, None if step is None else sent, now)
            one.count(besides)
        assert (ours.estimate, ours.queue) == (plain.estimate, plain.queue)


@needs_native
@pytest.mark.parametrize("late", [0.0, 0.004, -0.0005])
def test_a_filling_queue_is_one_in_c_too(late: float) -> None:
    plain, ours = PlainUplink(), _native.Uplink()
    for number in range(900):
        sent = int(number / 30 * (1 << 18)) & 0xFFFFFF
        arrival = number / 30 + max(0, number - 300) * late + number * 7 % 5 * 0.0003
        for one in (plain, ours):
            one.take(2500, True, sent, arrival)
        assert (ours.estimate, ours.queue) == (plain.estimate, plain.queue)
    assert plain.estimate is not None


@needs_native
def test_an_uplink_takes_nothing_else() -> None:
    for wrong in (("a", True, 5, 1.0), (5, True, "a", 1.0), (5, True, 5, None), (5, True, 1 << 80, 1.0)):
        with pytest.raises((TypeError, OverflowError)):
            _native.Uplink().take(*wrong)
    with pytest.raises(TypeError):
        _native.Uplink().count("a")


# A source's quick way and its long way


class Scene:
    """A track with a party's and an officer's slot and a recorder; packets go one way or the other."""

    def __init__(self, kind: Kind, *, quick: bool) -> None:
        self.quick = quick
        self.counters = RoomCounters()
        self.gate = Gate()
        self.gate.open = True
        self.heard: list[int] = []
        self.leg = ListeningLeg("recorder")
        clock_rate = 90_000 if kind is Kind.VIDEO else 48_000
        codec = "VP8" if kind is Kind.VIDEO else "opus"
        self.publisher = Publisher()
        self.track = Track(
            TrackInfo("trk", CALL, "anna", Side.FAMILY, kind, codec, clock_rate, 96, 100),
            extensions=IDS,
            gate=self.gate,
            counters=self.counters,
            publisher=self.publisher,
            nack=True,
            keep_fresh=True,
            talking=self.heard.append,
            leg_failed=lambda _: None,
        )
        self.layer: Layer = self.track.layers[0]
        self.track.set_outputs((LegOutput(self.leg),))
        self.wires = [Wire(), Wire()]
        self.slots = [
            Forwarder(
                kind=kind,
                mid="0",
                index=0,
                cname="name",
                ssrc=200 + number,
                payload_type=97,
                clock_rate=clock_rate,
                extensions=IDS,
                outlet=wire,
                hidden=number == 1,
                first_sequence=7,
                first_timestamp=9,
                rtx=RtxStream(300 + number, 98, 1) if number else None,
            )
            for number, wire in enumerate(self.wires)
        ]
        for slot in self.slots:
            slot.open()
            slot.attach(self.track)

    def take(self, packet: bytes, now: float) -> None:
        view = parse(packet, IDS, now)
        (self.layer.take if self.quick else self.layer.receive_view)(view)

    def state(self) -> Any:
        reception, uplink, cache = self.layer.reception, self.track.uplink, self.layer.cache
        return {
            "counters": self.counters.snapshot(),
            "reception": [getattr(reception, name) for name in ("highest", "received", "_base", "_jitter")],
            "last": (self.layer.last_arrival, self.layer.octets),
            "wires": [wire.sent for wire in self.wires],
            "starvations": [wire.starvations for wire in self.wires],
            "slots": [(slot.sent, slot.sent_bytes, slot.skipped) for slot in self.slots],
            "recorded": [packet for _, packet, _ in self.leg.rtp],
            "cache": None if cache is None else ([view.index for view in cache.packets], cache.size, cache.epoch),
            "kept": [view.index for view in self.layer.packets._ring if view] if self.layer.packets else None,
            "uplink": None if uplink is None else uplink.estimate,
            "voice": (self.track.voice.talking, self.track.voice.loudness, self.heard),
            "asked": (self.publisher.plis, self.publisher.nacks),
        }


CALL = OrdinaryCallId(new_id("call"))

events = st.lists(
    st.tuples(
        st.sampled_from(("next",) * 14 + ("skip", "late", "key", "type", "gate", "mute", "broken", "timers")),
        st.booleans(),  # marker
        st.integers(0, 255),  # level
        st.integers(0, 40),  # bytes
    ),
    min_size=1,
    max_size=60,
)


def play(scene: Scene, kind: Kind, script: list[tuple[str, bool, int, int]]) -> None:
    number, now = 65_500, 50.0
    for what, marker, level, size in script:
        now += 0.011
        number += 2 if what == "skip" else 1
        if what == "gate":
            scene.gate.open = not scene.gate.open
            scene.track.gate_changed(now)
        elif what == "mute":
            scene.gate.set_muted("anna", kind, not scene.track.muted)
            scene.track.gate_changed(now)
        elif what == "broken":
            scene.wires[0].broken = not scene.wires[0].broken
        elif what == "timers":
            for wire in scene.wires:
                wire.run_timers()
        sequence = number - 3 if what == "late" else number
        payload_type = 50 if what == "type" else 96
        header = HEADER.pack(0x90, (0x80 if marker else 0) | payload_type, sequence & 0xFFFF, number * 960, 100)
        block = b"\x22" + (int(now * 262144) & 0xFFFFFF).to_bytes(3, "big") + b"\x10" + bytes([level]) + bytes(2)
        payload = b"\x10" + (b"\x10" if what == "key" else b"\x11") + bytes(size)
        scene.take(header + b"\xbe\xde\x00\x02" + block + payload, now)


@needs_native
@pytest.mark.parametrize("kind", [Kind.AUDIO, Kind.VIDEO])
@settings(deadline=None, max_examples=60)
@given(script=events)
def test_the_quick_way_leaves_what_the_long_way_leaves(kind: Kind, script: list[tuple[str, bool, int, int]]) -> None:
    script = [("key", True, 30, 10), *script]
    states = []
    for quick in (True, False):
        scene = Scene(kind, quick=quick)
        play(scene, kind, script)
        states.append(scene.state())
    assert states[0] == states[1]


@needs_native
def test_the_quick_way_is_gone_and_left() -> None:
    scene: Any = Scene(Kind.VIDEO, quick=True)
    play(scene, Kind.VIDEO, [("key", True, 30, 10)] + [("next", True, 30, 10)] * 9)
    assert scene.layer.taken == 9
    for what in ("key", "skip", "type", "gate"):
        before = scene.layer.taken
        play(scene, Kind.VIDEO, [(what, True, 30, 10)])
        assert scene.layer.taken == before


@needs_native
@pytest.mark.parametrize("wrong", ["track", "gate", "cache", "packets"])
def test_the_quick_way_looks_at_nothing_else(wrong: str) -> None:
    layer = Scene(Kind.VIDEO, quick=True).layer
    parts = {
        "track": layer.track,
        "gate": layer.track.gate,
        "payload_type": 96,
        "is_video": True,
        "tally": layer.track.counters.tally,
        "reception": layer.reception,
        "voice": layer.track.voice,
        "cache": layer.cache,
        "packets": layer.packets,
    }
    layer.watch(**parts)
    with pytest.raises(TypeError):
        layer.watch(**{**parts, wrong: object()})


@needs_native
def test_what_is_watched_is_the_objects_own() -> None:
    gate, cache, ring = Gate(), KeyframeCache(), PacketCache()
    assert gate.open is False and cache.size == 0 and ring.find(7) is None
    gate.open = True
    assert gate.open is True
    with pytest.raises(TypeError):
        gate.open = 1  # type: ignore[assignment]
    for part in (gate, cache, ring):
        assert isinstance(part, (_native.WatchedGate, _native.WatchedCache, _native.WatchedRing))


# Sockets


def cipher(kind: int) -> Any:
    policy = Policy(key=KEY, ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    return _native.Cipher(*srtp.session_handle(Session(policy)))


class Owner:
    """A session's Python half."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.datagrams: list[bytes] = []
        self.reports: list[bytes] = []
        self.views: list[Any] = []
        self.raises = False

    def on_packet(self, packet: bytes, now: float) -> None:
        self.packets.append(packet)

    def on_media(self, datagram: bytes, now: float) -> None:
        self.datagrams.append(datagram)

    def on_rtcp(self, compound: bytes, now: float) -> None:
        self.reports.append(compound)

    def receive(self, view: Any) -> None:
        if self.raises:
            raise RuntimeError("on purpose")
        self.views.append(view)


class Relay:
    """A socket with its reader."""

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((self.host, 0))
        self.socket.setblocking(False)
        self.client = socket.socket(family, socket.SOCK_DGRAM)
        self.client.bind((self.host, 0))
        self.tally, self.links = _native.Tally(), _native.Links()
        self.dispatched: list[tuple[bytes, Any]] = []
        self.outbox = _native.Outbox(self.socket.fileno(), _native.Tally())
        self.ingress = _native.Ingress(
            self.socket.fileno(),
            outbox=self.outbox,
            links=self.links,
            tally=self.tally,
            clock=time.monotonic,
            dispatch=self.dispatch,
        )
        self.owner = Owner()
        self.link = _native.Link(self.owner, self.tally)
        self.protect = cipher(Policy.SSRC_ANY_OUTBOUND).protect

    def dispatch(self, datagram: bytes, address: Any) -> None:
        self.dispatched.append((datagram, address))

    def send(self, *datagrams: bytes) -> None:
        """Send, and let the relay read all of it."""
        for datagram in datagrams:
            self.client.sendto(datagram, self.socket.getsockname())
        wanted = self.tally.datagrams + len(datagrams)
        give_up = time.monotonic() + 30
        while self.tally.datagrams < wanted and time.monotonic() < give_up:
            self.ingress.drain(256)
        assert self.tally.datagrams == wanted

    def join(self) -> None:
        self.links.bind(self.client.getsockname(), self.link)
        self.link.open(cipher(Policy.SSRC_ANY_INBOUND))

    def close(self) -> None:
        self.ingress.close()
        self.socket.close()
        self.client.close()


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def relay(request: pytest.FixtureRequest) -> Iterator[Relay]:
    made = Relay(request.param)
    yield made
    made.close()


def rtp(number: int, ssrc: int = 7) -> bytes:
    return HEADER.pack(0x80, 96, number & 0xFFFF, number * 960, ssrc) + number.to_bytes(4, "big")


@needs_native
def test_a_strangers_datagrams_cost_a_count(relay: Relay) -> None:
    relay.send(b"\x80" + bytes(20), b"\x16" + bytes(20), b"", bytes(1501), b"\x00\x01" + bytes(18))
    tally = relay.tally
    assert (tally.datagrams, tally.unknown_source, tally.empty, tally.oversized) == (5, 2, 1, 1)
    assert relay.dispatched == [(b"\x00\x01" + bytes(18), relay.client.getsockname())]


@needs_native
def test_media_goes_to_its_session_and_its_source(relay: Relay) -> None:
    relay.links.bind(relay.client.getsockname(), relay.link)
    early = relay.protect(rtp(1))
    relay.send(early)  # before the handshake is done
    assert relay.owner.datagrams == [early]
    relay.join()
    report = b"\x80\xc9\x00\x01" + bytes(4)
    policy = Policy(key=KEY, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    protected = Session(policy).protect_rtcp(report)
    seen = relay.link.last_seen
    forged = protected[:-1] + bytes([protected[-1] ^ 1])
    relay.send(relay.protect(rtp(2)), forged, protected, protected, b"\x16" + bytes(9))
    assert relay.owner.packets == [rtp(2)]
    assert relay.owner.datagrams == [early]
    assert relay.owner.reports == [report]
    assert relay.tally.dropped_srtp == 2  # the forged one, and the second of two that are the same
    assert relay.link.last_seen > seen
    assert [datagram for datagram, _ in relay.dispatched] == [b"\x16" + bytes(9)]
    assert relay.link.last_seen > 0
    relay.link.add(7, relay.owner.receive, audio_level=1, abs_send_time=2)
    relay.send(*(relay.protect(rtp(number)) for number in range(3, 203)))
    assert [view.packet for view in relay.owner.views] == [rtp(number) for number in range(3, 203)]
    relay.link.remove(7)
    relay.send(relay.protect(rtp(203)))
    assert relay.owner.packets == [rtp(2), rtp(203)]
    relay.links.release(relay.client.getsockname())
    relay.send(relay.protect(rtp(204)))
    assert relay.tally.unknown_source == 1
    assert relay.links.count == 0


@needs_native
def test_forgeries_and_replays_change_nothing(relay: Relay) -> None:
    relay.join()
    relay.link.add(7, relay.owner.receive, audio_level=1, abs_send_time=2)
    wire = relay.protect(rtp(1))
    relay.send(wire, wire, b"\x80" + bytes(40), b"\x80", wire[:-1] + b"\x00")
    assert len(relay.owner.views) == 1
    assert relay.tally.dropped_srtp == 4
    assert relay.owner.packets == []


@needs_native
def test_a_malformed_header_goes_to_python_to_be_counted(relay: Relay) -> None:
    relay.join()
    relay.link.add(7, relay.owner.receive, audio_level=1, abs_send_time=2)
    padded = b"\xa0" + rtp(1)[1:-1] + b"\xff"
    relay.send(relay.protect(padded))
    assert relay.owner.packets == [padded]


@needs_native
def test_one_packets_trouble_is_not_the_others(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: told.append(what.exc_value))
    relay.join()
    relay.link.add(7, relay.owner.receive, audio_level=1, abs_send_time=2)
    relay.owner.raises = True
    relay.send(relay.protect(rtp(1)), relay.protect(rtp(2)))
    relay.owner.raises = False
    relay.send(relay.protect(rtp(3)))
    assert [str(error) for error in told] == ["on purpose", "on purpose"]
    assert len(relay.owner.views) == 1


@needs_native
def test_closing_in_the_middle_stops_at_once(relay: Relay) -> None:
    class Closer(Owner):
        def receive(self, view: Any) -> None:
            super().receive(view)
            relay.link.close()
            relay.ingress.close()
            relay.outbox.close()

    owner = Closer()
    relay.link = _native.Link(owner, relay.tally)
    relay.join()
    relay.link.add(7, owner.receive, audio_level=1, abs_send_time=2)
    for number in range(5):
        relay.client.sendto(relay.protect(rtp(number)), relay.socket.getsockname())
    assert relay.ingress.drain(256) >= 1
    assert len(owner.views) == 1
    assert relay.ingress.drain(256) == 0


@needs_native
def test_nothing_stays_behind() -> None:
    """Sessions, sources, queues and views are gone when the last of Python lets go of them."""
    relay = Relay()
    relay.join()
    relay.link.add(7, relay.owner.receive, audio_level=1, abs_send_time=2)
    relay.send(*(relay.protect(rtp(number)) for number in range(100)))
    before = sys.getrefcount(relay.tally)
    relay.owner.views.clear()
    relay.link.close()
    relay.links.release(relay.client.getsockname())
    relay.owner.__dict__["link"] = relay.link  # a circle
    relay.link = None
    owner = weakref.ref(relay.owner)
    relay.owner = None  # type: ignore[assignment]
    gc.collect()
    after = sys.getrefcount(relay.tally)
    assert owner() is None
    assert after == before - 1
    relay.close()


# The rhythm


def test_the_rhythm_is_as_quick_as_batches_are_large() -> None:
    assert rhythm(BUSY) == rhythm(10_000) == RHYTHM[1]
    assert RHYTHM[0] < rhythm(16_000) == 64 / 16_000 < RHYTHM[1]
    assert rhythm(25_000) == rhythm(1e9) == RHYTHM[0]


@needs_native
async def test_a_metronome_reads_and_beats_and_says_when_to_look(relay: Relay) -> None:
    heeded: list[tuple[int, int, int]] = []
    beats: list[int] = []
    metronome = _native.Metronome(relay.ingress, 64, 4, lambda *numbers: heeded.append(numbers))
    metronome.carry(lambda: beats.append(relay.outbox.queued), 0.0)
    relay.join()
    for number in range(3):
        relay.client.sendto(relay.protect(rtp(number)), relay.socket.getsockname())
    give_up = time.monotonic() + 60
    turns = 0
    while (len(relay.owner.packets) < 3 or turns < 4) and time.monotonic() < give_up:
        metronome.turn()
        turns += 1
    assert relay.owner.packets == [rtp(number) for number in range(3)]
    assert len(beats) == turns
    assert len(heeded) == turns // 4
    assert all(numbers[2] == 4 for numbers in heeded)
    for number in range(10, 74):
        relay.client.sendto(relay.protect(rtp(number)), relay.socket.getsockname())
    metronome.turn()
    assert heeded[-1][0] == 64  # there may be more
    for wrong in (-1.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="rhythm"):
            metronome.pace(wrong)
    metronome.close()
    metronome.close()
    assert metronome.fileno() == -1
    metronome.turn()
    assert len(beats) == turns + 1
    with pytest.raises(OSError):
        metronome.pace(0.1)


@needs_native
def test_a_beat_that_raises_is_told_and_the_next_turn_comes(relay: Relay) -> None:
    def fails() -> None:
        raise RuntimeError("on purpose")

    metronome = _native.Metronome(relay.ingress, 64, 64, fails)
    metronome.carry(fails, 0.0)
    relay.join()
    with pytest.raises(RuntimeError):
        metronome.turn()
    metronome.carry(None, 0.0)
    relay.client.sendto(relay.protect(rtp(1)), relay.socket.getsockname())
    give_up = time.monotonic() + 60
    while not relay.owner.packets and time.monotonic() < give_up:
        metronome.turn()
    assert relay.owner.packets == [rtp(1)]
    metronome.close()


@pytest.mark.parametrize("ours", [False, pytest.param(True, marks=needs_native)], ids=["python", "native"])
async def test_a_beat_goes_with_the_rhythm_and_by_itself_without(ours: bool) -> None:
    loop = asyncio.get_running_loop()
    relay = Relay() if ours else None
    source, sender = (
        (relay.socket, relay.client) if relay is not None else socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    )
    source.setblocking(False)
    beaten: list[bool] = []
    metronome = (lambda heed: _native.Metronome(relay.ingress, 256, 64, heed)) if relay is not None else None

    def drain() -> int:
        if relay is not None:
            return int(relay.ingress.drain(256))
        for count in range(256):
            try:
                source.recv(100)
            except BlockingIOError:
                return count
        return 256

    beat = Beat(loop, 0.001, lambda: beaten.append(reader.is_paced))
    reader = PacedReader(loop, source, drain, 256, beat=beat, metronome=metronome)

    async def until(paced: bool, burst: int) -> None:
        beaten.clear()
        async with asyncio.timeout(60):
            while paced not in beaten:
                for _ in range(burst):
                    try:
                        sender.sendto(b"x", source.getsockname()) if relay is not None else sender.send(b"x")
                    except BlockingIOError:
                        break
                await asyncio.sleep(0)

    sender.setblocking(False)
    await until(False, 0)
    await until(True, 8)
    await until(False, 0)
    await until(True, 8)
    reader.close()
    await until(False, 0)  # nobody reads, and time goes on
    beat.close()
    beat.close()
    other = object()
    assert not beat.take(other)
    source.close()
    sender.close()


async def test_one_reader_carries_the_beat() -> None:
    beat = Beat(asyncio.get_running_loop(), 30.0, lambda: None)
    first, second = object(), object()
    assert beat.take(first)
    assert not beat.take(second)
    beat.put_down(second)
    assert not beat.take(second)
    beat.put_down(first)
    assert beat.take(second)
    beat.close()


async def test_a_busy_socket_is_read_in_a_rhythm_and_a_quiet_one_at_once() -> None:
    loop = asyncio.get_running_loop()
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    taken: list[bytes] = []

    def drain() -> int:
        for count in range(256):
            try:
                taken.append(receiver.recv(100))
            except BlockingIOError:
                return count
        return 256

    reader = PacedReader(loop, receiver, drain, 256)
    sent = 0

    async def until(paced: bool, burst: int) -> None:
        nonlocal sent
        async with asyncio.timeout(60):
            while reader.is_paced is not paced:
                for _ in range(burst):
                    sender.send(b"x")
                    sent += 1
                await asyncio.sleep(0)

    await until(True, 8)
    assert BUSY > 0
    await until(False, 0)
    sender.send(b"last")
    async with asyncio.timeout(60):
        while taken[-1] != b"last":  # noqa: ASYNC110 - the reader has no event to wait for
            await asyncio.sleep(0)
    assert len(taken) == sent + 1
    reader.close()
    reader.close()
    assert not loop.remove_reader(receiver)
    receiver.close()
    sender.close()
