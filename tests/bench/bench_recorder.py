"""What recording costs: CPU per packet, verification, and the time from the seal to a recording that can be played.

    python -m tests.bench.bench_recorder [--short]

The last line of the output is one JSON object. Figures are of this machine at this moment; the bars are those of the
design (a call of 30 minutes, two parties, 640x480 at 30 frames a second).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from recorder.archive import Archive
from recorder.standalone_verify import verify_folder
from recorder.tap import RecorderLeg
from recorder.writer import LogWriter
from signaling.media.leg import Kind, Side
from tests.unit.recorder.support import Laboratory, Publisher, Sent, ordinary_call, rtp, track, warrant

BARS = {"cpu_us_per_packet": 6.0, "verify_mb_per_s": 200.0, "seal_to_playable_s": 2.0}
LOOP_SECONDS = 4


def cpu_per_packet(lab: Laboratory, seconds: int) -> dict[str, float]:
    """CPU microseconds per recorded packet: the leg's hot path, and the writer with framing, gaps, encryption,
    hashing and disk.

    Two parties, each 65 video packets of 1,100 bytes and 50 audio packets of 80 bytes a second.
    """
    call_id = ordinary_call()
    order = warrant(call_id)
    begun = lab.service._begin(order)
    sink, claim = begun.sink, begun.claim
    loop = asyncio.new_event_loop()
    leg = RecorderLeg(order.recording_id, call_id, order.tracks, loop, monotonic=lambda: lab.now)
    writer = LogWriter(
        sink,
        claim,
        order.recording_id,
        clock=lab.clock,
        monotonic=lambda: lab.now,
        on_failure=leg.writer_failed,
        on_progress=leg.writer_progressed,
    )
    leg.bind(writer)
    tracks = [
        (track(kind, call_id, who, side, ssrc), size, rate)
        for ssrc, (who, side, kind, size, rate) in enumerate(
            (who, side, kind, size, rate)
            for who, side in (("par_a", Side.FAMILY), ("par_b", Side.PRISONER))
            for kind, size, rate in ((Kind.VIDEO, 1100, 65), (Kind.AUDIO, 80, 50))
        )
    ]
    for one, _, _ in tracks:
        leg.track_added(one)
    numbers = [0] * len(tracks)
    packets = 0
    hot = write = system = 0.0
    for quarter in range(seconds * 4):
        batch = []
        for position, (one, size, rate) in enumerate(tracks):
            count = (quarter + 1) * rate // 4 - quarter * rate // 4
            for step in range(count):
                packet = rtp(numbers[position], numbers[position] * 960, os.urandom(size), ssrc=one.ssrc)
                batch.append((one, packet, lab.now + step / rate))
                numbers[position] += 1
        began = time.thread_time()
        for one, packet, arrival in batch:
            leg.on_rtp(one, packet, arrival)
        hot += time.thread_time() - began
        lab.now += 0.25
        before = resource.getrusage(resource.RUSAGE_THREAD)
        writer.round()
        after = resource.getrusage(resource.RUSAGE_THREAD)
        write += after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        system += after.ru_stime - before.ru_stime
        packets += len(batch)
    sink.finish("ended", lab.clock(), int(lab.now * 1e9))
    recorded = sum(entry.sequence.received for entry in sink.summary.tracks.values())
    assert recorded == packets, f"{packets - recorded} packets were not recorded: the figure would be of doing nothing"
    claim.release()
    loop.close()
    return {
        "packets": packets,
        "leg_us": hot / packets * 1e6,
        "writer_us": write / packets * 1e6,
        "of_it_system_us": system / packets * 1e6,
        "cpu_us_per_packet": (hot + write) / packets * 1e6,
    }


def long_call(minutes: int) -> Iterator[Sent]:
    """Some seconds of real VP8 and Opus of two parties, over and over with numbers and times that go on."""
    call_id = ordinary_call()
    sides = [
        Publisher(call_id, who, side, first_ssrc=ssrc, fps=30, bitrate=600_000).send(LOOP_SECONDS, size=(640, 480))
        for who, side, ssrc in (("par_a", Side.FAMILY, 100), ("par_b", Side.PRISONER, 200))
    ]
    loop = sorted(one for side in sides for one in side)
    numbers: dict[str, int] = {}
    for turn in range(minutes * 60 // LOOP_SECONDS):
        later = turn * LOOP_SECONDS
        for one in loop:
            packet = one.packet
            shift = later * one.track.clock_rate
            if one.rtcp:
                (ntp,) = struct.unpack_from("!I", packet, 8)
                (stamp,) = struct.unpack_from("!I", packet, 16)
                stamp = (stamp + shift) & 0xFFFFFFFF
                packet = (
                    packet[:8] + struct.pack("!I", ntp + later) + packet[12:16] + struct.pack("!I", stamp) + packet[20:]
                )
            else:
                number = numbers[one.track.track_id] = numbers.get(one.track.track_id, -1) + 1
                (stamp,) = struct.unpack_from("!I", packet, 4)
                packet = packet[:2] + struct.pack("!HI", number & 0xFFFF, (stamp + shift) & 0xFFFFFFFF) + packet[8:]
            yield replace(one, arrival=one.arrival + later, packet=packet)


async def playable(lab: Laboratory, recording_id: str, cache: Path) -> tuple[float, float]:
    """(first, warm) seconds from a sealed recording to a time line and files; the first includes starting the worker
    processes.
    """
    archive = Archive(lab.store, lab.keys, lab.signing_key, lab.clock, cache, workers=2)
    times = []
    try:
        for _ in range(3):
            began = time.perf_counter()
            await archive.timeline(recording_id)
            times.append(time.perf_counter() - began)
            archive.forget(recording_id)
    finally:
        archive.close()
    return times[0], min(times[1:])


def run(minutes: int, seconds: int) -> dict[str, Any]:
    """All figures; `minutes` of real media for playback, `seconds` of synthetic packets for the cost of recording."""
    with tempfile.TemporaryDirectory() as folder:
        lab = Laboratory(Path(folder))
        figures: dict[str, Any] = {"minutes": minutes, **cpu_per_packet(lab, seconds)}
        sent = list(long_call(minutes))
        recording_id, summary = lab.write(sent, call_id=ordinary_call())
        assert summary is not None
        figures |= {"playable_packets": len(sent), "playable_mb": summary.bytes / 1e6}
        del sent
        cost_id = next(name for name in lab.store.prefixes() if name != recording_id)
        size = sum(path.stat().st_size for path in (lab.root / cost_id).iterdir())
        began = time.perf_counter()
        report = verify_folder(lab.root / cost_id, lab.public_pem)
        figures["verify_mb_per_s"] = size / 1e6 / (time.perf_counter() - began)
        assert report.valid, report
        first, warm = asyncio.run(playable(lab, recording_id, Path(folder) / "derived"))
        figures |= {"seal_to_playable_first_s": first, "seal_to_playable_s": warm}
    figures["bars"] = BARS
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="some seconds of work; figures are rough")
    options = parser.parse_args()
    figures = run(2, 60) if options.short else run(30, 600)
    for name, value in figures.items():
        print(f"{name:28} {value}", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
