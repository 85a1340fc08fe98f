"""Calendar invitations (RFC 5545, RFC 5546): one stable UID per booking, a SEQUENCE that grows with every change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from icalendar import Calendar, Event, vCalAddress, vText


@dataclass(frozen=True, slots=True)
class Invitation:
    """A visit as a calendar shows it. It names no prisoner and no prison: calendars are read over shoulders.

    `tentative`: it is asked for, and a person decides it yet. The summary must say so as well.
    """

    booking_id: str
    revision: int
    starts_at: datetime
    ends_at: datetime
    summary: str
    description: str
    organizer: str
    attendee: str
    stamped_at: datetime
    url: str | None = None
    tentative: bool = False


def _status(invitation: Invitation, method: Literal["REQUEST", "CANCEL"]) -> str:
    if method == "CANCEL":
        return "CANCELLED"
    return "TENTATIVE" if invitation.tentative else "CONFIRMED"


def calendar_object(invitation: Invitation, method: Literal["REQUEST", "CANCEL"]) -> bytes:
    """The iCalendar object, UTF-8 with CRLF. Times are UTC: every calendar shows them in its reader's own zone."""
    event = Event()
    event.add("uid", f"{invitation.booking_id}@visitserver")
    event.add("sequence", invitation.revision)
    event.add("dtstamp", invitation.stamped_at)
    event.add("dtstart", invitation.starts_at)
    event.add("dtend", invitation.ends_at)
    event.add("summary", invitation.summary)
    event.add("description", invitation.description)
    event.add("status", _status(invitation, method))
    event.add("organizer", vCalAddress(f"MAILTO:{invitation.organizer}"))
    attendee = vCalAddress(f"MAILTO:{invitation.attendee}")
    attendee.params["RSVP"] = vText("FALSE")
    event.add("attendee", attendee)
    if invitation.url is not None:
        event.add("url", invitation.url)
    calendar = Calendar()
    calendar.add("prodid", "-//visitserver//visits//EN")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add_component(event)
    content: bytes = calendar.to_ical()
    return content
