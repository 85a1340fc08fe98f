"""The desk's other pages in a browser: blocks, cancelling many, versions, day sheet, requests, why, waiting."""

from __future__ import annotations

import csv
import io
from datetime import time, timedelta

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE
from tests.integration.console.desk import day_ahead, grant, slot_key, staff, stand
from tests.integration.console.house import ConsoleHouse, picture
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.paging import PageRequest
from visitserver.domain.rejections import RejectionReason
from visitserver.domain.scheduling import BookingState
from visitserver.http.console import looked_at
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.preferences import Wish
from visitserver.services.waitlist import WaitlistWish


async def state_of(house: ConsoleHouse, booking_id: str) -> BookingState:
    """A booking's state as it is stored now."""
    view = await house.services.desk.view(staff(house), booking_id)
    state: BookingState = view.booking.state
    return state


async def test_a_time_is_blocked_and_what_stands_on_it_is_cancelled_at_once(
    house: ConsoleHouse, chrome: Browser
) -> None:
    day = day_ahead(house)
    first, second = await stand(house, day, time(9)), await stand(house, day, time(9, 35), 1)
    later = await stand(house, day, time(14, 15), 2)
    async with house.staff(chrome, "scheduler", allow=["422"]) as person:
        page = person.page
        # By keyboard alone: from the board's cell to the form, its preview, the block.
        await page.goto(f"/staff/schedule/slot?slot={slot_key(house, day, time(9))}")
        await axe.check(page)
        await picture(person, "slot")
        await page.get_by_role("link", name="Block this").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/staff/blocks/new?**")
        assert await page.input_value("#first_day") == day.isoformat()
        await page.locator("#to_time").fill("12:00")
        await page.locator("#reason").focus()
        await page.keyboard.type("The fibre is repaired.")
        await page.get_by_role("button", name="See what it would do").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#preview")).to_contain_text("2 bookings stand on it")
        await axe.check(page)
        await picture(person, "block-preview")
        await page.get_by_role("button", name="Block it").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Bookings that stand on it")).to_be_visible()
        await axe.check(page)
        await picture(person, "block")
        assert await state_of(house, first.id) is BookingState.BOOKED  # a block cancels nothing
        # The board says so; the two are cancelled, with words to the families.
        await page.goto(f"/staff/schedule?day={day.isoformat()}")
        await expect(page.locator("desk-board td.blocked").first).to_contain_text("blocked")
        await picture(person, "week-blocked")
        await page.goto(f"/staff/schedule/cancel?first_day={day.isoformat()}&to_time=12:00")
        await expect(page.locator("#count")).to_have_text("2 visits")
        await axe.check(page)
        await picture(person, "bulk")
        await page.fill("#reason", "No line in the morning.")
        await page.fill("#words", "The line is repaired that morning. We are sorry.")
        await page.get_by_label("Cancel the ticked ones").check()
        await page.get_by_role("button", name="Cancel the visits").click()
        await expect(page.locator("h1")).to_have_text("2 of 2 visits cancelled")
        await axe.check(page)
        await picture(person, "bulk-done")
        # Lifted again, and the list is empty.
        await page.goto("/staff/blocks")
        await page.get_by_role("row").nth(1).get_by_role("link").click()
        await page.fill("#lift-reason", "Repaired sooner.")
        await page.get_by_role("button", name="Lift the block").click()
        await expect(page.locator("h1")).to_contain_text("lifted")
        await page.goto("/staff/blocks")
        await expect(page.get_by_text("Nothing is blocked.")).to_be_visible()
    view = await house.services.desk.view(staff(house), first.id)
    assert view.booking.family_words == "The line is repaired that morning. We are sorry."
    assert [await state_of(house, each.id) for each in (first, second, later)] == [
        *(BookingState.CANCELLED, BookingState.CANCELLED, BookingState.BOOKED),
    ]


async def test_a_session_changes_from_a_day_on(
    house: ConsoleHouse, chrome: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looked_at, "AT_ONCE", 1)
    day = day_ahead(house)
    stays, goes = await stand(house, day, time(9)), await stand(house, day, time(16), 1)
    goes_too = await stand(house, day, time(15, 25), 2)
    async with house.staff(chrome, "scheduler", allow=["409"]) as person:
        page = person.page
        await page.goto("/staff/templates")
        await page.get_by_role("link", name="Daily").click()
        await axe.check(page)
        await picture(person, "template")
        await page.get_by_role("link", name="New version").click()
        await page.fill("#ends_at", "12:00")
        await page.fill("#valid_from", (day - timedelta(days=1)).isoformat())
        await page.get_by_text("Who may use it").click()
        await page.fill("#include_locations", "A / 2\nB")
        await page.get_by_role("button", name="See what it would do").click()
        await expect(page.locator("#preview")).to_contain_text("new version: 1. Bookings that lose their time: 2;")
        await expect(page.locator("#preview")).to_contain_text("Omar Haddad")
        await page.get_by_role("button", name="Those after").click()
        await expect(page.locator("#preview")).to_contain_text("Ville Berg")
        await expect(page.locator("#preview")).to_contain_text("2–2 of 2")
        await axe.check(page)
        await picture(person, "template-preview")
        # What was not looked at is not done: after a change of the form it is shown again.
        await page.fill("#ends_at", "16:00")
        await page.get_by_role("button", name="Make the change").click()
        await expect(page.locator("#preview")).to_contain_text("lose their time: 1;")
        await page.fill("#ends_at", "12:00")
        await page.get_by_role("button", name="Make the change").click()
        await expect(page.locator("#preview")).to_contain_text("lose their time: 2;")
        await page.get_by_role("button", name="Make the change").click()
        await expect(page.locator("h1")).to_contain_text("version 2")
        await expect(page.locator("dl.facts")).to_contain_text("A / 2")
        # Ending it with bookings on it asks once more.
        await page.fill("#last-day", (day - timedelta(days=1)).isoformat())
        await page.get_by_role("button", name="End", exact=True).click()
        await expect(page.get_by_text("1 booking stands after that day")).to_be_visible()
        await expect(page.get_by_role("button", name="End it all the same")).to_be_visible()
        await page.goto("/staff/templates")
        await expect(page.get_by_text("1–1 of 2")).to_be_visible()
        await page.get_by_role("link", name="Those after").click()
        await expect(page.get_by_text("2–2 of 2")).to_be_visible()
    versions = await house.services.templates.versions(staff(house), "tpl_daily")
    assert [one.ends_at for one in versions] == [time(17), time(12)]
    assert {await state_of(house, each.id) for each in (stays, goes, goes_too)} == {BookingState.BOOKED}


async def test_the_day_sheet_is_printed_and_opened_in_a_spreadsheet(house: ConsoleHouse, chrome: Browser) -> None:
    day = day_ahead(house)
    house.pairs[1].contact.given_name = '=HYPERLINK("http://evil.example")'
    async with house.http.uow() as u:
        contact = await u.people.get_contact(house.pairs[1].contact.id)
        contact.given_name = house.pairs[1].contact.given_name
        await u.commit()
    await stand(house, day, time(9))
    await stand(house, day, time(9, 35), 1)
    async with house.staff(chrome, "officer") as person:
        page = person.page
        await page.goto(f"/staff/schedule/day?day={day.isoformat()}&whole=true")
        await expect(page.get_by_role("button", name="Print")).to_be_visible()
        await axe.check(page)
        await picture(person, "day-sheet")
        await page.emulate_media(media="print")
        await expect(page.get_by_role("button", name="Print")).to_be_hidden()
        await expect(page.locator("table.sheet tbody tr")).to_have_count(2)
        await picture(person, "day-sheet-print")
        await page.emulate_media(media="screen")
        async with page.expect_download(timeout=60_000) as waiting:
            await page.get_by_role("link", name="CSV file").click()
        download = await waiting.value
        path = await download.path()
        content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    assert [(row["from"], row["prisoner number"], row["supervision"]) for row in rows] == [
        *(("09:00", "C0001", "may be watched"), ("09:35", "C0002", "may be watched")),
    ]
    assert rows[1]["callers"].startswith("'=HYPERLINK")


async def test_requests_are_decided_by_their_deadline(house: ConsoleHouse, chrome: Browser) -> None:
    late = await house.book(house.pairs[0], timedelta(days=20), state=BookingState.REQUESTED)
    soon = await house.book(house.pairs[1], timedelta(days=2), state=BookingState.REQUESTED)
    async with house.staff(chrome, "supervisor") as person:
        page = person.page
        await page.goto("/staff/schedule/requests")
        await axe.check(page)
        await picture(person, "requests")
        rows = page.locator("tbody tr")
        await expect(rows.first).to_contain_text("Ville Berg")
        await expect(rows.first).to_contain_text("escalated")
        await expect(rows.nth(1)).to_contain_text("Aino Aalto")
        # By keyboard: open, reject with the sentence that the family is told.
        await rows.first.get_by_role("link").focus()
        await page.keyboard.press("Enter")
        await page.get_by_label("Reject").focus()
        await page.keyboard.press("Space")
        await page.locator("#decide-reason").focus()
        await page.keyboard.type("They are enemies; see the wing's note.")
        await page.locator("#rejection").select_option("non_association")
        await axe.check(page)
        await picture(person, "booking-decide")
        await page.get_by_role("button", name="Decide").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_contain_text("Rejected")
        await expect(page.get_by_text("This visit is not possible at this time.")).to_be_visible()
    view = await house.services.desk.view(staff(house), soon.id)
    assert view.booking.rejection is RejectionReason.NON_ASSOCIATION
    assert await state_of(house, late.id) is BookingState.REQUESTED


async def test_why_not_says_all_to_staff_and_only_the_safe_words_to_the_family(
    house: ConsoleHouse, chrome: Browser
) -> None:
    day = day_ahead(house)
    async with house.http.uow() as u:
        contact = await u.people.get_contact(house.pairs[0].contact.id)
        contact.language = "fi"
        await u.commit()
    async with house.staff(chrome, "officer", PHONE) as person:
        page = person.page
        # Look-up: the slot from the board, then the prisoner, then the contact.
        await page.goto(f"/staff/schedule/slot?slot={slot_key(house, day, time(9))}")
        await page.get_by_role("link", name="Why not? for somebody").click()
        await page.fill("#prisoner", "C0001")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Aino Aalto").click()
        await page.get_by_role("link", name="Maija Aalto").click()
        await expect(page.locator(".verdict.refuse")).to_contain_text("Allowance")
        row = page.locator("tr.refuse", has_text="allowance")
        await expect(row).to_contain_text("Refuses")
        await expect(row).to_contain_text("floor.month_standard@")  # the version of the policy, folded away
        await expect(page.locator(".family-words")).to_have_attribute("lang", "fi")
        await axe.check(page)
        assert not await person.overflows()
        await picture(person, "why-phone")


async def test_who_waits_and_what_families_would_like(house: ConsoleHouse, chrome: Browser) -> None:
    day = day_ahead(house)
    pair = house.pairs[0]
    await grant(house)
    family = Actor(ActorKind.FAMILY, pair.contact.id, None, frozenset({"family"}))
    await house.services.waitlist.join(family, pair.relationship.id, WaitlistWish(first_day=day))
    await house.services.preferences.put(
        family, pair.relationship.id, [Wish(day, day + timedelta(days=3), from_time=time(15))], note="After school"
    )
    async with house.staff(chrome, "scheduler", allow=["422", "409"]) as person:
        page = person.page
        await page.goto("/staff/waitlist?show=preferences")
        await expect(page.locator("tbody tr")).to_contain_text("15:25")
        await axe.check(page)
        await picture(person, "preferences")
        await page.get_by_role("link", name="Waiting", exact=True).click()
        await expect(page.locator("tbody tr")).to_contain_text("Maija Aalto")
        await axe.check(page)
        await picture(person, "waitlist")
        await page.get_by_text("Take off Maija Aalto").click()
        await page.get_by_label("Why?").fill("They asked by telephone.")
        await page.get_by_role("button", name="Take off the list").click()
        await expect(page.get_by_text("Nobody waits.")).to_be_visible()
        # Staff let somebody wait: found by number, for a day, for a reason. All with the keyboard.
        await page.get_by_role("link", name="Put somebody on the list").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/staff/waitlist/add")
        await page.locator("#prisoner").focus()
        await page.keyboard.type("C0001")
        await page.keyboard.press("Enter")
        for name in ("Aino Aalto", "Maija Aalto"):
            await page.get_by_role("link", name=name).focus()
            await page.keyboard.press("Enter")
        await page.fill("#first_day", (day - timedelta(days=60)).isoformat())
        await page.locator("#first_day").evaluate("field => field.removeAttribute('min')")
        await page.fill("#reason", "No telephone at home.")
        await page.locator("#reason").press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("This day is over.")
        assert await page.input_value("#reason") == "No telephone at home."
        await axe.check(page)
        await picture(person, "waitlist-add")
        await page.fill("#first_day", day.isoformat())
        await page.get_by_role("button", name="Put them on the list").click()
        await page.wait_for_url("**done=added")
        await expect(page.locator("tbody tr")).to_contain_text("put on it by")
        await axe.check(page)
        # A second time for the same day is refused in words for staff, and nothing that was written is lost.
        await page.goto(f"/staff/waitlist/add?relationship_id={pair.relationship.id}")
        await page.fill("#first_day", day.isoformat())
        await page.fill("#reason", "Once more.")
        await page.get_by_role("button", name="Put them on the list").click()
        await expect(page.get_by_role("alert")).to_contain_text("They are on the waiting list for one of these days")
        assert await page.input_value("#reason") == "Once more."
    async with house.http.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(), PageRequest(100))).items
    reasons = [(row.action, (row.data or {}).get("reason")) for row in rows if row.action.startswith("waitlist.")]
    assert ("waitlist.join", "No telephone at home.") in reasons
    assert ("waitlist.leave", "They asked by telephone.") in reasons
