"""One call's live membership: the machine decides, the room carries it out in media, channels and legs.

Privilege is in the type. `Room` and `PrivilegedRoom` know participants and nobody else; only `OrdinaryRoom`
(monitored_room.py) can take an officer or a recorder.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog

from signaling.call_machine import CallMachine
from signaling.calls import IN_PROGRESS, Actor, CallEvent, EventType, Phase
from signaling.capabilities import CallCharter, JoinTicket
from signaling.errors import (
    LobbyClosed,
    ParticipantRemoved,
    SignalingError,
    TicketError,
    UnknownSession,
    WrongState,
)
from signaling.ids import PrivilegedCallId
from signaling.media.leg import Kind, TrackInfo
from signaling.media.listener import Direction, LineState, PeerLost
from signaling.media.rooms import PrivilegedMediaRoom
from signaling.media.router import MediaRoom
from signaling.media.session import Answer, PatchAnswer, SlotInfo
from signaling.messages import (
    Draining,
    Held,
    Line,
    Quality,
    Removed,
    Replaced,
    Report,
    ServerMessage,
    Slots,
    SlotView,
    Speaker,
    Talking,
    View,
)
from signaling.room_context import RoomContext
from signaling.seats import CALL_OVER_CODE, NODE_STOPS_CODE, REMOVED_CODE, REPLACED_CODE, Channel, Seat, Seats
from signaling.snapshot import RoomSnapshot
from signaling.tickets import Verified
from signaling.views import participant_message, participants_message, room_snapshot, welcome_message

log = structlog.get_logger(__name__)

_CLOSED_BY_CLIENT = frozenset({PeerLost.CLOSED, PeerLost.DTLS_CLOSED})


class Room:
    """What ordinary and privileged rooms have in common. All methods are called on the event loop's thread.

    The gate of `media`, the call's media room, is open while the call is LIVE and at no other time. `history` are the
    events of the call's earlier life on a node that is gone.
    """

    def __init__(
        self, charter: CallCharter, media: MediaRoom, context: RoomContext, history: Sequence[CallEvent] = ()
    ) -> None:
        self.charter = charter
        self.machine = CallMachine(charter, rules=context.rules, history=history)
        self.over = asyncio.Event()
        """Set when the call has its outcome, everything is sealed and every connection is closed."""
        self._media = media
        self._clock = context.clock
        self._publish_event = context.publish_event
        self._seats = Seats()
        self._undelivered: deque[CallEvent] = deque()
        self._unclaimed: dict[str, Sequence[SlotInfo]] = {}  # by session: slots told before its owner was known
        self._delivering = False
        self._speaker: str | None = None
        self._finishing = False
        self._frozen = self._lost = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = log.bind(call_id=str(charter.call_id))
        media.listener = self

    @property
    def phase(self) -> Phase:
        """The call's phase."""
        return self.machine.state.phase

    def freeze(self, frozen: bool) -> None:
        """Keep the gate shut, whatever the phase, as long as it is not known whether the call is this node's yet."""
        self._frozen = frozen
        self._set_gate()

    def abandon(self) -> None:
        """The call is another node's: forward nothing, record nothing, say nothing of it to the house any more.

        The clients' channels are closed with "come back"; whoever opened the media room closes it.
        """
        self._lost = self._finishing = True
        self._set_gate()
        self._close_channels(NODE_STOPS_CODE, "call moved")
        self.over.set()

    def open(self) -> None:
        """Begin, or go on with the history's call. WrongState when that is over."""
        events = self.machine.open(self._clock())
        for participant_id, kind in self.machine.state.muted:
            self._media.set_muted(participant_id, kind, True)
        for participant_id in self.machine.state.held_people:
            self._media.set_held(participant_id, True)
        self._commit(events)
        if self.phase is Phase.ENDING:
            self._finish_soon()

    def tick(self) -> None:
        """See what time has brought about; called a few times a second."""
        self._commit(self.machine.tick(self._clock()))

    # --- participants ------------------------------------------------------------------------------------------

    async def publish(self, ticket: Verified[JoinTicket], offer: str) -> Answer:
        """Answer a participant's offer. WrongState before the lobby opens and after the end; media's errors."""
        seat = self._take_seat(ticket)
        answer = await self._media.publish(ticket.body.participant_id, ticket.body.side, offer)
        if not self.machine.is_open:
            await self._media.close_session(answer.session_id)
            raise WrongState("the call is over")
        if ticket.body.participant_id in self.machine.state.removed:
            await self._media.close_session(answer.session_id)
            raise ParticipantRemoved("an officer has taken this person out of the call")
        seat.session_id = answer.session_id
        self._claimed(answer.session_id)
        return answer

    async def patch_session(self, owner: str, session_id: str, etag: str | None, fragment: str) -> PatchAnswer:
        """Trickle or ICE restart on a session of `owner` (participant or officer). UnknownSession if it is not his."""
        self._require_owner(owner, session_id)
        return await self._media.patch(session_id, etag, fragment)

    async def close_session(self, owner: str, session_id: str) -> None:
        """End a session of `owner`. UnknownSession if it is not his."""
        self._require_owner(owner, session_id)
        await self._media.close_session(session_id)

    def attach_channel(self, ticket: Verified[JoinTicket], channel: Channel) -> None:
        """A participant's control channel. An older one of the same person is told and closed."""
        seat = self._take_seat(ticket)
        older, seat.channel = seat.channel, channel
        participant_id = ticket.body.participant_id
        if older is not None:
            older.send(Replaced())
            older.close(REPLACED_CODE, "replaced")
        slots = self._slots(seat.session_id)
        channel.send(
            welcome_message(
                self.machine,
                self._seats,
                self._clock(),
                participant_id=participant_id,
                slots=slots,
                speaker=self._speaker,
            )
        )
        words = self.machine.state.held_people.get(participant_id)
        if words is not None:
            channel.send(Held(participant_id=participant_id, held=True, words=words))
        if older is not None:
            self._commit(self.machine.replaced(self._clock(), participant_id, "channel"))

    def detach_channel(self, channel: Channel, cause: str) -> None:
        """The channel is gone. Nothing happens if it had been replaced."""
        seat = self._seats.of_channel(channel)
        if seat is not None:
            seat.channel = None
            self._commit(self.machine.left(self._clock(), seat.ticket.participant_id, cause))

    def report(self, channel: Channel, report: Report) -> None:
        """What a participant's client says of its devices (told to the others), of its network (for officers), or of
        how large it shows whom (for the relay)."""
        seat = self._seats.of_channel(channel)
        if seat is None:
            return
        if isinstance(report, Quality):
            seat.quality = report
        elif isinstance(report, View):
            self._view(seat.session_id, report)
        elif seat.device != report:
            seat.device = report
            self._tell_everybody(participants_message(self.machine, self._seats))

    # --- interventions -----------------------------------------------------------------------------------------

    def hold(self, actor: Actor, reason: str, words: str = "") -> None:
        """Pause the call; see `CallMachine.hold`."""
        self._commit(self.machine.hold(self._clock(), actor, reason, words))

    def resume(self, actor: Actor, reason: str) -> None:
        """Lift an officer's hold; see `CallMachine.resume`."""
        self._commit(self.machine.resume(self._clock(), actor, reason))

    def mute(self, participant_id: str, kind: Kind, muted: bool, actor: Actor, reason: str) -> None:
        """Mute or unmute a participant in the relay; see `CallMachine.mute`."""
        events = self.machine.mute(self._clock(), participant_id, kind, muted, actor, reason)
        self._media.set_muted(participant_id, kind, muted)
        self._commit(events)

    def hold_participant(self, participant_id: str, actor: Actor, reason: str, words: str = "") -> None:
        """Pause one participant in the relay; see `CallMachine.hold_participant`."""
        events = self.machine.hold_participant(self._clock(), participant_id, actor, reason, words)
        self._media.set_held(participant_id, True)
        self._commit(events)

    def resume_participant(self, participant_id: str, actor: Actor, reason: str) -> None:
        """Lift the pause of one participant; see `CallMachine.resume_participant`."""
        events = self.machine.resume_participant(self._clock(), participant_id, actor, reason)
        self._media.set_held(participant_id, False)
        self._commit(events)

    def remove_participant(self, participant_id: str, actor: Actor, reason: str, words: str) -> None:
        """Take one participant out for good; see `CallMachine.remove_participant`. Nothing of him flows from now on."""
        events = self.machine.remove_participant(self._clock(), participant_id, actor, reason, words)
        self._media.set_held(participant_id, True)
        seat = self._seats.give_up(participant_id)
        if seat is not None:
            if seat.channel is not None:
                seat.channel.send(Removed(words=words))
                seat.channel.close(REMOVED_CODE, "removed")
            for session_id in seat.sessions:
                self._start(self._close_quietly(session_id))
        self._commit(events)

    def revoke(self, officer_id: str) -> None:
        """An officer's right is withdrawn; here is none."""

    def terminate(self, actor: Actor, reason: str, words: str) -> None:
        """A person ends the call; see `CallMachine.terminate`."""
        self._commit(self.machine.terminate(self._clock(), actor, reason, words))

    def cancel(self, cause: str) -> None:
        """The booking is gone before the call began; see `CallMachine.cancel`."""
        self._commit(self.machine.cancel(self._clock(), cause))

    def withdraw(self, actor: Actor, words: str) -> None:
        """A person took back a right on which the call rests; see `CallMachine.withdraw`."""
        self._commit(self.machine.withdraw(self._clock(), actor, words))

    def question(self, words: str) -> None:
        """Pause the call until an officer has looked at it; see `CallMachine.question`."""
        self._commit(self.machine.question(self._clock(), words))

    def bookmark(self, actor: Actor, note: str) -> None:
        """Mark this moment; see `CallMachine.bookmark`."""
        self._commit(self.machine.bookmark(self._clock(), actor, note))

    def say(self, actor: Actor, text: str) -> None:
        """Write to the participants; see `CallMachine.say`."""
        self._commit(self.machine.say(self._clock(), actor, text))

    def drain(self, seconds: float) -> None:
        """Tell everybody that the node stops in so many seconds at the latest."""
        self._tell_everybody(Draining(seconds=seconds))

    @property
    def under_way(self) -> bool:
        """Whether people would be interrupted if the room were suspended now."""
        return self.phase in IN_PROGRESS or self.phase is Phase.ENDING

    async def suspend(self) -> None:
        """Let go of the call without ending it: its node stops, another will open it again with its history."""
        self._finishing = True
        self._media.set_gate(False)
        for session_id in self._sessions():
            await self._close_quietly(session_id)
        await self._seal()
        self._close_channels(NODE_STOPS_CODE, "node stops")

    def fail(self, cause: str) -> None:
        """The machinery cannot carry the call on; nothing happens if it is over."""
        if self.machine.is_open:
            self._commit(self.machine.fail(self._clock(), cause))

    # --- what media says (MediaRoomListener) -------------------------------------------------------------------

    def peer_connected(self, participant_id: str, session_id: str) -> None:
        """A session's media is with the relay."""
        seat = self._seats.get(participant_id)
        if seat is not None and session_id == seat.session_id:
            seat.live_session = session_id
            self._commit(self.machine.connected(self._clock(), participant_id))

    def peer_lost(self, participant_id: str, session_id: str, why: PeerLost) -> None:
        """A session is over. A session that had been replaced by a connected one takes nobody away."""
        self._unclaimed.pop(session_id, None)
        seat = self._seats.get(participant_id)
        if seat is None:
            return
        if seat.session_id == session_id:
            seat.session_id = None
        if seat.live_session == session_id:
            seat.live_session = None
            cause = "hung_up" if why in _CLOSED_BY_CLIENT else why.value
            self._commit(self.machine.disconnected(self._clock(), participant_id, cause))
        if seat.session_id is None and seat.channel is None:
            self._commit(self.machine.left(self._clock(), participant_id, why.value))

    def track_started(self, track: TrackInfo) -> None:
        """Nothing to do: slots say what is shown."""

    def track_ended(self, track: TrackInfo) -> None:
        """Nothing to do: slots say what is shown."""

    def talking(self, participant_id: str, level: int) -> None:
        """Somebody speaks or has stopped."""
        self._tell_everybody(Talking(participant_id=participant_id, level=level))

    def speaker(self, participant_id: str | None) -> None:
        """Somebody else is the speaker now."""
        self._speaker = participant_id
        self._tell_everybody(Speaker(participant_id=participant_id))

    def line_changed(self, participant_id: str, direction: Direction, state: LineState) -> None:
        """A participant's line has become too poor for pictures, or is good again: everybody is told why."""
        self._tell_everybody(Line(participant_id=participant_id, direction=direction, line=state))

    def slots_changed(self, session_id: str, slots: Sequence[SlotInfo]) -> None:
        """Another participant is in a slot of a session now: its owner is told."""
        seat = self._seats.of_session(session_id)
        if seat is None:
            self._unclaimed[session_id] = slots
        elif seat.channel is not None:
            seat.channel.send(Slots(slots=tuple(self._seats.slot_view(slot) for slot in slots)))

    def _claimed(self, session_id: str) -> None:
        """Whose session it is is known now: tell him what changed in its slots while his offer was being answered."""
        if (slots := self._unclaimed.pop(session_id, None)) is not None:
            self.slots_changed(session_id, slots)

    # --- views -------------------------------------------------------------------------------------------------

    def snapshot(self, node_id: str) -> RoomSnapshot:
        """The room at this moment."""
        return room_snapshot(node_id, self.machine, self._seats, self._media.counters(), self._clock())

    # --- carrying out ------------------------------------------------------------------------------------------

    def _take_seat(self, ticket: Verified[JoinTicket]) -> Seat:
        body = ticket.body
        if body.call_id != self.charter.call_id:
            raise TicketError("the ticket is for another call", code="wrong_call")
        if self.phase is Phase.SCHEDULED:
            raise LobbyClosed("the waiting room is not open yet")
        events = self.machine.joined(self._clock(), body.participant_id, body.side, body.identity_check_id)
        seat = self._seats.take(body)
        self._commit(events)
        return seat

    def _slots(self, session_id: str | None) -> list[SlotView]:
        if session_id is None:
            return []
        try:
            return [self._seats.slot_view(slot) for slot in self._media.slots(session_id)]
        except UnknownSession:
            return []

    def _view(self, session_id: str | None, view: View) -> None:
        if session_id is None:
            return
        try:
            self._media.set_view(session_id, view.slots)
        except UnknownSession:
            self._log.debug("a view of a session that is gone")

    def _require_owner(self, owner: str, session_id: str) -> None:
        if self._owner_of(session_id) != owner:
            raise UnknownSession("no such session")

    def _owner_of(self, session_id: str) -> str | None:
        seat = self._seats.of_session(session_id)
        return None if seat is None else seat.ticket.participant_id

    def _commit(self, events: Sequence[CallEvent]) -> None:
        """Carry out events that the machine has recorded, in their order, even when one of them brings about another.

        The gate closes before anybody is told, and opens after everybody was.
        """
        if not events or self._lost:
            return
        if self.phase is not Phase.LIVE:
            self._media.set_gate(False)
        self._undelivered.extend(events)
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._undelivered:
                self._deliver(self._undelivered.popleft())
        finally:
            self._delivering = False
        self._set_gate()

    def _set_gate(self) -> None:
        # While the room is let go of, its phase still says LIVE: it may be, at the next node.
        passes = self.phase is Phase.LIVE and not (self._frozen or self._lost or self._finishing)
        self._media.set_gate(passes)

    def _deliver(self, event: CallEvent) -> None:
        self._log.info("call event", sequence=event.sequence, type=event.type.value, cause=event.cause)
        self._publish_event(event)
        message = participant_message(event, self.machine, self._seats, self._clock())
        if message is not None:
            self._tell_participants(message)
        if event.type in (EventType.PARTICIPANT_HELD, EventType.PARTICIPANT_RESUMED):
            self._tell_the_held(event)
        if event.type is EventType.ENDING:
            self._finish_soon()

    def _tell_participants(self, message: ServerMessage) -> None:
        for seat in self._seats:
            if seat.channel is not None:
                seat.channel.send(message)

    def _tell_the_held(self, event: CallEvent) -> None:
        participant_id = str(event.data["participant_id"])
        seat = self._seats.get(participant_id)
        if seat is not None and seat.channel is not None:
            held = event.type is EventType.PARTICIPANT_HELD
            words = str(event.data.get("words", ""))
            seat.channel.send(Held(participant_id=participant_id, held=held, words=words))

    def _tell_everybody(self, message: ServerMessage) -> None:
        self._tell_participants(message)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- the end -----------------------------------------------------------------------------------------------

    def _finish_soon(self) -> None:
        if not self._finishing:
            self._finishing = True
            self._start(self._finish())

    async def _finish(self) -> None:
        for session_id in self._sessions():
            await self._close_quietly(session_id)
        await self._seal()
        self._commit(self.machine.finish(self._clock()))
        self._close_channels(CALL_OVER_CODE, "call over")
        self.over.set()

    def _sessions(self) -> list[str]:
        return [name for seat in self._seats for name in seat.sessions]

    async def _close_quietly(self, session_id: str) -> None:
        try:
            await self._media.close_session(session_id)
        except SignalingError as error:
            self._log.debug("session was gone already", code=error.code)

    async def _seal(self) -> None:
        """A room without a recorder has nothing to seal."""

    def _close_channels(self, code: int, reason: str) -> None:
        for seat in self._seats:
            if seat.channel is not None:
                seat.channel.close(code, reason)
                seat.channel = None


class PrivilegedRoom(Room):
    """A legal, consular or inspection call. It has no method that could take an officer or a recorder."""

    def __init__(
        self, charter: CallCharter, media: PrivilegedMediaRoom, context: RoomContext, history: Sequence[CallEvent] = ()
    ) -> None:
        if not isinstance(charter.call_id, PrivilegedCallId):
            raise TypeError("a privileged room is for a privileged call")
        super().__init__(charter, media, context, history)
