"""Who sits in a room: each participant's ticket, control channel, media session and last report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from signaling.capabilities import JoinTicket
from signaling.media.session import SlotInfo
from signaling.media.slots import TALK
from signaling.messages import Device, Quality, ServerMessage, SlotView

REPLACED_CODE = 4001  # WebSocket close codes of this protocol (RFC 6455 section 7.4.2: 4000-4999 are private)
TOO_SLOW_CODE = 4002
REMOVED_CODE = 4004
CALL_OVER_CODE = 1000
NODE_STOPS_CODE = 1012  # service restart (IANA registry): come back


class Channel(Protocol):
    """One live connection to a client. Both methods return at once."""

    def send(self, message: ServerMessage) -> None:
        """Queue a message; a client too slow to take its messages is cut off, never waited for."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close after what is queued has been sent."""
        ...


@dataclass(slots=True)
class Seat:
    """A participant of the call. `session_id` is his newest media session, `live_session` the one that is connected."""

    ticket: JoinTicket
    channel: Channel | None = None
    session_id: str | None = None
    live_session: str | None = None
    device: Device | None = None
    quality: Quality | None = None

    @property
    def sessions(self) -> frozenset[str]:
        """His media sessions: one, or two while a newer one is taking the place of the one that is connected."""
        return frozenset(name for name in (self.session_id, self.live_session) if name is not None)


class Seats:
    """The participants by identifier, in the order in which they first came."""

    def __init__(self) -> None:
        self._seats: dict[str, Seat] = {}

    def take(self, ticket: JoinTicket) -> Seat:
        """The ticket holder's seat. A newer ticket of the same person takes the place of the older."""
        seat = self._seats.get(ticket.participant_id)
        if seat is None:
            seat = self._seats[ticket.participant_id] = Seat(ticket)
        seat.ticket = ticket
        return seat

    def give_up(self, participant_id: str) -> Seat | None:
        """Take the seat away from whoever has been removed; what it was."""
        return self._seats.pop(participant_id, None)

    def get(self, participant_id: str) -> Seat | None:
        """The seat, if somebody took it."""
        return self._seats.get(participant_id)

    def of_session(self, session_id: str) -> Seat | None:
        """The seat whose newest or connected media session this is."""
        for seat in self._seats.values():
            if session_id in (seat.session_id, seat.live_session):
                return seat
        return None

    def of_channel(self, channel: Channel) -> Seat | None:
        """The seat whose live control channel this is."""
        for seat in self._seats.values():
            if seat.channel is channel:
                return seat
        return None

    def slot_view(self, slot: SlotInfo) -> SlotView:
        """A slot with the name of who is in it."""
        shown = self._seats.get(slot.participant_id) if slot.participant_id is not None else None
        return SlotView(
            mid=slot.mid,
            kind=slot.kind,
            index="talk" if slot.index == TALK else slot.index,
            participant_id=slot.participant_id,
            side=shown.ticket.side if shown else None,
            name=shown.ticket.name if shown else None,
        )

    def __iter__(self) -> Iterator[Seat]:
        return iter(tuple(self._seats.values()))
