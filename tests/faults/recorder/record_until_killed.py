"""A process that records in real time until somebody kills it; it prints what it was given to record, line by line."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import structlog

from recorder.blobs import FolderStore
from recorder.keys import LocalKeyRing, load_signing_key
from recorder.service import RecordingService
from signaling.capabilities import RecordingWarrant
from signaling.ids import OrdinaryCallId
from signaling.media.leg import Kind
from tests.unit.recorder.support import rtp, track


async def main(root: Path, ring: Path, pem: Path, call: str, recording_id: str) -> None:
    service = RecordingService(
        FolderStore(root), LocalKeyRing.from_file(ring), load_signing_key(pem.read_bytes()), lambda: datetime.now(UTC)
    )
    call_id = OrdinaryCallId(call)
    leg = await service.start(RecordingWarrant(call_id, recording_id, (Kind.AUDIO,), "1"))
    audio = track(Kind.AUDIO, call_id, ssrc=7)
    leg.track_added(audio)
    number = 0
    while True:
        leg.on_rtp(audio, rtp(number, number * 960, number.to_bytes(4, "big") * 20, ssrc=7), time.monotonic())
        print(number, flush=True)
        number += 1
        await asyncio.sleep(0.005)


structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
folder, ring_file, pem_file, call_text, recording = sys.argv[1:]
asyncio.run(main(Path(folder), Path(ring_file), Path(pem_file), call_text, recording))
