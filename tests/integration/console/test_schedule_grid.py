"""The week's board in a browser: by mouse, by keyboard alone, as a table without JavaScript, on a phone."""

from __future__ import annotations

from datetime import time, timedelta

from playwright.async_api import Browser, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE
from tests.integration.console.desk import day_ahead, stand
from tests.integration.console.house import ConsoleHouse, picture


async def test_look(house: ConsoleHouse, chrome: Browser) -> None:
    day = day_ahead(house)
    await stand(house, day, time(9), 0)
    await stand(house, day, time(9, 35), 1)
    await stand(house, day + timedelta(days=1), time(10, 10), 2)
    for dark in (False, True):
        async with house.staff(chrome, "supervisor", dark=dark) as person:
            page = person.page
            await page.goto(f"/staff/schedule?day={day.isoformat()}")
            await expect(page.get_by_role("grid")).to_be_visible()
            await axe.check(page)
            await picture(person, f"grid-{'dark' if dark else 'light'}")
    async with house.staff(chrome, "supervisor", PHONE) as person:
        page = person.page
        await page.goto(f"/staff/schedule?day={day.isoformat()}")
        await axe.check(page)
        assert not await person.overflows()
        await picture(person, "grid-phone")
