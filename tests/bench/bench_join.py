"""How long people wait for a picture, in Chromium with the product's own media client, over loopback.

A browser is in the call already and sends its camera. Then, one after the other, each in a fresh page:

  party       from just before the offer is made (the camera is open already) to the first decoded frame of the other
  officer     the same for an officer, who watches one call; the picture has to come from the keyframe cache
  tile        an officer's wall is open and shows one call: from the request that it show another one instead to that
              one's first frame (known by its shape), without a new offer
  restart     ICE is restarted, as after a change of network: from the decision to media on the new pair of addresses

    python -m tests.bench.bench_join [--joins N] [--short]

The last line is one JSON object; times are milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from playwright.async_api import Browser

from signaling.ids import OrdinaryCallId, new_id
from signaling.media.node import MediaNode
from tests.e2e.support.browser import Visitor, chromium, visitor
from tests.fixtures.waiting import page_shows
from tests.support.media_page import MediaPage, served

# Width and height of the picture in each call. Chromium sends fewer pixels when it has to, but of the same shape, by
# which a tile's change is seen.
SIZES = {"one": (640, 480), "two": (640, 360)}

TILE = """async ([call, [width, height]]) => {
  const began = performance.now();
  await fetch(`/show/wall/${call}`, { method: "POST" });
  const element = slots.find((slot) => slot.kind === "video").element;
  return new Promise((resolve) => {
    const look = (now, frame) => {
      if (Math.abs(frame.width / frame.height - width / height) < 0.1) resolve(performance.now() - began);
      else element.requestVideoFrameCallback(look);
    };
    element.requestVideoFrameCallback(look);
  });
}"""

RESTART = """async () => {
  const before = await pair();
  const began = performance.now();
  nudge();
  for (;;) {
    const now = await pair();
    if (now.ufrag !== before.ufrag && now.received > 0) return performance.now() - began;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}"""


async def opened(person: Visitor, size: tuple[int, int] | None) -> None:
    """Load the page, and open the camera with this picture unless None."""
    await person.page.goto("/")
    await page_shows(person.page, "globalThis.ready")
    if size is not None:
        await person.page.evaluate("([width, height]) => camera(width, height)", size)


async def joined(browser: Browser, page: MediaPage, start: str, size: tuple[int, int] | None) -> float:
    """Join, wait for the first picture of the other side, leave; milliseconds."""
    async with visitor(browser, page.base) as person:
        await opened(person, size)
        await person.page.evaluate(start)
        await page_shows(person.page, "firstFrame() < Infinity")
        return float(await person.page.evaluate("firstFrame()"))


def spread(values: Sequence[float]) -> dict[str, float]:
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
    rooms = {name: node.open_room(OrdinaryCallId(new_id("call"))) for name in SIZES}
    for room in rooms.values():
        room.set_gate(True)
    first = rooms["one"]
    times: dict[str, list[float]] = {"party": [], "officer": [], "tile": [], "restart": []}
    async with (
        served(node, rooms) as page,
        chromium() as browser,
        visitor(browser, page.base) as family,
        visitor(browser, page.base) as another,
        visitor(browser, page.base) as officer,
    ):
        for person, name in ((family, "one"), (another, "two")):
            await opened(person, SIZES[name])
            await person.page.evaluate("name => publish(`${name}.family`, 'family')", name)
        for room in rooms.values():
            await _flowing(room, 200)
        asked = first.counters().pli_sent
        for number in range(joins):
            start = "publish('one.prisoner', 'prisoner')"
            times["party"].append(await joined(browser, page, start, SIZES["one"]))
            times["officer"].append(await joined(browser, page, f"watch('/watch/one.officer-{number}', 2)", None))
        counters = first.counters()
        await opened(officer, None)
        await officer.page.evaluate("watch('/wall/wall', 1)")
        await page_shows(officer.page, "peerState() === 'connected'")
        await officer.page.evaluate("fetch('/show/wall/one', { method: 'POST' })")
        await page_shows(officer.page, "firstFrame() < Infinity")
        for number in range(joins):
            name = ("two", "one")[number % 2]
            times["tile"].append(float(await officer.page.evaluate(TILE, [name, SIZES[name]])))
        for _ in range(joins):
            times["restart"].append(float(await family.page.evaluate(RESTART)))
        restarts = first.counters().ice_restarts
    await node.stop()
    for name, values in times.items():
        print(f"{name:<8} {spread(values)} ms, {len(values)} times", flush=True)
    return {
        "bench": "join",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "joins": joins,
        **{f"{name}_ms": spread(values) for name, values in times.items()},
        "keyframes_asked_for": counters.pli_sent - asked,
        "ice_restarts": restarts,
        "dropped_srtp": counters.dropped_srtp,
        "load_average": round(os.getloadavg()[0], 1),
    }


async def _flowing(room: Any, packets: int) -> None:
    async with asyncio.timeout(60):
        while room.counters().received < packets:  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.05)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--joins", type=int, default=15)
    parser.add_argument("--short", action="store_true", help="a smoke run: two of each kind")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    print(json.dumps(asyncio.run(bench(2 if options.short else options.joins))))


if __name__ == "__main__":
    main()
