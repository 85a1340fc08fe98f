"""The prisoner at the terminal."""

from __future__ import annotations

from tests.e2e.story.people import Person


async def set_up_terminal(prisoner: Person, code: str) -> None:
    """Staff type a one-time code; the browser is a terminal from then on."""
    await prisoner.goes_to("/terminal/enrol")
    await prisoner.shows("terminal-enrol")
    await prisoner.page.fill("#code", code)
    await prisoner.page.get_by_role("button", name="Set up").click()
    await prisoner.page.wait_for_url("**/terminal*")
    await prisoner.page.locator("#number").wait_for()


async def sign_in(prisoner: Person, number: str, pin: str) -> None:
    """Number and PIN."""
    await prisoner.goes_to("/terminal")
    await prisoner.shows("terminal-signin")
    await prisoner.page.fill("#number", number)
    await prisoner.page.fill("#pin", pin)
    await prisoner.page.get_by_role("button", name="Sign in").click()
    await prisoner.page.wait_for_url("**/terminal/home")
    await prisoner.shows("terminal-home")


async def accept(prisoner: Person, name: str) -> None:
    """Say yes to a contact, in private."""
    await prisoner.goes_to("/terminal/people")
    await prisoner.shows("terminal-people")
    await prisoner.page.get_by_role("button", name=f"Yes, may visit me {name}").click()
    await prisoner.page.get_by_role("button", name=f"Yes, may visit me {name}").wait_for(state="detached")


async def join(prisoner: Person, booking_id: str) -> None:
    """Acknowledge the visit and start it by hand when it may."""
    await prisoner.goes_to(f"/terminal/visits/{booking_id}")
    await prisoner.page.get_by_role("button", name="I have seen it and will come").click()
    await prisoner.reads("You have said that you will come")
    await prisoner.shows("terminal-visit")
    await prisoner.page.get_by_role("button", name="Start the visit").click(timeout=60_000)
    await prisoner.page.wait_for_url(f"**/terminal/visits/{booking_id}/call")
