"""A visit as a calendar file (RFC 5545), for the family's own calendar. It names no prisoner and no prison."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from icalendar import Alarm, Calendar, Event

from visitserver.domain.scheduling import Booking, BookingState


def visit_calendar(booking: Booking, link: str, now: datetime, _: Callable[[str], str]) -> bytes:
    """One VEVENT with a stable UID and the booking's revision as SEQUENCE; `link` is the visit's page.

    A phone shows its calendar to whoever looks over the shoulder, so the title says "Video visit" and nothing more.
    """
    event = Event()
    event.add("uid", f"{booking.id}@visit")
    event.add("sequence", booking.revision)
    event.add("dtstamp", now)
    event.add("dtstart", booking.starts_at)
    event.add("dtend", booking.ends_at)
    event.add("summary", _("Video visit"))
    event.add("description", _("The waiting room opens 15 minutes before.") + "\n" + link)
    event.add("url", link)
    event.add("status", "CONFIRMED" if booking.state is BookingState.BOOKED else "CANCELLED")
    reminder = Alarm()
    reminder.add("action", "DISPLAY")
    reminder.add("description", _("Video visit"))
    reminder.add("trigger", timedelta(minutes=-30))
    event.add_component(reminder)
    calendar = Calendar()
    calendar.add("prodid", "-//Visit//Video visits//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    return bytes(calendar.to_ical())
