"""Booking, and the second booking that is refused in plain words."""

from __future__ import annotations

import re

from tests.e2e.story.people import Person


async def book_the_open_slot(family: Person) -> str:
    """Book the earliest free slot; the booking's id."""
    await family.goes_to("/home")
    await family.page.get_by_role("link", name="Book a visit").first.click()
    await family.reads("Next free times")
    await family.shows("book")
    await family.page.get_by_role("button", name="Choose").first.click()
    await family.page.get_by_role("heading", name="Confirm your visit").wait_for()
    await family.shows("confirm")
    await family.page.get_by_role("button", name="Book this visit").click()
    await family.page.wait_for_url(re.compile(r"/visits/[^/]+$"))
    await family.shows("visit")
    return str(family.page.url).rsplit("/", 1)[1]


POST_HOLD = """
async ({path, slot}) => {
  const token = document.querySelector("meta[name=csrf-token]").content;
  const body = new URLSearchParams({csrf_token: token, slot});
  const answer = await fetch(path, {method: "POST", body, redirect: "manual"});
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return {status: answer.status, text: page.querySelector("main")?.textContent ?? ""};
}
"""


async def a_later_slot(family: Person) -> str:
    """The key of the last free slot on the booking page, for asking for it when it may no longer be had."""
    await family.goes_to("/home")
    await family.page.get_by_role("link", name="Book a visit").first.click()
    await family.reads("Next free times")
    return str(await family.page.locator("input[name=slot]").last.get_attribute("value"))


async def second_booking_is_refused(family: Person, slot: str) -> None:
    """No slot can be chosen any more, the page says why and what would change it; asking all the same is refused."""
    await family.goes_to("/home")
    await family.page.get_by_role("link", name="Book a visit").first.click()
    assert await family.page.get_by_role("button", name="Choose").count() == 0
    await family.page.locator("summary", has_text="not free").click()
    await family.reads("no visit")
    await family.shows("book-refused")
    answer = await family.page.evaluate(POST_HOLD, {"path": f"{family.page.url}/hold", "slot": slot})
    assert answer["status"] == 409, answer
    assert "no visit" in answer["text"].lower(), answer
