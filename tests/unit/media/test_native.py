"""The packet path in C does what the one in Python does: the same bytes, the same numbers, the same refusals."""

from __future__ import annotations

import gc
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pylibsrtp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from signaling.media import rtp, srtp
from signaling.media.rtp import ExtensionIds, MalformedPacket, RtpView, abs_send_time
from signaling.media.step import NEVER, PlainStep, Template
from signaling.media.vp8 import starts_keyframe

try:
    from signaling.media import _native
except ImportError:
    _native = None  # type: ignore[assignment]

needs_native = pytest.mark.skipif(_native is None, reason="the extension was not built: no compiler")
KEY = bytes(range(28))
IDS = ExtensionIds(mid=4, audio_level=1, abs_send_time=2)


@pytest.fixture(autouse=True)
def configured() -> None:
    if _native is not None:
        addresses = srtp.function_addresses()
        assert addresses is not None
        _native.configure(*addresses, srtp.Error)


def test_it_is_built_where_it_can_be() -> None:
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if not headers.exists() or not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no compiler, or no headers of Python")
    assert _native is not None, "signaling/media/_native.c does not compile, or `make venv` was not run again"


def choice(value: str) -> str:
    code = "from signaling.media import native; print(native.describe(), native.module is not None)"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "VISIT_NATIVE": value},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()


def test_the_environment_chooses() -> None:
    assert choice("0") == "python (switched_off) False"
    assert choice("1") == ("native True" if _native is not None else "python (not_built) False")


# Headers


def read(packet: bytes, ids: ExtensionIds) -> Any:
    """What the one in C reads, or the words of its refusal."""
    view = _native.parse(packet, ids.audio_level, ids.abs_send_time, 7.25)
    return rtp.PROBLEMS[view] if isinstance(view, int) else view


ATTRIBUTES = [name for name in RtpView.__slots__ if name not in ("index", "keyframe", "departure")]


def same(packet: bytes, ids: ExtensionIds) -> None:
    ours = read(packet, ids)
    try:
        theirs = rtp.parse_plain(packet, ids, 7.25)
    except MalformedPacket as error:
        assert ours == str(error)
        return
    assert {name: getattr(ours, name) for name in ATTRIBUTES} == {name: getattr(theirs, name) for name in ATTRIBUTES}
    assert ours.size == theirs.size == len(packet)
    assert ours.starts_keyframe() == theirs.starts_keyframe() == starts_keyframe(theirs.payload)


identifiers = st.integers(0, 15)
some_ids = st.builds(ExtensionIds, mid=identifiers, audio_level=identifiers, abs_send_time=identifiers)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Nearly well-formed packets: every length and every bit may be wrong."""
    sources = draw(st.integers(0, 15))
    first = draw(st.sampled_from((0x80, 0x90, 0xA0, 0xB0, 0x00, 0x40))) | sources
    packet = bytes((first, draw(st.integers(0, 255)))) + draw(st.binary(min_size=10, max_size=10))
    packet += bytes(4 * draw(st.sampled_from((sources, sources, 0))))
    if first & 0x10:
        elements = draw(st.lists(st.tuples(st.integers(0, 15), st.binary(min_size=1, max_size=16)), max_size=4))
        block = b"".join(bytes((number << 4 | len(value) - 1,)) + value for number, value in elements)
        block += bytes(-len(block) % 4)
        words = draw(st.sampled_from((len(block) // 4, len(block) // 4, len(block) // 4 + 1, 0xFFFF)))
        profile = draw(st.sampled_from((b"\xbe\xde", b"\xbe\xde", b"\x10\x00")))
        packet += profile + words.to_bytes(2, "big") + block
    packet += draw(st.binary(max_size=60))
    return packet[: draw(st.one_of(st.just(len(packet)), st.integers(0, len(packet))))]


@needs_native
@settings(deadline=None, max_examples=200)
@given(packets(), some_ids)
def test_reads_headers_as_python_does(packet: bytes, ids: ExtensionIds) -> None:
    same(packet, ids)


@needs_native
@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=120), some_ids)
def test_reads_anything_as_python_does(packet: bytes, ids: ExtensionIds) -> None:
    same(packet, ids)
    same(b"\x90\x60" + packet, ids)


@needs_native
@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=24))
def test_finds_keyframes_as_python_does(payload: bytes) -> None:
    view = read(b"\x80\x60" + bytes(10) + payload, IDS)
    assert view.starts_keyframe() == starts_keyframe(payload)


@needs_native
def test_a_view_has_the_departure_it_is_given() -> None:
    view = read(b"\x80\x60" + bytes(10), IDS)
    view.departure = abs_send_time(3.5)
    assert view.departure == abs_send_time(3.5)
    with pytest.raises(TypeError):
        view.departure = b"four"
    with pytest.raises(TypeError):
        _native.View()


# The stable step


def plain_view(packet: bytes, index: int, arrival: float) -> RtpView:
    view = rtp.parse_plain(packet, IDS, arrival)
    view.index, view.departure, view.keyframe = index, abs_send_time(arrival), False
    return view


def native_view(packet: bytes, index: int, arrival: float) -> Any:
    view = _native.parse(packet, IDS.audio_level, IDS.abs_send_time, arrival)
    view.index, view.departure, view.keyframe = index, abs_send_time(arrival), False
    return view


def template(time: bool, level: bool, mid: str) -> Template:
    """An extension block as rewrite.py makes it."""
    block = b"\xbe\xde\x00\x00" + (b"\x22\x00\x00\x00" if time else b"")
    time_at = 5 if time else -1
    level_at = -1
    if level:
        level_at = len(block) + 1
        block += b"\x10\x00"
    if mid:
        block += bytes((0x40 | len(mid) - 1,)) + mid.encode()
    if len(block) == 4:
        return b"", -1, -1
    block += bytes(-len(block) % 4)
    return block[:2] + ((len(block) - 4) // 4).to_bytes(2, "big") + block[4:], time_at, level_at


@dataclass
class Ends:
    """What a step is connected to. `taken`: whether the n-th packet can be sent."""

    taken: Callable[[int], bool] = lambda _: True
    out: list[bytes] = field(default_factory=list)
    kept: list[tuple[int, bytes]] = field(default_factory=list)
    odd: list[int] = field(default_factory=list)
    cuts: int = 0
    tries: int = 0

    def send(self, packet: bytes) -> bytes | None:
        self.tries += 1
        if not self.taken(self.tries):
            return None
        self.out.append(packet)
        return b"wire" + packet

    def unstable(self, view: Any) -> int:
        self.odd.append(view.index)
        return 0

    def cut(self) -> None:
        self.cuts += 1

    def keep(self, sequence: int, wire: bytes) -> None:
        self.kept.append((sequence, wire))


def connect(step: Any, ends: Ends, *, hidden: bool = False, keep: bool = True, outlet: Any = None) -> None:
    step.ssrc, step.payload_type = 0xFFEEDDCC, 96
    step.connect(
        outlet=outlet,
        send=ends.send,
        unstable=ends.unstable,
        cut=ends.cut,
        keep=ends.keep if keep else None,
        hidden=hidden,
    )


NUMBERS = ("index_offset", "timestamp_offset", "newest_index", "packets", "octets", "stable_from")
TALLIED = ("forwarded", "forwarded_bytes", "forwarded_participants", "forwarded_officers")


@dataclass
class PlainTally:
    """What PlainStep counts in."""

    forwarded: int = 0
    forwarded_bytes: int = 0
    forwarded_officers: int = 0
    forwarded_participants: int = 0


sources = st.builds(
    lambda level, marker, payload: (
        bytes((0x90, marker | 100))
        + b"\x12\x34\xf0\x00\x00\x01\x00\x00\x00\x07\xbe\xde\x00\x01"
        + (bytes((0x10, level, 0, 0)) if level is not None else bytes(4))
        + payload
    ),
    st.one_of(st.none(), st.integers(0, 255)),
    st.sampled_from((0, 0x80)),
    st.binary(max_size=40),
)


@needs_native
@settings(deadline=None, max_examples=120)
@given(
    st.lists(st.tuples(sources, st.integers(65_000, 66_200)), min_size=1, max_size=12),
    st.tuples(st.booleans(), st.booleans(), st.sampled_from(("", "0", "video1"))),
    st.tuples(st.integers(-(1 << 33), 1 << 33), st.integers(-(1 << 33), 1 << 33)),
    st.tuples(st.integers(0, 32767), st.integers(0, 255)),
    st.sets(st.integers(1, 14)),
    st.booleans(),
)
def test_a_step_does_what_the_plain_one_does(
    given_packets: list[tuple[bytes, int]],
    shape: tuple[bool, bool, str],
    offsets: tuple[int, int],
    vp8: tuple[int, int],
    refused: set[int],
    hidden: bool,
) -> None:
    time, level, mid = shape
    results = []
    for step, view_of, tally in (
        (PlainStep(), plain_view, PlainTally()),
        (_native.Step(), native_view, _native.Tally()),
    ):
        ends = Ends(lambda tried: tried not in refused)
        connect(step, ends, hidden=hidden)
        step.count_in(tally)
        step.shape(template(time, False, mid), template(time, True, mid) if level else None)
        step.index_offset, step.timestamp_offset = offsets
        step.picture_offset, step.tl0_offset = vp8
        step.stable_from = 65_500
        history: list[Any] = []
        for number, (packet, index) in enumerate(given_packets):
            view = view_of(packet, index, number / 50)
            history.append(step.packet(view))
            history.append(step.forward(view))
            if number % 3 == 2:
                history.append(step.put(view, number * 1000))
            history.append([getattr(step, name) for name in NUMBERS])
            history.append(step.newest.packet if step.newest is not None else None)
        history.append([getattr(tally, name) for name in TALLIED])
        results.append((history, ends.out, ends.kept, ends.odd, ends.cuts))
    assert results[0] == results[1]


@needs_native
def test_a_new_step_is_nowhere() -> None:
    for step in (PlainStep(), _native.Step()):
        assert (step.stable_from, step.newest, step.newest_index) == (NEVER, None, -1)
        for wrong in ((b"abc", -1, -1), (b"abcd", 2, -1), (b"abcd", -1, 4)):
            with pytest.raises(ValueError, match="header extension"):
                step.shape(wrong, None)


# SRTP, and the queue of what is sent


def session(kind: int) -> Session:
    policy = Policy(key=KEY, ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    policy.allow_repeat_tx = True
    return Session(policy)


def cipher(kind: int) -> Any:
    return _native.Cipher(*srtp.session_handle(session(kind)))


def packet_of(number: int, size: int = 20) -> bytes:
    return (
        b"\x80\x64" + number.to_bytes(2, "big") + bytes(4) + b"\x00\x00\x00\x07" + number.to_bytes(4, "big").ljust(size)
    )


class Receiver:
    """A socket that packets are sent to, and what decrypts them."""

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.socket.settimeout(30)
        self.cipher = cipher(Policy.SSRC_ANY_INBOUND)

    @property
    def address(self) -> Any:
        return self.socket.getsockname()

    def take(self) -> bytes:
        packet: bytes = self.cipher.unprotect(self.socket.recv(2048))
        return packet

    def nothing(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(2048)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(30)
        return False


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.setblocking(False)
        yield bound


NOWHERE = ("255.255.255.255", 9)  # EACCES without SO_BROADCAST


class Way:
    """A step that sends through an Outbox."""

    def __init__(self, outbox: Any, address: Any, tally: Any = None, *, keep: bool = False) -> None:
        self.outlet = _native.Outlet()
        self.outlet.open(cipher(Policy.SSRC_ANY_OUTBOUND))
        self.outlet.to(outbox, address)
        self.tally = _native.Tally() if tally is None else tally
        self.ends = Ends(lambda _: False)
        self.step = _native.Step()
        connect(self.step, self.ends, keep=keep, outlet=self.outlet)
        self.step.count_in(self.tally)
        self.step.stable_from = 0

    def forward(self, number: int) -> int:
        sent: int = self.step.forward(native_view(packet_of(number), number, number / 50))
        return sent


@needs_native
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_what_is_queued_is_sent_in_order(family: int) -> None:
    receivers = [Receiver(family), Receiver(family)]
    with socket.socket(family, socket.SOCK_DGRAM) as bound:
        bound.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        outbox = _native.Outbox(bound.fileno(), _native.Tally())
        ways = [Way(outbox, receiver.address, keep=True) for receiver in receivers]
        outbox.hold()
        for number in range(100):  # more than the queue holds
            for way in ways:
                assert way.forward(number) == 12 + 20
        assert 0 < outbox.queued < 200
        outbox.release()
        assert outbox.queued == 0
        for receiver, way in zip(receivers, ways, strict=True):
            taken = [receiver.take() for _ in range(100)]
            assert [int.from_bytes(packet[12:16], "big") for packet in taken] == list(range(100))
            assert all(packet[8:12] == b"\xff\xee\xdd\xcc" for packet in taken)
            assert (way.tally.forwarded, way.step.packets, way.ends.cuts) == (100, 100, 0)
            assert way.tally.forwarded_bytes == way.step.octets == 3200
            assert [number for number, _ in way.ends.kept] == list(range(100))


@needs_native
def test_what_cannot_be_sent_sets_its_step_back_and_nobody_elses(sender: socket.socket) -> None:
    outbox = _native.Outbox(sender.fileno(), _native.Tally())
    receiver = Receiver()
    good, bad = Way(outbox, receiver.address), Way(outbox, receiver.address)
    bad.step.ssrc = 5
    assert bad.forward(1) and receiver.take()
    bad.outlet.to(outbox, NOWHERE)
    before = [getattr(bad.step, name) for name in NUMBERS]
    newest = bad.step.newest
    outbox.hold()
    for number in range(2, 6):
        assert good.forward(number) and bad.forward(number)
    assert bad.ends.cuts == 0
    outbox.release()
    assert [getattr(bad.step, name) for name in NUMBERS] == before
    assert bad.step.newest is newest
    assert bad.ends.cuts == 1
    assert (bad.tally.forwarded, bad.tally.forwarded_bytes, bad.tally.dropped_send) == (1, 32, 4)
    assert [int.from_bytes(receiver.take()[12:16], "big") for _ in range(4)] == [2, 3, 4, 5]
    assert (good.tally.forwarded, good.ends.cuts) == (4, 0)
    # With nobody holding the queue it is known at once; and afterwards the numbers go on without a hole.
    assert bad.forward(6) == 0 and bad.ends.cuts == 2
    bad.outlet.to(outbox, receiver.address)
    assert bad.forward(2) == 32
    assert receiver.take()[2:4] == b"\x00\x02"


# Which of six steps sends how many bytes of payload, or is given another address from then on (None: there is none)
sendings = st.lists(
    st.tuples(st.integers(0, 5), st.integers(4, 60) | st.just(40) | st.tuples(st.none() | st.integers(0, 1))),
    max_size=150,
)


@needs_native
@settings(deadline=None, max_examples=60)
@given(sendings, st.booleans())
def test_pairs_keep_the_order_of_each_receiver(events: list[tuple[int, Any]], refused: bool) -> None:
    """Six steps to two receivers: whatever is sent together, each one's packets come whole and in order."""
    receivers = [Receiver(), Receiver()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        if refused:
            bound.setsockopt(socket.SOL_SOCKET, 11, 1)  # SO_NO_CHECK: the kernel cuts nothing without checksums
        outbox = _native.Outbox(bound.fileno(), _native.Tally())
        ways = [Way(outbox, receivers[number % 2].address) for number in range(6)]
        at = [number % 2 for number in range(6)]
        wanted: list[list[bytes]] = [[] for _ in receivers]
        broken = [False] * 6
        outbox.hold()
        for number, (who, what) in enumerate(events):
            way = ways[who]
            way.step.ssrc = who
            if isinstance(what, tuple):
                at[who] = -1 if what[0] is None else what[0]
                way.outlet.to(outbox, NOWHERE if what[0] is None else receivers[what[0]].address)
                continue
            view = native_view(packet_of(number, what), number, number / 50)
            assert way.step.forward(view) == 12 + what
            broken[who] |= at[who] < 0
            if not broken[who]:
                wanted[at[who]].append(way.step.packet(view))
        full = len([1 for _, what in events if not isinstance(what, tuple)]) > 127
        outbox.release()
        if full and any(broken):  # what was queued after a cut begins anew: other tests
            return
        for receiver, packets in zip(receivers, wanted, strict=True):
            assert [receiver.take() for _ in packets] == packets
            assert receiver.nothing()
            receiver.socket.close()
        assert [way.ends.cuts for way in ways] == [int(one) for one in broken]
        assert not refused or outbox.pairs == 0


@needs_native
def test_two_packets_to_one_address_go_as_one_and_in_order(sender: socket.socket) -> None:
    outbox = _native.Outbox(sender.fileno(), _native.Tally())
    receiver = Receiver()
    ways = [Way(outbox, receiver.address), Way(outbox, receiver.address)]
    for number, (way, size) in enumerate(zip(ways * 2, (20, 40, 40, 20), strict=True)):
        way.step.ssrc = size
        outbox.hold()
        way.step.forward(native_view(packet_of(number, size), number, 0.0))
    for _ in range(4):
        outbox.release()
    assert [receiver.take()[12:16] for _ in range(4)] == [number.to_bytes(4, "big") for number in range(4)]
    assert outbox.pairs == 1  # the second and the third: the shorter of two is never sent first
    assert receiver.nothing()


@needs_native
def test_a_closed_queue_fails_and_never_touches_the_descriptor(sender: socket.socket) -> None:
    outbox = _native.Outbox(sender.fileno(), _native.Tally())
    receiver = Receiver()
    way = Way(outbox, receiver.address)
    outbox.hold()
    assert way.forward(1)
    outbox.close()
    outbox.release()
    assert (way.ends.cuts, way.tally.forwarded, way.tally.dropped_send) == (1, 0, 1)
    assert receiver.nothing()


@needs_native
def test_what_a_cut_leads_to_may_send_and_close(sender: socket.socket) -> None:
    outbox = _native.Outbox(sender.fileno(), _native.Tally())
    receiver = Receiver()
    other = Way(outbox, receiver.address)
    bad = Way(outbox, NOWHERE)

    def cut() -> None:
        other.forward(9)
        bad.outlet.close()

    bad.step.connect(
        outlet=bad.outlet, send=bad.ends.send, unstable=bad.ends.unstable, cut=cut, keep=None, hidden=False
    )
    outbox.hold()
    bad.forward(1)
    outbox.release()
    assert receiver.take()[12:16] == (9).to_bytes(4, "big")
    assert bad.forward(2) == 0  # a closed outlet asks Python, which says no
    assert bad.ends.tries == 1


@needs_native
def test_too_long_a_packet_is_refused(sender: socket.socket) -> None:
    way = Way(_native.Outbox(sender.fileno(), _native.Tally()), Receiver().address)
    longest = srtp.MAX_PROTECTED - 12
    assert way.step.forward(native_view(packet_of(1, longest), 1, 0.0)) == srtp.MAX_PROTECTED
    assert way.step.forward(native_view(packet_of(2, longest + 1), 2, 0.0)) == 0
    assert (way.tally.dropped_oversize, way.ends.cuts) == (1, 1)


REPORT = b"\x80\xc9\x00\x01\x00\x00\x00\x07"  # an empty receiver report (RFC 3550 section 6.4.2)


@needs_native
def test_reports_are_queued_behind_packets_and_sent_with_them(sender: socket.socket) -> None:
    tally, receiver = _native.Tally(), Receiver()
    outbox = _native.Outbox(sender.fileno(), tally)
    way, lost = Way(outbox, receiver.address), Way(outbox, NOWHERE)
    reader = session(Policy.SSRC_ANY_INBOUND)
    outbox.hold()
    assert way.forward(1)
    assert lost.outlet.rtcp(REPORT) is True  # the kernel refuses it, and nobody else's
    assert way.outlet.rtcp(REPORT) is True
    assert way.forward(2)
    assert outbox.queued == 4 and receiver.nothing()
    outbox.release()
    assert receiver.take()[12:16] == (1).to_bytes(4, "big")
    assert reader.unprotect_rtcp(receiver.socket.recv(2048)) == REPORT
    assert receiver.take()[12:16] == (2).to_bytes(4, "big")
    assert (tally.send_failed, way.tally.forwarded, way.ends.cuts, lost.ends.cuts) == (1, 2, 0, 0)
    assert way.outlet.rtcp(REPORT) is True  # with nobody holding the queue it goes at once
    assert reader.unprotect_rtcp(receiver.socket.recv(2048)) == REPORT


@needs_native
def test_many_reports_are_sent_in_between(sender: socket.socket) -> None:
    receiver = Receiver()
    way = Way(_native.Outbox(sender.fileno(), _native.Tally()), receiver.address)
    way.outlet.rtcp(REPORT)
    outbox = _native.Outbox(sender.fileno(), _native.Tally())
    way.outlet.to(outbox, receiver.address)
    outbox.hold()
    assert all(way.outlet.rtcp(REPORT) for _ in range(150))
    assert 0 < outbox.queued < 150
    outbox.release()
    reader = session(Policy.SSRC_ANY_INBOUND)
    assert [reader.unprotect_rtcp(receiver.socket.recv(2048)) for _ in range(151)] == [REPORT] * 151


@needs_native
def test_reports_without_a_way_are_pythons(sender: socket.socket) -> None:
    way = Way(_native.Outbox(sender.fileno(), _native.Tally()), Receiver().address)
    with pytest.raises(ValueError, match="too long"):
        way.outlet.rtcp(bytes(1353))
    with pytest.raises(TypeError):
        way.outlet.rtcp("text")
    with pytest.raises(pylibsrtp.Error):
        way.outlet.rtcp(b"\x80")
    way.outlet.to(None, None)
    assert way.outlet.rtcp(REPORT) is False
    assert _native.Outlet().rtcp(REPORT) is False


@needs_native
def test_the_cipher_is_pylibsrtps() -> None:
    protect, unprotect = cipher(Policy.SSRC_ANY_OUTBOUND), cipher(Policy.SSRC_ANY_INBOUND)
    gc.collect()
    plain = packet_of(7, 1000)
    wire = protect.protect(plain)
    assert wire == session(Policy.SSRC_ANY_OUTBOUND).protect(plain)
    with pytest.raises(pylibsrtp.Error):
        unprotect.unprotect(wire[:-1] + bytes([wire[-1] ^ 1]))
    assert unprotect.unprotect(wire) == plain
    for again in (wire, b"", b"\x80", wire[:20]):
        with pytest.raises(pylibsrtp.Error):
            unprotect.unprotect(again)
    with pytest.raises(ValueError, match="too long"):
        protect.protect(bytes(srtp.MAX_PROTECTED + 1))
    with pytest.raises(ValueError, match="too long"):
        unprotect.unprotect(bytes(1501))
    with pytest.raises(TypeError):
        protect.protect("text")
    with pytest.raises(ValueError, match="no session"):
        _native.Cipher(0, None)


@needs_native
@pytest.mark.parametrize("address", [("nobody", 5), ("127.0.0.1", 70_000), ("127.0.0.1", -1), "text", ("::1%lo",), ()])
def test_only_addresses_are_addresses(sender: socket.socket, address: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        _native.Outlet().to(_native.Outbox(sender.fileno(), _native.Tally()), address)
