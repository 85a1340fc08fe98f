"""The rooms of one node: opened by a charter, forgotten some minutes after their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import structlog

from signaling.calls import BrokenHistory, CallEvent
from signaling.errors import (
    CharterConflict,
    InvalidRequest,
    PrivilegedCallError,
    RecorderUnavailable,
    SignalingError,
    Unavailable,
    UnknownCall,
    WrongState,
)
from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId, parse_call_id
from signaling.media.node import MediaNode
from signaling.monitored_room import OrdinaryRoom
from signaling.recorder_leg import RecorderFactory
from signaling.room import PrivilegedRoom, Room
from signaling.room_context import RoomContext
from signaling.tickets import CallCharter, TicketVerifier

log = structlog.get_logger(__name__)

LINGER = timedelta(minutes=10)  # how long the events of a call that is over can still be asked for


class Rooms:
    """Opens, finds and forgets rooms. All methods are called on the event loop's thread."""

    def __init__(
        self,
        media: MediaNode,
        verifier: TicketVerifier,
        context: RoomContext,
        *,
        recorder_factory: RecorderFactory | None,
        on_forgotten: Callable[[CallId, int], None],
    ) -> None:
        self._media = media
        self._verifier = verifier
        self._context = context
        self._recorder_factory = recorder_factory
        self._on_forgotten = on_forgotten
        self._rooms: dict[CallId, Room] = {}
        self._past: dict[CallId, tuple[datetime, list[CallEvent]]] = {}
        self._tokens: dict[CallId, int] = {}
        self._frozen = False
        self.accepting = True
        """Whether new rooms may be opened; a draining node does not."""

    def open(self, charter_token: str, history: Sequence[CallEvent] = (), token: int = 0) -> Room:
        """The room under this charter, opened if it is not yet; `token` is that of the call's placement.

        A room of an older placement is given up first: another node had the call since. TicketError; CharterConflict if
        the call is open under another; InvalidRequest for a broken history; WrongState if that says the call is over;
        Unavailable while draining.
        """
        charter = self._verifier.charter(charter_token).body
        if charter.call_id in self._rooms and self._tokens[charter.call_id] < token:
            self.give_up(charter.call_id)
        known = self._rooms.get(charter.call_id)
        if known is not None:
            if known.charter != charter:
                raise CharterConflict("the call is open under another charter")
            return known
        if charter.call_id in self._past:
            raise WrongState("the call is over")
        if not self.accepting:
            raise Unavailable("this node takes no new calls")
        call_id = parse_call_id(charter.call_id)
        if any(event.call_id != call_id for event in history):
            raise InvalidRequest("the history is another call's")
        self._tokens[call_id] = token
        try:
            room = self._make(charter, history)
            room.freeze(self._frozen)
            room.open()
        except BrokenHistory as error:
            self._forget_unopened(call_id)
            raise InvalidRequest("the history is not a call's events") from error
        except SignalingError:
            self._forget_unopened(call_id)
            raise
        self._rooms[call_id] = room
        return room

    def _forget_unopened(self, call_id: CallId) -> None:
        self._media.close_room(call_id)
        del self._tokens[call_id]

    def give_up(self, call_id: CallId) -> None:
        """The call is another node's now, or over: nothing of it goes on here. Nothing happens if it is not known."""
        room = self._rooms.pop(call_id, None)
        if room is not None:
            log.warning("call given up: it is another node's", call_id=str(call_id))
            room.abandon()
            self._media.close_room(call_id)
        self._past.pop(call_id, None)
        self._tokens.pop(call_id, None)

    def freeze(self, frozen: bool) -> None:
        """Keep every gate shut and every clock still while it is not known whether the calls are this node's yet."""
        self._frozen = frozen
        for room in self:
            room.freeze(frozen)

    def token_of(self, call_id: CallId) -> int | None:
        """The token under which this node has the call; None if it does not have it."""
        return self._tokens.get(call_id)

    def held_calls(self) -> dict[CallId, int]:
        """`known_calls` with their tokens."""
        return {call_id: self._tokens[call_id] for call_id in self.known_calls()}

    def _make(self, charter: CallCharter, history: Sequence[CallEvent]) -> Room:
        call_id = parse_call_id(charter.call_id)
        if isinstance(call_id, PrivilegedCallId):
            return PrivilegedRoom(charter, self._media.open_room(call_id), self._context, history)
        return OrdinaryRoom(charter, self._media.open_room(call_id), self._context, history)

    def get(self, call_id: CallId) -> Room:
        """The open room. UnknownCall."""
        room = self._rooms.get(call_id)
        if room is None:
            raise UnknownCall("no room is open for this call")
        return room

    def ordinary(self, call_id: CallId) -> OrdinaryRoom:
        """The open room of an ordinary call. PrivilegedCallError for any other call, open or not; UnknownCall."""
        if not isinstance(parse_call_id(call_id), OrdinaryCallId):
            raise PrivilegedCallError()
        room = self.get(call_id)
        if not isinstance(room, OrdinaryRoom):
            raise PrivilegedCallError()
        return room

    def of_session(self, session_id: str) -> Room:
        """The room in which a media session lives. UnknownCall when there is none."""
        media = self._media.room_of_session(session_id)
        if media is None:
            raise UnknownCall("no such session")
        return self.get(media.call_id)

    async def attach_recorder(self, warrant_token: str) -> OrdinaryRoom:
        """Let a recorder into the room that the warrant names; see `OrdinaryRoom.record`. RecorderUnavailable."""
        warrant = self._verifier.recording(warrant_token)
        room = self.ordinary(warrant.body.call_id)
        if self._recorder_factory is None:
            raise RecorderUnavailable("this node has no recorder")
        try:
            await room.record(warrant, self._recorder_factory)
        except SignalingError:
            raise
        except Exception as error:
            log.exception("recorder not started", call_id=str(room.charter.call_id))
            raise RecorderUnavailable("the recorder could not be started") from error
        return room

    def events(self, call_id: CallId) -> Sequence[CallEvent]:
        """The call's events, while it is open and `LINGER` longer. UnknownCall after that."""
        room = self._rooms.get(call_id)
        if room is not None:
            return tuple(room.machine.events)
        past = self._past.get(call_id)
        if past is None:
            raise UnknownCall("no room is open for this call")
        return past[1]

    def known_calls(self) -> list[CallId]:
        """The calls that can be asked for here: open, or over for less than `LINGER`."""
        return [*self._rooms, *self._past]

    def tick(self) -> None:
        """Let time pass in every room, and forget those that are over."""
        if self._frozen:
            return
        for call_id, room in tuple(self._rooms.items()):
            try:
                room.tick()
            except Exception:
                # One broken room must not stop the clocks of the others.
                log.exception("room failed at a tick", call_id=str(call_id))
            if room.over.is_set():
                self._forget(call_id, room)
        now = self._context.clock()
        for call_id, (ended, _) in tuple(self._past.items()):
            if now - ended >= LINGER:
                del self._past[call_id]
                self._on_forgotten(call_id, self._tokens.pop(call_id))

    def _forget(self, call_id: CallId, room: Room) -> None:
        del self._rooms[call_id]
        self._past[call_id] = (self._context.clock(), room.machine.events)
        self._media.close_room(call_id)

    def __iter__(self) -> Iterator[Room]:
        return iter(tuple(self._rooms.values()))

    def __len__(self) -> int:
        return len(self._rooms)
