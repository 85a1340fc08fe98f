"""What the tests of the schedulers' desk share: bookings made by the real services at real slots."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from playwright.async_api import Page

from signaling.ids import new_id
from tests.integration.console.house import ConsoleHouse
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.scheduling import Booking
from visitserver.domain.slots import to_utc


def staff(house: ConsoleHouse) -> Actor:
    """Staff of the house's prison, with every right of the desk."""
    return Actor(ActorKind.STAFF, "stf_test", house.http.prison.id, frozenset({"scheduler", "supervisor"}))


def day_ahead(house: ConsoleHouse, weekday: int = 1) -> date:
    """A weekday (Monday is 0) of next week or the week after, four to ten days ahead: within every window."""
    today = house.now().astimezone(house.http.prison.zone).date()
    first = today + timedelta(days=4)
    return first + timedelta(days=(weekday - first.weekday()) % 7)


def slot_key(house: ConsoleHouse, day: date, at: time, template_id: str = "tpl_daily") -> str:
    """The key of the slot at that wall-clock time of the prison."""
    starts = to_utc(datetime.combine(day, at), house.http.prison.zone)
    assert starts is not None
    return f"{template_id}@{starts:%Y%m%dT%H%MZ}"


async def grant(house: ConsoleHouse, pair: int = 0, count: int = 4) -> None:
    """Give credits."""
    prisoner = house.pairs[pair].prisoner
    await house.services.allowance.grant(
        staff(house), prisoner.id, CreditType.STANDARD, "test", count=count, event_key=new_id("key")
    )


async def stand(house: ConsoleHouse, day: date, at: time, pair: int = 0) -> Booking:
    """A booking of the pair at that time, by the service."""
    await grant(house, pair, 1)
    booking: Booking = await house.services.booking.book(
        staff(house), house.pairs[pair].relationship.id, slot_key(house, day, at)
    )
    return booking


async def now_at(house: ConsoleHouse, booking: Booking) -> tuple[date, time, str]:
    """Day and time (the prison's) and station of a booking, as they are stored now."""
    view = await house.services.desk.view(staff(house), booking.id)
    local = view.booking.starts_at.astimezone(house.http.prison.zone)
    return local.date(), local.time(), view.station.name


async def said(page: Page) -> str:
    """What the board's live region says."""
    return (await page.locator("[data-said]").text_content() or "").strip()


async def focused(page: Page) -> str:
    """The text of what has the focus."""
    return str(await page.evaluate("document.activeElement.textContent.replace(/\\s+/g, ' ').trim()"))
