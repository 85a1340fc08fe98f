"""What the letters say. A letter is written when it is sent, from what is true then: the outbox keeps only references.

Letters name neither the prisoner nor the prison in the subject, and give no reason that staff wrote for themselves;
words that an officer wrote for the caller are given as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from visitserver.domain.clock import Clock
from visitserver.domain.outbox import OutboxMessage
from visitserver.domain.people import Contact
from visitserver.domain.rejections import words_of
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.domain.slots import parse_slot_key
from visitserver.notify.invitation import Invitation, calendar_object
from visitserver.notify.mail import DeliveryFailed, Mail
from visitserver.services.ports.uow import UnitOfWork

Translate = Callable[[str, str], str]
"""(language, message id) → the text in that language."""

Writer = Callable[[UnitOfWork, OutboxMessage], Awaitable[list[Mail]]]

# Message ids, marked for the catalogues.
N_ = str  # gettext leaves these to be translated when they are said

_SEE_VISIT = N_("See your visit:")

# Summary and description in a calendar. Not every calendar shows a tentative event as one, so the words say it, too.
_CERTAIN = (N_("Video visit"), N_("Sign in ten minutes earlier."))
_TENTATIVE = (
    N_("Video visit (asked for, not yet decided)"),
    N_("It takes place only when you have been told that it is booked."),
)

BOOKING_LETTERS: Mapping[str, tuple[str, str]] = {
    "booking.confirmed": (N_("Your video visit is booked"), N_("Your video visit is booked for {when}.")),
    "booking.requested": (
        N_("Your video visit is asked for"),
        N_("You asked for a video visit on {when}. A member of staff looks at it first and then tells you."),
    ),
    "booking.rejected": (
        N_("Your video visit cannot take place"),
        N_("The video visit you asked for on {when} cannot take place. Your credit was given back."),
    ),
    "booking.auto_rejected": (
        N_("Your video visit cannot take place"),
        N_("The video visit you asked for on {when} cannot take place. Your credit was given back."),
    ),
    "booking.changed": (
        N_("Your video visit has changed"),
        N_("Your video visit has changed. It takes place on {when}."),
    ),
    "booking.guest_declined": (
        N_("About your video visit"),
        N_("Somebody who was to take part in the video visit on {when} does not come. It takes place all the same."),
    ),
    "booking.reminder_day": (
        N_("Your video visit is soon"),
        N_(
            "Your video visit is on {when}. Please try your camera and microphone before: the page of your visit helps."
        ),
    ),
    "booking.reminder_hour": (
        N_("Your video visit begins soon"),
        N_("Your video visit begins on {when}. Please sign in ten minutes earlier."),
    ),
    "waitlist.offered": (
        N_("A time for a video visit has come free"),
        N_(
            "A time that you are waiting for has come free: {when}. It is kept for you for a short while. Sign in soon"
            " to take it, or to leave it to the next person."
        ),
    ),
    "waitlist.lapsed": (
        N_("The time that was kept for you"),
        N_("The time that was kept for you, {when}, went to the next person, because there was no answer from you."),
    ),
    "booking.cancelled": (
        N_("Your video visit is cancelled"),
        N_("The video visit on {when} is cancelled. Your credit was given back."),
    ),
}

RELATIONSHIP_LETTERS: Mapping[str, tuple[str, str]] = {
    "relationship.approved": (
        N_("Your request was approved"),
        N_("The prison has approved your request for video visits. Sign in to see what comes next."),
    ),
    "relationship.refused": (
        N_("About your request"),
        N_("The prison has not approved your request for video visits. You can ask the prison why."),
    ),
    "relationship.ended": (
        N_("About your visits"),
        N_("The prison has ended an approval for your video visits. You can ask the prison why."),
    ),
}

PREFERENCE_LETTERS: Mapping[str, tuple[str, str]] = {
    "preference.matched": (
        N_("There is a time that suits you"),
        N_("You told us which times would suit you. This one can be booked now: {when}. It is not kept for you."),
    ),
}

IDENTITY_LETTERS: Mapping[str, tuple[str, str]] = {
    "identity.submitted": (
        N_("Your proof of who you are has arrived"),
        N_("An officer looks at it, most often within two working days. Then we write to you again."),
    ),
    "identity.approved": (
        N_("Your proof of who you are was accepted"),
        N_("An officer has accepted your proof of who you are. You need not send it again while it holds."),
    ),
    "identity.more_information": (
        N_("We need something more from you"),
        N_("An officer has looked at your proof of who you are and asks you:\n\n{words}\n\nSign in to go on."),
    ),
    "identity.refused": (
        N_("About your proof of who you are"),
        N_(
            "An officer could not accept your proof of who you are, and says:\n\n{words}\n\n"
            "If you do not agree, sign in, open “Prove it is you” and say why: another officer looks at it again, "
            "while your pictures are still kept. You may also bring your document to the prison."
        ),
    ),
}

ACCOUNT_LETTERS: Mapping[str, tuple[str, str]] = {
    "account.confirm": (
        N_("Confirm your e-mail address"),
        N_("Open this link to confirm your address:\n\n{link}\n\nIf you did not sign up, do nothing."),
    ),
    "account.exists": (
        N_("You have an account already"),
        N_("Somebody tried to sign up with your address. You have an account already: just sign in."),
    ),
}

# Told within the house only; nobody gets a letter.
SILENT = frozenset(
    {
        *("restriction.changed", "door.review", "door.decided", "place.freed", "places.opened"),
        *("booking.escalated", "booking.flagged", "call.right_in_question"),
    }
)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who writes: the From address, and where links lead (None: letters have no links)."""

    address: str
    public_url: str | None = None


class Letters:
    """Writes the letters of each topic."""

    def __init__(self, sender: Sender, clock: Clock, translate: Translate = lambda _language, message: message) -> None:
        self._sender = sender
        self._clock = clock
        self._translate = translate

    async def write(self, u: UnitOfWork, message: OutboxMessage) -> list[Mail]:
        """The letters that a message asks for, perhaps none. DeliveryFailed (lasting) for a topic nobody knows."""
        if message.topic in SILENT:
            return []
        if message.topic in BOOKING_LETTERS:
            return await self._about_booking(u, message)
        if message.topic in RELATIONSHIP_LETTERS:
            return await self._about_relationship(u, message)
        if message.topic in PREFERENCE_LETTERS:
            return await self._about_preference(u, message)
        if message.topic in IDENTITY_LETTERS:
            return await self._about_identity(u, message)
        if message.topic == "mail" and message.payload.get("template") in ACCOUNT_LETTERS:
            return [self._about_account(message)]
        raise DeliveryFailed(f"no letter for {message.topic}", lasting=True)

    async def _about_booking(self, u: UnitOfWork, message: OutboxMessage) -> list[Mail]:
        booking = await u.scheduling.get_booking(message.payload["booking_id"])
        if _is_overtaken(message, booking, self._clock()):
            return []  # a later letter tells what has happened since
        prison = await u.people.get_prison(booking.prison_id)
        contacts = await u.people.contacts(booking.contact_ids)
        letters = []
        # An offered place is the lead's to take: the others learn of it when it is a visit.
        told = booking.contact_ids[:1] if message.topic.startswith("waitlist.") else booking.contact_ids
        for contact_id in told:
            contact = contacts[contact_id]
            if contact.email is None:
                continue
            subject, text = BOOKING_LETTERS[message.topic]
            when = told_times(booking.starts_at, prison.zone, contact)
            body = "\n\n".join(
                [self._say(contact.language, text, when=when), *self._told_why(contact.language, booking)]
            )
            method = _METHODS.get(message.topic)
            letters.append(
                Mail(
                    key=f"{message.id}.{contact.id}",
                    to=contact.email,
                    subject=self._say(contact.language, subject),
                    text=self._with_link(contact.language, body, booking),
                    calendar=self._calendar(message, booking, contact, method) if method else None,
                    method=method,
                )
            )
        return letters

    def _told_why(self, language: str, booking: Booking) -> list[str]:
        """What staff want the family to be told of a rejection or a cancellation, a sentence each."""
        told = []
        if booking.state is BookingState.REJECTED and booking.rejection is not None:
            words = words_of(booking.rejection, booking.rejection_day)
            told.append(words.render(lambda message: self._translate(language, message), str))
        if booking.state in (BookingState.REJECTED, BookingState.CANCELLED) and booking.family_words:
            told.append(self._say(language, N_("The prison writes: {words}"), words=booking.family_words))
        return told

    async def _about_relationship(self, u: UnitOfWork, message: OutboxMessage) -> list[Mail]:
        relationship = await u.rights.get_relationship(message.payload["relationship_id"])
        contact = await u.people.get_contact(relationship.contact_id)
        if contact.email is None:
            return []
        subject, text = RELATIONSHIP_LETTERS[message.topic]
        return [
            Mail(
                key=message.id,
                to=contact.email,
                subject=self._say(contact.language, subject),
                text=self._say(contact.language, text) + "\n",
            )
        ]

    async def _about_preference(self, u: UnitOfWork, message: OutboxMessage) -> list[Mail]:
        preference = await u.offers.get_preference(message.payload["preference_id"])
        _, starts_at = parse_slot_key(message.payload["slot_key"])
        contact = await u.people.get_contact(preference.contact_id)
        if contact.email is None or not preference.stands or starts_at <= self._clock():
            return []
        prison = await u.people.get_prison(preference.prison_id)
        subject, text = PREFERENCE_LETTERS[message.topic]
        when = told_times(starts_at, prison.zone, contact)
        return [
            Mail(
                key=message.id,
                to=contact.email,
                subject=self._say(contact.language, subject),
                text=self._say(contact.language, text, when=when) + "\n",
            )
        ]

    async def _about_identity(self, u: UnitOfWork, message: OutboxMessage) -> list[Mail]:
        enrolment = await u.identity.get_enrolment(message.payload["enrolment_id"])
        contact = await u.people.get_contact(enrolment.contact_id)
        # What it tells is over: handed in anew, decided meanwhile, taken back. A later letter says so, or none need.
        if contact.email is None or message.topic != f"identity.{enrolment.state.value}":
            return []
        subject, text = IDENTITY_LETTERS[message.topic]
        body = self._say(contact.language, text, words=enrolment.words_for_caller or "")
        return [
            Mail(
                key=message.id,
                to=contact.email,
                subject=self._say(contact.language, subject),
                text=body + (f"\n\n{self._sender.public_url}/identity\n" if self._sender.public_url else "\n"),
            )
        ]

    def _about_account(self, message: OutboxMessage) -> Mail:
        payload = message.payload
        subject, text = ACCOUNT_LETTERS[payload["template"]]
        language = str(payload.get("language", "en"))
        values = {key: str(value) for key, value in dict(payload.get("values", {})).items()}
        return Mail(
            key=message.id,
            to=str(payload["to"]),
            subject=self._say(language, subject),
            text=self._say(language, text, **values) + "\n",
        )

    def _calendar(
        self, message: OutboxMessage, booking: Booking, contact: Contact, method: Literal["REQUEST", "CANCEL"]
    ) -> bytes:
        tentative = message.topic == "booking.requested"
        summary, description = _TENTATIVE if tentative else _CERTAIN
        return calendar_object(
            Invitation(
                booking_id=booking.id,
                revision=int(message.payload.get("revision", booking.revision)),
                starts_at=booking.starts_at,
                ends_at=booking.ends_at,
                summary=self._say(contact.language, summary),
                description=self._say(contact.language, description),
                organizer=self._sender.address,
                attendee=contact.email or "",
                stamped_at=self._clock(),
                url=self._link(booking),
                tentative=tentative,
            ),
            method,
        )

    def _link(self, booking: Booking) -> str | None:
        return None if self._sender.public_url is None else f"{self._sender.public_url}/visits/{booking.id}"

    def _with_link(self, language: str, body: str, booking: Booking) -> str:
        link = self._link(booking)
        return body + "\n" if link is None else f"{body}\n\n{self._say(language, _SEE_VISIT)} {link}\n"

    def _say(self, language: str, message: str, **values: Any) -> str:
        return self._translate(language, message).format(**values)


# What is asked for stands in calendars as tentative, also where it was booked before it was moved; what has come to
# nothing goes out of them. A calendar that never had it leaves a CANCEL alone (RFC 5546, section 3.2.5).
_METHODS: Mapping[str, Literal["REQUEST", "CANCEL"]] = {
    "booking.confirmed": "REQUEST",
    "booking.changed": "REQUEST",
    "booking.requested": "REQUEST",
    "booking.rejected": "CANCEL",
    "booking.auto_rejected": "CANCEL",
    "booking.cancelled": "CANCEL",
}

# A letter that waited too long must not say what is no longer so.
_TRUE_WHILE: Mapping[str, frozenset[BookingState]] = {
    "booking.confirmed": frozenset({BookingState.BOOKED}),
    "booking.changed": frozenset({BookingState.BOOKED}),
    "booking.requested": frozenset({BookingState.REQUESTED}),
    "waitlist.offered": frozenset({BookingState.HELD}),
    "waitlist.lapsed": frozenset({BookingState.EXPIRED}),
    "booking.reminder_day": frozenset({BookingState.BOOKED}),
    "booking.reminder_hour": frozenset({BookingState.BOOKED}),
}


def _is_overtaken(message: OutboxMessage, booking: Booking, now: datetime) -> bool:
    states = _TRUE_WHILE.get(message.topic)
    if states is not None and booking.state not in states:
        return True
    told = message.payload.get("starts_at")
    if message.topic.startswith("booking.reminder"):
        return told != booking.starts_at.isoformat() or now >= booking.starts_at
    return False


def told_times(moment: datetime, prison_zone: ZoneInfo, contact: Contact) -> str:
    """The prison's wall-clock time, and the reader's own besides where it is another."""
    there = moment.astimezone(prison_zone)
    told = f"{there:%Y-%m-%d %H:%M} ({prison_zone.key})"
    if contact.timezone is not None:
        own = moment.astimezone(ZoneInfo(contact.timezone))
        if own.utcoffset() != there.utcoffset():
            told += f" / {own:%Y-%m-%d %H:%M} ({contact.timezone})"
    return told
