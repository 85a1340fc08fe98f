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
async ({selector, listenMs, apart}) => {
  const videos = [...document.querySelectorAll(selector)];
  const before = videos.map((video) => video.getVideoPlaybackQuality().totalVideoFrames);
  const context = new AudioContext();
  await context.resume();
  const listen = async (tracks) => {
    if (tracks.length === 0) return 0;
    const analyser = new AnalyserNode(context, {fftSize: 8192});
    context.createMediaStreamSource(new MediaStream(tracks)).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const until = performance.now() + listenMs;
    let rms = 0;
    while (performance.now() < until) {
      await new Promise((next) => setTimeout(next, 80));
      analyser.getFloatTimeDomainData(samples);
      rms = Math.max(rms, Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length));
    }
    return rms;
  };
  const voices = () => window.testConnections
    .filter((connection) => connection.connectionState !== "closed")
    .flatMap((connection) => connection.getReceivers())
    .filter(({track}) => track.kind === "audio" && !track.muted)
    .map(({track}) => [track]);
  const own = (video) => video.srcObject ? video.srcObject.getAudioTracks() : [];
  const heard = await Promise.all((apart ? voices() : videos.map(own)).map(listen));
  if (heard.length === 0) await new Promise((next) => setTimeout(next, listenMs));
  await context.close();
  return videos.map((video, at) => ({
    width: video.videoWidth, height: video.videoHeight, rms: heard[at] ?? 0,
    frames: video.getVideoPlaybackQuality().totalVideoFrames - before[at],
  }));
}
"""
"""Pictures under a selector with their sound; `apart`: the sounds are not in the videos' streams but on their own."""

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


async def sees_and_hears(page: Page, selector: str, sides: int, seconds: float = 90.0) -> list[Seen]:
    """Wait until `sides` videos under `selector` are good at the same time; AssertionError with what was there."""
    question = {"selector": selector, "listenMs": 1200, "apart": selector == WATCHED}
    last: list[Seen] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                found: list[dict[str, Any]] = await page.evaluate(SEEN, question)
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
