"""What the pages of families and terminals show of a booking and of a relationship: words, and what can be done now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from visitserver.domain.calls import Call, CallPhase
from visitserver.domain.people import Prison, Prisoner
from visitserver.domain.rejections import words_of
from visitserver.domain.rights import PrisonerAnswer, Relationship, RelationshipState
from visitserver.domain.scheduling import Booking, BookingState, SupervisionLevel

Translate = Callable[[str], str]

LOBBY: Final = timedelta(minutes=15)
"""How long before its start a visit's waiting room opens."""
FREE_CANCELLATION: Final = timedelta(hours=24)
"""Until so long before the start a family cancels without giving a reason."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A state as a word and a kind of look: '' | good | warn | bad | note."""

    word: str
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitView:
    """A booking for a page. `person` is the one at the other end; times are UTC, `zone` is the prison's."""

    id: str
    person: str
    prison: str
    zone: str
    starts_at: datetime
    ends_at: datetime
    state: Chip
    words: str
    privileged: bool
    recorded: bool
    watched: bool
    booked: bool
    coming: bool
    lobby_open: bool
    can_cancel: bool
    late: bool
    review: bool
    acknowledged: bool = False
    others: tuple[str, ...] = ()
    can_decline: bool = False
    can_change: bool = False
    in_the_way: bool = False
    soon: bool = False
    told: tuple[str, ...] = ()


def visit_view(
    booking: Booking,
    prison: Prison,
    person: str,
    now: datetime,
    _: Translate,
    *,
    recorded: bool,
    for_terminal: bool = False,
    guest: bool = False,
    others: tuple[str, ...] = (),
    in_the_way: bool = False,
    told: tuple[str, ...] = (),
) -> VisitView:
    """The view of `booking` at `now`. `recorded`: see services/visits.py. `for_terminal`: in words to the prisoner.

    `guest`: for a caller who has not booked it; `others` are the names of the other callers; `in_the_way`: something
    at the prison may move it; `told`: see told_why.
    """
    chip, words = _booking_state(booking.state, _, for_terminal=for_terminal)
    coming = now < booking.ends_at
    booked = booking.state is BookingState.BOOKED and coming
    ahead = booking.state in (BookingState.BOOKED, BookingState.REQUESTED) and now < booking.starts_at
    return VisitView(
        id=booking.id,
        person=person,
        prison=prison.name,
        zone=prison.timezone,
        starts_at=booking.starts_at,
        ends_at=booking.ends_at,
        state=chip,
        words=words,
        privileged=booking.privileged,
        recorded=recorded and not booking.privileged,
        watched=booking.supervision is SupervisionLevel.LIVE,
        booked=booked,
        coming=coming and booking.open,
        lobby_open=booked and booking.starts_at - LOBBY <= now,
        can_cancel=ahead and not guest,
        can_decline=ahead and guest,
        can_change=ahead and not guest and booking.starts_at - LOBBY > now,
        in_the_way=in_the_way and ahead,
        told=told,
        soon=ahead and booking.starts_at - now < FREE_CANCELLATION,
        others=others,
        late=booking.starts_at - now < FREE_CANCELLATION,
        review=booking.state is BookingState.REQUESTED,
        acknowledged=booking.acknowledged_at is not None,
    )


def told_why(booking: Booking, _: Translate, show: Callable[[Any], str]) -> tuple[str, ...]:
    """What staff want the family to know of a rejection or a cancellation, a sentence each; `show` writes days."""
    sentences = []
    if booking.state is BookingState.REJECTED and booking.rejection is not None:
        sentences.append(words_of(booking.rejection, booking.rejection_day).render(_, show))
    if booking.state in (BookingState.REJECTED, BookingState.CANCELLED) and booking.family_words:
        sentences.append(_("The prison writes: {words}").format(words=booking.family_words))
    return tuple(sentences)


def _booking_state(state: BookingState, _: Translate, *, for_terminal: bool) -> tuple[Chip, str]:
    match state:
        case BookingState.HELD:
            return Chip(_("not confirmed"), "warn"), _("Confirm it, or the time is free for others again.")
        case BookingState.REQUESTED:
            words = _("A person at the prison looks at this booking first.")
            return Chip(_("asked for"), "warn"), words if for_terminal else words + " " + _("We write to you.")
        case BookingState.BOOKED:
            return Chip(_("booked"), "good"), ""
        case BookingState.COMPLETED:
            return Chip(_("took place")), ""
        case BookingState.NO_SHOW:
            return Chip(_("did not take place")), _("Not everybody came.")
        case BookingState.FAILED:
            return Chip(_("did not work"), "bad"), _("The technology failed. The visit comes back to you by itself.")
        case BookingState.REJECTED | BookingState.AUTO_REJECTED:
            return Chip(_("not approved"), "bad"), _("The prison did not approve this visit.")
        case BookingState.CANCELLED:
            return Chip(_("cancelled"), "bad"), ""
        case BookingState.WITHDRAWN | BookingState.EXPIRED:
            return Chip(_("not booked")), _("It was not confirmed in time, or taken back.")


def ending_words(call: Call | None, booking: Booking, now: datetime, _: Translate) -> str:
    """How the visit ended, or that it has not, in a sentence for the family."""
    if booking.state in (BookingState.CANCELLED, BookingState.REJECTED, BookingState.AUTO_REJECTED):
        return _("The visit was cancelled.")
    if call is None or not call.over:
        return _("You have left the visit.") if now < booking.ends_at else _("The time of this visit is over.")
    match call.phase:
        case CallPhase.TERMINATED:
            return _("A member of staff ended the visit.")
        case CallPhase.NO_SHOW:
            return _("Not everybody came.")
        case CallPhase.FAILED:
            return _("The technology failed. The visit comes back to you by itself.")
        case _:
            return _("The visit is over. Thank you for coming.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonView:
    """A relationship for a page: `name` is the other person; `answers` (terminal) are value, label, look of buttons;
    `stops`: the answer that is left is to stop."""

    relationship_id: str
    name: str
    prison: str
    relation: str
    state: Chip
    words: str
    can_book: bool = False
    can_withdraw: bool = False
    answers: tuple[tuple[str, str, str], ...] = ()
    stops: bool = False


def person_for_family(link: Relationship, prisoner: Prisoner, prison: Prison | None, _: Translate) -> PersonView:
    """A relationship as the contact sees it. A prisoner's refusal is never told: it reads like the prison's.

    Until it is approved, the page says no more of the prisoner than the contact has typed.
    """
    possible = link.prisoner_answer is not PrisonerAnswer.REFUSED
    if link.withdrawn_at is not None:
        chip, words = Chip(_("stopped")), _("You have stopped. You may ask again below.")
    elif link.state is RelationshipState.REQUESTED:
        chip = Chip(_("asked for"), "warn")
        words = _("The prison looks at your request, most often within a week. We write to you.")
    elif link.state is RelationshipState.APPROVED and possible:
        chip, words = Chip(_("approved"), "good"), ""
    else:
        chip, words = (
            Chip(_("not possible"), "bad"),
            _("Visits are not possible now. You may write to the prison and ask why."),
        )
    approved = link.state is RelationshipState.APPROVED and possible and link.withdrawn_at is None
    return PersonView(
        relationship_id=link.id,
        name=prisoner.name if approved else f"{prisoner.family_name} ({prisoner.number})",
        prison=prison.name if approved and prison else "",
        relation=relation_word(link.relation, _),
        state=chip,
        words=words,
        can_book=approved,
        can_withdraw=link.withdrawn_at is None
        and link.state in (RelationshipState.REQUESTED, RelationshipState.APPROVED),
    )


def person_for_prisoner(link: Relationship, name: str, _: Translate) -> PersonView:
    """A relationship as the prisoner sees it, with the answers that are open to them."""
    chip, answers = _prisoner_answer(link.prisoner_answer, _)
    pending = link.state is RelationshipState.REQUESTED
    return PersonView(
        relationship_id=link.id,
        name=name,
        prison="",
        relation=relation_word(link.relation, _),
        state=chip,
        words=_("The prison has not decided yet.") if pending else "",
        answers=answers,
        stops=link.prisoner_answer is PrisonerAnswer.ACCEPTED,
    )


def _prisoner_answer(answer: PrisonerAnswer, _: Translate) -> tuple[Chip, tuple[tuple[str, str, str], ...]]:
    yes, no = _("Yes, may visit me"), _("No")
    match answer:
        case PrisonerAnswer.UNANSWERED:
            return Chip(_("waits for your answer"), "warn"), (("accept", yes, ""), ("refuse", no, "stop"))
        case PrisonerAnswer.ACCEPTED:
            return Chip(_("may visit you"), "good"), (("refuse", _("Stop"), "stop"),)
        case PrisonerAnswer.REFUSED:
            return Chip(_("may not visit you"), "bad"), (("accept", yes, "second"),)


def relations(_: Translate) -> list[tuple[str, str]]:
    """What a contact can be to a prisoner: value and word, in the order of the form."""
    return [
        ("partner", _("wife, husband or partner")),
        ("mother", _("mother")),
        ("father", _("father")),
        ("child", _("daughter or son")),
        ("sibling", _("sister or brother")),
        ("grandparent", _("grandmother or grandfather")),
        ("grandchild", _("grandchild")),
        ("relative", _("other relative")),
        ("friend", _("friend")),
        ("lawyer", _("lawyer")),
        ("consul", _("consul")),
        ("inspector", _("inspector")),
        ("official", _("other official")),
    ]


def relation_word(relation: str, _: Translate) -> str:
    """The word for a stored relation; one that an import brought stands as it is."""
    return dict(relations(_)).get(relation, relation)
