"""Signing in as staff, and the decisions that only a person takes."""

from __future__ import annotations

import re

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


async def approve_identity(officer: Person, contact: str) -> None:
    """Document face and selfie side by side, the fields as read; decide, and only then see the score."""
    await officer.goes_to("/staff/reviews")
    await officer.page.get_by_role("link", name=contact).first.click()
    await officer.page.get_by_role("heading", name=contact).first.wait_for()
    sizes = await officer.page.evaluate(
        """() => Promise.all(
          [...document.querySelectorAll("main img")].map((one) => one.decode().then(() => one.naturalWidth))
        )"""
    )
    assert len(sizes) >= 2 and all(size > 0 for size in sizes), f"pictures did not load: {sizes}"
    text = await officer.page.locator("main").inner_text()
    assert "U0001956C" in text and "COLLINS" in text.upper(), "the fields that were read are not on the page"
    assert "Show what the machine said" not in text, "the score is offered before the decision"
    await officer.shows("review-identity")
    await officer.page.get_by_role("radio", name="Approve").check()
    await officer.page.fill("#reason", "same person on document and selfie")
    await officer.page.get_by_role("button", name="Decide").click()
    await officer.page.get_by_role("button", name="Show what the machine said").click()
    await officer.shows("review-identity-score")


async def let_in(officer: Person, contact: str) -> None:
    """Decide a check at the door that the program was not sure of."""
    await officer.goes_to("/staff/reviews")
    await officer.shows("reviews-door")
    await officer.page.get_by_role("link", name=contact).first.click()
    await officer.shows("review-door")
    await officer.page.get_by_role("radio", name=re.compile("^Let in")).check()
    await officer.page.fill("[name=reason]", "looked at the fresh pictures: the same person")
    await officer.page.get_by_role("button", name="Decide").click()
    await officer.page.get_by_role("button", name="Decide").wait_for(state="detached")


async def look_at_sessions(scheduler: Person) -> None:
    """The scheduler adds a session by the form; it is in the list and in the week."""
    await scheduler.goes_to("/staff/templates/new")
    await scheduler.shows("session-new")
    await scheduler.page.fill("#name", "Evenings, told by the story")
    for day in ("Monday", "Thursday"):
        await scheduler.page.get_by_role("checkbox", name=day).check()
    await scheduler.page.fill("#starts_at", "18:00")
    await scheduler.page.fill("#ends_at", "20:00")
    await scheduler.page.get_by_role("checkbox", name="North terminal 1").check()
    await scheduler.page.locator("input[name=kinds][value=social]").check()
    await scheduler.page.get_by_role("button", name="Add").click()
    await scheduler.reads("Evenings, told by the story")
    await scheduler.shows("sessions")


async def look_at_the_week(scheduler: Person, booking_id: str) -> None:
    """The booking stands in the grid; its page says by which rules it was allowed."""
    await scheduler.goes_to("/staff/schedule")
    await scheduler.shows("week")
    await scheduler.goes_to("/staff/schedule?view=day")
    await scheduler.shows("day")
    await scheduler.goes_to(f"/staff/bookings/{booking_id}")
    await scheduler.reads("relationship")
    await scheduler.shows("booking")


async def sign_out(person: Person) -> None:
    """By the button in the head of the page."""
    await person.page.get_by_role("button", name="Sign out").click()
    await person.page.wait_for_url("**/staff/signin*")
