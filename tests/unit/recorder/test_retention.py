"""Derived files, legal hold, deletion."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest

from recorder.archive import Archive
from recorder.documents import LEGAL_HOLD, read_document
from recorder.errors import (
    KeyUnavailable,
    NotSealed,
    RecordingDamaged,
    RecordingDeleted,
    RecordingHeld,
    RecordingNotFound,
)
from recorder.retention import StoredState, delete_recording, place_hold, release_hold, stored_state
from recorder.sealedfile import BLOCK, SealedFile
from recorder.verify import verify
from tests.unit.recorder.support import Laboratory, Publisher, ordinary_call


def short_call(lab: Laboratory, *, seal: bool = True) -> str:
    call_id = ordinary_call()
    recording_id, _ = lab.write(Publisher(call_id).send(1.5), call_id=call_id, seal=seal)
    return recording_id


def delete(lab: Laboratory, recording_id: str) -> None:
    delete_recording(
        lab.store, recording_id, lab.signing_key, lab.clock, actor="system:x", reason="retention", policy_version="1"
    )


def test_deletion_leaves_a_signed_tombstone_and_nothing_that_can_be_read(lab: Laboratory) -> None:
    recording_id = short_call(lab)
    public = lab.signing_key.public_key()
    head = verify(lab.store, recording_id, public).head
    delete(lab, recording_id)
    assert lab.store.names(recording_id) == [f"{recording_id}/tombstone.json"]
    assert stored_state(lab.store, recording_id) is StoredState.DELETED
    report = verify(lab.store, recording_id, public, expected_head=head)
    assert (report.valid, report.state, report.head) == (True, "deleted", head)
    path = lab.root / recording_id / "tombstone.json"
    path.write_bytes(path.read_bytes().replace(b"retention", b"retentio\xc3\xb1"))
    assert verify(lab.store, recording_id, public).kind == "tombstone_altered"


def test_a_deletion_that_was_cut_off_is_finished_by_the_next(lab: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    recording_id = short_call(lab)
    real = lab.store.delete
    left = [3]

    def dies(name: str) -> None:
        left[0] -= 1
        if not left[0]:
            raise OSError("the machine went down")
        real(name)

    monkeypatch.setattr(lab.store, "delete", dies)
    with pytest.raises(OSError, match="went down"):
        delete(lab, recording_id)
    monkeypatch.undo()
    assert stored_state(lab.store, recording_id) is StoredState.DELETED
    assert f"{recording_id}/key.json" not in lab.store.names(recording_id)  # the key went first
    delete(lab, recording_id)
    assert lab.store.names(recording_id) == [f"{recording_id}/tombstone.json"]


def test_a_legal_hold_stops_deletion_until_it_is_lifted(lab: Laboratory) -> None:
    recording_id = short_call(lab)
    place_hold(lab.store, recording_id, lab.signing_key, lab.clock, actor="staff:1", reason="case 4711")
    assert stored_state(lab.store, recording_id) is StoredState.HELD
    with pytest.raises(RecordingHeld):
        delete(lab, recording_id)
    assert verify(lab.store, recording_id, lab.signing_key.public_key()).valid
    hold = read_document(lab.store.get(f"{recording_id}/hold.json"), LEGAL_HOLD, lab.signing_key.public_key())
    assert (hold["actor"], hold["reason"]) == ("staff:1", "case 4711")
    release_hold(lab.store, recording_id)
    delete(lab, recording_id)


def test_an_open_recording_can_be_neither_held_nor_deleted(lab: Laboratory) -> None:
    recording_id = short_call(lab, seal=False)
    with pytest.raises(NotSealed):
        place_hold(lab.store, recording_id, lab.signing_key, lab.clock, actor="staff:1", reason="x")
    with pytest.raises(NotSealed):
        delete(lab, recording_id)
    with pytest.raises(RecordingNotFound):
        delete(lab, "rec_unknown")


def test_a_sealed_file_is_a_file(tmp_path: Path) -> None:
    """Against io.BytesIO: random writes, seeks and reads, over block borders."""
    chance = random.Random(5)
    path, key = tmp_path / "file", bytes(32)
    model = io.BytesIO()
    with SealedFile(path, key, "x", writing=True) as file:
        for _ in range(200):
            at = chance.randint(0, min(len(model.getvalue()), 3 * BLOCK))
            data = chance.randbytes(chance.choice([1, 10, 1000, BLOCK, BLOCK + 7]))
            for target in (model, file):
                target.seek(at)
                target.write(data)
            assert file.size == len(model.getvalue())
    with SealedFile(path, key, "x", writing=False) as file:
        assert file.size == len(model.getvalue())
        assert file.read() == model.getvalue()
        for _ in range(100):
            at, size = chance.randint(0, file.size), chance.randint(0, 2 * BLOCK)
            file.seek(at)
            assert file.read(size) == model.getvalue()[at : at + size]
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")
    stored = bytearray(path.read_bytes())
    assert model.getvalue()[:64] not in stored
    stored[BLOCK // 2] ^= 1
    path.write_bytes(stored)
    for context, wrong in (("x", key), ("y", key), ("x", b"\1" * 32)):
        with SealedFile(path, wrong, context, writing=False) as file, pytest.raises(RecordingDamaged):
            file.read(10)


async def test_the_archive_makes_a_recording_playable_and_forgets_it_with_its_key(
    lab: Laboratory, tmp_path: Path
) -> None:
    recording_id = short_call(lab)
    archive = Archive(lab.store, lab.keys, lab.signing_key, lab.clock, tmp_path / "derived")
    try:
        timeline = await archive.timeline(recording_id)
        assert [track["participant_id"] for track in timeline["tracks"]] == ["par_a"]
        assert timeline["tracks"][0]["sizes"][0][1:] == [160, 120]
        with await archive.open_track(recording_id, 1) as file:
            assert file.read(4) == b"\x1a\x45\xdf\xa3"  # EBML
            size = file.size
        assert size > 10_000
        files = list((tmp_path / "derived").rglob("*"))
        assert not any(path.read_bytes().startswith(b"\x1a\x45") for path in files if path.is_file())
        (tmp_path / "derived" / recording_id / "1.webm").unlink()
        (tmp_path / "derived" / recording_id / "timeline").unlink()
        with await archive.open_track(recording_id, 1) as file:  # a lost cache is made again
            assert file.size == size
        with pytest.raises(RecordingNotFound):
            await archive.open_track(recording_id, 2)
        await archive.delete(recording_id, "system:x", "retention", "1")
        assert await archive.sealed(recording_id) is None
        assert not (tmp_path / "derived" / recording_id).exists()
        with pytest.raises(RecordingDeleted):
            await archive.timeline(recording_id)
    finally:
        archive.close()


async def test_without_its_key_a_recording_stays_shut(lab: Laboratory, tmp_path: Path) -> None:
    recording_id = short_call(lab)
    (lab.root / recording_id / "key.json").unlink()
    archive = Archive(lab.store, lab.keys, lab.signing_key, lab.clock, tmp_path / "derived")
    try:
        with pytest.raises(KeyUnavailable):
            await archive.timeline(recording_id)
    finally:
        archive.close()
