"""Every page: no console error, WCAG 2.2 AA by axe, no sideways scrolling, wide and narrow; modules do their work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from playwright.async_api import Browser, Page, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, WIDE, Visitor, chromium, visitor
from tests.integration.web.gallery import PAGES, Gallery, address

TOKEN = "t" * 43


@dataclass
class Site:
    gallery: Gallery
    url: str
    browser: Browser


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    gallery = Gallery()
    async with TestServer(gallery.application()) as server, chromium() as browser:
        yield Site(gallery, str(server.make_url("")), browser)


async def sign_in(person: Visitor, surface: str, url: str) -> None:
    if surface in ("family", "terminal"):
        await person.context.add_cookies([{"name": f"visit_{surface}", "value": TOKEN, "url": url}])


async def show(person: Visitor, name: str, url: str) -> Page:
    await sign_in(person, PAGES[name].surface, url)
    answer = await person.page.goto(address(name))
    assert answer is not None and answer.status == 200, await person.page.content()
    return person.page


def waiting_state(**changes: Any) -> dict[str, Any]:
    return {
        "phase": "lobby",
        "door": "needed",
        "may_enter": False,
        "awaiting": [{"who": "you", "here": True}, {"who": "prisoner", "here": False}],
        "starts_at": "2026-03-02T10:00:00+00:00",
        "lobby_opens_at": "2026-03-02T09:45:00+00:00",
        "now": "2026-03-02T09:50:00+00:00",
        "words": "",
    } | changes


@pytest.mark.timeout(300)
@pytest.mark.parametrize("width", [WIDE, PHONE], ids=["wide", "phone"])
async def test_every_page(site: Site, width: tuple[int, int]) -> None:
    site.gallery.states = [waiting_state()]
    faults: list[str] = []
    for name, shown in PAGES.items():
        if width == PHONE and shown.surface in ("terminal", "station"):
            continue  # a terminal's screen is never that narrow
        # The call has no server behind it here: its own words for that are part of the picture.
        allow = ["Failed to load resource"] if name.endswith("call") else []
        async with visitor(site.browser, site.url, width, allow=allow) as person:
            page = await show(person, name, site.url)
            if name.endswith("call"):
                await expect(page.locator(".overlay h2")).to_have_text("That did not work")
            faults += [f"{name}: {fault}" for fault in await axe.violations(page)]
            if await person.overflows():
                faults.append(f"{name}: scrolls sideways")
            await person.screenshot(f"{'phone' if width == PHONE else 'wide'}/{name}")
    assert not faults, "\n".join(faults)


async def test_every_target_is_large_enough(site: Site) -> None:
    site.gallery.states = [waiting_state()]
    small = """() => [...document.querySelectorAll('a, button, input, select, summary')]
        .filter(one => one.checkVisibility())
        .filter(one => !one.closest('p, li:not(nav li), .notice'))
        .filter(one => !one.matches('.skip-link, .visually-hidden, [type=radio]'))
        .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().height])
        .filter(([, height]) => height < 43.5)"""
    for name in ("home", "book", "visit", "terminal-home", "terminal-pin"):
        async with visitor(site.browser, site.url, PHONE if "terminal" not in name else WIDE) as person:
            page = await show(person, name, site.url)
            assert await page.evaluate(small) == [], name


async def test_the_whole_page_by_keyboard(site: Site) -> None:
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "home", site.url)
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip-link")).to_be_focused()
        await expect(page.locator(".skip-link")).to_be_in_viewport()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        focused = await page.evaluate("document.activeElement.closest('main') !== null")
        assert focused, "the skip link leads past the header"


async def test_times_are_the_prisons_and_the_readers_where_they_differ(site: Site) -> None:
    for zone, own in (("Europe/Helsinki", False), ("America/New_York", True)):
        context = await site.browser.new_context(base_url=site.url, timezone_id=zone)
        await context.add_cookies([{"name": "visit_family", "value": TOKEN, "url": site.url}])
        page = await context.new_page()
        await page.goto(address("visit"))
        await expect(page.locator(".clock")).to_contain_text("11:50")  # 09:50 UTC in Helsinki in March
        told = page.locator("own-time")
        if own:
            await expect(told).to_contain_text("4:50")
        else:
            await expect(told).to_be_hidden()
        await context.close()


async def test_device_check_sees_and_hears(site: Site) -> None:
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "ready", site.url)
        await page.get_by_role("button", name="Start the test").click()
        check = page.locator("device-check")
        await expect(check).to_have_attribute("data-camera", "good")
        await expect(check).to_have_attribute("data-microphone", "good")  # Chromium's fake microphone beeps
        await page.get_by_role("button", name="Play a tone").click()
        await page.get_by_role("button", name="Yes").click()
        await expect(check).to_have_attribute("data-speaker", "good")
        await axe.check(page)
        await person.screenshot("wide/ready-done")


async def test_device_check_says_what_to_do_when_the_camera_is_forbidden(site: Site) -> None:
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "ready", site.url)
        await page.evaluate(
            """() => { navigator.mediaDevices.getUserMedia = async ({video}) => {
                throw new DOMException('', video ? 'NotAllowedError' : 'NotFoundError');
            }; }"""
        )
        await page.get_by_role("button", name="Start the test").click()
        await expect(page.locator("device-check")).to_contain_text("The browser may not use your camera")
        await expect(page.locator("device-check")).to_contain_text("We found no microphone")


async def test_five_pictures_of_a_face_are_sent(site: Site) -> None:
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "identity-selfie", site.url)
        await page.get_by_role("button", name="Open the camera").click()
        await page.get_by_role("button", name="Start", exact=True).click()
        await page.get_by_role("button", name="Send").click(timeout=60_000)
        await page.wait_for_url("**/identity")
    assert site.gallery.uploads == [("/api/identity/selfies", {"frame": 5, "prompt": 5})]


async def test_a_dark_document_is_noticed_before_it_is_sent(site: Site) -> None:
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "identity-document", site.url)
        dark = await page.evaluate(
            """async () => {
                const canvas = Object.assign(document.createElement('canvas'), {width: 1600, height: 1100});
                const context = canvas.getContext('2d');
                context.fillStyle = '#111'; context.fillRect(0, 0, 1600, 1100);
                const blob = await new Promise(done => canvas.toBlob(done, 'image/png'));
                return [...new Uint8Array(await blob.arrayBuffer())];
            }"""
        )
        await page.locator("#photo-file").set_input_files(
            {"name": "a.png", "mimeType": "image/png", "buffer": bytes(dark)}
        )
        await expect(page.locator("photo-capture")).to_have_attribute("data-faults", "dark")
        await expect(page.locator("photo-capture")).to_contain_text("It is too dark")
        await axe.check(page)
        await person.screenshot("wide/identity-document-dark")
        assert site.gallery.uploads == []
        await page.get_by_role("button", name="Send it all the same").click()
        await page.wait_for_url("**/identity")
    assert site.gallery.uploads == [("/api/identity/document", {"image": 1})]


async def test_what_is_no_picture_is_said_and_not_sent(site: Site) -> None:
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "identity-document", site.url)
        await page.locator("#photo-file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"no"})
        await expect(page.locator("photo-capture")).to_contain_text("We cannot read this file as a picture")
    assert site.gallery.uploads == []


async def test_times_stand_two_by_two_on_a_phone_and_are_large_enough_to_press(site: Site) -> None:
    async with visitor(site.browser, site.url, PHONE) as person:
        page = await show(person, "book", site.url)
        boxes = [await one.bounding_box() for one in await page.locator(".slots.free .button").all()]
        first, second = boxes[0], boxes[1]
        assert first is not None and second is not None
        assert (first["y"], first["x"] < second["x"]) == (second["y"], True)
        assert all(box is not None and box["height"] >= 44 and box["width"] >= 44 for box in boxes)


async def test_the_door_then_into_the_call(site: Site) -> None:
    site.gallery.states = [waiting_state()]
    site.gallery.upload_answer = {"door": "passed"}
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "waiting", site.url)
        await expect(page.locator("waiting-room")).to_have_attribute("data-door", "needed")
        await expect(page.locator(".countdown")).to_contain_text("Starts in 9:5")
        await page.get_by_role("button", name="Check me now").click()
        await expect(page.locator("door-check")).to_have_attribute("data-door", "passed")
        site.gallery.states = [waiting_state(door="passed", may_enter=True)]
        await page.wait_for_url("**/visits/bkg_1/call")
    assert site.gallery.uploads == [("/api/visits/bkg_1/door", {"frame": 5})]


async def test_the_door_without_faces_is_pictures_for_an_officer(site: Site) -> None:
    site.gallery.states = [waiting_state()]
    site.gallery.upload_answer = {"door": "review"}
    async with visitor(site.browser, site.url, PHONE) as person:
        page = await show(person, "waiting-attended", site.url)
        await expect(page.locator("door-check")).to_contain_text("No program compares anything")
        await page.get_by_role("button", name="Take pictures of me").click()
        again = page.get_by_role("button", name="Take the picture with my document")
        await expect(again).to_be_focused()
        await expect(page.locator("door-check [role=status]")).to_contain_text("hold your document beside your face")
        assert site.gallery.uploads == [], "nothing leaves before the picture with the document"
        await axe.check(page)
        await person.screenshot("phone/waiting-attended-document")
        await again.click()
        await expect(page.locator("door-check")).to_have_attribute("data-door", "review")
        await expect(page.locator("door-check video")).to_be_hidden()
    assert site.gallery.uploads == [("/api/visits/bkg_1/door", {"frame": 3, "document": 1})]


async def test_waiting_for_an_officer_at_the_door(site: Site) -> None:
    site.gallery.states = [waiting_state(door="review", awaiting=[{"who": "door", "here": False}])]
    async with visitor(site.browser, site.url, PHONE) as person:
        page = await show(person, "waiting", site.url)
        await expect(page.locator(".headline")).to_have_text("An officer looks at it now. Please stay here.")
        await expect(page.get_by_role("button", name="Check me now")).to_be_hidden()
        await axe.check(page)
        await person.screenshot("phone/waiting-review")


async def test_a_server_that_is_away_is_said_and_comes_back(site: Site) -> None:
    site.gallery.states = [waiting_state()]
    async with visitor(site.browser, site.url, allow=["Failed to load resource"]) as person:
        page = await show(person, "waiting", site.url)
        await page.route("**/state", lambda route: route.abort())
        await expect(page.locator("waiting-room .notice")).to_contain_text("no connection")
        await page.unroute("**/state")
        await expect(page.locator("waiting-room .notice")).to_be_hidden()


async def test_a_prisoner_starts_the_visit_by_hand(site: Site) -> None:
    site.gallery.states = [waiting_state(door="passed", may_enter=True)]
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "terminal-visit-soon", site.url)
        await expect(page.get_by_role("button", name="Start the visit")).to_be_visible()
        assert page.url.endswith("terminal-visit-soon"), "no camera goes on by itself in a cell"
        await axe.check(page)
        await person.screenshot("wide/terminal-visit-enter")


async def test_pin_pad_writes_into_the_field_that_was_touched(site: Site) -> None:
    async with visitor(site.browser, site.url) as person:
        page = await show(person, "terminal-pin", site.url)
        for key in ("Letters", "A", "Digits", "1", "2"):
            await page.get_by_role("button", name=key, exact=True).click()
        await expect(page.locator("#number")).to_have_value("A12")
        await page.locator("#pin").focus()
        for key in ("9", "8", "Take the last one away", "7"):
            await page.get_by_role("button", name=key, exact=True).click()
        await expect(page.locator("#pin")).to_have_value("97")
        await expect(page.get_by_role("button", name="Letters")).to_be_hidden()


async def test_a_terminal_page_leads_nowhere_else(site: Site) -> None:
    site.gallery.states = [waiting_state()]
    for name, shown in PAGES.items():
        if shown.surface not in ("terminal", "station"):
            continue
        async with visitor(site.browser, site.url, allow=["Failed to load resource"]) as person:
            page = await show(person, name, site.url)
            targets = await page.evaluate(
                "[...document.querySelectorAll('a[href], form[action], visit-call, waiting-room')].flatMap(one =>"
                " ['href', 'action', 'after', 'waiting', 'call'].map(key => one.getAttribute(key)).filter(Boolean))"
            )
            astray = [target for target in targets if not target.startswith(("/terminal", "#", "?"))]
            assert astray == [], name


async def test_the_footer_changes_the_language_and_the_next_page_keeps_it(site: Site) -> None:
    async with visitor(site.browser, site.url, PHONE) as person:
        page = await show(person, "home", site.url)
        await page.get_by_role("link", name="Suomi").click()
        await expect(page.get_by_role("heading", name="Ketä haluat tavata?")).to_be_visible()
        assert await page.get_attribute("html", "lang") == "fi"
        await expect(page.locator(".when").first).to_contain_text("torstai")
        await axe.check(page)
        assert not await person.overflows()
        await person.screenshot("phone/home-fi")
        await page.goto(address("visits"))
        await expect(page.get_by_role("heading", name="Omat tapaamiset")).to_be_visible()
