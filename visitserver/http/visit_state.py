"""The waiting room as its page's module reads it: JSON for families and terminals alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from signaling.media.leg import Side
from visitserver.domain.identity import CheckState
from visitserver.domain.scheduling import BookingState
from visitserver.http.views import LOBBY
from visitserver.services.calls import JoinPass
from visitserver.services.waiting_room import Lobby

Translate = Callable[[str], str]

_DOOR: Final = {
    CheckState.PASSED: "passed",
    CheckState.REVIEW: "review",
    CheckState.RETAKE: "retake",
    CheckState.REFUSED: "refused",
}


class Awaited(BaseModel):
    """Somebody the visit expects: you, prisoner, family, officer, door, or a name; and whether they are there."""

    who: str
    here: bool


class VisitState(BaseModel):
    """How a visit stands for whoever asks.

    `phase`: too_early, lobby, live, over or cancelled. `door`: needed, retake, review, passed or refused. `words` is a
    sentence for the person, or empty. Times are UTC; `now` is the server's, so that a wrong clock does no harm.
    """

    phase: str
    door: str
    may_enter: bool
    awaiting: list[Awaited]
    starts_at: datetime
    ends_at: datetime
    lobby_opens_at: datetime
    now: datetime
    words: str


class Ticket(BaseModel):
    """What the call page needs: a signed ticket, the two addresses it is good for, and how to reach them at need."""

    ticket: str
    call_id: str
    participant_id: str
    whip: str
    channel: str
    expires_at: datetime
    ice_servers: tuple[dict[str, Any], ...] = ()


def ticket_for(given: JoinPass) -> Ticket:
    """The ticket with the addresses on the media node that has the call."""
    return Ticket(
        ticket=given.ticket,
        call_id=given.call_id,
        participant_id=given.participant_id,
        whip=f"{given.media_url}/media/whip/{given.call_id}",
        channel=f"{given.media_url}/media/channel",
        expires_at=given.expires_at,
        ice_servers=tuple(server.as_json() for server in given.ice_servers),
    )


def visit_state(lobby: Lobby, now: datetime, _: Translate, *, side: Side, you: str = "") -> VisitState:
    """The state of `lobby` for `you`, somebody of `side`; a prisoner's check is having signed in at the terminal."""
    booking = lobby.visit.booking
    opens = lobby.call.lobby_opens_at if lobby.call is not None else booking.starts_at - LOBBY
    door = "passed" if side is Side.PRISONER else _DOOR[lobby.check.state] if lobby.check is not None else "needed"
    phase = _phase(lobby, now)
    words = ""
    if lobby.removed:
        words = _("An officer has taken you out of this visit.")
    elif door == "refused":
        words = _("An officer could not let you in. Please ask the prison.")
    elif phase == "lobby" and lobby.call is None:
        words = _("The waiting room is being opened. One moment, please.")
    return VisitState(
        phase=phase,
        door=door,
        may_enter=lobby.may_enter and door == "passed" and phase in ("lobby", "live"),
        awaiting=_awaiting(lobby, door, side, you),
        starts_at=booking.starts_at,
        ends_at=booking.ends_at,
        lobby_opens_at=opens,
        now=now,
        words=words,
    )


def _phase(lobby: Lobby, now: datetime) -> str:
    booking = lobby.visit.booking
    if lobby.removed or (lobby.call is not None and lobby.call.over):
        return "over"
    if booking.state in (BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED) or now >= booking.ends_at:
        return "over"
    if booking.state is not BookingState.BOOKED:
        return "cancelled"
    if lobby.call is None:
        return "lobby" if now >= booking.starts_at - LOBBY else "too_early"
    if now < lobby.call.lobby_opens_at:
        return "too_early"
    return "live" if now >= booking.starts_at else "lobby"


def _awaiting(lobby: Lobby, door: str, side: Side, you: str) -> list[Awaited]:
    awaiting = [Awaited(who="you", here=True)]
    callers = [contact for contact in lobby.visit.contacts if contact.id != you]
    if side is not Side.PRISONER:
        awaiting.append(Awaited(who="prisoner", here=Side.PRISONER in lobby.here))
    elif len(callers) == 1:
        awaiting.append(Awaited(who="family", here=Side.FAMILY in lobby.here))
        callers = []
    # Each comes with a device of their own; the visit begins when one of them is there.
    awaiting += [Awaited(who=contact.name, here=contact.id in lobby.people) for contact in callers]
    if lobby.officer_awaited is not None:
        awaiting.append(Awaited(who="officer", here=not lobby.officer_awaited))
    if door == "review":
        awaiting.append(Awaited(who="door", here=False))
    return awaiting
