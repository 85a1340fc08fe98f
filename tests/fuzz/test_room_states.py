"""A call's room under histories that nobody planned: people, officers, recorders, commands, crashes, time in any order.

The call machine alone is tried in tests/unit/signaling/test_call_machine_properties.py. Here the room carries out what
it decides, and what is looked at is the media plane's side of it: the gate, the sessions, the legs. What must hold is
the list in media.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signaling.calls import FINAL, Actor, ActorKind, Phase
from signaling.errors import SignalingError
from signaling.media.leg import Kind
from signaling.media.listener import PeerLost
from signaling.messages import Device
from signaling.monitored_room import OrdinaryRoom
from signaling.tickets import RecordingPolicy, Supervision
from tests.fakes.channel import FakeChannel
from tests.fakes.recorder_leg import FakeRecorderLeg
from tests.unit.signaling.rooms_for_tests import OFFER, Scene

PEOPLE = ("family", "family2", "prisoner", "guest")
OFFICERS = ("stf_1", "stf_2")
people = st.sampled_from(PEOPLE)
officers = st.sampled_from(OFFICERS)
actors = st.sampled_from([Actor(ActorKind.STAFF, "stf_1"), Actor(ActorKind.SYSTEM, "x"), Actor(ActorKind.STAFF, "")])
losses = st.sampled_from(PeerLost)
numbers = st.integers(0, 7)


class RoomLife(RuleBasedStateMachine):
    """One call. `privileged` ones know no officer and no recorder, whatever is tried."""

    privileged = False

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.scene: Scene
        self.channels: list[FakeChannel] = []
        self.legs: list[FakeRecorderLeg] = []
        self.watched_until: Any = None
        self.frozen = False

    def teardown(self) -> None:
        self.runner.close()

    def do(self, step: Callable[[], Awaitable[Any] | Any]) -> None:
        """One step, and everything that follows from it at once. What is refused is a SignalingError, never another."""

        async def run() -> None:
            try:
                result = step()
                if asyncio.iscoroutine(result):
                    await result
            except SignalingError:
                pass
            for _ in range(5):
                await asyncio.sleep(0)

        if hasattr(self, "scene"):
            self.note_who_watches()
        self.runner.run(run())
        self.note_who_watches()

    def note_who_watches(self) -> None:
        sessions = self.scene.media.sessions.values()
        if any(session.connected and session.owner in OFFICERS for session in sessions):
            self.watched_until = self.scene.clock()

    @initialize(
        recording=st.sampled_from(RecordingPolicy),
        supervision=st.sampled_from(Supervision),
        banner=st.booleans(),
        minutes=st.sampled_from([3, 20]),
    )
    def begin(self, recording: RecordingPolicy, supervision: Supervision, banner: bool, minutes: int) -> None:
        how: dict[str, Any] = {"minutes": minutes, "privileged": self.privileged}
        if not self.privileged:
            how |= {"recording": recording, "supervision": supervision, "watch_banner": banner}

        async def make() -> None:
            self.scene = Scene(**how)

        self.runner.run(make())

    # People

    @rule(who=people)
    def offer(self, who: str) -> None:
        self.do(lambda: self.scene.room.publish(self.scene.ticket(who), OFFER))

    @rule(who=people)
    def bad_offer(self, who: str) -> None:
        self.do(lambda: self.scene.room.publish(self.scene.ticket(who), "no offer"))

    @rule(number=numbers)
    def connect(self, number: int) -> None:
        waiting = [session for session in self.scene.media.sessions.values() if not session.connected]
        if waiting:
            self.do(lambda: self.scene.media.connect(waiting[number % len(waiting)].session_id))

    @rule(number=numbers, why=losses)
    def lose(self, number: int, why: PeerLost) -> None:
        sessions = list(self.scene.media.sessions)
        if sessions:
            self.do(lambda: self.scene.media.lose(sessions[number % len(sessions)], why))

    @rule(number=numbers, owner=st.sampled_from((*PEOPLE, *OFFICERS)))
    def close_session(self, number: int, owner: str) -> None:
        sessions = list(self.scene.media.sessions.values())
        if sessions:
            session = sessions[number % len(sessions)]
            self.do(lambda: self.scene.room.close_session(owner, session.session_id))
            assert owner == session.owner or session.session_id in self.scene.media.sessions, "not his to close"

    @rule(who=people)
    def open_channel(self, who: str) -> None:
        channel = FakeChannel()
        self.channels.append(channel)
        self.do(lambda: self.scene.room.attach_channel(self.scene.ticket(who), channel))

    @rule(number=numbers)
    def lose_channel(self, number: int) -> None:
        if self.channels:
            channel = self.channels[number % len(self.channels)]
            self.do(lambda: self.scene.room.detach_channel(channel, "lost"))

    @rule(number=numbers)
    def report(self, number: int) -> None:
        if self.channels:
            channel = self.channels[number % len(self.channels)]
            self.do(lambda: self.scene.room.report(channel, Device(microphone="on", camera="off")))

    @rule()
    def everybody_comes(self) -> None:
        async def come() -> None:
            for who in ("family", "prisoner"):
                await self.scene.join(who)

        self.do(come)

    @rule()
    def everything_is_as_it_should_be(self) -> None:
        """Both sides, the recorder and an officer, at the scheduled time: LIVE, unless somebody holds it."""
        self.everybody_comes()
        self.record()
        self.watch("stf_1", 1)
        self.do(self.scene.start)

    # Officers and the recorder

    @rule(officer=officers, hours=st.sampled_from([0.01, 1]))
    def watch(self, officer: str, hours: float) -> None:
        async def come() -> None:
            room = self.scene.room
            if isinstance(room, OrdinaryRoom):
                answer = await room.add_monitor(self.scene.warrant(officer, hours), OFFER)
                self.scene.media.connect(answer.session_id)

        self.do(come)

    @rule(officer=officers)
    def observe(self, officer: str) -> None:
        room = self.scene.room
        channel = FakeChannel()
        self.channels.append(channel)
        if isinstance(room, OrdinaryRoom):
            self.do(lambda: room.attach_observer(self.scene.warrant(officer), channel))

    @rule()
    def officers_crash(self) -> None:
        for session in list(self.scene.media.sessions.values()):
            if session.owner in OFFICERS:
                self.do(lambda session=session: self.scene.media.lose(session.session_id, PeerLost.CONSENT_EXPIRED))

    @rule()
    def record(self) -> None:
        if isinstance(self.scene.room, OrdinaryRoom):
            self.do(lambda: self.legs.append(self.scene.record()))

    @rule(cause=st.sampled_from(["disk_full", "stalled", "leg_error"]))
    @precondition(lambda self: bool(self.legs))
    def recorder_fails(self, cause: str) -> None:
        leg = self.legs[-1]
        if leg.failed is not None:
            self.do(lambda: leg.fail(cause))

    @rule()
    @precondition(lambda self: bool(self.legs))
    def recorder_recovers(self) -> None:
        leg = self.legs[-1]
        if leg.recovered is not None and not leg.sealed:
            self.do(leg.recovered)

    # Commands

    @rule(actor=actors, reason=st.sampled_from(["because", ""]))
    def hold(self, actor: Actor, reason: str) -> None:
        self.do(lambda: self.scene.room.hold(actor, reason))

    @rule(actor=actors)
    def resume(self, actor: Actor) -> None:
        self.do(lambda: self.scene.room.resume(actor, "because"))

    @rule(who=people, kind=st.sampled_from(Kind), muted=st.booleans(), actor=actors)
    def mute(self, who: str, kind: Kind, muted: bool, actor: Actor) -> None:
        self.do(lambda: self.scene.room.mute(who, kind, muted, actor, "because"))

    @rule(who=people, held=st.booleans(), actor=actors)
    def hold_one(self, who: str, held: bool, actor: Actor) -> None:
        room = self.scene.room
        if held:
            self.do(lambda: room.hold_participant(who, actor, "because"))
        else:
            self.do(lambda: room.resume_participant(who, actor, "because"))

    @rule(who=people, actor=actors)
    def remove(self, who: str, actor: Actor) -> None:
        self.do(lambda: self.scene.room.remove_participant(who, actor, "because", "words"))

    @rule(actor=actors, reason=st.sampled_from(["because", "", ""]))
    def terminate(self, actor: Actor, reason: str) -> None:
        self.do(lambda: self.scene.room.terminate(actor, reason, "words"))

    @rule(frozen=st.booleans())
    def freeze(self, frozen: bool) -> None:
        self.frozen = frozen
        self.do(lambda: self.scene.room.freeze(frozen))

    @rule()
    @precondition(lambda self: self.scene.phase not in FINAL and self.scene.phase is not Phase.ENDING)
    def move_to_another_node(self) -> None:
        """The node dies, and another opens the call with its history."""

        async def move() -> None:
            old = self.scene
            self.scene = Scene(old.charter, history=list(old.room.machine.events), opened_at=old.clock())
            self.channels, self.legs, self.frozen = [], [], False

        self.runner.run(move())

    @rule(seconds=st.sampled_from([0.25, 1, 5, 14.75, 15, 60, 119.75, 300, 900]))
    def wait(self, seconds: float) -> None:
        """Time passes, and the node's clock ticks all the while."""
        step = min(seconds, 5.0)
        for _ in range(round(seconds / step)):
            self.do(lambda: self.scene.wait(step))
            self.no_watch_required_call_goes_on_alone()

    # What must hold

    @property
    def begun(self) -> bool:
        return hasattr(self, "scene")

    @invariant()
    def nothing_flows_but_in_a_live_call(self) -> None:
        if not self.begun:
            return
        assert not self.scene.media.gate or self.scene.phase is Phase.LIVE
        assert not (self.frozen and self.scene.media.gate)
        if self.scene.phase is Phase.LIVE and not self.frozen:
            assert self.scene.media.gate, "a live call that carries nothing"

    @invariant()
    def no_watch_required_call_goes_on_alone(self) -> None:
        if not self.begun or self.scene.charter.supervision is not Supervision.LIVE or not self.scene.media.gate:
            return
        assert self.watched_until is not None
        assert self.scene.clock() - self.watched_until <= timedelta(seconds=15)

    @invariant()
    def a_call_that_must_be_recorded_is_recorded_while_it_is_live(self) -> None:
        if not self.begun or self.scene.charter.recording is not RecordingPolicy.REQUIRED or not self.scene.media.gate:
            return
        assert [leg for leg in self.legs if self.scene.media.legs.get(leg.leg_id) is leg]  # type: ignore[attr-defined]

    @invariant()
    def who_has_been_muted_or_held_is_so_in_the_relay(self) -> None:
        if self.begun and self.scene.room.machine.is_open:
            assert self.scene.room.machine.state.muted <= self.scene.media.muted

    @invariant()
    def nobody_has_two_places(self) -> None:
        if not self.begun:
            return
        owners = [session.owner for session in self.scene.media.sessions.values() if session.owner not in OFFICERS]
        assert len(owners) == len(set(owners))
        open_ones = [seat.channel for seat in self.scene.room._seats if seat.channel is not None]
        assert len(open_ones) == len({id(channel) for channel in open_ones})

    @invariant()
    def an_ended_call_holds_nobody(self) -> None:
        if self.begun and self.scene.room.over.is_set():
            assert not self.scene.media.gate
            assert not self.scene.media.sessions
            assert not getattr(self.scene.media, "legs", {})

    @invariant()
    def a_privileged_call_has_participants_and_nobody_else(self) -> None:
        if not self.begun or not self.privileged:
            return
        room, media = self.scene.room, self.scene.media
        for name in ("add_monitor", "attach_observer", "attach_wall", "record", "add_recorder", "talk"):
            assert not hasattr(room, name)
        for name in ("subscribe", "add_leg", "legs"):
            assert not hasattr(media, name)
        assert not room.machine.state.monitors
        assert {session.owner for session in media.sessions.values()} <= set(PEOPLE)


class PrivilegedRoomLife(RoomLife):
    privileged = True


RoomLife.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
PrivilegedRoomLife.TestCase.settings = settings(max_examples=10, stateful_step_count=30, deadline=None)
TestRoomLife = RoomLife.TestCase
TestPrivilegedRoomLife = PrivilegedRoomLife.TestCase
