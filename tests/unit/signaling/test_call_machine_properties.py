"""The call machine under generated histories: what must hold, holds after every step."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from signaling.call_machine import CallMachine
from signaling.calls import FINAL, IN_PROGRESS, Actor, ActorKind, CallEvent, EventType, Phase, Recorder, replay
from signaling.errors import SignalingError
from signaling.media.leg import Kind, Side
from signaling.tickets import RecordingPolicy, Supervision
from tests.unit.signaling.charters import LOBBY, charter

PEOPLE = {"family1": Side.FAMILY, "family2": Side.FAMILY, "prisoner": Side.PRISONER, "guest": Side.GUEST}
people = st.sampled_from(sorted(PEOPLE))
sessions = st.sampled_from(["mon_1", "mon_2"])
actors = st.sampled_from([Actor(ActorKind.STAFF, "stf_1"), Actor(ActorKind.SYSTEM, "x"), Actor(ActorKind.STAFF, "")])
texts = st.sampled_from(["because", "", " "])


class CallLife(RuleBasedStateMachine):
    """Facts, interventions and time in any order."""

    @initialize(
        recording=st.sampled_from(RecordingPolicy),
        supervision=st.sampled_from(Supervision),
        minutes=st.sampled_from([3, 20, 45]),
        early=st.booleans(),
    )
    def begin(self, recording: RecordingPolicy, supervision: Supervision, minutes: int, early: bool) -> None:
        self.now = LOBBY - timedelta(minutes=2 if early else 0)
        self.machine = CallMachine(charter(recording=recording, supervision=supervision, minutes=minutes))
        self.monitor_gone_at = None
        self.machine.open(self.now)

    def do(self, name: str, *arguments: object, **named: object) -> None:
        before = self.machine.state
        try:
            getattr(self.machine, name)(self.now, *arguments, **named)
        except SignalingError:
            assert self.machine.state == before, "what is refused changes nothing"

    @rule(seconds=st.sampled_from([0.25, 1, 5, 14.75, 15, 60, 119.75, 120, 300, 900]))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.machine.tick(self.now)

    @rule(who=people)
    def join(self, who: str) -> None:
        self.do("joined", who, PEOPLE[who], "idc_1")

    @rule(who=people)
    def leave(self, who: str) -> None:
        self.do("left", who, "closed")

    @rule(who=people)
    def connect(self, who: str) -> None:
        self.do("connected", who)

    @rule(who=people)
    def disconnect(self, who: str) -> None:
        self.do("disconnected", who, "consent_expired")

    @rule()
    def everybody_comes(self) -> None:
        for who, side in PEOPLE.items():
            if self.machine.is_open:
                self.do("joined", who, side, "idc_1")
                self.do("connected", who)

    @rule(session=sessions)
    def watch(self, session: str) -> None:
        self.do("monitor_joined", session, "stf_" + session, "policy")

    @rule(session=sessions)
    def stop_watching(self, session: str) -> None:
        self.do("monitor_left", session, "closed", gone_since=self.now)

    @rule()
    def record(self) -> None:
        self.do("recorder_attached", "rec_1", "1")

    @rule()
    def recorder_fails(self) -> None:
        self.do("recorder_failed", "disk_full")

    @rule(actor=actors, reason=texts)
    def hold(self, actor: Actor, reason: str) -> None:
        self.do("hold", actor, reason, "words")

    @rule(actor=actors, reason=texts)
    def resume(self, actor: Actor, reason: str) -> None:
        self.do("resume", actor, reason)

    @rule(who=people, kind=st.sampled_from(Kind), muted=st.booleans(), actor=actors)
    def mute(self, who: str, kind: Kind, muted: bool, actor: Actor) -> None:
        self.do("mute", who, kind, muted, actor, "because")

    @rule(who=people, actor=actors, reason=texts)
    def hold_one(self, who: str, actor: Actor, reason: str) -> None:
        self.do("hold_participant", who, actor, reason, "words")

    @rule(who=people, actor=actors, reason=texts)
    def resume_one(self, who: str, actor: Actor, reason: str) -> None:
        self.do("resume_participant", who, actor, reason)

    @rule(who=people, actor=actors, reason=texts)
    def remove_one(self, who: str, actor: Actor, reason: str) -> None:
        self.do("remove_participant", who, actor, reason, "words")

    @rule(actor=actors, reason=texts)
    def terminate(self, actor: Actor, reason: str) -> None:
        self.do("terminate", actor, reason, "words")

    @rule()
    def break_down(self) -> None:
        self.do("fail", "node_lost")

    @rule(lost=st.floats(0, 400))
    @precondition(lambda self: self.machine.state.phase not in FINAL)
    def move_to_another_node(self, lost: float) -> None:
        self.now += timedelta(seconds=lost)
        self.machine = CallMachine(self.machine.charter, history=self.machine.events)
        self.machine.open(self.now)

    @precondition(lambda self: self.machine.state.phase is Phase.ENDING)
    @rule()
    def finish(self) -> None:
        self.machine.finish(self.now)

    @invariant()
    def events_are_the_state(self) -> None:
        if not hasattr(self, "machine"):
            return
        events = [CallEvent.from_json(event.to_json()) for event in self.machine.events]
        assert replay(events) == self.machine.state
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))

    @invariant()
    def live_means_that_everything_needed_is_there(self) -> None:
        if not hasattr(self, "machine"):
            return
        state, given = self.machine.state, self.machine.charter
        if state.phase is not Phase.LIVE:
            return
        assert set(given.sides) <= state.connected_sides
        assert not state.held_by_officer
        assert not state.held_sides
        assert not any(state.people[who].connected or state.people[who].present for who in state.removed)
        if given.recording is RecordingPolicy.REQUIRED:
            assert state.recorder is Recorder.ATTACHED
        if given.supervision is Supervision.LIVE and not state.monitors:
            assert state.monitor_gone_since is not None
            assert self.now - state.monitor_gone_since < timedelta(seconds=15)
        assert given.starts_at <= self.now < given.ends_at

    @invariant()
    def the_clock_never_exceeds_the_schedule(self) -> None:
        if not hasattr(self, "machine"):
            return
        given = self.machine.charter
        seconds = self.machine.state.connected_seconds(self.now)
        assert 0 <= seconds <= max(0.0, (self.now - given.starts_at).total_seconds())

    @invariant()
    def only_a_person_terminates(self) -> None:
        if not hasattr(self, "machine"):
            return
        for event in self.machine.events:
            if event.data.get("outcome") == "terminated":
                assert event.actor.kind is ActorKind.STAFF
                assert event.actor.actor_id
                assert event.data["reason"].strip()

    @invariant()
    def waiting_has_a_limit(self) -> None:
        if not hasattr(self, "machine"):
            return
        state = self.machine.state
        if state.phase is Phase.RECONNECTING and state.phase_since is not None:
            assert self.now - state.phase_since < timedelta(seconds=120)
        if state.phase in IN_PROGRESS or state.phase in (Phase.LOBBY_OPEN, Phase.READY):
            assert self.now < self.machine.charter.ends_at

    @invariant()
    def notices_are_said_at_most_once(self) -> None:
        if not hasattr(self, "machine"):
            return
        minutes = [event.data["minutes"] for event in self.machine.events if event.type is EventType.NOTICE]
        assert minutes == sorted(set(minutes), reverse=True)


CallLife.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCallLife = CallLife.TestCase
