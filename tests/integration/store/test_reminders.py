"""Reminders: a day and an hour ahead, once each, and never about what is no longer so."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest

from tests.fixtures.rights import MOTHER, PRISON, STAFF, World, family, relationship_id, slot_key
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.domain.paging import PageRequest
from visitserver.domain.policies import REMINDER_FIRST_HOURS, REMINDER_SECOND_MINUTES
from visitserver.notify.letters import Letters, Sender
from visitserver.notify.mail import Mail
from visitserver.notify.worker import OutboxWorker
from visitserver.services.reminders import DAY_BEFORE, SHORTLY_BEFORE, ReminderService

KEY = slot_key(date(2026, 3, 6), time(9))


class Post:
    """A mailer that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)


async def book(world: World) -> str:
    await world.grant(1)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    return (await world.booking.confirm(family(MOTHER), hold.id)).id


async def starts_at(world: World, booking_id: str) -> datetime:
    async with world.uow(read_only=True) as u:
        return (await u.scheduling.get_booking(booking_id)).starts_at


async def reminders(world: World) -> list[OutboxMessage]:
    async with world.uow(read_only=True) as u:
        found = (await u.outbox.messages(None, PageRequest())).items
    return sorted((each for each in found if "reminder" in each.topic), key=lambda each: each.created_at)


async def tick(world: World, to: datetime) -> int:
    """The clock is at `to` and the job runs, twice as a busy house might."""
    world.clock.now = to
    service = ReminderService(world.uow, world.clock)
    written = await service.run_once()
    assert await service.run_once() == 0
    return written


async def test_each_of_two_reminders_is_written_once(world: World) -> None:
    booking_id = await book(world)
    start = await starts_at(world, booking_id)
    assert await tick(world, start - timedelta(hours=24, minutes=1)) == 0
    assert await tick(world, start - timedelta(hours=24)) == 1
    assert await tick(world, start - timedelta(hours=2)) == 0
    assert await tick(world, start - timedelta(minutes=60)) == 1
    assert await tick(world, start) == 0
    assert [each.topic for each in await reminders(world)] == [DAY_BEFORE, SHORTLY_BEFORE]


async def test_after_a_long_rest_only_what_still_helps_is_written(world: World) -> None:
    """The job did not run for a day: the letter about tomorrow would be wrong, the one about soon is not."""
    booking_id = await book(world)
    assert await tick(world, await starts_at(world, booking_id) - timedelta(minutes=30)) == 1
    assert [each.topic for each in await reminders(world)] == [SHORTLY_BEFORE]


async def test_who_books_at_the_last_moment_is_not_reminded_of_what_they_just_did(world: World) -> None:
    booking_id = await book(world)
    start = await starts_at(world, booking_id)
    async with world.uow() as u:
        booking = await u.scheduling.get_booking(booking_id)
        booking.created_at = booking.decided_at = start - timedelta(hours=3)
        await u.commit()
    assert await tick(world, start - timedelta(hours=2)) == 0
    assert await tick(world, start - timedelta(minutes=50)) == 1


async def test_the_prison_says_when_and_whether(world: World) -> None:
    booking_id = await book(world)
    start = await starts_at(world, booking_id)
    await world.policies.set(STAFF, PRISON, REMINDER_FIRST_HOURS.name, 48, reason="asked for by families")
    await world.policies.set(STAFF, PRISON, REMINDER_SECOND_MINUTES.name, 0, reason="too many letters")
    assert await tick(world, start - timedelta(hours=47)) == 1
    assert await tick(world, start - timedelta(minutes=30)) == 0


async def test_the_letter_reaches_every_caller_in_their_language(world: World) -> None:
    booking_id = await book(world)
    start = await starts_at(world, booking_id)
    await tick(world, start - timedelta(hours=24))
    post = Post()
    letters = Letters(Sender("v@k.example", "https://v.example"), world.clock, lambda lang, text: f"[{lang}] {text}")
    await OutboxWorker(world.uow, world.clock, letters, post).drain()
    reminder = [mail for mail in post.mails if "soon" in mail.subject]
    assert [mail.to for mail in reminder] == ["mother@example.org"]
    assert "2026-03-06 09:00 (Europe/Helsinki)" in reminder[0].text
    assert f"https://v.example/visits/{booking_id}" in reminder[0].text
    assert reminder[0].calendar is None


@pytest.mark.parametrize("change", ["cancelled", "begun"])
async def test_a_reminder_that_waited_too_long_is_not_sent(world: World, change: str) -> None:
    booking_id = await book(world)
    start = await starts_at(world, booking_id)
    await tick(world, start - timedelta(hours=24))
    if change == "cancelled":
        await world.booking.cancel(family(MOTHER), booking_id, reason="ill")
    else:
        world.clock.now = start
    post = Post()
    await OutboxWorker(world.uow, world.clock, Letters(Sender("v@k.example"), world.clock), post).drain()
    assert [mail for mail in post.mails if "soon" in mail.subject] == []
    assert {each.state for each in await reminders(world)} == {OutboxState.DELIVERED}
