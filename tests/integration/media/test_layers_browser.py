"""Chromium's simulcast through the relay, with the product's own client: the picture changes its size only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page

from signaling.media.layer import Layer
from signaling.media.leg import Kind
from signaling.media.node import MediaNode
from signaling.media.remb import LAYERED_CEILING, UplinkEstimate
from tests.e2e.support.browser import chromium, visitor
from tests.fixtures.waiting import page_shows
from tests.integration.media.conftest import Call, ListeningLeg
from tests.support.media_page import served

_SEEN = """async () => [...(await peerStats()).values()]
  .filter((one) => one.type === "inbound-rtp" && one.kind === "video" && one.packetsReceived)
  .map((one) => ({ ssrc: one.ssrc, height: one.frameHeight || 0, decoded: one.framesDecoded || 0,
                   keys: one.keyFramesDecoded || 0, shown: slots.find((s) => s.kind === "video").frames }))"""


async def _until(page: Page, holds: Callable[[dict[str, Any]], bool], what: str, timeout: float = 60) -> dict[str, Any]:
    """Wait until the one video that comes is as it should be."""
    deadline = time.monotonic() + timeout
    seen: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        seen = await page.evaluate(_SEEN)
        if len(seen) == 1 and holds(seen[0]):
            return seen[0]
        await asyncio.sleep(0.1)
    raise TimeoutError(f"{what}: not within {timeout:g} s; last seen {seen}")


async def test_the_picture_changes_its_size_with_its_place(
    call: Call, node: MediaNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What this machine can carry while other tests run is not the question here: the publisher may send all layers.
    monkeypatch.setattr(UplinkEstimate, "bitrate", lambda *_, **__: LAYERED_CEILING)
    leg = ListeningLeg("recorder")
    call.ordinary.add_leg(leg)
    call.room.set_gate(True)
    async with (
        served(node, {"call": call.ordinary}) as page,
        chromium() as browser,
        visitor(browser, page.base) as family,
        visitor(browser, page.base) as prisoner,
    ):
        for person, name, size in ((family, "family", (640, 480)), (prisoner, "prisoner", (320, 240))):
            await person.page.goto("/")
            await page_shows(person.page, "globalThis.ready")
            await person.page.evaluate("([width, height]) => camera(width, height)", list(size))
            await person.page.evaluate("([name]) => publish(name, name)", [name])

        def layers() -> list[Layer]:
            """What the family sends now, the smallest first."""
            track = call.ordinary.track_of("family", Kind.VIDEO)
            now = asyncio.get_running_loop().time()
            flowing = [layer for layer in track.layers if layer.is_active(now)] if track is not None else []
            return sorted(flowing, key=lambda layer: layer.height)

        watched = next(peer for peer in call.room._peers.values() if peer.owner_id == "prisoner")
        slot = next(slot for slot in watched.slots if slot.kind is Kind.VIDEO)

        def shows(seen: dict[str, Any], *, lowest: bool) -> bool:
            sent = layers()
            wanted = sent[0 if lowest else -1].height if len(sent) == 2 else -1
            return bool(sent) and seen["height"] == wanted

        high = await _until(prisoner.page, lambda seen: shows(seen, lowest=False), "the larger picture")
        call.room.set_view(watched.session_id, {slot.mid: 100})
        low = await _until(prisoner.page, lambda seen: shows(seen, lowest=True), "the smaller picture")
        call.room.set_view(watched.session_id, {slot.mid: 1080})
        back = await _until(prisoner.page, lambda seen: shows(seen, lowest=False), "the larger picture again")
        assert low["height"] < high["height"]
        assert high["ssrc"] == low["ssrc"] == back["ssrc"] == slot.ssrc
        assert high["keys"] < low["keys"] < back["keys"]
        after = await _until(prisoner.page, lambda seen: seen["shown"] > back["shown"] + 10, "pictures that go on")
        assert after["decoded"] > back["decoded"]
        call.room.set_view(watched.session_id, {slot.mid: 0})
        recorded = [p for track, p, _ in leg.rtp if track.participant_id == "family" and track.kind is Kind.VIDEO]
        assert len({packet[8:12] for packet in recorded}) == 1
        assert call.room.counters().dropped_malformed == 0
