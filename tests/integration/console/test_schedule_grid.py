"""The week's board in a browser: by mouse, by keyboard alone, as a table without JavaScript, on a phone."""

from __future__ import annotations

from datetime import time, timedelta

from playwright.async_api import Browser, Page, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE
from tests.fixtures.http_app import PASSWORD
from tests.integration.console.desk import day_ahead, focused, now_at, slot_key, staff, stand
from tests.integration.console.house import ConsoleHouse, picture

SAID = "[data-said]"


async def open_week(page: Page, path: str) -> None:
    """The board, once its module has made a grid of it."""
    await page.goto(path)
    await expect(page.get_by_role("grid")).to_be_visible()


async def confirm(page: Page, reason: str) -> None:
    """Say why on the page that shows the decision, by keyboard, and send it."""
    await expect(page.get_by_text("The rules allow it.").first).to_be_visible()
    await page.locator("#reason").focus()
    await page.keyboard.type(reason)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")


async def test_a_visit_is_moved_by_keyboard_alone(house: ConsoleHouse, chrome: Browser) -> None:
    day = day_ahead(house)
    booking = await stand(house, day, time(9))
    async with house.staff(chrome, "scheduler") as person:
        page = person.page
        await open_week(page, f"/staff/schedule?day={day.isoformat()}")
        await axe.check(page)
        # One stop in the tab order, and it is the first booking.
        assert await page.locator('[role=grid] td [tabindex="0"], [role=grid] td[tabindex="0"]').count() == 1
        await page.locator('[role=grid] td [tabindex="0"]').focus()
        assert (await focused(page)).startswith("Aalto – Maija Aalto, Tue")
        await page.keyboard.press("ArrowRight")
        assert (await focused(page)).startswith("free, Wed")
        await page.keyboard.press("Home")
        assert (await focused(page)).startswith("free, Mon")
        await page.keyboard.press("ArrowRight")
        # Picked up and left again: nothing has happened.
        await page.keyboard.press("Space")
        await expect(page.locator(SAID)).to_contain_text("Picked up Aalto")
        await page.keyboard.press("ArrowDown")
        await expect(page.locator(SAID)).to_contain_text("09:35, Terminal 1")
        await page.keyboard.press("Escape")
        await expect(page.locator(SAID)).to_contain_text("stays where it is")
        assert (await focused(page)).startswith("Aalto")
        # Down one, right one, another station, put down there.
        await page.keyboard.press("Space")
        for key in ("ArrowDown", "ArrowRight", "PageDown"):
            await page.keyboard.press(key)
        wednesday = day + timedelta(days=1)
        await expect(page.locator(SAID)).to_contain_text(f"{wednesday.day}.{wednesday.month}. 09:00, Terminal 2")
        await picture(person, "grid-carrying")
        await page.keyboard.press("Space")
        await page.wait_for_url(f"**/staff/bookings/{booking.id}/move?**")
        await axe.check(page)
        await picture(person, "move-confirm")
        await confirm(page, "Asked for by the wing.")
        await page.wait_for_url("**/staff/schedule?view=week**moved=**")
        await expect(page.get_by_role("grid")).to_be_visible()
        await expect(page.locator("desk-board .just-moved")).to_be_focused()
        assert (await focused(page)).startswith("Aalto – Maija Aalto, Wed")
    assert await now_at(house, booking) == (wednesday, time(9), "Terminal 2")


async def test_a_visit_is_dragged_and_dropped(house: ConsoleHouse, chrome: Browser) -> None:
    day = day_ahead(house)
    booking = await stand(house, day, time(9))
    async with house.staff(chrome, "scheduler") as person:
        page = person.page
        await open_week(page, f"/staff/schedule?day={day.isoformat()}")
        visit = page.locator("desk-board a.visit")
        target = page.locator("desk-board tr[data-station]").nth(2).locator("td").nth(4)
        box, goal = await visit.bounding_box(), await target.bounding_box()
        assert box is not None
        assert goal is not None
        await page.mouse.move(box["x"] + 30, box["y"] + 10)
        await page.mouse.down()
        await page.mouse.move(goal["x"] + 20, goal["y"] + 10, steps=8)
        await expect(target).to_have_class("free target")
        await expect(page.locator(".drag-ghost")).to_have_count(1)
        await picture(person, "grid-dragging")
        await page.keyboard.press("Escape")
        await expect(page.locator(".drag-ghost")).to_have_count(0)
        await page.mouse.up()
        await page.mouse.move(box["x"] + 30, box["y"] + 10)
        await page.mouse.down()
        await page.mouse.move(goal["x"] + 20, goal["y"] + 10, steps=8)
        await page.mouse.up()
        await page.wait_for_url(f"**/staff/bookings/{booking.id}/move?**")
        await page.fill("#reason", "The day suits the prisoner's work.")
        await page.get_by_role("button", name="Move the visit").click()
        await page.wait_for_url("**/staff/schedule?view=week**moved=**")
        # A plain click opens the booking still.
        await page.locator("desk-board a.visit").click()
        await page.wait_for_url(f"**/staff/bookings/{booking.id}")
    assert await now_at(house, booking) == (day + timedelta(days=3), time(10, 10), "Terminal 1")


async def test_what_the_rules_refuse_and_what_changed_meanwhile_is_said(house: ConsoleHouse, chrome: Browser) -> None:
    day = day_ahead(house)
    booking = await stand(house, day, time(9))
    await stand(house, day, time(9, 35), 1)
    other = house.pairs[1].station if (await now_at(house, booking))[2] == "Terminal 2" else house.pairs[0].station
    async with house.staff(chrome, "scheduler", allow=["409"]) as person:
        page = person.page
        taken = slot_key(house, day, time(9, 35))
        await page.goto(f"/staff/bookings/{booking.id}/move?slot={taken}&station={other.id}")
        await expect(page.locator(".verdict")).to_contain_text(f"{other.name} is in use at that time.")
        await expect(page.get_by_role("button", name="Move the visit")).to_have_count(0)
        await expect(page.get_by_role("heading", name="What the family would see")).to_be_visible()
        await axe.check(page)
        await picture(person, "move-refused")
        # Two schedulers at once: the slower one hears of it and moves nothing.
        await page.goto(f"/staff/bookings/{booking.id}/move?slot={slot_key(house, day, time(11, 20))}")
        await house.services.booking.change(
            staff(house), booking.id, slot_key(house, day, time(12, 30)), reason="The other one was quicker."
        )
        await page.fill("#reason", "The slower one.")
        await page.get_by_role("button", name="Move the visit").click()
        await expect(page.get_by_role("alert")).to_contain_text("Somebody changed this booking")
        await expect(page.locator(".from")).to_contain_text("12:30")
    assert (await now_at(house, booking))[:2] == (day, time(12, 30))


async def test_the_same_without_javascript(house: ConsoleHouse, chrome: Browser) -> None:
    day = day_ahead(house)
    booking = await stand(house, day, time(9))
    context = await chrome.new_context(base_url=house.base_url, java_script_enabled=False)
    context.set_default_timeout(60_000)
    try:
        page = await context.new_page()
        await page.goto("/staff/signin")
        await page.fill('input[name="login"]', "scheduler")
        await page.fill('input[name="password"]', PASSWORD)
        await page.click('main button[type="submit"]')
        await page.wait_for_url("**/staff")
        await page.goto(f"/staff/schedule?view=table&day={day.isoformat()}")
        await page.get_by_role("link", name="Move Aalto, 09:00").click()
        row = page.get_by_role("row").filter(has_text="10:10").first
        await row.get_by_label("Station for").select_option(label="Terminal 3")
        await row.get_by_role("button", name="Look").click()
        await page.fill("#reason", "By the table.")
        await page.get_by_role("button", name="Move the visit").click()
        await page.wait_for_url("**view=table**moved=**")
        await expect(page.locator(".notice.good")).to_contain_text("has been moved")
    finally:
        await context.close()
    moved = await now_at(house, booking)
    assert moved[1:] == (time(10, 10), "Terminal 3")


async def test_an_officer_looks_and_a_phone_shows_the_days_list(house: ConsoleHouse, chrome: Browser) -> None:
    day = day_ahead(house)
    booking = await stand(house, day, time(9))
    async with house.staff(chrome, "officer", dark=True, allow=["403"]) as person:
        page = person.page
        for view in ("week", "table"):
            await page.goto(f"/staff/schedule?view={view}&day={day.isoformat()}")
            await axe.check(page)
            await picture(person, f"{view}-officer-dark")
            await expect(page.get_by_role("link", name="Move Aalto")).to_have_count(0)
        response = await page.goto(f"/staff/bookings/{booking.id}/move")
        assert response is not None
        assert response.status == 403
        await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        await page.goto(f"/staff/schedule?day={day.isoformat()}")
        await expect(page.get_by_role("grid")).to_have_count(0)
        await axe.check(page)
        assert not await person.overflows()
        await picture(person, "week-phone")
        await page.locator(".day-list a.visit").click()
        await page.wait_for_url(f"**/staff/bookings/{booking.id}")
