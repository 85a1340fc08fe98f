"""One officer's wall on this node: which calls it watches, in which order it shows them, to whom the officer speaks.

A wall is a media session over several calls (media/wall.py) and one control channel. A watch on a wall is what a watch
of one call is: begun under a warrant, an event of its call, over when its warrant is. What is watched is shown: a wall
watches no more calls than it has slots for, and `show` says only which come first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from signaling.errors import SignalingError, TicketError, UnknownCall, WrongState
from signaling.ids import OrdinaryCallId
from signaling.media.leg import Kind
from signaling.media.listener import PeerLost
from signaling.media.session import WallSlot
from signaling.media.wall import SIDES_FIRST, MediaWall
from signaling.messages import ServerMessage
from signaling.monitored_room import WARRANT_EXPIRED_CODE, OrdinaryRoom
from signaling.rooms import Rooms
from signaling.seats import CALL_OVER_CODE, NODE_STOPS_CODE, REPLACED_CODE, Channel
from signaling.tickets import Clock, MonitorWarrant, TicketVerifier, Verified
from signaling.wall_messages import (
    Hush,
    OfCall,
    Refused,
    Show,
    Speech,
    Talk,
    Unwatch,
    Unwatched,
    WallRequest,
    WallSlots,
    WallSlotView,
    WallWelcome,
    Watch,
)

WALL_OVER_CODE = 4005  # WebSocket close code of this protocol: the wall's media session is over

_WHY_CLOSED = {CALL_OVER_CODE: "call_over", NODE_STOPS_CODE: "node_stops", WARRANT_EXPIRED_CODE: "expired"}

log = structlog.get_logger(__name__)


class WallFull(WrongState):
    """The wall has no slots for one more call."""

    code = "wall_full"


class CallLine:
    """A call's own channel to an officer (a `seats.Channel`), inside the wall's."""

    def __init__(
        self,
        call_id: OrdinaryCallId,
        send: Callable[[ServerMessage], None],
        closed: Callable[[OrdinaryCallId, str], None],
    ) -> None:
        self._call_id = call_id
        self._send = send
        self._closed = closed

    def send(self, message: ServerMessage) -> None:
        """Pass a message on, with the call it is about."""
        self._send(OfCall(call_id=str(self._call_id), message=message.model_dump(mode="json")))

    def close(self, code: int, reason: str) -> None:
        """The call has nothing more to say here: it is over, or another node's."""
        self._closed(self._call_id, _WHY_CLOSED.get(code, "closed"))


class Wall:
    """A wall. Made for an answered session; ends with it."""

    def __init__(self, officer_id: str, media: MediaWall, rooms: Rooms, verifier: TicketVerifier, clock: Clock) -> None:
        self.officer_id = officer_id
        self.media = media
        self.empty_since: datetime | None = clock()
        """Since when nothing is watched; None while something is."""
        self._rooms = rooms
        self._verifier = verifier
        self._clock = clock
        self._channel: Channel | None = None
        self._watched: dict[OrdinaryCallId, tuple[OrdinaryRoom, CallLine]] = {}
        self._tiles: tuple[str, ...] = ()
        self._focus: str | None = None
        self._spoken_to: OrdinaryCallId | None = None
        media.listener = self

    @property
    def session_id(self) -> str:
        """The media session's identifier."""
        return self.media.session_id

    @property
    def most(self) -> int:
        """Calls that there are slots for, two sides each."""
        return sum(one.slot.kind is Kind.VIDEO for one in self.media.slots()) // SIDES_FIRST

    # --- the channel -------------------------------------------------------------------------------------------

    def attach_channel(self, channel: Channel) -> None:
        """The officer's channel; an older one is closed. Every watched call says what is so."""
        self._hush("channel_lost")
        older, self._channel = self._channel, channel
        if older is not None:
            older.close(REPLACED_CODE, "replaced")
        channel.send(
            WallWelcome(
                session_id=self.session_id,
                calls=tuple(str(call_id) for call_id in self._watched),
                slots=self._views(self.media.slots()),
                most=self.most,
                server_time=self._clock(),
            )
        )
        for room, line in self._watched.values():
            room.greet_wall(self, line)

    def detach_channel(self, channel: Channel) -> None:
        """The channel is gone. The watches go on, but nobody speaks whom nobody could stop."""
        if self._channel is channel:
            self._channel = None
            self._hush("channel_lost")

    def ask(self, request: WallRequest) -> None:
        """Carry a request out, or say why not."""
        try:
            match request:
                case Watch():
                    for token in request.warrants:
                        self._watch_under(request, token)
                case Unwatch():
                    self._unwatch(request.call_id)
                case Show():
                    self._tiles, self._focus = request.tiles, request.focus
                    self._arrange()
                case Talk():
                    self._talk(request.warrant)
                case Hush():
                    self._hush("officer")
        except SignalingError as error:
            self._refuse(request, error)

    def _watch_under(self, request: Watch, token: str) -> None:
        """One warrant of several: a bad one is refused, and the others count all the same."""
        try:
            self.watch(self._verifier.monitor(token))
        except SignalingError as error:
            self._refuse(request, error)

    def _refuse(self, request: WallRequest, error: SignalingError) -> None:
        self._send(Refused(request=request.type, code=error.code, detail=error.detail))

    # --- watching ----------------------------------------------------------------------------------------------

    def watch(self, warrant: Verified[MonitorWarrant]) -> None:
        """Watch every call that the warrant names; whoever is watched already is so for as long as it says.

        TicketError for another officer's warrant. A call that cannot be watched here is told as `unwatched`.
        """
        if warrant.body.officer_id != self.officer_id:
            raise TicketError("the warrant is another officer's", code="wrong_officer")
        for call_id in warrant.body.call_ids:
            try:
                self._watch(call_id, warrant)
            except SignalingError as error:
                self._send(Unwatched(call_id=str(call_id), code=error.code, detail=error.detail))
        self._arrange()

    def _watch(self, call_id: OrdinaryCallId, warrant: Verified[MonitorWarrant]) -> None:
        room = self._rooms.ordinary(call_id)
        if call_id in self._watched:
            room.renew_wall(self, warrant)
            return
        if len(self._watched) >= self.most:
            raise WallFull("the wall has no slots for one more call")
        line = CallLine(call_id, self._send, self.watch_ended)
        room.attach_wall(warrant, self)
        self._watched[call_id] = (room, line)
        self.empty_since = None
        if self._channel is not None:
            room.greet_wall(self, line)

    def _unwatch(self, call_id: str) -> None:
        found = next((one for one in self._watched if one == call_id), None)
        if found is not None:
            self._watched[found][0].detach_wall(self, PeerLost.CLOSED)

    def watch_ended(self, call_id: OrdinaryCallId, cause: str) -> None:
        """The room has let the wall go: the call is over, the warrant has expired, or the officer asked for it."""
        found = self._watched.pop(call_id, None)
        if found is None:
            return
        room, line = found
        room.detach_channel(line, cause)
        if not self._watched:
            self.empty_since = self._clock()
        self._send(Unwatched(call_id=str(call_id), code=cause))
        self._arrange()

    # --- showing -----------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        order = {call_id: number for number, call_id in enumerate(self._tiles)}
        tiles = sorted(self._watched, key=lambda call_id: order.get(str(call_id), len(order)))
        focus = next((call_id for call_id in tiles if call_id == self._focus), None)
        self.media.show(tiles, focus)

    def _views(self, slots: Sequence[WallSlot]) -> tuple[WallSlotView, ...]:
        return tuple(self._view(one) for one in slots)

    def _view(self, one: WallSlot) -> WallSlotView:
        found = self._watched.get(one.call_id) if one.call_id is not None else None
        if found is None:
            empty = {"call_id": None, "participant_id": None, "side": None, "name": None}
            return WallSlotView(mid=one.slot.mid, kind=one.slot.kind, index=one.slot.index, **empty)
        shown = found[0].slot_view(one.slot)
        return WallSlotView(call_id=str(one.call_id), **shown.model_dump())

    # --- talking -----------------------------------------------------------------------------------------------

    def _talk(self, token: str) -> None:
        verified = self._verifier.talk(token)
        warrant = verified.body
        if warrant.officer_id != self.officer_id:
            raise TicketError("the warrant is another officer's", code="wrong_officer")
        found = self._watched.get(warrant.call_id)
        if found is None:
            raise UnknownCall("the call is not on this wall")
        self._hush("officer")
        heard, unheard = found[0].talk(self, warrant.sides)
        self._spoken_to = warrant.call_id
        self._send(
            Speech(call_id=str(warrant.call_id), talking=True, sides=warrant.sides, heard_by=heard, unheard_by=unheard)
        )

    def _hush(self, cause: str) -> None:
        found = self._watched.get(self._spoken_to) if self._spoken_to is not None else None
        if found is not None:
            found[0].hush(self, cause)

    def talk_ended(self, call_id: OrdinaryCallId, cause: str) -> None:
        """The room hears the officer no more."""
        if self._spoken_to == call_id:
            self._spoken_to = None
            self._send(Speech(call_id=str(call_id), talking=False, sides=(), cause=cause))

    # --- what media says (media.wall.WallListener) -------------------------------------------------------------

    def wall_connected(self) -> None:
        """The officer's media is with the relay: every watch begins."""
        for room, _ in tuple(self._watched.values()):
            room.peer_connected(self.officer_id, self.session_id)

    def wall_lost(self, why: PeerLost) -> None:
        """The officer's media is gone: every watch is over."""
        for room, _ in tuple(self._watched.values()):
            room.detach_wall(self, why)
        if self._channel is not None:
            self._channel.close(WALL_OVER_CODE, why.value)
            self._channel = None

    def wall_slots(self, slots: Sequence[WallSlot]) -> None:
        """Somebody else is in a slot."""
        self._send(WallSlots(slots=self._views(slots)))

    def _send(self, message: ServerMessage) -> None:
        if self._channel is not None:
            self._channel.send(message)
