"""Time from a Chromium's first word to its first decoded picture.

One browser is in the call already and sends 640 x 480. Then parties and officers join, one after the other, each a
fresh page: the clock runs from just before the offer is made (camera and microphone are open already) until the first
frame of the other side has been shown. An officer's picture has to come from the keyframe cache.

    python -m tests.bench.bench_join [--joins N] [--short]

The last line is one JSON object; times are milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
from typing import Any

import structlog
from playwright.async_api import Browser

from signaling.ids import OrdinaryCallId, new_id
from signaling.media.node import MediaNode
from tests.e2e.support.browser import chromium, visitor
from tests.integration.media.page import served

PARTY = [["audio", "sendrecv"], ["video", "sendrecv"]]
OFFICER = [["video", "recvonly"], ["video", "recvonly"], ["audio", "recvonly"], ["audio", "recvonly"]]


async def joined(browser: Browser, base: str, url: str, lines: list[list[str]]) -> float:
    """Join, wait for the first picture of the other side, leave; milliseconds."""
    async with visitor(browser, base) as person:
        await person.page.goto("/")
        await person.page.evaluate("([url, lines]) => start(url, lines)", [url, lines])
        wanted = "slots.find(slot => slot.kind === 'video').firstFrame"
        await person.page.wait_for_function(f"{wanted} !== null", timeout=60_000)
        return float(await person.page.evaluate(wanted))


def spread(values: list[float]) -> dict[str, float]:
    """Median, 95th percentile and worst."""
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered)),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]),
        "max": round(ordered[-1]),
    }


async def bench(joins: int) -> dict[str, Any]:
    """One run; see the module's text."""
    node = MediaNode("127.0.0.1", 0)
    await node.start()
    room = node.open_room(OrdinaryCallId(new_id("call")))
    room.set_gate(True)
    times: dict[str, list[float]] = {"party": [], "officer": []}
    async with served(room) as base, chromium() as browser, visitor(browser, base) as family:
        await family.page.goto("/")
        await family.page.evaluate("([url, lines]) => start(url, lines)", ["/publish/family/family", PARTY])
        while room.counters().received < 200:  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.05)
        asked = room.counters().pli_sent
        for number in range(joins):
            times["party"].append(await joined(browser, base, "/publish/prisoner/prisoner", PARTY))
            times["officer"].append(await joined(browser, base, f"/watch/officer-{number}", OFFICER))
        counters = room.counters()
    await node.stop()
    for name, values in times.items():
        print(f"{name:<8} {spread(values)} ms over {len(values)} joins", flush=True)
    return {
        "bench": "join",
        "joins": joins,
        "party_ms": spread(times["party"]),
        "officer_ms": spread(times["officer"]),
        "keyframes_asked_for": counters.pli_sent - asked,
        "dropped_srtp": counters.dropped_srtp,
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--joins", type=int, default=15)
    parser.add_argument("--short", action="store_true", help="a smoke run: 2 joins of each kind")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    print(json.dumps(asyncio.run(bench(2 if options.short else options.joins))))


if __name__ == "__main__":
    main()
