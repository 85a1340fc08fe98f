"""Firefox as a family: the real call page in a third engine, with Chromium on the other side of the glass."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from signaling.calls import Actor, ActorKind
from tests.e2e.support.browser import SCREENSHOTS, chromium, visitor
from tests.e2e.support.clips import colour_clip
from tests.fixtures.waiting import page_shows
from tests.integration.interop.firefox import FirefoxPage, firefox
from tests.integration.interop.house import PATIENCE
from tests.integration.web.call_stage import call_stage, enter, live
from tests.integration.web.gallery import address

pytestmark = pytest.mark.timeout(300)  # several waits, each with a limit of its own

OFFICER = Actor(ActorKind.STAFF, "stf_1")
REMOTE = "document.querySelector('.remote video')"
# The middle of the remote picture, as red, green, blue.
COLOUR = f"""(() => {{
    const canvas = Object.assign(document.createElement('canvas'), {{width: 8, height: 8}});
    const context = canvas.getContext('2d');
    context.drawImage({REMOTE}, 0, 0, 8, 8);
    return [...context.getImageData(4, 4, 1, 1).data].slice(0, 3);
}})()"""
LIVE = (
    "document.querySelector('visit-call')?.dataset.phase === 'live'"
    f" && ({REMOTE}?.videoWidth ?? 0) > 0 && {REMOTE}.currentTime > 1"
)
# Pictures that were really shown since the last asking for them to be counted.
COUNT = f"""(() => {{
    const video = {REMOTE};
    const count = () => {{ window.shown += 1; video.requestVideoFrameCallback(count); }};
    window.shown = 0;
    video.requestVideoFrameCallback(count);
}})()"""


def own_address() -> str:
    """An address of this machine that is not the loopback's: Firefox has no candidate there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has the loopback only, and Firefox does not offer that")
        return str(probe.getsockname()[0])


async def test_a_family_with_firefox(tmp_path: Path) -> None:
    blue = colour_clip(tmp_path / "blue.mjpeg", (220, 60, 30))
    async with (
        firefox() as aino,
        call_stage(own_address()) as stage,
        chromium(camera=blue) as browser,
        visitor(browser, stage.url) as mikko,
    ):
        await aino.set_cookie("visit_family", "t" * 43, "127.0.0.1")
        await aino.goto(stage.url.rstrip("/") + address("call"))
        await enter(mikko, "terminal-call", stage.url)
        await live(mikko.page)
        await aino.until(LIVE, "the live call in Firefox")
        await aino.until(f"{COLOUR}[2] > Math.max({COLOUR}[0], {COLOUR}[1]) + 60", "the prisoner's blue")
        await aino.evaluate(COUNT)
        await aino.until("window.shown > 20", "pictures that move")
        await page_shows(
            mikko.page,
            "document.querySelector('.remote video').getVideoPlaybackQuality().totalVideoFrames > 20",
            timeout=PATIENCE,
        )
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (SCREENSHOTS / "firefox-call.png").write_bytes(await aino.screenshot())

        await stage.control.hold(stage.call_id, OFFICER, "unknown person", "One moment, please.")
        await _says(aino, "Paused")
        await _says(aino, "One moment, please.")
        await stage.control.resume(stage.call_id, OFFICER, "clear")
        await aino.until(LIVE, "the call after the pause")
        await aino.evaluate(COUNT)
        await aino.until("window.shown > 10", "pictures after the pause")
        counters = stage.media.open_room(stage.call_id).counters()
        assert counters.dropped_srtp == counters.dropped_malformed == 0
        assert counters.received_rtcp > 0

        await stage.control.terminate(stage.call_id, OFFICER, "test", "We have to stop here.")
        await _says(aino, "The visit is over")
        await _says(aino, "We have to stop here.")
        assert aino.complaints == []


async def _says(page: FirefoxPage, words: str) -> None:
    await page.until(f"(document.querySelector('.overlay')?.innerText ?? '').includes({words!r})", words)
