"""A visit that comes to be reviewed: calendars show it as tentative, and lose it when it comes to nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import cache

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from icalendar import Calendar, Event

from tests.fixtures.requirements import REPOSITORY
from tests.fixtures.rights import MOTHER, STAFF, World, family, relationship_id, slot_key
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.notify.letters import Letters, Sender
from visitserver.notify.mail import Mail
from visitserver.notify.worker import OutboxWorker

KEY = slot_key(date(2026, 3, 6), time(9))
OTHER_KEY = slot_key(date(2026, 3, 10), time(9))


class Post:
    """A mailer that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)


@cache
def catalogue(language: str) -> Catalog:
    with (REPOSITORY / "web" / "locale" / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


def translated(language: str, message: str) -> str:
    """As the catalogues have it, and nothing else."""
    if language == "en":
        return message
    found = catalogue(language).get(message)
    assert found is not None, message
    assert found.string, message
    return str(found.string)


async def moved_into_review(world: World) -> Booking:
    """Booked for Friday, moved to a day on which somebody must look at it."""
    await world.grant(1)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    booked = await world.booking.confirm(family(MOTHER), hold.id)
    assert booked.state is BookingState.BOOKED
    await read_letters(world)
    await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.RELATIONSHIP,
        subject_id=relationship_id(MOTHER),
        type="PRE-INFORM",
        authority="the governor",
        starts_on=date(2026, 3, 9),
    )
    moved = await world.booking.change(family(MOTHER), booked.id, OTHER_KEY)
    assert moved.state is BookingState.REQUESTED
    return moved


async def read_letters(world: World) -> list[tuple[str, Event]]:
    """The method and the event of every letter that waits, as a mail client would read them."""
    post = Post()
    letters = Letters(Sender("v@k.example"), world.clock, translated)
    await OutboxWorker(world.uow, world.clock, letters, post).drain()
    found = []
    for mail in post.mails:
        assert mail.calendar is not None, mail.subject
        calendar = Calendar.from_ical(mail.calendar)
        assert isinstance(calendar, Calendar)
        (event,) = calendar.walk("VEVENT")
        assert mail.method == calendar["METHOD"]
        found.append((str(calendar["METHOD"]), event))
    return found


async def speaks(world: World, language: str) -> None:
    async with world.uow() as u:
        (await u.people.get_contact(MOTHER)).language = language
        await u.commit()


@pytest.mark.parametrize(
    ("language", "asked_for", "booked"),
    [
        ("en", "Video visit (asked for, not yet decided)", "Video visit"),
        ("fi", "Videotapaaminen (pyydetty, ei vielä päätetty)", "Videotapaaminen"),
        ("sv", "Videobesök (begärt, ännu inte avgjort)", "Videobesök"),
    ],
)
async def test_a_visit_that_moves_into_review_is_tentative_until_it_is_approved(
    sqlite_world: World, language: str, asked_for: str, booked: str
) -> None:
    world = sqlite_world
    await speaks(world, language)
    asked = await moved_into_review(world)
    ((method, tentative),) = await read_letters(world)
    assert (method, tentative["STATUS"], tentative["SUMMARY"]) == ("REQUEST", "TENTATIVE", asked_for)
    assert tentative["DTSTART"].dt == asked.starts_at
    await world.booking.decide(STAFF, asked.id, approve=True, reason="looked at")
    ((method, certain),) = await read_letters(world)
    assert (method, certain["STATUS"], certain["SUMMARY"]) == ("REQUEST", "CONFIRMED", booked)
    assert tentative["UID"] == certain["UID"] == f"{asked.id}@visitserver"
    assert 0 < int(tentative["SEQUENCE"]) < int(certain["SEQUENCE"])


@pytest.mark.parametrize("by", ["a person", "the clock", "the family"])
async def test_what_comes_to_nothing_goes_out_of_calendars(sqlite_world: World, by: str) -> None:
    world = sqlite_world
    asked = await moved_into_review(world)
    ((_, tentative),) = await read_letters(world)
    if by == "a person":
        await world.booking.decide(STAFF, asked.id, approve=False, reason="looked at")
    elif by == "the clock":
        world.clock.now = datetime(2026, 3, 9, 20, tzinfo=UTC)
        assert await world.booking.lapse_requests() == 1
    else:
        await world.booking.cancel(family(MOTHER), asked.id)
    ((method, gone),) = await read_letters(world)
    assert (method, gone["STATUS"]) == ("CANCEL", "CANCELLED")
    assert gone["UID"] == tentative["UID"]
    assert int(gone["SEQUENCE"]) > int(tentative["SEQUENCE"])
