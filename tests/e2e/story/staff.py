"""Signing in as staff, and the decisions that only a person takes."""

from __future__ import annotations

from tests.e2e.story.people import Person


async def sign_in(person: Person, login: str, password: str) -> None:
    """To the day's page."""
    await person.goes_to("/staff/signin")
    await person.shows("signin")
    await person.page.fill("#login", login)
    await person.page.fill("#password", password)
    await person.page.get_by_role("button", name="Sign in").click()
    await person.page.wait_for_url("**/staff")
    await person.shows("today")


async def approve_contact(officer: Person, contact: str) -> None:
    """Approve the contact request from the queue, with a reason."""
    await officer.goes_to("/staff/reviews")
    await officer.shows("reviews")
    await officer.page.get_by_role("link", name=contact).last.click()
    await officer.shows("review-contact")
    await officer.page.get_by_role("radio", name="Approve").check()
    await officer.page.fill("[name=reason]", "known friend, checked with the prisoner's file")
    await officer.page.get_by_role("button", name="Decide").click()
    await officer.page.get_by_role("button", name="Decide").wait_for(state="detached")
