"""The call itself: waiting room, both sides live, the officer who watches, holds, resumes, bookmarks and ends."""

from __future__ import annotations

from tests.e2e.story import media, staff
from tests.e2e.story.people import Person
from tests.e2e.support.server import Server


async def get_ready(family: Person, booking_id: str) -> None:
    """The device check, any time before."""
    await family.goes_to(f"/visits/{booking_id}/ready")
    await family.page.locator("device-check button").first.click()
    await family.page.locator("device-check video").first.wait_for()
    await family.shows("ready")


async def at_the_door(family: Person, officer: Person, booking_id: str, contact: str) -> str:
    """Fresh pictures at the door. Whatever the program says but *agree*, an officer decides. What the program said."""
    await family.goes_to(f"/visits/{booking_id}/waiting")
    await family.shows("waiting")
    await family.page.locator("door-check button").click()
    if await family.page.locator("door-check[attended]").count():
        await family.page.locator("door-check[data-step=document]").wait_for(timeout=60_000)
        await family.shows("waiting-document")
        await family.page.locator("door-check button").click()
    door = family.page.locator("waiting-room[data-door=review], waiting-room[data-door=passed], visit-call")
    await door.first.wait_for(state="attached", timeout=60_000)
    said = await family.page.evaluate("document.querySelector('waiting-room')?.dataset.door ?? 'passed'")
    if said == "review":
        await family.shows("waiting-review")
        await staff.let_in(officer, contact)
    await family.page.wait_for_url(f"**/visits/{booking_id}/call", timeout=60_000)
    return str(said)


async def both_sides_are_live(family: Person, prisoner: Person) -> None:
    """Decoded pictures of a real size, and sound with energy, on both sides."""
    for person in (family, prisoner):
        seen = await media.sees_and_hears(person.page, media.REMOTE, 1)
        assert seen[0].width >= 320, seen
        await person.shows("call")


async def watch(officer: Person) -> None:
    """From the wall into the one call, with a ground; both sides are seen."""
    await officer.goes_to("/staff/wall")
    await officer.page.locator(".monitor-tile").first.wait_for()
    await officer.shows("wall")
    await officer.page.locator(".monitor-tile h2 a").first.click()
    await officer.page.wait_for_url("**/staff/calls/*")
    await officer.page.locator("monitor-call[data-loaded]").wait_for()
    await officer.page.keyboard.press("w")
    ground = officer.page.locator("#ask-ground")
    await ground.get_by_role("radio", name="Sample").check()
    await ground.get_by_role("button", name="Watch").click()
    await media.sees_and_hears(officer.page, media.WATCHED, 2)
    await officer.shows("focus")


async def hold(officer: Person, family: Person, prisoner: Person, server: Server) -> None:
    """Held by key: both pages say so, and the relay forwards nothing to anybody, neither officer nor recorder.

    Asserted on packets, at both ends: what the browsers receive, and what the relay counts.
    """
    await officer.page.keyboard.press("p")
    dialog = officer.page.locator("#ask-hold")
    await dialog.get_by_role("button", name="Pause").click()
    for person in (family, prisoner):
        await person.reads("An officer has paused the visit.")
    before = await server.packets()
    await media.nothing_arrives([family.page, prisoner.page, officer.page])
    after = await server.packets()
    assert after["forwarded"] == before["forwarded"], (before, after)
    assert after["dropped_gate"] > before["dropped_gate"], (before, after)
    await family.shows("call-held")
    await officer.shows("focus-held")


async def resume(officer: Person, family: Person, prisoner: Person) -> None:
    """It goes on, for everybody."""
    await officer.page.keyboard.press("p")
    await officer.page.locator("#ask-resume").get_by_role("button", name="Go on").click()
    for person in (family, prisoner):
        await media.sees_and_hears(person.page, media.REMOTE, 1)
    await media.sees_and_hears(officer.page, media.WATCHED, 2)


async def bookmark_and_end(officer: Person, family: Person, prisoner: Person, booking_id: str) -> None:
    """A bookmark by key, then the end, by a person and with a reason that the participants read in plain words."""
    await officer.page.keyboard.press("b")
    await officer.page.locator("[data-events]").get_by_text("ookmark").first.wait_for()
    await officer.page.keyboard.press("t")
    dialog = officer.page.locator("#ask-terminate")
    await dialog.get_by_label("What the participants read").fill("The visit had to end. You can book again.")
    await officer.visitor.screenshot("officer-ask-terminate", full_page=False)
    await dialog.get_by_role("button", name="End the call").click()
    for person in (family, prisoner):
        await person.reads("You can book again.")
        await person.shows("call-ended")
    await family.goes_to(f"/visits/{booking_id}/after")
    await family.shows("after")
