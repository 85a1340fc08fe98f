"""The call page of a family and of a terminal, in two Chromiums, through a real media node."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from signaling.calls import Actor, ActorKind
from signaling.media.leg import Kind
from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, Visitor, chromium, visitor
from tests.e2e.support.clips import colour_clip
from tests.integration.web.call_stage import NAMES, Stage, enter, live

OFFICER = Actor(ActorKind.STAFF, "stf_1")
# What is played into the remote <video> is looked at: its middle pixel, as red, green, blue.
SEEN = """() => {
    const video = document.querySelector('.remote video');
    if (!video || video.videoWidth === 0) return null;
    const canvas = Object.assign(document.createElement('canvas'), {width: 8, height: 8});
    const context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 8, 8);
    return [...context.getImageData(1, 1, 1, 1).data].slice(0, 3);
}"""


@dataclass
class Party:
    """Two people in their own browsers: Chromium's fake camera is one for all pages of a browser."""

    family: Visitor
    prisoner: Visitor

    def __iter__(self) -> Any:
        return iter((self.family, self.prisoner))


@pytest.fixture
async def browsers(tmp_path: Path) -> AsyncIterator[tuple[Browser, Browser]]:
    green = colour_clip(tmp_path / "green.mjpeg", (40, 200, 40))
    blue = colour_clip(tmp_path / "blue.mjpeg", (220, 60, 30))
    async with chromium(camera=green) as first, chromium(camera=blue) as second:
        yield first, second


async def sees(page: Page, colour: str) -> None:
    """Wait until the remote picture is of that colour."""
    last: list[int] | None = None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        last = await page.evaluate(SEEN)
        if last is not None:
            red, green, blue = last
            found = "green" if green > max(red, blue) + 60 else "blue" if blue > max(red, green) + 60 else "neither"
            if found == colour:
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the remote picture is {last}, not {colour}")


async def test_two_people_see_each_other_and_an_officer_pauses(stage: Stage, browsers: tuple[Browser, Browser]) -> None:
    first, second = browsers
    async with visitor(first, stage.url, PHONE) as aino, visitor(second, stage.url) as mikko:
        await enter(aino, "call", stage.url)
        await expect(aino.page.locator(".overlay h2")).to_have_text("You are in", timeout=60_000)
        await aino.screenshot("phone/call-waiting", full_page=False)
        await enter(mikko, "terminal-call", stage.url)
        for person in (aino, mikko):
            await live(person.page)
        await sees(aino.page, "blue")
        await sees(mikko.page, "green")
        await expect(aino.page.locator(".remote figcaption")).to_have_text(NAMES["prisoner_1"])
        await expect(mikko.page.locator(".remote figcaption")).to_have_text(NAMES["family_1"])
        await expect(aino.page.locator(".left")).to_have_text("30 minutes left")
        await expect(aino.page.locator(".net")).to_have_attribute("data-quality", "good", timeout=60_000)
        for person, name in ((aino, "phone/call-live"), (mikko, "wide/terminal-call-live")):
            await axe.check(person.page)
            await person.screenshot(name, full_page=False)

        await stage.control.hold(stage.call_id, OFFICER, "unknown person", "Please be alone in the room.")
        for person in (aino, mikko):
            await expect(person.page.locator(".overlay h2")).to_have_text("Paused")
            await expect(person.page.locator(".overlay")).to_contain_text("An officer has paused the visit")
            await expect(person.page.locator(".overlay")).to_contain_text("Please be alone in the room.")
            await expect(person.page.locator(".overlay")).to_contain_text("goes on when an officer lifts the pause")
        await axe.check(aino.page)
        await aino.screenshot("phone/call-held", full_page=False)
        await stage.control.resume(stage.call_id, OFFICER, "alone now")
        for person in (aino, mikko):
            await live(person.page)

        await stage.control.say(stage.call_id, OFFICER, "Five minutes until lunch.")
        await expect(aino.page.locator(".note-card")).to_contain_text("The officer writes: Five minutes until lunch.")
        await aino.page.get_by_role("button", name="Understood").click()
        await expect(aino.page.locator(".note-card")).to_have_count(0)

        await stage.control.mute(stage.call_id, "prisoner_1", Kind.AUDIO, True, OFFICER, "noise")
        await expect(mikko.page.locator(".note-card").last).to_contain_text("turned your microphone off")
        await expect(aino.page.locator(".note-card")).to_have_count(0)

        await stage.control.terminate(stage.call_id, OFFICER, "test", "We have to stop here.")
        for person in (aino, mikko):
            await expect(person.page.locator(".overlay h2")).to_have_text("The visit is over")
            await expect(person.page.locator(".overlay")).to_contain_text("A member of staff has ended the visit.")
            await expect(person.page.locator(".overlay")).to_contain_text("We have to stop here.")
        await aino.page.get_by_role("button", name="Go on").click()
        await aino.page.wait_for_url("**/after")


async def test_buttons_do_what_they_say(stage: Stage, browsers: tuple[Browser, Browser]) -> None:
    first, second = browsers
    async with visitor(first, stage.url) as aino, visitor(second, stage.url) as mikko:
        await enter(aino, "call", stage.url)
        await enter(mikko, "terminal-call", stage.url)
        for person in (aino, mikko):
            await live(person.page)
        await sees(mikko.page, "green")
        button = aino.page.get_by_role("button", name="Camera")
        await button.click()
        await expect(mikko.page.locator(".remote")).to_have_class(re.compile("no-picture"))
        await expect(aino.page.locator(".own")).to_be_hidden()
        await aino.page.get_by_role("button", name="Camera off").click()
        await sees(mikko.page, "green")

        await aino.page.get_by_role("button", name="Mute").click()
        await expect(aino.page.get_by_role("button", name="Muted")).to_have_attribute("aria-pressed", "true")
        assert await aino.page.evaluate(
            "document.querySelector('.own video').srcObject.getAudioTracks().every(track => !track.enabled)"
        )
        await aino.page.get_by_role("button", name="Sound").click()
        assert await aino.page.evaluate("document.querySelector('.remote video').muted")
        await aino.page.get_by_role("button", name="View").click()
        await expect(aino.page.locator(".stage")).to_have_attribute("data-layout", "side")
        await aino.screenshot("wide/call-side-by-side", full_page=False)

        await aino.page.get_by_role("button", name="Leave").click()
        await expect(aino.page.locator("dialog")).to_be_visible()
        await axe.check(aino.page)
        await aino.page.get_by_role("button", name="Stay").click()
        await aino.page.get_by_role("button", name="Leave").click()
        await aino.page.locator("dialog").get_by_role("button", name="Leave").click()
        await aino.page.wait_for_url("**/after")
        await expect(mikko.page.locator(".overlay h2")).to_contain_text("is gone for a moment")
        assert await stage.phase() == "reconnecting"


async def test_coming_back_and_a_second_page(stage: Stage, browsers: tuple[Browser, Browser]) -> None:
    first, second = browsers
    async with (
        visitor(first, stage.url) as aino,
        visitor(second, stage.url) as mikko,
        visitor(first, stage.url) as again,
    ):
        await enter(aino, "call", stage.url)
        await enter(mikko, "terminal-call", stage.url)
        for person in (aino, mikko):
            await live(person.page)
        await aino.page.reload()
        await live(aino.page)
        await sees(mikko.page, "green")

        await enter(again, "call", stage.url)
        await expect(aino.page.locator(".overlay h2")).to_have_text("The visit goes on elsewhere")
        await live(again.page)
        await sees(again.page, "blue")


async def test_a_broken_line_is_said_and_mended_without_a_touch(
    stage: Stage, browsers: tuple[Browser, Browser]
) -> None:
    first, second = browsers
    # The restart of a session that the server has forgotten is answered 404, which the browser logs.
    async with visitor(first, stage.url, allow=["status of 404"]) as aino, visitor(second, stage.url) as mikko:
        async with aino.page.expect_response("**/media/whip/*") as answered:
            await enter(aino, "call", stage.url)
        await enter(mikko, "terminal-call", stage.url)
        for person in (aino, mikko):
            await live(person.page)
        location = (await (await answered.value).all_headers())["location"]
        assert stage.gallery.tickets is not None
        # Behind the page's back, as when a media node starts anew.
        await stage.node.close(stage.gallery.tickets("family")["ticket"], location.rsplit("/", 1)[1])
        await expect(mikko.page.locator(".overlay h2")).to_contain_text("is gone for a moment")
        await expect(aino.page.locator(".overlay h2")).to_have_text("Your connection is broken", timeout=60_000)
        await aino.screenshot("wide/call-broken", full_page=False)
        for person in (aino, mikko):
            await live(person.page)
        await sees(mikko.page, "green")


async def test_a_page_says_so_when_a_script_of_it_did_not_arrive(
    stage: Stage, browsers: tuple[Browser, Browser]
) -> None:
    async with visitor(browsers[0], stage.url, allow=[r"net::ERR_INTERNET_DISCONNECTED"]) as aino:
        # A part of a part: the browser names only the script that the page itself asked for.
        await aino.page.route("**/js/protocol/peer.js", lambda route: route.abort("internetdisconnected"))
        await enter(aino, "call", stage.url)
        said = aino.page.get_by_role("alert").filter(has_text="A part of this page did not arrive.")
        await expect(said).to_be_visible()
        await axe.check(aino.page)
        await aino.page.unroute("**/js/protocol/peer.js")
        await said.get_by_role("link", name="Load the page again").click()
        await expect(said).to_be_hidden()
        await expect(aino.page.locator("visit-call")).to_have_attribute("data-phase", re.compile("."))
