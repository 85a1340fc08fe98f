"""A room that officers may watch and that may be recorded: the only type with a way to do either."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from signaling.calls import IN_PROGRESS, Actor, ActorKind, CallEvent, EventType, Recorder
from signaling.capabilities import CallCharter, JoinTicket, MonitorWarrant, RecordingPolicy, RecordingWarrant
from signaling.errors import NotChartered, RecorderAttached, TicketError, WrongState
from signaling.ids import OrdinaryCallId
from signaling.media.leg import Side
from signaling.media.listener import PeerLost
from signaling.media.rooms import OrdinaryMediaRoom
from signaling.media.session import Answer, SlotInfo
from signaling.messages import Event, ServerMessage, Slots, SlotView, Watching
from signaling.recorder_leg import FENCED, PASSING_FAILURES, RecorderFactory, RecorderLeg
from signaling.room import Room
from signaling.room_context import RoomContext
from signaling.seats import Channel
from signaling.tickets import PrivilegedCallError, Verified
from signaling.views import participant_message, welcome_message
from signaling.watch import Talk, WallPlace, Watch, ordinary, prolong, spoken

SEAL_TIMEOUT = 30.0  # seconds; a recorder that does not seal by then has failed
WARRANT_EXPIRED_CODE = 4003


class OrdinaryRoom(Room):
    """An ordinary call's room. TypeError for any other call."""

    def __init__(
        self, charter: CallCharter, media: OrdinaryMediaRoom, context: RoomContext, history: Sequence[CallEvent] = ()
    ) -> None:
        if not isinstance(charter.call_id, OrdinaryCallId):
            raise TypeError("an ordinary room is for an ordinary call")
        super().__init__(charter, media, context, history)
        self._ordinary_media = media
        self._consent_timeout = context.consent_timeout
        self._watches: dict[str, Watch] = {}
        self._observers: dict[Channel, Watch] = {}
        self._recorder: RecorderLeg | None = None
        self._recorder_coming = False
        self._fenced = False
        self._doubt = context.doubt
        self._sealing: set[asyncio.Task[None]] = set()
        self._watched = False
        self._talk: Talk | None = None

    # --- officers ----------------------------------------------------------------------------------------------

    async def add_monitor(self, warrant: Verified[MonitorWarrant], offer: str) -> Answer:
        """Answer an officer's receive-only offer. Participants can observe nothing of it."""
        watch = self._watch(warrant)
        answer = await self._ordinary_media.subscribe(watch.officer_id, offer)
        if not self.machine.is_open:
            await self._media.close_session(answer.session_id)
            raise WrongState("the call is over")
        self._watches[answer.session_id] = watch
        self._claimed(answer.session_id)
        return answer

    def attach_observer(self, warrant: Verified[MonitorWarrant], channel: Channel) -> None:
        """An officer's control channel: he hears every event. It is not a watch: no picture goes over it.

        A fresh warrant shown here is good for the watches that he has already: they go on without a break.
        """
        watch = self._watch(warrant)
        self._observers[channel] = watch
        prolong(self._watches, watch)
        prolong(self._observers, watch)  # an officer's wall has a line of its own
        session_id = next((name for name, other in self._watches.items() if other.officer_id == watch.officer_id), None)
        channel.send(
            welcome_message(
                self.machine, self._seats, self._clock(), participant_id=None, slots=self._slots(session_id)
            )
        )

    # --- walls: officers who watch several calls in one session ------------------------------------------------

    def attach_wall(self, warrant: Verified[MonitorWarrant], wall: WallPlace) -> None:
        """Let a wall show the call. It is watched from when the wall is connected. Errors of `add_monitor`."""
        watch = replace(self._watch(warrant), wall=wall)
        wall.media.watch(self._ordinary_media)
        self._watches[wall.session_id] = watch
        if wall.media.connected:
            self.peer_connected(watch.officer_id, wall.session_id)

    def renew_wall(self, wall: WallPlace, warrant: Verified[MonitorWarrant]) -> None:
        """Let a wall's watch go on for as long as a fresh warrant says. WrongState when it is over."""
        fresh, watch = self._watch(warrant), self._watches.get(wall.session_id)
        if watch is None:
            raise WrongState("the call is not watched")
        expires_at = max(watch.expires_at, fresh.expires_at)
        self._watches[wall.session_id] = replace(watch, expires_at=expires_at, may_talk=fresh.may_talk)
        prolong(self._observers, self._watches[wall.session_id])

    def detach_wall(self, wall: WallPlace, why: PeerLost, cause: str = "") -> None:
        """A wall shows the call no more; nothing happens if it does not."""
        if wall.session_id not in self._watches:
            return
        self.hush(wall, cause or why.value)
        call_id = ordinary(self.charter)
        wall.media.unwatch(call_id)
        self.peer_lost(self._watches[wall.session_id].officer_id, wall.session_id, why)
        wall.watch_ended(call_id, cause or why.value)

    def greet_wall(self, wall: WallPlace, line: Channel) -> None:
        """Say on a wall's line what is so, and from now on what happens."""
        if (watch := self._watches.get(wall.session_id)) is None:
            return
        self._observers[line] = watch
        line.send(welcome_message(self.machine, self._seats, self._clock(), participant_id=None, slots=()))

    def slot_view(self, slot: SlotInfo) -> SlotView:
        """A slot with the name of who is in it."""
        return self._seats.slot_view(slot)

    def talk(self, wall: WallPlace, sides: tuple[Side, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Let the wall's officer be heard by `sides` until `hush`; who hears it, and who of them cannot.

        NotChartered without a watch that allows it; WrongState in a call that is not in progress; VoiceTaken.
        """
        watch = self._watches.get(wall.session_id)
        if watch is None or not watch.may_talk:
            raise NotChartered("the officer may not talk in this call", code="may_not_talk")
        if self._frozen or self.phase not in IN_PROGRESS:
            raise WrongState(f"nobody can be spoken to in a call that is {self.phase}")
        self.hush(wall, "officer")
        heard = wall.media.speak(ordinary(self.charter), frozenset(sides))
        people = [seat.ticket.participant_id for seat in self._seats if seat.ticket.side in sides]
        unheard = tuple(one for one in people if one not in heard)
        officer = Actor(ActorKind.STAFF, watch.officer_id)
        self._talk = Talk(wall, officer, sides)
        self._commit(self.machine.talk_started(self._clock(), officer, sides, heard))
        return heard, unheard

    def hush(self, wall: WallPlace, cause: str) -> None:
        """The wall's officer is not heard any more; nothing happens if he is not."""
        if (talk := self._talk) is None or talk.wall is not wall:
            return
        self._talk = None
        wall.media.hush()
        self._tell_spoken_to(talk, False)
        self._commit(self.machine.talk_stopped(self._clock(), talk.officer, talk.sides, cause))
        wall.talk_ended(ordinary(self.charter), cause)

    def attach_channel(self, ticket: Verified[JoinTicket], channel: Channel) -> None:
        """See `Room.attach_channel`; somebody who comes back while an officer speaks to them is told."""
        super().attach_channel(ticket, channel)
        if self._talk is not None and ticket.body.side in self._talk.sides:
            channel.send(spoken(self._talk, True))

    def _tell_spoken_to(self, talk: Talk, talking: bool) -> None:
        for seat in self._seats:
            if seat.channel is not None and seat.ticket.side in talk.sides:
                seat.channel.send(spoken(talk, talking))

    def detach_channel(self, channel: Channel, cause: str) -> None:
        """A participant's or an officer's channel is gone."""
        if self._observers.pop(channel, None) is None:
            super().detach_channel(channel, cause)

    def peer_connected(self, participant_id: str, session_id: str) -> None:
        """A participant's or an officer's session is with the relay."""
        watch = self._watches.get(session_id)
        if watch is None:
            super().peer_connected(participant_id, session_id)
        else:
            self._commit(self.machine.monitor_joined(self._clock(), session_id, watch.officer_id, watch.ground))

    def peer_lost(self, participant_id: str, session_id: str, why: PeerLost) -> None:
        """A participant's or an officer's session is over."""
        if self._watches.pop(session_id, None) is None:
            super().peer_lost(participant_id, session_id, why)
            return
        now = self._clock()
        gone_since = now - self._consent_timeout if why is PeerLost.CONSENT_EXPIRED else now
        self._commit(self.machine.monitor_left(now, session_id, why.value, gone_since=gone_since))

    def slots_changed(self, session_id: str, slots: Sequence[SlotInfo]) -> None:
        """Another participant is in a slot of a participant's or an officer's session."""
        if (watch := self._watches.get(session_id)) is None:
            super().slots_changed(session_id, slots)
            return
        message = Slots(slots=tuple(self._seats.slot_view(slot) for slot in slots))
        for channel, observer in tuple(self._observers.items()):
            if observer.officer_id == watch.officer_id:
                channel.send(message)

    def revoke(self, officer_id: str) -> None:
        """The officer's warrants have expired as of now: his watches and channels end."""
        now = self._clock()
        for session_id, watch in tuple(self._watches.items()):
            if watch.officer_id == officer_id:
                self._watches[session_id] = replace(watch, expires_at=now)
        for channel, watch in tuple(self._observers.items()):
            if watch.officer_id == officer_id:
                self._observers[channel] = replace(watch, expires_at=now)
        self.tick()

    def tick(self) -> None:
        """See what time has brought about; a watch whose warrant has expired is over."""
        now = self._clock()
        for session_id, watch in tuple(self._watches.items()):
            if now >= watch.expires_at:
                self._log.info("monitor warrant expired")
                self._start(self._close_quietly(session_id))
        for channel, watch in tuple(self._observers.items()):
            if now >= watch.expires_at:
                del self._observers[channel]
                channel.close(WARRANT_EXPIRED_CODE, "warrant expired")
        super().tick()

    # --- the recorder ------------------------------------------------------------------------------------------

    async def record(self, warrant: Verified[RecordingWarrant], factory: RecorderFactory) -> None:
        """Have `factory` make a recorder for the warrant and let it in. Errors of `add_recorder` and of the factory."""
        self._may_record(warrant)
        self._recorder_coming = True
        try:
            leg = await factory(warrant.body)
        finally:
            self._recorder_coming = False
        if self._lost:
            leg.abandon()
            raise WrongState("the call is another node's")
        if not self.machine.is_open:
            await self._seal_leg(leg, "call_over")
            raise WrongState("the call is over")
        self.add_recorder(warrant, leg)

    def add_recorder(self, warrant: Verified[RecordingWarrant], leg: RecorderLeg) -> None:
        """Let `leg` record the call. TicketError for another call's warrant, NotChartered when the charter has none.

        The leg hears what has happened so far, so that its timeline is whole.
        """
        self._may_record(warrant)
        body = warrant.body
        if self._recorder is not None:  # one that failed and did not come back
            self._let_recorder_go(self._recorder, "replaced")
        self._recorder = leg
        self._fenced = False
        leg.failed = lambda cause: self._recorder_failed(leg, cause)
        leg.recovered = lambda: self._recorder_recovered(leg, body)
        for event in tuple(self.machine.events):
            self._tell_recorder(event)
        self._ordinary_media.add_leg(leg)
        self._commit(self.machine.recorder_attached(self._clock(), body.recording_id, body.policy_version))

    def _may_record(self, warrant: Verified[RecordingWarrant]) -> None:
        if warrant.body.call_id != self.charter.call_id:
            raise TicketError("the warrant is for another call", code="wrong_call")
        if self.charter.recording is not RecordingPolicy.REQUIRED:
            raise NotChartered("the call's charter provides for no recording")
        if self._recorder_coming or (self._recorder is not None and self.machine.state.recorder is Recorder.ATTACHED):
            raise RecorderAttached("the call is being recorded already")
        if not self.machine.is_open:
            raise WrongState("the call is over")

    def _recorder_failed(self, leg: RecorderLeg, cause: str) -> None:
        if self._recorder is not leg:
            return
        if cause == FENCED and not self._fenced:
            # Nothing is said of it before it is known whose the call is: if it is another node's, so is the event.
            self._fenced = True
            self.freeze(True)
            self._doubt()
            return
        self._commit(self.machine.recorder_failed(self._clock(), cause))
        if cause not in PASSING_FAILURES:
            self._let_recorder_go(leg, "recorder_failed")

    def _recorder_recovered(self, leg: RecorderLeg, warrant: RecordingWarrant) -> None:
        if self._recorder is leg and self.machine.is_open:
            now = self._clock()
            self._commit(self.machine.recorder_attached(now, warrant.recording_id, warrant.policy_version))

    def _let_recorder_go(self, leg: RecorderLeg, reason: str) -> None:
        """Take the leg out and seal what it has."""
        self._recorder = None
        leg.close(reason)
        self._ordinary_media.remove_leg(leg.leg_id)
        self._sealing.add(self._start(self._seal_leg(leg, reason)))

    def freeze(self, frozen: bool) -> None:
        """See `Room.freeze`; nobody is spoken to in a call that may be another node's."""
        if frozen and self._talk is not None:
            self.hush(self._talk.wall, "node_stops")
        super().freeze(frozen)
        if self._fenced and not frozen and self._recorder is not None:
            self._recorder_failed(self._recorder, FENCED)

    def abandon(self) -> None:
        """See `Room.abandon`. What was recorded stays as it is: whoever has the call goes on with it."""
        leg, self._recorder = self._recorder, None
        if leg is not None:
            leg.abandon()
            self._ordinary_media.remove_leg(leg.leg_id)
        super().abandon()
        for watch in tuple(self._watches.values()):
            if watch.wall is not None:
                self.detach_wall(watch.wall, PeerLost.CLOSED, "node_stops")

    async def _seal(self) -> None:
        if self._recorder is not None:
            self._let_recorder_go(self._recorder, "call_over")
        if self._sealing:
            await asyncio.wait(self._sealing)

    async def _seal_leg(self, leg: RecorderLeg, reason: str) -> None:
        now = self._clock
        try:
            async with asyncio.timeout(SEAL_TIMEOUT):
                summary = await leg.seal(reason)
        except Exception as error:
            # Whatever goes wrong in the recorder, the call must reach its end; the event is what people act on.
            self._log.exception("recording could not be sealed", error=type(error).__name__)
            if self._recorder is None:  # else another one is recording by now, and nothing is wrong with that one
                self._commit(self.machine.recorder_failed(now(), "seal_failed"))
            return
        sealed = {
            "recording_id": summary.recording_id,
            "segments": summary.segments,
            "bytes": summary.bytes,
            "duration_ms": summary.duration_ms,
            "head_sha256": summary.head_sha256,
            "gaps": summary.gaps,
            "tracks": summary.tracks,
        }
        self._commit(self.machine.recorder_sealed(now(), sealed))

    # --- carrying out ------------------------------------------------------------------------------------------

    def _watch(self, warrant: Verified[MonitorWarrant]) -> Watch:
        if not isinstance(self.charter.call_id, OrdinaryCallId):
            raise PrivilegedCallError()
        if self.charter.call_id not in warrant.body.call_ids:
            raise TicketError("the warrant is for other calls", code="wrong_call")
        if not self.machine.is_open:
            raise WrongState("the call is over")
        body = warrant.body
        return Watch(body.officer_id, body.ground, warrant.expires_at, body.may_talk)

    async def _close_quietly(self, session_id: str) -> None:
        watch = self._watches.get(session_id)
        if watch is None or watch.wall is None:
            await super()._close_quietly(session_id)
        else:
            expired = "expired" if self._clock() >= watch.expires_at else "node_stops"
            self.detach_wall(watch.wall, PeerLost.CLOSED, expired if self.machine.is_open else "call_over")

    def _owner_of(self, session_id: str) -> str | None:
        watch = self._watches.get(session_id)
        return super()._owner_of(session_id) if watch is None else watch.officer_id

    def _deliver(self, event: CallEvent) -> None:
        self._tell_recorder(event)
        super()._deliver(event)
        message = participant_message(event, self.machine, self._seats, self._clock()) if self._observers else None
        for channel in tuple(self._observers):
            if message is not None:
                channel.send(message)
            channel.send(Event(event=event.to_json()))
        if event.type in (EventType.MONITOR_JOINED, EventType.MONITOR_LEFT):
            self._say_who_watches()
        elif event.type is EventType.TALK_STARTED and self._talk is not None:
            self._tell_spoken_to(self._talk, True)
        elif event.type is EventType.ENDING and self._talk is not None:
            self.hush(self._talk.wall, "call_over")

    def _tell_recorder(self, event: CallEvent) -> None:
        if (leg := self._recorder) is None:
            return
        try:
            leg.on_event(event)
        except Exception:
            # A leg must not raise. One that does is no longer to be trusted with the evidence.
            self._log.exception("the recorder failed on an event")
            self._recorder_failed(leg, "leg_error")

    def _say_who_watches(self) -> None:
        watched = bool(self.machine.state.monitors)
        if self.charter.watch_banner and watched != self._watched:
            self._watched = watched
            self._tell_participants(Watching(watching=watched))

    def _tell_everybody(self, message: ServerMessage) -> None:
        super()._tell_everybody(message)
        for channel in tuple(self._observers):
            channel.send(message)

    def _sessions(self) -> list[str]:
        return [*super()._sessions(), *self._watches]

    def _close_channels(self, code: int, reason: str) -> None:
        super()._close_channels(code, reason)
        for channel in tuple(self._observers):
            channel.close(code, reason)
        self._observers.clear()
