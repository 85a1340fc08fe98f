"""What really arrives in a browser: decoded pictures, sound with energy, packets. Never what the page says of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page

WATCH_CONNECTIONS = """
window.testConnections = [];
const Original = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Original {
  constructor(...args) { super(...args); window.testConnections.push(this); }
};
"""
"""Runs before any script of a page and keeps every RTCPeerConnection, so that its statistics can be read."""

SEEN = """
async ({selector, listenMs}) => {
  const seen = [];
  for (const video of document.querySelectorAll(selector)) {
    const before = video.getVideoPlaybackQuality().totalVideoFrames;
    let rms = 0, rate = 0;
    const tracks = video.srcObject ? video.srcObject.getAudioTracks() : [];
    if (tracks.length > 0) {
      const context = new AudioContext();
      await context.resume();
      const analyser = new AnalyserNode(context, {fftSize: 8192});
      context.createMediaStreamSource(new MediaStream(tracks)).connect(analyser);
      const samples = new Float32Array(analyser.fftSize);
      const until = performance.now() + listenMs;
      while (performance.now() < until) {
        await new Promise((next) => setTimeout(next, 80));
        analyser.getFloatTimeDomainData(samples);
        rms = Math.max(rms, Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length));
      }
      await context.close();
    } else {
      await new Promise((next) => setTimeout(next, listenMs));
    }
    seen.push({
      width: video.videoWidth, height: video.videoHeight, rms,
      frames: video.getVideoPlaybackQuality().totalVideoFrames - before,
    });
  }
  return seen;
}
"""

PACKETS = """
async () => {
  const sum = {received: 0, sent: 0};
  for (const connection of window.testConnections) {
    if (connection.connectionState === "closed") continue;
    for (const stat of (await connection.getStats()).values()) {
      if (stat.type === "inbound-rtp") sum.received += stat.packetsReceived;
      if (stat.type === "outbound-rtp") sum.sent += stat.packetsSent;
    }
  }
  return sum;
}
"""

REMOTE = "visit-call .remotes video"
WATCHED = ".tile-picture video"


@dataclass(frozen=True)
class Seen:
    """One remote picture and its sound during a moment. `rms` is the loudest part's, 0 to 1."""

    width: int
    height: int
    frames: int
    rms: float

    @property
    def good(self) -> bool:
        """A decoded picture of a usable size that moves, and sound that is no silence."""
        return self.width >= 320 and self.height >= 240 and self.frames >= 5 and self.rms > 0.01


async def sees_and_hears(page: Page, selector: str, sides: int, seconds: float = 45.0) -> list[Seen]:
    """Wait until `sides` videos under `selector` are good at the same time; AssertionError with what was there."""
    last: list[Seen] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                found: list[dict[str, Any]] = await page.evaluate(SEEN, {"selector": selector, "listenMs": 1200})
                last = [Seen(**one) for one in found]
                if len(last) == sides and all(one.good for one in last):
                    return last
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"after {seconds:g} s {page.url} had {last}") from None


async def packets(page: Page) -> dict[str, int]:
    """RTP packets that the page's connections have received and sent since they began."""
    found: dict[str, int] = await page.evaluate(PACKETS)
    return found


async def nothing_arrives(pages: list[Page], during: float = 3.0, seconds: float = 15.0) -> None:
    """Within `seconds` there is a stretch of `during` seconds in which no page receives a packet although all who
    publish go on sending; AssertionError otherwise.
    """
    counts: list[tuple[dict[str, int], dict[str, int]]] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                before = [await packets(page) for page in pages]
                await asyncio.sleep(during)
                after = [await packets(page) for page in pages]
                counts = list(zip(before, after, strict=True))
                if all(b["received"] == a["received"] for b, a in counts):
                    break
    except TimeoutError:
        raise AssertionError(f"packets still arrived: {counts}") from None
    publishers = [(b, a) for b, a in counts if a["sent"] > 0]
    assert len(publishers) == 2, counts
    for b, a in publishers:
        assert a["sent"] > b["sent"], f"a participant stopped sending, so silence would prove nothing: {counts}"
