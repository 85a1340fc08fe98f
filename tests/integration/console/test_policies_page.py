"""The pages of policies in a browser: a value is looked at, counted in parts, set; with JavaScript and without."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE
from tests.fixtures.http_app import PASSWORD
from tests.integration.console.desk import day_ahead, staff, stand
from tests.integration.console.house import ConsoleHouse, picture
from visitserver.domain.policies import IDENTITY_REQUIRED, KEYS
from visitserver.services import policy_preview
from visitserver.services.flags import FlagQuery

KEY = IDENTITY_REQUIRED.name


@pytest.fixture(autouse=True)
def a_fortnight(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many times to ask about as a test needs."""
    monkeypatch.setattr(policy_preview, "AHEAD", timedelta(days=14))


async def visits_without_identity(house: ConsoleHouse) -> None:
    """Three visits, of which one is of somebody who has proved no identity: none is asked for now."""
    await house.services.policies.set(staff(house), house.http.prison.id, KEY, False, "A test.")
    house.identity.approved.discard(house.pairs[1].contact.id)
    for pair, at in enumerate((time(9), time(10, 10), time(11, 20))):
        await stand(house, day_ahead(house), at, pair)


async def look(page: Page) -> None:
    """Ask what it would change if identities were asked for."""
    await page.goto(f"/staff/policies/one?key={KEY}")
    await page.get_by_label("Yes").check()
    await page.get_by_role("button", name="See what it would change").click()
    await expect(page.get_by_role("heading", name="What it would change")).to_be_visible()


async def test_a_value_is_looked_at_counted_and_set_by_keyboard(house: ConsoleHouse, chrome: Browser) -> None:
    house.services.policy_preview.at_once = 1
    await visits_without_identity(house)
    async with house.staff(chrome, "supervisor", allow=["422", "409"]) as person:
        page = person.page
        await page.goto("/staff/policies")
        await expect(page.locator("table.policies tbody tr")).to_have_count(len(KEYS))
        row = page.get_by_role("row").filter(has_text=KEY)
        await expect(row).to_contain_text("this prison version 1")
        await row.get_by_role("link").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**key={KEY}")
        await expect(page.get_by_role("region", name="Versions")).to_contain_text("A test.")
        await page.get_by_label("No", exact=True).focus()
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-progress]")).to_contain_text("Looked at 1 of 3 visits")
        await page.get_by_role("button", name="Look at all of them").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-progress]")).to_contain_text("Looked at 3 of 3 visits", timeout=60_000)
        await expect(page.locator("[data-progress]")).to_contain_text("1 would be flagged")
        await expect(page.get_by_role("list", name="Visits that would be flagged")).to_contain_text("Berg")
        await expect(page.locator("[data-said]")).to_have_text("All visits are looked at.")
        await expect(page.get_by_role("button", name="Look at")).to_have_count(0)
        await axe.check(page)
        await picture(person, "policy-preview")
        # A colleague is quicker: nothing is set unseen, and what was written stays.
        await page.get_by_label("Why?").fill("The inspectorate asks for it.")
        await page.get_by_label("By whose authority").fill("Act 767/2005")
        await house.services.policies.set(staff(house), house.http.prison.id, KEY, False, "Quicker.")
        await page.get_by_role("button", name="Set it").click()
        await expect(page.get_by_role("alert")).to_contain_text("Somebody has set this policy meanwhile.")
        await page.get_by_role("button", name="See what it would change").click()
        await expect(page.get_by_label("Why?")).to_have_value("The inspectorate asks for it.")
        await page.get_by_role("button", name="Set it").click()
        await page.wait_for_url("**done=set")
        await expect(page.get_by_role("region", name="Versions").get_by_role("row").nth(1)).to_contain_text("767/2005")
        await axe.check(page)
        await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        for path in ("/staff/policies", f"/staff/policies/one?key={KEY}"):
            await page.goto(path)
            await axe.check(page)
            assert not await person.overflows(), path
            await picture(person, f"{path.split('/')[-1].split('?')[0]}-phone")
    line = await house.services.policies.line(staff(house), KEY)
    assert (line.value, line.version, line.row.authority) == (True, "prison.3", "Act 767/2005")
    flagged = await house.services.flags.counts(staff(house), FlagQuery())
    assert sum(flagged.values()) == 1


async def test_it_is_set_for_later_without_javascript_and_mistakes_lose_nothing(
    house: ConsoleHouse, chrome: Browser
) -> None:
    house.services.policy_preview.at_once = 2
    await visits_without_identity(house)
    today = house.now().astimezone(house.http.prison.zone).date()
    context = await chrome.new_context(base_url=house.base_url, java_script_enabled=False)
    context.set_default_timeout(60_000)
    try:
        page = await context.new_page()
        await page.goto("/staff/signin")
        await page.fill('input[name="login"]', "supervisor")
        await page.fill('input[name="password"]', PASSWORD)
        await page.click('main button[type="submit"]')
        await page.wait_for_url("**/staff")
        await look(page)
        await page.fill("#reason", "A reason that stays.")
        await page.get_by_role("button", name="Look at the next 1").click()
        await expect(page.locator("[data-progress]")).to_contain_text("Looked at 3 of 3 visits")
        assert await page.input_value("#reason") == "A reason that stays."
        # A number: out of range, then for later, with the times that families are offered.
        await page.goto("/staff/policies/one?key=booking.notice_days_min")
        await page.fill("#value", "5")
        await page.fill("#first_day", (today + timedelta(days=3)).isoformat())
        await page.get_by_role("button", name="See what it would change").click()
        await expect(page.locator("[data-count]")).to_contain_text("Asked for 3 families")
        await page.fill("#reason", "More time to prepare.")
        await page.get_by_role("button", name="Set it").click()
        await page.wait_for_url("**done=set")
        await expect(page.get_by_role("region", name="Versions")).to_contain_text("to come")
        await page.goto("/staff/policies")
        await expect(page.get_by_role("row").filter(has_text="booking.notice_days_min")).to_contain_text("from")
        # A set of codes that are none.
        await page.goto("/staff/policies/one?key=alerts.ignored_codes")
        await page.fill("#value", "DIET, ***")
        await page.get_by_role("button", name="See what it would change").click()
        await expect(page.get_by_role("alert")).to_contain_text("Write codes of letters and digits")
        assert await page.input_value("#value") == "DIET, ***"
    finally:
        await context.close()
