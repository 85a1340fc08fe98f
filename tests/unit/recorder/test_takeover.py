"""A recording that changes hands: one identity, one chain, the gap marked, and the old writer locked out."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.access import plain_chunks, read_data_key, read_manifest, read_opening, records
from recorder.blobs import FolderStore
from recorder.errors import RecordingBusy, RecordingExists, SealFailed, WriterReplaced
from recorder.index import RecordingIndex
from recorder.keys import LocalKeyRing, new_key_line
from recorder.log import RecordKind
from recorder.playback import timeline
from recorder.service import RecordingService
from recorder.sink import LogSink
from recorder.standalone_verify import verify_files
from recorder.takeover import take_over
from recorder.tap import RecorderLeg
from recorder.verify import verify
from signaling.calls import EventType
from signaling.capabilities import RecordingWarrant
from signaling.media.leg import Kind, TrackInfo
from tests.fixtures.waiting import eventually
from tests.unit.recorder.support import event, ordinary_call, rtp, system_now, track, warrant


class Nodes:
    """Several processes' recorders over one store; each has a monotonic clock of its own."""

    def __init__(self, root: Path) -> None:
        self.store = FolderStore(root)
        self.keys = LocalKeyRing.from_text(new_key_line("kek"))
        self.key = Ed25519PrivateKey.generate()
        self.wall_ahead = timedelta(0)
        self.order: RecordingWarrant = warrant(ordinary_call())
        self.audio = self.track("family", 7)

    def clock(self) -> datetime:
        return system_now() + self.wall_ahead

    def track(self, who: str, ssrc: int) -> TrackInfo:
        return track(Kind.AUDIO, self.order.call_id, who, ssrc=ssrc)

    def node(self, booted: float = 0.0) -> RecordingService:
        """A process on a machine that was booted so many seconds before this one (or after it)."""
        return RecordingService(
            self.store,
            self.keys,
            self.key,
            self.clock,
            monotonic=lambda: time.monotonic() + booted,
            flush_seconds=0.02,
            segment_seconds=0.1,
            continues=True,
        )

    def send(self, leg: RecorderLeg, numbers: range, info: TrackInfo | None = None, booted: float = 0.0) -> None:
        info = info or self.audio
        for number in numbers:
            leg.on_rtp(info, rtp(number, number * 960, b"voice %d" % number, ssrc=info.ssrc), time.monotonic() + booted)

    def payloads(self) -> list[bytes]:
        name = self.order.recording_id
        key = read_data_key(self.store, name, self.keys, self.key.public_key())
        return [one.payload[12:] for one in records(self.store, name, key) if one.kind == RecordKind.RTP]

    def verdict(self) -> str:
        return str(verify(self.store, self.order.recording_id, self.key.public_key()).kind)

    def take(self) -> LogSink:
        sink, _ = take_over(
            self.store, self.keys, self.key, self.order.recording_id, self.clock, 10**12, segment_seconds=1
        )
        return sink

    async def written(self, leg: RecorderLeg) -> None:
        """Wait until the writer has taken what the leg has and has done a round more."""
        await eventually(lambda: not leg._items, "the queue is empty", 60)
        before = leg._writer.progress
        await eventually(lambda: leg._writer.progress > before, "a round", 60)


def die(leg: RecorderLeg) -> None:
    """As after kill -9: the thread writes no more, the open segment stays, the lock is free."""
    leg._writer._abandoned = True
    leg._writer._wake()
    leg._writer._thread.join(60)


@pytest.fixture
def nodes(tmp_path: Path) -> Nodes:
    return Nodes(tmp_path / "store")


async def test_another_process_goes_on_with_the_recording(nodes: Nodes) -> None:
    first = await nodes.node().start(nodes.order)
    first.on_event(event(nodes.order.call_id, EventType.OPENED, 1))
    first.on_event(event(nodes.order.call_id, EventType.LIVE, 2))
    nodes.send(first, range(50))
    await nodes.written(first)
    die(first)

    nodes.wall_ahead = timedelta(seconds=7)  # so long nobody recorded
    second = await nodes.node(booted=5000.0).start(nodes.order)
    assert second.recording_id == first.recording_id
    for number, kind in enumerate((EventType.OPENED, EventType.LIVE, EventType.REOPENED, EventType.LIVE), start=1):
        second.on_event(event(nodes.order.call_id, kind, number))  # a room tells its recorder all that has happened
    again = nodes.track("family", 8)
    nodes.send(second, range(100, 150), again, booted=5000.0)
    summary = await second.seal("ended")

    assert nodes.payloads() == [b"voice %d" % number for number in (*range(50), *range(100, 150))]
    assert (summary.recording_id, summary.tracks, summary.interrupted) == (nodes.order.recording_id, 2, True)
    assert 7_000 <= summary.duration_ms < 60_000
    report = verify(nodes.store, summary.recording_id, nodes.key.public_key(), expected_head=summary.head_sha256)
    assert report.valid, report
    manifest = read_manifest(nodes.store, summary.recording_id, nodes.key.public_key())
    (change,) = manifest["takeovers"]
    assert change["writer"] == 2 and change["to_ns"] - change["from_ns"] >= 7_000_000_000
    assert [one["sequence"] for one in manifest["content"]["events"]] == [1, 2, 3, 4]

    opening = read_opening(nodes.store, summary.recording_id, nodes.key.public_key())
    key = read_data_key(nodes.store, summary.recording_id, nodes.keys, nodes.key.public_key())
    chunks = plain_chunks(nodes.store, summary.recording_id, key)
    line = timeline(RecordingIndex.build(chunks, int(opening["started_mono_ns"])), opening, manifest)
    (part,) = line["tracks"]
    assert (part["participant_id"], part["packets"], line["interrupted"]) == ("family", 100, True)
    (cut,) = [note for note in line["notes"] if note["note"] == "cut"]
    assert cut["at_ms"] >= 7_000
    assert part["last_ms"] >= cut["at_ms"] > 7_000


async def test_an_old_writer_that_goes_on_finds_that_it_is_late_and_adds_nothing(nodes: Nodes) -> None:
    old = await nodes.node().start(nodes.order)
    causes: list[str] = []
    old.failed = causes.append
    nodes.send(old, range(20))
    await nodes.written(old)
    with pytest.raises(RecordingExists):  # its own process does not take it from itself
        service = nodes.node()
        service._legs[nodes.order.recording_id] = old
        await service.start(nodes.order)
    new = await nodes.node().start(nodes.order)  # while the old one lives, and has the store's claim
    nodes.send(old, range(20, 40))
    await eventually(lambda: causes == ["fenced"], "the old writer notices", 60)
    assert not old.attached
    with pytest.raises(SealFailed):
        await old.seal("ended")
    nodes.send(new, range(40, 60), nodes.track("family", 9))
    summary = await new.seal("ended")
    assert nodes.payloads() == [b"voice %d" % number for number in (*range(20), *range(40, 60))]
    assert nodes.store.unfinished(summary.recording_id) == []
    assert nodes.verdict() == ""


async def test_a_leg_that_is_abandoned_leaves_what_it_wrote_to_the_next(nodes: Nodes) -> None:
    old = await nodes.node().start(nodes.order)
    nodes.send(old, range(20))
    await nodes.written(old)
    old.abandon()
    nodes.send(old, range(20, 40))
    await asyncio.to_thread(old._writer._thread.join, 60)
    new = await nodes.node().start(nodes.order)
    await new.seal("ended")
    assert nodes.payloads() == [b"voice %d" % number for number in range(20)]
    assert nodes.verdict() == ""


async def test_of_two_that_take_it_one_does(nodes: Nodes) -> None:
    leg = await nodes.node().start(nodes.order)
    nodes.send(leg, range(5))
    await nodes.written(leg)
    die(leg)

    def take() -> LogSink | None:
        try:
            return nodes.take()
        except RecordingBusy:
            return None

    sinks = await asyncio.gather(*(asyncio.to_thread(take) for _ in range(8)))
    writers = [sink._writer for sink in sinks if sink is not None]  # none, where each was in the next one's way
    assert len(set(writers)) == len(writers)
    last = nodes.take()
    last.finish("ended", system_now(), 10**12)
    assert nodes.payloads() == [b"voice %d" % number for number in range(5)]
    assert nodes.verdict() == ""


async def test_writers_that_die_one_after_the_other_and_a_recovery_at_last(nodes: Nodes) -> None:
    first = await nodes.node().start(nodes.order)
    nodes.send(first, range(10))
    await nodes.written(first)
    die(first)
    nodes.take().abandon()  # died before it wrote more than the cut
    third = await nodes.node().start(nodes.order)
    nodes.send(third, range(10, 20), nodes.track("family", 8))
    await nodes.written(third)
    die(third)
    summary = await nodes.node().recover_one(nodes.order.recording_id)
    assert summary is not None and summary.interrupted
    assert nodes.payloads() == [b"voice %d" % number for number in range(20)]
    manifest = read_manifest(nodes.store, summary.recording_id, nodes.key.public_key())
    assert [one["writer"] for one in manifest["takeovers"]] == [2, 3]
    assert nodes.verdict() == ""
    assert await nodes.node().recover_one(nodes.order.recording_id) is None
    with pytest.raises(RecordingExists):
        await nodes.node().start(nodes.order)


async def test_one_who_only_took_it_and_wrote_nothing_is_in_the_chain_too(nodes: Nodes) -> None:
    leg = await nodes.node().start(nodes.order)
    nodes.send(leg, range(10))
    await nodes.written(leg)
    die(leg)
    from recorder.documents import WRITER, sign_document
    from recorder.manifest import writer_body, writer_file

    opening = read_opening(nodes.store, nodes.order.recording_id, nodes.key.public_key())
    document = sign_document(WRITER, writer_body(opening, 2, system_now()), nodes.key)
    nodes.store.put_new(f"{nodes.order.recording_id}/{writer_file(2)}", document)
    assert await nodes.node().recover_one(nodes.order.recording_id) is not None
    assert nodes.payloads() == [b"voice %d" % number for number in range(10)]
    assert nodes.verdict() == ""


async def test_a_recording_that_was_sealed_at_the_last_moment_stays_sealed(nodes: Nodes) -> None:
    leg = await nodes.node().start(nodes.order)
    nodes.send(leg, range(10))
    await leg.seal("ended")
    with pytest.raises(RecordingExists):
        nodes.take()
    assert nodes.verdict() == ""


async def test_who_took_a_recording_that_its_old_writer_seals_after_all_adds_nothing(nodes: Nodes) -> None:
    leg = await nodes.node().start(nodes.order)
    nodes.send(leg, range(10))
    await nodes.written(leg)
    die(leg)
    new = nodes.take()
    segments = new.segments
    manifest = f"{nodes.order.recording_id}/manifest.json"
    nodes.store.put(manifest, b"the old writer's, committed between the new one's look and its first step")
    with pytest.raises(WriterReplaced):
        new.write([(RecordKind.NOTE, 0xFFFF, {"note": "late"}, 10.0**3)], 10**12, 0)
    assert new.segments == segments


async def test_a_key_that_was_left_without_an_opening_is_in_nobodys_way(nodes: Nodes) -> None:
    nodes.store.put(f"{nodes.order.recording_id}/key.json", b"half of a beginning")
    leg = await nodes.node().start(nodes.order)
    nodes.send(leg, range(10))
    await leg.seal("ended")
    assert nodes.payloads() == [b"voice %d" % number for number in range(10)]
    assert nodes.verdict() == ""


async def test_another_calls_recording_is_not_gone_on_with(nodes: Nodes) -> None:
    leg = await nodes.node().start(nodes.order)
    await nodes.written(leg)
    die(leg)
    other = RecordingWarrant(ordinary_call(), nodes.order.recording_id, (Kind.AUDIO,), "1")
    with pytest.raises(RecordingExists):
        await nodes.node().start(other)


def damages(files: dict[str, bytes], seed: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The recording's files, each time damaged in another way."""
    random_ = random.Random(seed)
    names = sorted(files)
    for _ in range(150):
        name = random_.choice(names)
        data = bytearray(files[name])
        data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
        yield f"flip in {name}", {**files, name: bytes(data)}
    for name in names:
        yield f"without {name}", {other: data for other, data in files.items() if other != name}
    writers = [name for name in names if name.startswith("writer")]
    yield "writers swapped", {**files, writers[0]: files[writers[1]], writers[1]: files[writers[0]]}
    yield "one writer more", {**files, "writer-0004.json": files[writers[0]]}


async def test_every_damage_to_a_recording_of_three_writers_is_found(nodes: Nodes) -> None:
    for number in range(3):
        leg = await nodes.node().start(nodes.order)
        nodes.send(leg, range(10 * number, 10 * number + 10), nodes.track("family", 7 + number))
        await nodes.written(leg)
        if number < 2:
            die(leg)
        else:
            await leg.seal("ended")
    name = nodes.order.recording_id
    files = {one.rpartition("/")[2]: nodes.store.get(one) for one in nodes.store.names(name)}
    public = nodes.key.public_key()
    data_key = read_data_key(nodes.store, name, nodes.keys, public)
    assert verify_files(list(files), files.__getitem__, public, recording_id=name, data_key=data_key).valid
    assert [one for one in files if one.startswith("writer")] == ["writer-0002.json", "writer-0003.json"]
    for what, damaged in damages(files, 1):
        report = verify_files(list(damaged), damaged.__getitem__, public, recording_id=name)
        assert not report.valid, what
