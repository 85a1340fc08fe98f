"""The queue of flagged visits in a browser, by keyboard alone: see, look after, move, keep, cancel."""

from __future__ import annotations

from datetime import timedelta

from playwright.async_api import Browser, Page, expect

from signaling.ids import new_id
from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, WIDE
from tests.integration.console.house import ConsoleHouse, Pair, picture
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.flags import FlagClosed
from visitserver.domain.rights import RelationshipState
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.blocks import BlockDraft
from visitserver.services.booking_check import BookingCheck
from visitserver.services.facts import FactsReader
from visitserver.services.flagging import Flagging

QUEUE = "/staff/schedule/flags"


async def flagged(house: ConsoleHouse, pair: Pair, days: int) -> Booking:
    """A paid booking so many days ahead, at ten in the prison."""
    now = house.now()
    day = now.astimezone(house.http.prison.zone) + timedelta(days=days)
    booking = await house.book(pair, day.replace(hour=10, minute=0) - now)
    async with house.http.uow() as u:
        paid = await u.scheduling.get_booking(booking.id)
        paid.charged, paid.credit_type = True, CreditType.STANDARD
        await u.commit()
    return booking


async def press(page: Page, role: str, name: str) -> None:
    """Choose a link or button as somebody without a mouse does."""
    await page.get_by_role(role, name=name).first.focus()  # type: ignore[arg-type]
    await page.keyboard.press("Enter")


async def test_a_person_decides_about_flagged_visits_by_keyboard_alone(house: ConsoleHouse, chrome: Browser) -> None:
    staff = Actor(ActorKind.STAFF, "stf_seed", house.http.prison.id)
    moved, cancelled = await flagged(house, house.pairs[0], 5), await flagged(house, house.pairs[1], 6)
    zone = house.http.prison.zone
    day = moved.starts_at.astimezone(zone).date()
    await house.services.blocks.add(staff, BlockDraft(day, day, "The roof is mended."))
    async with house.http.uow() as u:
        (await u.rights.get_relationship(house.pairs[1].relationship.id)).state = RelationshipState.ENDED
        await u.commit()
    check = BookingCheck(house.http.clock, FactsReader(house.identity, new_id=new_id))
    await Flagging(house.http.uow, house.http.clock, check).look(cancelled.id)
    flags = await house.services.flags.of_bookings(staff, [moved.id, cancelled.id])

    for size, view in ((WIDE, "table"), (PHONE, "week")):
        async with house.staff(chrome, "supervisor", size) as person:
            for name, path in (
                ("flags", QUEUE),
                ("flag", f"{QUEUE}/{flags[moved.id][0].id}"),
                ("flag-binding", f"{QUEUE}/{flags[cancelled.id][0].id}"),
                (f"flag-{view}", f"/staff/schedule?view={view}&day={day.isoformat()}"),
            ):
                response = await person.page.goto(path)
                assert response is not None and response.status == 200, path
                await axe.check(person.page)
                assert not await person.overflows(), path
                await picture(person, f"{name}-{size[0]}")

    async with house.staff(chrome, "scheduler") as person:
        page = person.page
        # In the week's grid a flagged visit has a mark, which arrow keys reach, and which leads to what has come up.
        await page.goto(f"/staff/schedule?day={day.isoformat()}")
        await page.locator(f'desk-board a.visit.flagged[data-booking="{moved.id}"]').focus()
        await page.keyboard.press("ArrowDown")
        mark = page.locator("desk-board a.flag:focus")
        await expect(mark).to_have_text("⚑Aalto, flagged: The day is blocked")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/{flags[moved.id][0].id}")
        await page.goto(f"/staff/schedule?view=table&day={day.isoformat()}")
        row = page.get_by_role("row").filter(has_text="Aalto")
        await expect(row.locator("a.flag-link")).to_contain_text("The day is blocked")
        await press(page, "link", "Flagged")
        await page.wait_for_url(f"**{QUEUE}")
        rows = page.locator("tbody tr")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("The day is blocked")
        await rows.first.get_by_role("link").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/{flags[moved.id][0].id}")
        await press(page, "button", "I look after this")
        await expect(page.get_by_text("Looked after since")).to_be_visible()
        times = page.get_by_role("radio")
        await expect(times).to_have_count(3)
        await times.first.focus()
        await page.keyboard.press("ArrowDown")
        await expect(times.nth(1)).to_be_checked()
        await page.keyboard.press("Tab")
        await expect(page.locator("#move-reason")).to_be_focused()
        await page.keyboard.type("The day is blocked.")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/flags?done=moved")
        await expect(page.get_by_role("status").filter(has_text="The visit was moved.")).to_be_visible()
        await expect(rows).to_have_count(1)

        await rows.first.get_by_role("link").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/{flags[cancelled.id][0].id}")
        await expect(page.get_by_role("button", name="Keep the visit")).to_have_count(0)
        await expect(page.get_by_text("Nobody at the desk can set this aside")).to_be_visible()
        await page.locator("#cancel-reason").focus()
        await page.keyboard.type("The contact is no longer approved.")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/flags?done=cancelled")
        await expect(page.get_by_text("No visit is flagged.")).to_be_visible()

    async with house.http.uow(read_only=True) as u:
        booking = await u.scheduling.get_booking(moved.id)
        assert (booking.state, booking.starts_at.astimezone(zone).date() != day) == (BookingState.BOOKED, True)
        assert [flag.closed_how for flag in await u.flags.of_booking(moved.id)] == [FlagClosed.MOVED]
        assert (await u.scheduling.get_booking(cancelled.id)).state is BookingState.CANCELLED
        assert [flag.closed_how for flag in await u.flags.of_booking(cancelled.id)] == [FlagClosed.CANCELLED]
