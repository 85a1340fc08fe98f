"""The leg and the service: what the room sees; trouble is loud and never blocks."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.access import read_data_key, read_manifest, records
from recorder.blobs import Appender, FolderStore
from recorder.disk import DiskGuard, StorageState
from recorder.errors import NotRecordable, RecordingExists, SealFailed, StorageFull
from recorder.keys import LocalKeyRing, new_key_line
from recorder.log import RecordKind
from recorder.service import RecordingService
from recorder.tap import RecorderLeg
from recorder.verify import verify
from recorder.writer import LogWriter
from signaling.calls import EventType
from signaling.capabilities import RecordingWarrant
from signaling.errors import PrivilegedCallError
from signaling.ids import new_call_id, new_id
from signaling.media.leg import Kind
from signaling.recorder_leg import RecorderFactory
from tests.unit.recorder.support import event, ordinary_call, rtp, sender_report, system_now, track, warrant


class SlowStore(FolderStore):
    """A store whose writes wait for a gate and may fail."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate = threading.Event()
        self.gate.set()
        self.error: OSError | None = None
        self.fullness = 0.1

    def append(self, name: str, writer: int = 1) -> Appender:
        return _SlowAppender(self, super().append(name, writer))

    def used(self) -> float:
        return self.fullness


class _SlowAppender:
    def __init__(self, store: SlowStore, inner: Appender) -> None:
        self._store, self._inner = store, inner

    def write(self, data: bytes) -> None:
        assert self._store.gate.wait(20)
        if self._store.error is not None:
            raise self._store.error
        self._inner.write(data)

    def commit(self) -> None:
        self._inner.commit()

    def abandon(self) -> None:
        self._inner.abandon()


class Rig:
    """A service over a slow store."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.store = SlowStore(root)
        self.keys = LocalKeyRing.from_text(new_key_line("kek"))
        self.key = Ed25519PrivateKey.generate()
        defaults = {"flush_seconds": 0.02, "segment_seconds": 0.2}
        self.service = RecordingService(self.store, self.keys, self.key, system_now, **{**defaults, **options})
        self.call_id = ordinary_call()
        self.audio = track(Kind.AUDIO, self.call_id, ssrc=7)

    async def start(self) -> RecorderLeg:
        leg = await self.service.start(warrant(self.call_id))
        leg.track_added(self.audio)
        return leg

    def send(self, leg: RecorderLeg, numbers: range) -> None:
        for number in numbers:
            leg.on_rtp(self.audio, rtp(number, number * 960, b"voice", ssrc=7), time.monotonic())

    def stored(self, recording_id: str) -> list[bytes]:
        key = read_data_key(self.store, recording_id, self.keys, self.key.public_key())
        return [one.payload for one in records(self.store, recording_id, key) if one.kind == RecordKind.RTP]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "store")


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what is waited for is another thread's)
            await asyncio.sleep(0.005)


async def test_what_arrives_is_recorded_byte_by_byte(rig: Rig) -> None:
    leg = await rig.start()
    sent = [rtp(number, number * 960, bytes([number]) * number, ssrc=7) for number in range(200)]
    leg.on_event(event(rig.call_id, EventType.LIVE))
    for packet in sent:
        leg.on_rtp(rig.audio, packet, time.monotonic())
    leg.on_rtcp(rig.audio, sender_report(7, 4e9, 0), time.monotonic())
    leg.on_rtp(rig.audio, b"short", time.monotonic())  # nothing is thrown away, not even this
    leg.track_removed(rig.audio.track_id)
    summary = await leg.seal("ended")
    assert rig.stored(leg.recording_id) == [*sent, b"short"]
    assert (summary.tracks, summary.gaps, summary.call_id) == (1, 0, str(rig.call_id))
    assert verify(rig.store, leg.recording_id, rig.key.public_key(), expected_head=summary.head_sha256).valid
    manifest = read_manifest(rig.store, leg.recording_id, rig.key.public_key())
    assert manifest["content"]["codecs"] == ["opus"]
    assert manifest["content"]["tracks"][0]["packets"] == 200
    assert [one["type"] for one in manifest["content"]["events"]] == ["live"]
    assert await leg.seal("again") == summary


async def test_segments_close_as_time_goes_on(rig: Rig) -> None:
    leg = await rig.start()

    def closed() -> int:
        return len([name for name in rig.store.names(leg.recording_id) if name.endswith(".seg")])

    number = 0
    while closed() < 3:
        rig.send(leg, range(number, number + 1))
        number += 1
        await asyncio.sleep(0.01)
    assert number < 200
    await leg.seal("ended")
    assert len(rig.stored(leg.recording_id)) == number


async def test_a_full_queue_is_loud_blocks_nothing_and_is_noted(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "store", queue_limit=50, stall_limit=1e9)
    leg = await rig.start()
    rig.send(leg, range(10))
    causes: list[str] = []
    back: list[bool] = []
    leg.failed = causes.append
    leg.recovered = lambda: back.append(True)
    rig.store.gate.clear()
    await asyncio.sleep(0.05)  # the writer takes what there is and stands at the gate
    began = time.monotonic()
    rig.send(leg, range(10, 310))
    assert time.monotonic() - began < 60  # the gate is shut: whoever waited for it would wait for ever
    assert causes == ["overflow"]
    assert not leg.attached
    rig.store.gate.set()
    await until(lambda: leg.attached)
    assert back == [True]
    rig.send(leg, range(310, 320))
    summary = await leg.seal("ended")
    manifest = read_manifest(rig.store, leg.recording_id, rig.key.public_key())
    (note,) = [note for note in manifest["content"]["notes"] if note["note"] == "dropped"]
    kept = len(rig.stored(leg.recording_id))
    assert note["packets"] == 320 - kept > 0
    assert summary.lost_packets == note["packets"]
    assert verify(rig.store, leg.recording_id, rig.key.public_key()).valid


async def test_a_store_that_stands_still_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "store", stall_limit=0.2)
    leg = await rig.start()
    causes: list[str] = []
    leg.failed = causes.append
    rig.store.gate.clear()
    number = 0
    while not causes:
        rig.send(leg, range(number, number + 1))
        number += 1
        await asyncio.sleep(0.01)
    assert causes == ["stalled"]
    rig.store.gate.set()
    await until(lambda: leg.attached)
    await leg.seal("ended")
    assert len(rig.stored(leg.recording_id)) == number


async def test_a_process_that_was_stopped_as_a_whole_raises_no_alarm(tmp_path: Path) -> None:
    """SIGSTOP for ten seconds: the clock jumps, and the writer goes on as soon as the process does."""
    now = [100.0]
    rig = Rig(tmp_path / "store", stall_limit=1.2)
    begun = rig.service._begin(warrant(rig.call_id))
    sink, claim = begun.sink, begun.claim
    leg = RecorderLeg("rec_x", rig.call_id, (Kind.AUDIO,), asyncio.get_running_loop(), monotonic=lambda: now[0])
    writer = LogWriter(
        sink,
        claim,
        "rec_x",
        clock=system_now,
        monotonic=lambda: now[0],
        on_failure=leg.writer_failed,
        on_progress=leg.writer_progressed,
    )
    leg.bind(writer)

    def send(number: int) -> None:
        leg.on_rtp(rig.audio, rtp(number, number * 960, b"voice"), now[0])

    send(0)
    writer.round()
    now[0] += 10
    for number in range(1, 10):  # what the socket had kept comes first
        send(number)
    assert leg.trouble is None
    writer.round()
    now[0] += 1
    send(10)
    assert leg.trouble is None
    now[0] += 0.3
    send(11)
    now[0] += 0.4
    send(12)  # but a writer that does nothing for 1.5 s more does stand still
    assert leg.trouble == "stalled"
    assert len(writer.items) == 3
    sink.abandon()
    claim.release()


async def test_a_store_that_refuses_ends_the_recording_and_recovery_seals_the_rest(rig: Rig) -> None:
    leg = await rig.start()
    causes: list[str] = []
    leg.failed = causes.append
    rig.send(leg, range(100))
    await until(lambda: any(name.endswith(".seg") for name in rig.store.names(leg.recording_id)))
    rig.store.error = OSError(28, "No space left on device")
    rig.send(leg, range(100, 200))
    await until(lambda: causes)
    assert causes == ["storage"]
    assert not leg.attached
    rig.send(leg, range(200, 300))
    leg.on_event(event(rig.call_id, EventType.HELD))
    with pytest.raises(SealFailed):
        await leg.seal("recorder_failed")
    assert await rig.service.close() == []
    rig.store.error = None
    (summary,) = await rig.service.recover()
    assert summary.interrupted
    assert verify(rig.store, leg.recording_id, rig.key.public_key()).valid
    assert 100 <= len(rig.stored(leg.recording_id)) < 300
    assert await rig.service.recover() == []


async def test_a_failure_that_came_before_anybody_listened_is_told(rig: Rig) -> None:
    leg = await rig.start()
    rig.store.error = OSError(5, "Input/output error")
    rig.send(leg, range(5))
    await until(lambda: leg.trouble)
    causes: list[str] = []
    leg.failed = causes.append
    await until(lambda: causes)
    assert causes == ["storage"]


async def test_a_recording_that_goes_on_is_left_alone_by_a_recovery(rig: Rig) -> None:
    leg = await rig.start()
    rig.send(leg, range(10))
    assert await rig.service.recover() == []
    rig.send(leg, range(10, 20))
    (summary,) = await rig.service.close()
    assert (summary.reason, summary.interrupted, len(rig.stored(leg.recording_id))) == ("shutdown", False, 20)


async def test_an_identifier_is_used_once(rig: Rig) -> None:
    order = warrant(rig.call_id)
    leg = await rig.service.start(order)
    await leg.seal("ended")
    with pytest.raises(RecordingExists):
        await rig.service.start(order)


async def test_nothing_but_an_ordinary_call_is_recorded(rig: Rig) -> None:
    """Not by a warrant, and not by an object that only says that it is one."""
    privileged = new_call_id(privileged=True)
    with pytest.raises(PrivilegedCallError):
        RecordingWarrant(privileged, new_id("rec"), (Kind.AUDIO,), "1")  # type: ignore[arg-type]
    forged = warrant()
    for call_id in (privileged, "priv", "", "call_"):
        object.__setattr__(forged, "call_id", call_id)
        with pytest.raises(NotRecordable):
            await rig.service.start(forged)
    assert list(rig.store.prefixes()) == []


async def test_tracks_outside_the_warrant_are_not_recorded(rig: Rig) -> None:
    leg = await rig.service.start(warrant(rig.call_id, kinds=(Kind.AUDIO,)))
    video = track(Kind.VIDEO, rig.call_id, ssrc=8)
    stranger = track(Kind.AUDIO, ordinary_call(), "par_x", ssrc=9)
    for one in (video, stranger):
        leg.track_added(one)
        leg.on_rtp(one, rtp(1, 1, b"secret"), time.monotonic())
        leg.on_rtcp(one, sender_report(8, 4e9, 0), time.monotonic())
    leg.on_rtp(rig.audio, rtp(1, 1, b"voice"), time.monotonic())  # a track that was not announced
    leg.close("ended")
    leg.on_rtp(rig.audio, rtp(2, 2, b"after the end"), time.monotonic())
    await leg.seal("ended")
    assert rig.stored(leg.recording_id) == [rtp(1, 1, b"voice")]


async def test_a_full_disk_refuses_new_recordings_and_an_almost_full_one_says_so(rig: Rig) -> None:
    rig.store.fullness = 0.86
    assert rig.service.storage_state() is StorageState.ALERT
    leg = await rig.start()
    rig.store.fullness = 0.951
    with pytest.raises(StorageFull):
        await rig.service.start(warrant())
    rig.send(leg, range(5))
    await leg.seal("ended")  # what has begun goes on
    with pytest.raises(ValueError, match="fractions"):
        DiskGuard(alert=0.9, full=0.8)


def test_the_service_is_what_a_room_expects(rig: Rig) -> None:
    """Checked by the type checker: `start` is a RecorderFactory."""
    factory: RecorderFactory = rig.service.start
    assert callable(factory)


async def test_nothing_that_people_said_lies_in_clear(rig: Rig) -> None:
    """Media, notes and messages are in the encrypted log alone."""
    leg = await rig.start()
    marker = b"a-sentence-that-was-spoken"
    for number in range(50):
        leg.on_rtp(rig.audio, rtp(number, number * 960, marker, ssrc=7), time.monotonic())
    leg.on_event(event(rig.call_id, EventType.BOOKMARK, 1, note="written-by-an-officer"))
    leg.on_event(event(rig.call_id, EventType.SAID, 2, text="written-to-a-family"))
    await leg.seal("ended")
    files = [path.read_bytes() for path in (rig.store.root / leg.recording_id).iterdir() if path.is_file()]
    assert len(files) >= 4
    for data in files:
        for secret in (marker, b"written-by-an-officer", b"written-to-a-family"):
            assert secret not in data
