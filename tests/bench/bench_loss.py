"""A visit through a bad network: what is seen, heard and recorded of it.

Two Chromiums with the product's own media client: the family behind a link that loses packets both ways (or lets no
more than 300 kbit/s through), the prisoner's terminal on a good one. The call is recorded. Every link has 20 ms of
delay each way with 3 ms of jitter; losses come one by one, or in bursts of three.

    python -m tests.bench.bench_loss [--seconds S] [--only NAME,NAME] [--plot FILE] [--short]

The last line is one JSON object. For each network: `family_sees` and `prisoner_sees` (freezes, resolution, frames,
audio) are of getStats over the measured seconds; `recorded` is from the sealed recording: packets kept of what the
family sent, per kind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.async_api import Page

from recorder.blobs import FolderStore
from recorder.keys import LocalKeyRing, new_key_line
from recorder.service import RecordingService
from signaling.capabilities import RecordingWarrant
from signaling.ids import OrdinaryCallId, new_id
from signaling.media.leg import Kind
from signaling.media.node import MediaNode
from tests.bench.loss_plot import plot
from tests.e2e.support.browser import chromium, visitor
from tests.fixtures.waiting import page_shows
from tests.support.lossy_link import Conditions, LossyLink
from tests.support.media_page import served

DELAY, JITTER = 0.02, 0.003  # seconds, each way
SETTLE = 6.0  # seconds of the bad network before it is measured: estimates and layers have settled


def _loss(part: float, burst: float = 1.0) -> Conditions:
    return Conditions(loss=part, burst=burst, delay=DELAY, jitter=JITTER)


NETWORKS = {
    "0 %": _loss(0),
    "2 %": _loss(0.02),
    "10 %": _loss(0.10),
    "30 %": _loss(0.30),
    "10 % in bursts": _loss(0.10, burst=3),
    "300 kbit/s": Conditions(delay=DELAY, jitter=JITTER, rate=300_000),
}
_GOOD = _loss(0)


async def one(
    name: str, conditions: Conditions, seconds: float, *, settle: float = SETTLE, seed: int = 1
) -> dict[str, Any]:
    """A call through one network."""
    node = MediaNode("127.0.0.1", 0, transports=("udp",))
    await node.start()
    with tempfile.TemporaryDirectory() as folder:
        keys = LocalKeyRing.from_text(new_key_line("bench"))
        recordings = RecordingService(FolderStore(Path(folder)), keys, Ed25519PrivateKey.generate(), _now)
        call_id = OrdinaryCallId(new_id("call"))
        room = node.open_room(call_id)
        warrant = RecordingWarrant(call_id, new_id("rec"), (Kind.AUDIO, Kind.VIDEO), "1")
        leg = await recordings.start(warrant)
        room.add_leg(leg)
        room.set_gate(True)
        try:
            async with (
                LossyLink(node.address, _GOOD, _GOOD, seed) as link,
                LossyLink(node.address, _GOOD, _GOOD, seed + 1) as good,
                served(node, {"call": room}, {"family": link, "prisoner": good}) as page,
                chromium() as browser,
                visitor(browser, page.base) as family,
                visitor(browser, page.base) as prisoner,
            ):
                for person, who in ((family, "family"), (prisoner, "prisoner")):
                    await person.page.goto("/")
                    await page_shows(person.page, "globalThis.ready")
                    await person.page.evaluate("camera(640, 480)")
                    await person.page.evaluate("([who]) => publish(who, who)", [who])
                for person in (family, prisoner):
                    await page_shows(person.page, "firstFrame() < Infinity")
                link.change(conditions, conditions)
                await asyncio.sleep(settle)
                before = await _look(family.page, prisoner.page)
                await asyncio.sleep(seconds)
                after = await _look(family.page, prisoner.page)
                passed = link.passed
                counters = room.counters()
        finally:
            await node.stop()
        summary = await recordings.seal(warrant.recording_id, "ended")
        recorded = _recorded(Path(folder) / warrant.recording_id)
    sent = after["family_sent"]
    octets = sent["video"]["bytesSent"] - before["family_sent"]["video"]["bytesSent"]
    ways = zip(("up", "down"), passed, strict=True)
    result = {
        "network": name,
        "family_sees": _seen(before["family_in"], after["family_in"]),
        "prisoner_sees": _seen(before["prisoner_in"], after["prisoner_in"]),
        "family_sends": {
            "video_kbit_s": round(octets / seconds * 8e-3),
            "height": sent["video"].get("frameHeight", 0),
            "repeated_packets": sent["video"].get("retransmittedPacketsSent", 0),
        },
        "recorded": recorded,
        "recording_gaps": summary.gaps,
        "relay": {"nack": counters.nack_sent, "pli": counters.pli_sent},
        "link": {way: {"lost": one.lost, "overflowed": one.overflowed} for way, one in ways},
    }
    print(_line(result), flush=True)
    return result


async def _look(family: Page, prisoner: Page) -> dict[str, Any]:
    return {
        "family_in": await family.evaluate("inbound()"),
        "prisoner_in": await prisoner.evaluate("inbound()"),
        "family_sent": await family.evaluate("outbound()"),
    }


def _seen(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What one side saw and heard between two looks at its statistics."""

    def more(kind: str, name: str) -> float:
        return float(after[kind].get(name, 0) - before[kind].get(name, 0))

    samples = more("audio", "totalSamplesReceived")
    received, lost = more("audio", "packetsReceived"), more("audio", "packetsLost")
    # What Chromium makes up while somebody is silent (DTX) is no loss.
    concealed = more("audio", "concealedSamples") - more("audio", "silentConcealedSamples")
    return {
        "freezes": round(more("video", "freezeCount")),
        "frozen_s": round(more("video", "totalFreezesDuration"), 2),
        "frames": round(more("video", "framesDecoded")),
        "width": after["video"].get("frameWidth", 0),
        "height": after["video"].get("frameHeight", 0),
        "video_lost": round(more("video", "packetsLost")),
        "audio_packets": round(received),
        "audio_received": round(received / (received + lost), 4) if received + lost > 0 else None,
        "audio_concealed": round(concealed / samples, 4) if samples else None,
    }


def _recorded(folder: Path) -> dict[str, Any]:
    """Per kind, the part of the family's packets that is in the sealed recording, by the recording's own count."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    kept: dict[str, list[int]] = {}
    for track in manifest["body"]["content"]["tracks"]:
        if track["participant_id"] == "family":
            counted = kept.setdefault(track["kind"], [0, 0])
            counted[0] += track["packets"]
            counted[1] += track["lost"]
    return {
        kind: {"packets": packets, "lost": lost, "part": round(packets / max(1, packets + lost), 4)}
        for kind, (packets, lost) in kept.items()
    }


def _now() -> datetime:
    return datetime.now(UTC)


def _line(result: dict[str, Any]) -> str:
    text = f"{result['network']:<16}"
    for who in ("family_sees", "prisoner_sees"):
        seen = result[who]
        text += (
            f"{who}: {seen['freezes']} freezes {seen['frozen_s']:.1f} s, {seen['height']:.0f} lines,"
            f" {seen['frames']} frames, voice {seen['audio_received'] or 0:.1%}"
            f" ({seen['audio_concealed'] or 0:.1%} made up)  "
        )
    kept = {kind: f"{one['part']:.2%}" for kind, one in result["recorded"].items()}
    return f"{text}recorded {kept}  {result['family_sends']['video_kbit_s']} kbit/s up"


def table(report: dict[str, Any]) -> str:
    """The results as they stand in docs/limits.md."""
    lines = [
        "| network | family sees | family hears | prisoner sees | prisoner hears | recorded voice, picture |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in report["results"]:
        cells = [one["network"]]
        for who in ("family_sees", "prisoner_sees"):
            seen = one[who]
            cells.append(f"{seen['freezes']} freezes, {seen['frozen_s']:.1f} s; {seen['height']:.0f} lines")
            cells.append(f"{seen['audio_received'] or 0:.1%} came, {seen['audio_concealed'] or 0:.1%} made up")
        cells.append(", ".join(f"{one['recorded'].get(kind, {}).get('part', 0):.1%}" for kind in ("audio", "video")))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


async def bench(names: list[str], seconds: float, settle: float = SETTLE) -> dict[str, Any]:
    """One run; see the module's text."""
    results = [await one(name, NETWORKS[name], seconds, settle=settle) for name in names]
    return {
        "bench": "loss",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "load_average": round(os.getloadavg()[0], 1),
        "results": results,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", default=",".join(NETWORKS), help="some of the networks, by name")
    parser.add_argument("--plot", type=Path, help="write an SVG here, e.g. docs/img/loss.svg")
    parser.add_argument("--short", action="store_true", help="a smoke run: 10 % loss for 2 s")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    if options.short:
        report = asyncio.run(bench(["10 %"], 2.0, 1.0))
    else:
        report = asyncio.run(bench(options.only.split(","), options.seconds))
    if options.plot is not None:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        options.plot.write_text(plot(report), encoding="utf-8")
    print(table(report))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
