"""From the commit to the letter: a real SMTP server, both databases."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from datetime import date, time, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from icalendar import Calendar

from tests.fixtures.ports import free_tcp_port
from tests.fixtures.rights import CHILD, MOTHER, STAFF, World, family, relationship_id, slot_key
from visitserver.domain.errors import Conflict, Forbidden
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.domain.paging import PageRequest
from visitserver.domain.waitlist import NEWS_TOPICS
from visitserver.notify.folder import FolderMailer
from visitserver.notify.letters import Letters, Sender, told_times
from visitserver.notify.mail import DeliveryFailed, Mail, Mailer
from visitserver.notify.smtp import SmtpMailer, SmtpServer
from visitserver.notify.worker import MAX_ATTEMPTS, NO_SERVER, OutboxWorker
from visitserver.services.outbox import OutboxService

KEY = slot_key(date(2026, 3, 6), time(9))
SENDER = Sender("visits@kuura.example", "https://visits.example")


class Inbox:
    """What the SMTP server took, and what it answers."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            self.mails += [(to, message) for to in envelope.rcpt_tos]
        return self.answer


@pytest.fixture
async def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def smtp(inbox: Inbox) -> AsyncIterator[SmtpServer]:
    port = free_tcp_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    await asyncio.to_thread(controller.start)
    yield SmtpServer("127.0.0.1", port, tls="none", timeout=5)
    await asyncio.to_thread(controller.stop)


def worker(world: World, mailer: Mailer | None) -> OutboxWorker:
    return OutboxWorker(world.uow, world.clock, Letters(SENDER, world.clock), mailer)


def smtp_worker(world: World, server: SmtpServer) -> OutboxWorker:
    return worker(world, SmtpMailer(server, sender=SENDER.address, clock=world.clock))


async def messages(world: World) -> list[OutboxMessage]:
    async with world.uow(read_only=True) as u:
        return list((await u.outbox.messages(None, PageRequest())).items)


async def book(world: World) -> str:
    await world.grant(1)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY, guests=[relationship_id(CHILD)])
    return (await world.booking.confirm(family(MOTHER), hold.id)).id


def calendar_of(message: EmailMessage) -> Any:
    for part in message.walk():
        if part.get_content_type() == "text/calendar":
            return Calendar.from_ical(part.get_content())
    raise AssertionError("no calendar in the mail")


async def test_a_booking_is_told_with_an_invitation_and_its_cancellation(
    world: World, smtp: SmtpServer, inbox: Inbox
) -> None:
    booking_id = await book(world)
    sends = smtp_worker(world, smtp)
    assert await sends.drain() == 1
    assert await sends.drain() == 0
    assert [to for to, _ in inbox.mails] == ["mother@example.org", "child@example.org"]
    message = inbox.mails[0][1]
    assert message["Subject"] == "Your video visit is booked"
    assert "Aalto" not in message["Subject"]
    body = message.get_body(("plain",))
    assert body is not None
    assert "2026-03-06 09:00 (Europe/Helsinki)" in body.get_content()
    assert f"https://visits.example/visits/{booking_id}" in body.get_content()
    invitation = calendar_of(message)
    assert invitation["METHOD"] == "REQUEST"
    (event,) = invitation.walk("VEVENT")
    assert event["UID"] == f"{booking_id}@visitserver"
    assert int(event["SEQUENCE"]) == 0

    await world.booking.cancel(family(MOTHER), booking_id)
    await sends.drain()
    cancellation = calendar_of(inbox.mails[-1][1])
    (event,) = cancellation.walk("VEVENT")
    assert (cancellation["METHOD"], event["STATUS"], int(event["SEQUENCE"])) == ("CANCEL", "CANCELLED", 1)
    assert event["UID"] == f"{booking_id}@visitserver"
    told = [row for row in await messages(world) if row.topic not in NEWS_TOPICS]  # those are the waiting list's
    assert {row.state for row in told} == {OutboxState.DELIVERED}


async def test_what_is_rolled_back_is_never_told(world: World, smtp: SmtpServer, inbox: Inbox) -> None:
    async with world.uow() as u:
        u.outbox.add("booking.confirmed", {"booking_id": "bkg_x"})
    assert await smtp_worker(world, smtp).drain() == 0


async def test_without_a_mail_server_it_is_kept_and_says_so(world: World, smtp: SmtpServer, inbox: Inbox) -> None:
    await book(world)
    await worker(world, None).drain()
    (row,) = await messages(world)
    assert (row.state, row.last_error) == (OutboxState.NOT_SENT, NO_SERVER)
    outbox = OutboxService(world.uow, world.clock)
    assert [each.id for each in (await outbox.list(STAFF, OutboxState.NOT_SENT, PageRequest())).items] == [row.id]
    with pytest.raises(Forbidden):
        await outbox.list(family(MOTHER), None, PageRequest())
    await outbox.retry(STAFF, row.id)
    with pytest.raises(Conflict):
        await outbox.retry(STAFF, row.id)
    await smtp_worker(world, smtp).drain()
    assert len(inbox.mails) == 2


async def test_a_passing_failure_is_tried_again_later_and_later_but_not_for_ever(
    world: World, smtp: SmtpServer, inbox: Inbox
) -> None:
    await book(world)
    inbox.answer = "451 try later"
    sends = smtp_worker(world, smtp)
    waits = []
    for _ in range(MAX_ATTEMPTS):
        assert await sends.drain() == 1
        (row,) = await messages(world)
        waits.append(row.due_at - world.clock())
        assert await sends.drain() == 0
        world.clock.now = max(world.clock(), row.due_at)
    (row,) = await messages(world)
    assert row.state is OutboxState.FAILED
    assert (row.attempts, row.last_error) == (MAX_ATTEMPTS, "refused: 451")
    assert waits[0] == timedelta(seconds=30)
    assert waits[1] > waits[0]
    assert max(waits) == timedelta(hours=2)


async def test_a_lasting_refusal_is_not_repeated(world: World, smtp: SmtpServer, inbox: Inbox) -> None:
    await book(world)
    inbox.answer = "550 no such box"
    await smtp_worker(world, smtp).drain()
    (row,) = await messages(world)
    assert (row.state, row.attempts) == (OutboxState.FAILED, 1)


async def test_a_server_that_is_away_is_waited_for(world: World) -> None:
    await book(world)
    gone = SmtpServer("127.0.0.1", free_tcp_port(), tls="none", timeout=2)
    await smtp_worker(world, gone).drain()
    (row,) = await messages(world)
    assert row.state is OutboxState.PENDING
    assert "not reached" in (row.last_error or "")


async def test_two_workers_never_deliver_the_same_message(world: World, smtp: SmtpServer, inbox: Inbox) -> None:
    async with world.uow() as u:
        for number in range(30):
            payload = {"template": "account.confirm", "to": f"p{number}@example.org", "values": {"link": "https://x"}}
            u.outbox.add("mail", payload)
        await u.commit()
    await asyncio.gather(*(smtp_worker(world, smtp).drain() for _ in range(3)))
    assert sorted(to for to, _ in inbox.mails) == sorted(f"p{number}@example.org" for number in range(30))
    assert all(row.payload == {} for row in await messages(world))


async def test_a_worker_that_dies_leaves_the_message_to_the_next(world: World, smtp: SmtpServer, inbox: Inbox) -> None:
    await book(world)

    class Dying:
        async def send(self, mail: Mail) -> None:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await worker(world, Dying()).drain()
    sends = smtp_worker(world, smtp)
    assert await sends.drain() == 0
    world.clock.advance(minutes=6)
    assert await sends.drain() == 1
    assert len(inbox.mails) == 2


async def test_nonsense_does_not_stop_the_queue(world: World, smtp: SmtpServer, inbox: Inbox) -> None:
    async with world.uow() as u:
        u.outbox.add("booking.confirmed", {})
        u.outbox.add("booking.confirmed", {"booking_id": "bkg_gone"})
        u.outbox.add("what.is.this", {})
        u.outbox.add("mail", {"template": "account.exists", "to": "a@example.org\r\nBcc: all@example.org"})
        u.outbox.add("restriction.changed", {"restriction_id": "rst_1"})
        u.outbox.add("mail", {"template": "account.exists", "to": "good@example.org"})
        await u.commit()
    await smtp_worker(world, smtp).drain()
    assert [to for to, _ in inbox.mails] == ["good@example.org"]
    states = sorted(row.state.value for row in await messages(world))
    assert states == ["delivered", "delivered", "failed", "failed", "failed", "failed"]


async def test_letters_about_relationships(world: World, smtp: SmtpServer, inbox: Inbox) -> None:
    await world.relationships.end(STAFF, relationship_id(MOTHER), "a reason for staff alone")
    await smtp_worker(world, smtp).drain()
    (_, message) = inbox.mails[0]
    assert "a reason for staff alone" not in message.as_string()


async def test_a_folder_takes_mails_where_there_is_no_server(world: World, tmp_path: Path) -> None:
    await book(world)
    await worker(world, FolderMailer(tmp_path / "mail", sender=SENDER.address, clock=world.clock)).drain()
    files = sorted((tmp_path / "mail").iterdir())
    assert len(files) == 2
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert b"Subject: Your video visit is booked" in files[0].read_bytes()


async def test_a_folder_that_cannot_be_written_is_a_passing_failure(world: World, tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file is in the way")
    mailer = FolderMailer(tmp_path / "mail", sender=SENDER.address, clock=world.clock)
    with pytest.raises(DeliveryFailed) as failed:
        await mailer.send(Mail("k", "a@example.org", "s", "t"))
    assert not failed.value.lasting


def test_both_sides_are_told_their_own_time() -> None:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from tests.fixtures.rights import make_contact

    contact = make_contact(MOTHER)
    moment = datetime(2026, 3, 6, 7, tzinfo=UTC)
    helsinki = ZoneInfo("Europe/Helsinki")
    assert told_times(moment, helsinki, contact) == "2026-03-06 09:00 (Europe/Helsinki)"
    contact.timezone = "Europe/London"
    assert told_times(moment, helsinki, contact).endswith("/ 2026-03-06 07:00 (Europe/London)")
    contact.timezone = "Europe/Kyiv"
    assert "Kyiv" not in told_times(moment, helsinki, contact)
