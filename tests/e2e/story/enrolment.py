"""Signing up, asking to be a contact, proving who one is; the officer who decides."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tests.e2e.story.people import Person
from tests.media_factory import DocumentFields, make_td3_page

EMAIL = "eileen.collins@family.example"
PASSWORD = "four plain words together"
DOCUMENT = DocumentFields("Collins", "Eileen Marie", date(1956, 11, 19), number="U0001956C")


async def sign_up(family: Person) -> None:
    """From the landing page to a signed-in home."""
    await family.goes_to("/")
    await family.shows("landing")
    await family.goes_to("/signup")
    await family.shows("signup")
    await family.page.fill("#given_name", "Eileen Marie")
    await family.page.fill("#family_name", "Collins")
    await family.page.fill("#birth_date", "1956-11-19")
    await family.page.fill("#email", EMAIL)
    await family.page.fill("#password", PASSWORD)
    await family.page.get_by_role("button", name="Make my account").click()
    await family.page.wait_for_url("**/signin?made=1")
    await family.shows("signin")
    await family.page.fill("#email", EMAIL)
    await family.page.fill("#password", PASSWORD)
    await family.page.get_by_role("button", name="Sign in").click()
    await family.page.wait_for_url("**/home")


async def ask_to_be_a_contact(family: Person, number: str, family_name: str) -> None:
    """A wrong pair is answered in words; the right one waits for the prison."""
    await family.page.fill("#prisoner_number", number)
    await family.page.fill("#family_name", "Nobody")
    await family.page.select_option("#relation", label="friend")
    await family.page.get_by_role("button", name="Send").click()
    await family.reads("No person with this number and family name was found.")
    await family.page.fill("#family_name", family_name)
    await family.page.get_by_role("button", name="Send").click()
    await family.page.get_by_role("heading", name=family_name).wait_for()
    await family.shows("home")


async def prove_identity(family: Person, folder: Path) -> None:
    """The informed step, the document from a file, five pictures from the camera, sent."""
    page = folder / "passport.jpg"
    page.write_bytes(make_td3_page("astronaut", DOCUMENT))
    await family.goes_to("/identity")
    await family.shows("identity-informed")
    await family.page.get_by_role("radio", name="With my face").check()
    await family.page.get_by_role("button", name="Go on").click()
    await family.page.set_input_files("#photo-file", str(page))
    await family.page.get_by_role("button", name="Send").wait_for()
    await family.shows("identity-document")
    await family.page.get_by_role("button", name="Send").click()
    await family.page.get_by_role("button", name="Open the camera").wait_for(timeout=60_000)
    await family.page.get_by_role("button", name="Open the camera").click()
    await family.page.get_by_role("button", name="Start").click()
    await family.page.get_by_role("button", name="Send").wait_for(timeout=60_000)
    await family.shows("identity-selfie")
    await family.page.get_by_role("button", name="Send").click()
    await family.page.get_by_role("heading", name="Send it to the officer").wait_for(timeout=60_000)
    await family.shows("identity-submit")
    await family.page.get_by_role("button", name="Send", exact=True).click()
    await family.reads("An officer is looking at it")
    await family.shows("identity-submitted")
