"""The pages about people in a browser: accessible, at two widths, and usable with the keyboard alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, WIDE
from tests.integration.console.house import ConsoleHouse, picture
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.people import Contact
from visitserver.domain.rights import Alert, PrisonerAnswer, RelationshipState, Restriction, RestrictionScope


async def by_keyboard(page: Page, role: str, name: str) -> None:
    """Go to the control by Tab alone (it must be reachable) and press Enter."""
    wanted = page.get_by_role(role, name=name).first  # type: ignore[arg-type]
    await expect(wanted).to_be_visible(timeout=60_000)
    for _ in range(120):
        if await wanted.evaluate("element => element === document.activeElement"):
            await page.keyboard.press("Enter")
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{role} {name!r} cannot be reached with the keyboard")


async def type_into(page: Page, label: str, text: str) -> None:
    """Go to the field by Tab alone and type."""
    wanted = page.get_by_label(label, exact=True).locator("visible=true").first
    for _ in range(120):
        if await wanted.evaluate("element => element === document.activeElement"):
            await page.keyboard.type(text)
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{label!r} cannot be reached with the keyboard")


async def furnish(house: ConsoleHouse) -> tuple[str, str, str]:
    """An alert, a restriction, a twin of the first contact; the ids of prisoner, contact and twin."""
    pair = house.pairs[0]
    today = house.now().date()
    staff = Actor(ActorKind.STAFF, "stf_seed", house.http.prison.id)
    async with house.http.uow() as u:
        u.rights.add(Alert("alr_test", pair.prisoner.id, "XCU", today, datetime.now(UTC), "system:test"))
        contact = await u.people.get_contact(pair.contact.id)
        twin = Contact("con_twin", contact.given_name, contact.family_name, contact.born_on)
        twin.home_prison_id = house.http.prison.id
        u.people.add(twin)
        u.rights.add(
            Restriction(
                *("rst_far", RestrictionScope.PERSON, "PRE-INFORM", today, "Governor", house.now(), "system:test"),
                contact_id=pair.contact.id,
                prison_id=house.http.other_prison.id,
            )
        )
        await u.commit()
    await house.services.non_associations.add(
        staff, pair.prisoner.id, house.pairs[1].prisoner.id, reason="seen fighting"
    )
    return pair.prisoner.id, pair.contact.id, "con_twin"


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_the_pages_are_accessible_and_fit(house: ConsoleHouse, chrome: Browser, size: tuple[int, int]) -> None:
    prisoner_id, contact_id, twin = await furnish(house)
    pages = {
        "people": "/staff/people?q=a",
        "people-prisoner": f"/staff/people/prisoners/{prisoner_id}",
        "people-contact": f"/staff/people/contacts/{contact_id}",
        "people-duplicates": "/staff/people/duplicates",
        "people-merge": f"/staff/people/contacts/{contact_id}/merge?other={twin}",
    }
    async with house.staff(chrome, "supervisor", size) as person:
        for name, path in pages.items():
            response = await person.page.goto(path)
            assert response is not None and response.status == 200, path
            await person.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            await axe.check(person.page)
            assert not await person.overflows(), path
            await picture(person, f"{name}-{size[0]}")
        assert "refused by the prisoner" not in (await person.page.content()).lower()


async def test_a_person_is_found_restricted_and_decided_about_with_the_keyboard(
    house: ConsoleHouse, chrome: Browser
) -> None:
    prisoner_id, contact_id, twin = await furnish(house)
    link = house.pairs[0].relationship
    async with house.http.uow() as u:
        found = await u.rights.get_relationship(link.id)
        found.answer(PrisonerAnswer.REFUSED, at=datetime.now(UTC))
        await u.commit()
    async with house.staff(chrome, "supervisor", allow=["422"]) as person:
        page = person.page
        await page.goto("/staff/people")
        await type_into(page, "Number, or beginning of a name", "aino")
        await page.keyboard.press("Enter")
        await by_keyboard(page, "link", "Aino Aalto")
        await page.wait_for_url(f"**/staff/people/prisoners/{prisoner_id}")
        text = (await page.inner_text("main")).lower()
        assert "xcu" in text
        assert "alerts come from the prison’s own records" in text
        assert "seen fighting" in text
        await expect(page.get_by_role("link", name="Ville Berg")).to_have_attribute(
            "href", f"/staff/people/prisoners/{house.pairs[1].prisoner.id}#apart"
        )
        assert "answer" not in text  # what the prisoner said of a contact is theirs
        await page.get_by_text("Decide about Maija Aalto").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.type("Asked to stop by letter.")
        await by_keyboard(page, "button", "End")
        await expect(page.locator(".notice.good")).to_contain_text("written down", timeout=60_000)
        async with house.http.uow(read_only=True) as u:
            ended = await u.rights.get_relationship(link.id)
        assert (ended.state, ended.reason) == (RelationshipState.ENDED, "Asked to stop by letter.")
        await page.goto(f"/staff/people/contacts/{contact_id}")
        await page.get_by_text("Add a restriction", exact=True).focus()
        await page.keyboard.press("Enter")
        await type_into(page, "Type", "BAN")
        await type_into(page, "Ordered by", "Governor")
        await page.fill("#restrict-to", (house.now() - timedelta(days=3)).date().isoformat())
        await by_keyboard(page, "button", "Restrict")
        # What cannot be is said, and what was typed is still there.
        await expect(page.get_by_role("alert")).to_contain_text("The last day comes before the first.", timeout=60_000)
        assert await page.input_value("#restrict-authority") == "Governor"
        await page.fill("#restrict-to", "")
        await by_keyboard(page, "button", "Restrict")
        own, far = (page.get_by_role("listitem").filter(has_text=word) for word in ("BAN", "PRE-INFORM"))
        await expect(own).to_contain_text("In force", timeout=60_000)
        # Another prison's is that prison's to lift, and the page says so in place of the button.
        await expect(far).to_contain_text("only that prison can lift it")
        await expect(far.get_by_text("Lift", exact=False).locator("xpath=self::summary")).to_have_count(0)
        await own.get_by_text("Lift", exact=False).first.focus()
        await page.keyboard.press("Enter")
        await type_into(page, "Reason", "The ban was a mistake.")
        await by_keyboard(page, "button", "Lift it")
        await expect(page.locator(".notice.good")).to_contain_text("lifted", timeout=60_000)
        await page.goto("/staff/people/duplicates")
        await by_keyboard(page, "link", "Compare")
        await page.wait_for_url("**/merge?other=*")
        await type_into(page, "Reason", "The same passport.")
        await by_keyboard(page, "button", "Merge into Maija Aalto")
        await expect(page.locator(".notice.good")).to_contain_text("one now", timeout=60_000)
    async with house.http.uow(read_only=True) as u:
        records = [await u.people.get_contact(each) for each in (contact_id, twin)]
    assert sorted(each.merged_into is None for each in records) == [False, True]
