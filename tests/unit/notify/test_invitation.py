"""What calendars get: iCalendar as RFC 5545 writes it, RFC 5546 means it, and RFC 6047 mails it."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from icalendar import Calendar, Event

from visitserver.notify.invitation import Invitation, calendar_object
from visitserver.notify.mail import Mail, as_message

STARTS = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # the night in which Helsinki's clocks go forward
INVITATION = Invitation(
    booking_id="bkg_0123456789",
    revision=0,
    starts_at=STARTS,
    ends_at=STARTS + timedelta(minutes=30),
    summary="Video visit",
    description="Sign in ten minutes earlier; näet ja kuulet silloin, että kaikki toimii – varmasti. " * 3,
    organizer="visits@kuura.example",
    attendee="mother@example.org",
    stamped_at=datetime(2026, 3, 2, 10, tzinfo=UTC),
    url="https://visits.example/visits/bkg_0123456789",
)


def event_of(content: bytes) -> tuple[Calendar, Event]:
    calendar = Calendar.from_ical(content)
    assert isinstance(calendar, Calendar)
    (event,) = calendar.walk("VEVENT")
    assert not calendar.errors
    assert not event.errors
    return calendar, event


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL"])
def test_every_property_that_the_method_requires_is_there_once(method: str) -> None:
    """RFC 5546 sections 3.2.2 and 3.2.5."""
    calendar, event = event_of(calendar_object(INVITATION, method))  # type: ignore[arg-type]
    assert (calendar["METHOD"], calendar["VERSION"]) == (method, "2.0")
    assert calendar["PRODID"]
    for name in ("UID", "DTSTAMP", "DTSTART", "ORGANIZER", "ATTENDEE", "SEQUENCE", "SUMMARY", "STATUS"):
        assert event.get(name) is not None, name
        assert not isinstance(event[name], list), name
    assert str(event["ORGANIZER"]) == "MAILTO:visits@kuura.example"
    assert str(event["ATTENDEE"]) == "MAILTO:mother@example.org"
    assert event["STATUS"] == ("CONFIRMED" if method == "REQUEST" else "CANCELLED")


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL"])
def test_the_text_is_folded_and_ended_as_the_standard_says(method: str) -> None:
    """RFC 5545 section 3.1: lines of at most 75 octets, CRLF, and no character cut in two."""
    content = calendar_object(INVITATION, method)  # type: ignore[arg-type]
    assert content.endswith(b"\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")
    for line in content.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()


def test_times_are_utc_and_come_back_as_they_were() -> None:
    content = calendar_object(INVITATION, "REQUEST")
    assert b"DTSTART:20260329T003000Z" in content
    _, event = event_of(content)
    assert event["DTSTART"].dt == STARTS
    assert event["DTEND"].dt - event["DTSTART"].dt == timedelta(minutes=30)
    assert event["DESCRIPTION"] == INVITATION.description


def test_a_change_and_a_cancellation_are_about_the_same_event_and_newer() -> None:
    """RFC 5546 section 2.1.5: the same UID, a greater SEQUENCE."""
    moved = replace(
        INVITATION, revision=1, starts_at=STARTS + timedelta(days=1), ends_at=STARTS + timedelta(days=1, minutes=30)
    )
    _, first = event_of(calendar_object(INVITATION, "REQUEST"))
    _, second = event_of(calendar_object(moved, "REQUEST"))
    _, third = event_of(calendar_object(replace(moved, revision=2), "CANCEL"))
    assert first["UID"] == second["UID"] == third["UID"]
    assert int(first["SEQUENCE"]) < int(second["SEQUENCE"]) < int(third["SEQUENCE"])


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL"])
def test_the_mail_says_what_its_calendar_says(method: str) -> None:
    """RFC 6047 section 2.4: text/calendar with the method as a parameter, the same as in the object; UTF-8."""
    mail = Mail(
        key="msg_1.con_1",
        to="mother@example.org",
        subject="Your video visit",
        text="It is booked.\n",
        calendar=calendar_object(INVITATION, method),  # type: ignore[arg-type]
        method=method,
    )
    made = as_message(mail, sender="visits@kuura.example", at=INVITATION.stamped_at)
    message = email.message_from_bytes(made.as_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message.get_content_type() == "multipart/alternative"
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/calendar"]
    assert parts[1].get_param("method") == method
    assert str(parts[1].get_param("charset")).lower() == "utf-8"
    calendar, _ = event_of(parts[1].get_content().encode())
    assert calendar["METHOD"] == method
