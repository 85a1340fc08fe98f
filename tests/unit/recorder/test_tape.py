"""What recording does for every packet, in C and in Python: the same bytes, the same numbers, the same refusals."""

from __future__ import annotations

import gc
import shutil
import struct
import sysconfig
import weakref
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.log import RecordKind, scan
from recorder.summary import RecordingSummary
from recorder.tape import Framed, Item, PlainTape, frame_plain

try:
    from recorder import _tape
except ImportError:
    _tape = None  # type: ignore[assignment]

needs_native = pytest.mark.skipif(_tape is None, reason="the extension was not built: no compiler")
WAYS = [pytest.param("plain"), pytest.param("native", marks=needs_native)]
OFFSET = 1_700_000_000_000_000_000


def test_it_is_built_where_it_can_be() -> None:
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if not headers.exists() or not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no compiler, or no headers of Python")
    assert _tape is not None, "recorder/_tape.c does not compile, or `make venv` was not run again"


def frame(way: str, items: list[Item], at: int = 0, shift: int = 0, offset: int = OFFSET) -> Framed:
    """By the one way or the other."""
    if way == "plain":
        return frame_plain(items, at, shift, offset)
    result: Framed = _tape.frame(items, at, shift, offset)
    return result


def rtp(number: int, size: int = 20) -> bytes:
    return struct.pack("!BBH", 0x80, 96, number & 0xFFFF) + bytes(size - 4)


items = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from([RecordKind.RTP, 1]),
            st.integers(0, 40),
            st.builds(rtp, st.integers(65_530, 65_545), st.integers(4, 40)),
            st.floats(0, 1e6),
        ),
        st.tuples(st.just(2), st.integers(0, 3), st.binary(max_size=30), st.floats(0, 1e6)),
        st.tuples(st.just(3), st.just(0xFFFF), st.just({"type": "hold"}), st.floats(0, 1e6)),
    ),
    max_size=60,
)


@needs_native
@settings(max_examples=300, deadline=None)
@given(items, st.integers(0, 5), st.integers(0, 10**12), st.integers(0, 10**18))
def test_both_ways_frame_alike(batch: list[Item], at: int, shift: int, offset: int) -> None:
    at = min(at, len(batch))
    plain, native = frame("plain", batch, at, shift, offset), frame("native", batch, at, shift, offset)
    tracks = {index for kind, index, payload, _ in batch[at : plain[0]] if kind == 1 and len(payload) >= 12}
    if len(tracks) > 32:  # beyond that, Python counts one by one
        native = (*native[:2], plain[2], *native[3:])
    assert native == plain


@pytest.mark.parametrize("way", WAYS)
def test_records_are_the_packets_up_to_the_first_event(way: str) -> None:
    batch: list[Item] = [
        (1, 7, rtp(65535, 30), 2.0),
        (1, 8, rtp(5), 1.5),
        (2, 7, b"report", 1.75),
        (1, 7, rtp(0, 31), 2.5),
        (1, 7, b"short", 2.25),
        (3, 0xFFFF, {"type": "hold"}, 3.0),
        (1, 7, rtp(1), 3.5),
    ]
    end, records, runs, first_ns, last_ns = frame(way, batch, shift=10)
    assert (end, first_ns, last_ns) == (5, 1_500_000_010, 2_500_000_010)
    assert runs == [(7, 65535, 2, 61, 2_500_000_010), (8, 5, 1, 20, 1_500_000_010)]
    read = [
        (kind, track, mono, wall - mono, records[start:stop]) for kind, track, mono, wall, start, stop in scan(records)
    ]
    assert read == [(kind, track, int(at * 1e9) + 10, OFFSET, payload) for kind, track, payload, at in batch[:5]]
    assert frame(way, batch, 6)[0] == 7
    assert frame(way, batch, 7) == (7, b"", [], 0, 0)


@pytest.mark.parametrize("way", WAYS)
def test_a_track_out_of_order_has_no_run(way: str) -> None:
    assert frame(way, [(1, 1, rtp(3), 1.0), (1, 2, rtp(9), 1.0), (1, 1, rtp(5), 1.0)])[2] is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "item", [(1, 0x10000, b"x" * 12, 1.0), (1, -1, b"", 1.0), (256, 1, b"", 1.0), (1, 1, b"", -5.0), (1, 1, b"")]
)
def test_what_fits_into_no_record_is_refused(way: str, item: Any) -> None:
    with pytest.raises((ValueError, TypeError, struct.error)):
        frame(way, [item])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(65_533, 65_540)), min_size=1, max_size=12), max_size=8)
)
def test_runs_count_as_single_packets_do(batches: list[list[tuple[int, int]]]) -> None:
    """Whatever is lost, repeated or late: the summary that is fed by runs is the one that is fed packet by packet."""
    by_runs, one_by_one = RecordingSummary(), RecordingSummary()
    for summary in (by_runs, one_by_one):
        for index in (0, 1):  # a packet of track 2 belongs to no track
            summary.track(index, {"track_id": str(index)}, 0)
    now = 0.0
    for batch in batches:
        framed: list[Item] = []
        for index, number in batch:
            now += 0.5
            framed.append((1, index, rtp(number), now))
        runs = frame_plain(framed, 0, 0, 0)[2]
        if runs is None or not by_runs.runs(runs):
            for _, index, payload, at in framed:
                by_runs.rtp(index, payload, int(at * 1e9))  # type: ignore[arg-type]
        for _, index, payload, at in framed:
            one_by_one.rtp(index, payload, int(at * 1e9))  # type: ignore[arg-type]
        now_ns = int(now * 1e9)
        assert by_runs.gap_records(now_ns) == one_by_one.gap_records(now_ns)
        assert by_runs.to_json() == one_by_one.to_json()


@dataclass(frozen=True)
class Track:
    track_id: str


def leg_class(base: type) -> type:
    class Leg(base):  # type: ignore[misc]
        def __init__(self) -> None:
            self.slow: list[tuple[str, bytes, float]] = []
            self.numbers: dict[str, int | None] = {"voice": 3, "other": None}
            self.items: deque[Item] = deque()
            self.writer = type("Writer", (_tape.Progress,), {})()
            self.writer.progress = 100.0
            self.watch(numbers=self.numbers, items=self.items, writer=self.writer, limit=2, stall_limit=1.5)

        def on_rtp_slowly(self, track: Track, packet: bytes, arrival: float) -> None:
            self.slow.append((track.track_id, packet, arrival))

    return Leg


@needs_native
def test_the_quick_way_takes_what_needs_no_decision() -> None:
    leg = leg_class(_tape.Tape)()
    leg.on_rtp(Track("voice"), b"one", 101.0)
    leg.on_rtp(Track("other"), b"not covered", 101.0)
    assert list(leg.items) == [(1, 3, b"one", 101.0)]
    assert leg.slow == []
    leg.on_rtp(Track("new"), b"late track", 101.0)
    leg.on_rtp(Track("voice"), b"stalled", 101.5)
    leg.items.append((1, 3, b"two", 101.0))
    leg.on_rtp(Track("voice"), b"full", 101.0)
    assert [name for _, name, _ in leg.slow] == [b"late track", b"stalled", b"full"]
    leg.numbers["voice"] = None  # the recording is over
    leg.items.clear()
    leg.on_rtp(Track("voice"), b"after", 101.0)
    assert not leg.items
    with pytest.raises(AttributeError):
        leg.on_rtp(object(), b"no track", 101.0)
    with pytest.raises(TypeError):
        leg.on_rtp(Track("voice"))


@pytest.mark.parametrize("way", WAYS)
def test_a_leg_without_a_writer_decides_slowly_and_one_with_a_writer_is_freed(way: str) -> None:
    made = leg_class(PlainTape if way == "plain" else _tape.Tape)
    leg = made.__new__(made)
    leg.slow = []
    leg.on_rtp(Track("voice"), b"early", 1.0)
    assert leg.slow == [("voice", b"early", 1.0)]
    leg = made()
    leg.writer.leg = leg  # as a writer knows its leg's callbacks
    gone = weakref.ref(leg)
    del leg
    gc.collect()
    assert gone() is None
