"""`kill -9` at any moment loses at most the open segment, the cut is marked, and the rest is sealed and valid."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from recorder.access import read_data_key, read_manifest, records
from recorder.blobs import FolderStore
from recorder.keys import LocalKeyRing, new_key_line
from recorder.log import RecordKind
from recorder.recover import needs_recovery, recover_recording
from recorder.service import RecordingService
from recorder.verify import verify
from signaling.ids import new_id
from tests.fixtures.requirements import REPOSITORY
from tests.unit.recorder.support import ordinary_call

SCRIPT = Path(__file__).with_name("record_until_killed.py")
REPEATS = int(os.environ.get("VISIT_FAULT_REPEATS", "4"))  # 20 at night
PACKETS_PER_SECOND = 200  # at most


class Victim:
    """A recorder in a process of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.store = FolderStore(tmp_path / "recordings")
        ring, pem = tmp_path / "ring", tmp_path / "signing.pem"
        ring.touch(mode=0o600)
        ring.write_text(new_key_line("kek"))
        self.key = Ed25519PrivateKey.generate()
        pem.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.ring = LocalKeyRing.from_file(ring)
        self.recording_id = new_id("rec")
        arguments = [str(self.store.root), str(ring), str(pem), ordinary_call(), self.recording_id]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == "0"

    def run(self, seconds: float) -> int:
        """Let it record, kill it, give how many packets it had been given."""
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        last = 0
        while time.monotonic() < end:
            last = int(self.process.stdout.readline())
        os.kill(self.process.pid, signal.SIGKILL)
        rest = self.process.stdout.read().split()
        self.process.wait(10)
        return int(rest[-1]) + 1 if rest else last + 1

    def recorded(self) -> list[int]:
        key = read_data_key(self.store, self.recording_id, self.ring, self.key.public_key())
        found = records(self.store, self.recording_id, key)
        return [int.from_bytes(one.payload[12:16], "big") for one in found if one.kind == RecordKind.RTP]


@pytest.mark.parametrize("seed", range(REPEATS))
async def test_a_killed_recorder_loses_at_most_the_open_segment(tmp_path: Path, seed: int) -> None:
    victim = Victim(tmp_path)
    given = victim.run(1.0 + random.Random(seed).random() * 3)
    assert needs_recovery(victim.store, victim.recording_id)
    assert verify(victim.store, victim.recording_id, victim.key.public_key()).kind == "not_sealed"
    service = RecordingService(victim.store, victim.ring, victim.key, lambda: datetime.now(UTC))
    (summary,) = await service.recover()
    report = verify(victim.store, victim.recording_id, victim.key.public_key(), expected_head=summary.head_sha256)
    assert report.valid, report
    kept = victim.recorded()
    assert kept == list(range(len(kept)))
    lost = given - len(kept)
    # The design allows the open segment, 2 s; chunks are written four times a second, so less is lost.
    assert 0 <= lost <= PACKETS_PER_SECOND * 1.0
    manifest = read_manifest(victim.store, victim.recording_id, victim.key.public_key())
    assert (summary.interrupted, manifest["reason"]) == (True, "interrupted")
    (note,) = manifest["content"]["notes"]
    assert note["note"] == "cut"
    assert manifest["cut"]["segment"] == len(manifest["segments"]) - 1
    assert await service.recover() == []


def test_a_torn_last_write_is_cut_off_at_the_last_whole_chunk(tmp_path: Path) -> None:
    """The machine, not the process, went down: of the open segment any number of bytes are left."""
    victim = Victim(tmp_path)
    victim.run(2.6)
    (name,) = victim.store.unfinished(victim.recording_id)
    path = victim.store.root / f"{name}.open"
    whole = path.read_bytes()
    closed = sorted((victim.store.root / victim.recording_id).glob("*.seg"))
    chance = random.Random(9)
    counts = set()
    for cut in sorted({0, 1, 50, len(whole) - 1, len(whole), *(chance.randrange(len(whole)) for _ in range(12))}):
        copy = FolderStore(tmp_path / f"copy{cut}")
        folder = copy.root / victim.recording_id
        folder.mkdir()
        for source in [*closed, *(victim.store.root / victim.recording_id).glob("*.json")]:
            (folder / source.name).write_bytes(source.read_bytes())
        (folder / path.name).write_bytes(whole[:cut])
        recover_recording(copy, victim.ring, victim.key, victim.recording_id, lambda: datetime.now(UTC))
        report = verify(copy, victim.recording_id, victim.key.public_key())
        assert report.valid, report
        assert copy.unfinished(victim.recording_id) == []
        original, victim.store = victim.store, copy
        kept = victim.recorded()
        victim.store = original
        assert kept == list(range(len(kept)))
        counts.add(len(kept))
    assert len(counts) >= 2  # more of the segment, more packets
