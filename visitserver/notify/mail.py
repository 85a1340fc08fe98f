"""A mail, and what can carry it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Protocol


class DeliveryFailed(Exception):
    """The message did not leave. `lasting`: trying again would not help. The text names no person."""

    def __init__(self, why: str, *, lasting: bool = False) -> None:
        super().__init__(why)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Mail:
    """One letter to one person. `calendar` is an iCalendar object, `method` its method (RFC 5546): REQUEST or CANCEL.

    `key` names the letter for good: the same letter sent twice has the same Message-ID.
    """

    key: str
    to: str
    subject: str
    text: str
    calendar: bytes | None = None
    method: str | None = None


class Mailer(Protocol):
    """Carries mails away. Logs nothing of what is in them."""

    async def send(self, mail: Mail) -> None:
        """Hand the mail over. Raises DeliveryFailed."""
        ...


def as_message(mail: Mail, *, sender: str, at: datetime) -> EmailMessage:
    """The mail as RFC 5322 says, with the invitation as an alternative that calendars understand (RFC 6047).

    Raises DeliveryFailed for an address or a subject that cannot stand in a header.
    """
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = mail.to
        message["Subject"] = mail.subject
    except ValueError as error:
        raise DeliveryFailed("not an address", lasting=True) from error
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{mail.key}@{sender.rpartition('@')[2].rstrip('>')}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(mail.text)
    if mail.calendar is not None:
        message.add_alternative(
            mail.calendar.decode(),
            subtype="calendar",
            params={"method": mail.method or "REQUEST"},
            filename="visit.ics",
        )
    return message
