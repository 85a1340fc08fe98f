"""The desk's pages in a browser: week, day, booking, cancelling, booking for somebody, why, sessions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, WIDE
from tests.integration.console.house import ConsoleHouse, picture
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.scheduling import BookingState


async def grant(house: ConsoleHouse, pair_number: int = 0) -> None:
    """Give one credit."""
    staff = Actor(ActorKind.STAFF, "stf_seed", house.http.prison.id)
    prisoner = house.pairs[pair_number].prisoner
    await house.services.allowance.grant(staff, prisoner.id, CreditType.STANDARD, "test", count=1, event_key="seed")


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_every_page_of_the_desk_is_accessible_and_fits(
    house: ConsoleHouse, chrome: Browser, size: tuple[int, int]
) -> None:
    booking = await house.book(house.pairs[0], timedelta(hours=2))
    await house.book(house.pairs[1], timedelta(hours=3), state=BookingState.REQUESTED)
    link = house.pairs[0].relationship.id
    day = (house.now() + timedelta(days=3)).date().isoformat()
    pages = {
        "today": "/staff",
        "week": "/staff/schedule",
        "day": f"/staff/schedule/day?day={booking.starts_at.date().isoformat()}",
        "requests": "/staff/schedule/requests",
        "booking": f"/staff/bookings/{booking.id}",
        "book-find": "/staff/book?prisoner=C0",
        "book-contact": f"/staff/book?prisoner_id={house.pairs[0].prisoner.id}",
        "book-times": f"/staff/book?relationship_id={link}&first={day}",
        "why": f"/staff/why?relationship_id={link}&day={day}",
        "templates": "/staff/templates",
        "template-new": "/staff/templates/new",
        "template": "/staff/templates/tpl_daily",
        "move": f"/staff/bookings/{booking.id}/move",
        "blocks": "/staff/blocks",
        "block-new": "/staff/blocks/new",
        "bulk": f"/staff/schedule/cancel?first_day={booking.starts_at.date().isoformat()}&last_day={day}",
        "waitlist": "/staff/waitlist",
        "waitlist-add": f"/staff/waitlist/add?relationship_id={link}",
    }
    async with house.staff(chrome, "supervisor", size) as person:
        for name, path in pages.items():
            response = await person.page.goto(path)
            assert response is not None and response.status == 200, path
            await axe.check(person.page)
            assert not await person.overflows(), path
            await picture(person, f"{name}-{size[0]}")


async def test_a_week_shows_the_booking_and_leads_to_its_cancelling(house: ConsoleHouse, chrome: Browser) -> None:
    booking = await house.book(house.pairs[0], timedelta(hours=30))
    day = booking.starts_at.astimezone(house.http.prison.zone).date()
    async with house.staff(chrome, "scheduler") as person:
        page = person.page
        await page.goto(f"/staff/schedule?day={day.isoformat()}")
        await page.locator("desk-board a.visit").click()
        await page.wait_for_url(f"**/staff/bookings/{booking.id}")
        await page.get_by_role("button", name="Cancel this visit").click()  # the browser wants a reason first
        assert (await house.services.desk.view(_staff(house), booking.id)).booking.state is BookingState.BOOKED
        await page.fill("#cancel-reason", "The wing has no staff in the morning.")
        await page.get_by_role("button", name="Cancel this visit").click()
        await expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()
        await expect(page.get_by_text("The wing has no staff in the morning.")).to_be_visible()
        await expect(page.get_by_role("button", name="Cancel this visit")).to_have_count(0)


async def test_staff_book_and_see_why(house: ConsoleHouse, chrome: Browser) -> None:
    await grant(house)
    day = (house.now() + timedelta(days=5)).date()
    async with house.staff(chrome, "scheduler") as person:
        page = person.page
        await page.goto("/staff/book")
        await page.fill("#prisoner", "aalt")
        await page.get_by_role("button", name="Find").click()
        await page.get_by_role("link", name="Aino Aalto").click()
        await page.get_by_role("link", name="Maija Aalto").click()
        await page.fill("#first", day.isoformat())
        await page.get_by_role("button", name="Show times").click()
        await page.get_by_role("row").nth(1).get_by_role("button", name="Book").click()
        await page.wait_for_url("**/staff/bookings/bkg_*")
        await expect(page.locator("h1")).to_contain_text("Booked")
        await expect(page.locator("table.trace tbody tr").first).to_contain_text("Contact right")
        # The credit is spent: the next time is refused for want of one, and the trace says so.
        await page.goto(f"/staff/why?relationship_id={house.pairs[0].relationship.id}&day={day.isoformat()}")
        await page.locator('ul[aria-label="Times"] a').nth(3).click()
        row = page.locator("table.trace tr", has_text="allowance")
        await expect(row).to_contain_text("Refuses")


async def test_a_rule_can_be_set_aside_with_a_reason_only(house: ConsoleHouse, chrome: Browser) -> None:
    day = (house.now() + timedelta(days=5)).date()
    link = house.pairs[0].relationship.id
    async with house.staff(chrome, "supervisor") as person:
        page = person.page
        await page.goto(f"/staff/book?relationship_id={link}&first={day.isoformat()}")
        row = page.get_by_role("row").nth(1)
        await expect(row).to_contain_text("Refuses")
        await row.get_by_role("link", name="Why not?").click()
        await page.get_by_label("Allowance").check()
        await page.get_by_label("Reason for the exception").fill("Funeral in the family.")
        await picture(person, "book-override")
        await page.get_by_role("button", name="Book all the same").click()
        await page.wait_for_url("**/staff/bookings/bkg_*")
        await expect(page.locator("h1")).to_contain_text("Booked")


async def test_a_session_is_added_and_ended(house: ConsoleHouse, chrome: Browser) -> None:
    today = house.now().astimezone(house.http.prison.zone).date()
    async with house.staff(chrome, "scheduler", allow=["422"]) as person:
        page = person.page
        await page.goto("/staff/templates/new")
        await page.fill("#name", "Evening")
        await page.get_by_role("button", name="Add").click()
        await expect(page.get_by_role("alert")).to_contain_text("Please fill this in.")
        assert await page.input_value("#name") == "Evening"
        await page.get_by_label("Tuesday").check()
        await page.get_by_label("Terminal 1").check()
        await page.fill("#starts_at", "18:00")
        await page.fill("#ends_at", "20:00")
        await page.get_by_role("button", name="Add").click()
        await page.wait_for_url("**/staff/templates")
        row = page.get_by_role("row", name="Evening")
        await expect(row).to_contain_text("18:00–20:00")
        await expect(row).to_contain_text("Tue")
        await row.get_by_role("link", name="Evening").click()
        await page.get_by_label("Last day").fill((today + timedelta(days=7)).isoformat())
        await page.get_by_role("button", name="End", exact=True).click()
        await page.wait_for_url("**/staff/templates")
        ended = [
            one
            for one in await house.services.templates.list(_staff(house), first=today, last=today)
            if one.name == "Evening"
        ]
        await expect(page.get_by_role("row", name="Evening")).to_contain_text(str((today + timedelta(days=7)).day))
        assert [one.valid_to for one in ended] == [today + timedelta(days=7)]


async def test_a_request_is_decided(house: ConsoleHouse, chrome: Browser) -> None:
    booking = await house.book(house.pairs[0], timedelta(days=5), state=BookingState.REQUESTED)
    async with house.staff(chrome, "scheduler") as person:
        page = person.page
        await page.goto("/staff/schedule/requests")
        await page.get_by_role("row", name="Aalto").get_by_role("link").click()
        await page.get_by_label("Reject").check()
        await page.fill("#decide-reason", "The session is needed for a court link.")
        await page.get_by_role("button", name="Decide").click()
        await expect(page.locator("h1")).to_contain_text("Rejected")
    assert (await house.services.desk.view(_staff(house), booking.id)).booking.state is BookingState.REJECTED


def _staff(house: ConsoleHouse) -> Actor:
    return Actor(ActorKind.STAFF, "stf_test", house.http.prison.id)
