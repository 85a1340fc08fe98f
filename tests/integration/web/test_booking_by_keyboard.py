"""The main jobs of families and prisoners in a browser by keyboard alone, each page clean by axe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import time

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, WIDE, Visitor, chromium, visitor
from tests.fixtures.http_app import Browser as Session
from tests.integration.web.visiting import DAY, Visiting, link
from visitserver.domain.rights import PrisonerAnswer
from visitserver.domain.scheduling import BookingState

MOST_TABS = 80


@asynccontextmanager
async def seated(
    chrome: Browser, visiting: Visiting, session: Session, size: tuple[int, int]
) -> AsyncIterator[Visitor]:
    """A browser of the session's owner, whose clock is the house's."""
    url = str(session.client.make_url("/"))
    async with visitor(chrome, url, size) as person:
        jar = session.client.session.cookie_jar
        await person.context.add_cookies([{"name": each.key, "value": each.value, "url": url} for each in jar])
        await person.context.clock.set_fixed_time(visiting.house.clock())
        yield person


async def reach(page: Page, target: Locator) -> None:
    """Go to the element as somebody without a mouse does, from where the focus is."""
    await expect(target).to_be_visible()
    for _ in range(MOST_TABS):
        if await target.evaluate("one => one === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"not reached by keyboard: {target}")


async def choose(page: Page, role: str, name: str, *, key: str = "Enter") -> None:
    """Reach the first link or button of that name and press it."""
    await reach(page, page.get_by_role(role, name=name).first)  # type: ignore[arg-type]
    await page.keyboard.press(key)


async def looks_right(person: Visitor, name: str, heading: str) -> None:
    """The page of that heading: no fault by axe, no sideways scrolling, and a picture for a person to look at."""
    await expect(person.page.locator("h1")).to_contain_text(heading)
    await person.page.wait_for_load_state("load")
    assert await axe.violations(person.page) == [], name
    assert not await person.overflows(), name
    await person.screenshot(f"booking/{name}")


@pytest.mark.timeout(300)
async def test_booking_moving_waiting_and_cancelling_by_keyboard_alone(visiting: Visiting) -> None:
    await visiting.grant(2)
    house = visiting.house
    taken = await visiting.book(time(9, 35))
    session = await house.family()
    async with chromium() as chrome, seated(chrome, visiting, session, PHONE) as person:
        page = person.page
        await page.goto(f"/book/{visiting.relationship.id}")
        await choose(page, "link", "Calendar of 28 days")
        await expect(page.locator("h1")).to_contain_text("Calendar")
        await looks_right(person, "calendar-phone", "Calendar")
        await choose(page, "link", "Friday, 6 March 2026")
        await expect(page.locator("#day")).to_have_text("Friday, 6 March 2026")
        await choose(page, "button", "Choose Friday, 6 March 2026 09:00")
        await choose(page, "button", "I need more time")
        await expect(page.get_by_role("button", name="I need more time")).to_have_count(0)
        await choose(page, "button", "Book this visit")
        await expect(page.locator("main")).to_contain_text("booked")

        await choose(page, "link", "Choose another time")
        await looks_right(person, "change-phone", "Another time")
        await reach(page, page.get_by_role("radio").first)
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowUp")
        await choose(page, "button", "Move my visit")
        await expect(page.locator("h1")).to_contain_text("Visit with Pat Field")
        when = await page.locator(".when").first.inner_text()
        assert not ("6 March" in when and "09:00" in when), "it is where it was"

        await page.goto(f"/book/{visiting.relationship.id}/wishes")
        await reach(page, page.locator("#first_day"))
        await page.keyboard.type("04042026")  # 4 April, whichever of day and month the browser asks for first
        await reach(page, page.locator("#part"))
        await page.keyboard.press("End")
        await choose(page, "button", "Put me on the waiting list")
        await expect(page.locator("#waiting")).to_be_visible()
        await expect(page.locator("main")).to_contain_text("after 17:00")
        await looks_right(person, "visits-phone", "My visits")
        await choose(page, "button", "Wait no more")
        await expect(page.locator("#waiting")).to_have_count(0)

        await page.goto(f"/visits/{taken}")
        await reach(page, page.locator("summary", has_text="Cancel this visit"))
        await page.keyboard.press("Enter")
        await choose(page, "button", "Cancel the visit")
        await expect(page.locator("main")).to_contain_text("cancelled")
    async with house.uow(read_only=True) as u:
        assert (await u.scheduling.get_booking(taken)).state is BookingState.CANCELLED


@pytest.mark.timeout(300)
async def test_a_prisoners_visits_and_people_by_keyboard_alone(visiting: Visiting) -> None:
    await visiting.grant(2)
    house = visiting.house
    booking_id, unwanted = await visiting.book(), await visiting.book(time(10, 10))
    asked = link(house, house.other_contact.id, prisoner_answer=PrisonerAnswer.UNANSWERED)
    async with house.uow() as u:
        u.rights.add(asked)
        await u.commit()
    session = await house.at_terminal()
    async with chromium() as chrome, seated(chrome, visiting, session, WIDE) as person:
        page = person.page
        await page.goto("/terminal/home")
        await expect(page.locator("main")).to_contain_text("Please look at 2 visits")
        await looks_right(person, "terminal-home", "Hello")
        await choose(page, "link", "Look at it")
        await choose(page, "button", "I have seen it and will come")
        await expect(page.locator("main")).to_contain_text("You have said that you will come")
        await page.goto(f"/terminal/visits/{unwanted}")
        await reach(page, page.locator("summary", has_text="I do not want this visit"))
        await page.keyboard.press("Enter")
        await looks_right(person, "terminal-refuse", "Kim")
        await choose(page, "button", "I am ill")
        await expect(page.locator("main")).not_to_contain_text("10:10")
        await choose(page, "link", "My people")
        await looks_right(person, "terminal-people", "My people")
        await choose(page, "button", "Yes, may visit me")
        await expect(page.locator(".chip.good")).to_have_count(2)
        await choose(page, "button", "Stop")
        await expect(page.locator(".chip.bad")).to_have_count(1)
    async with house.uow(read_only=True) as u:
        seen = await u.scheduling.get_booking(booking_id)
        refused = await u.scheduling.get_booking(unwanted)
    assert seen.acknowledged_at is not None
    assert (refused.state, refused.reason) == (BookingState.CANCELLED, "prisoner: is ill")
    assert seen.starts_at.astimezone(house.prison.zone).date() == DAY
