"""What may happen to a call and what follows from it: facts go in, events come out. Pure: no clock, no I/O.

Every method takes the present time, records events and returns them; `tick` records what time alone brings about. READY
when everybody needed is there, LIVE from the scheduled start, HELD while an officer or a missing recorder holds it,
RECONNECTING while a side is away, WAITING_MONITOR while a required officer is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from signaling.call_rules import CallRules, due_notice, missing, recorder_missing, target_phase, verdict
from signaling.calls import (
    BEFORE_LIVE,
    FINAL,
    IN_PROGRESS,
    RIGHT_WITHDRAWN,
    SYSTEM,
    Actor,
    ActorKind,
    CallEvent,
    CallState,
    EventType,
    Phase,
    Recorder,
    apply,
    replay,
)
from signaling.capabilities import CallCharter
from signaling.errors import InvalidRequest, ParticipantRemoved, RecorderRequired, UnknownParticipant, WrongState
from signaling.ids import parse_call_id
from signaling.media.leg import Kind, Side


class CallMachine:
    """One call under its charter. `history` are the events of an earlier life on another node."""

    def __init__(
        self, charter: CallCharter, *, rules: CallRules | None = None, history: Sequence[CallEvent] = ()
    ) -> None:
        self.charter = charter
        self.rules = rules or CallRules()
        self.state: CallState = replay(history)
        self.events: list[CallEvent] = list(history)

    # --- facts -------------------------------------------------------------------------------------------------

    def open(self, now: datetime) -> list[CallEvent]:
        """The room is there. With a history this is a reopening: connections are gone, the clock stands."""
        if self.state.phase in FINAL:
            raise WrongState("the call is over")
        mark = len(self.events)
        if mark == 0:
            self._record(now, EventType.OPENED, SYSTEM, "due")
        else:
            self._record(now, EventType.REOPENED, SYSTEM, "node_changed")
        return self._settled(mark, now)

    def joined(self, now: datetime, participant_id: str, side: Side, identity_check_id: str) -> list[CallEvent]:
        """Somebody showed a good join ticket for the first time, or came back."""
        self._require_open()
        if participant_id in self.state.removed:
            raise ParticipantRemoved("an officer has taken this person out of the call")
        known = self.state.people.get(participant_id)
        if known is not None and known.present:
            return []
        mark = len(self.events)
        data = {"participant_id": participant_id, "side": side.value, "identity_check_id": identity_check_id}
        self._record(now, EventType.JOINED, _participant(participant_id), "ticket", data)
        return self._settled(mark, now)

    def left(self, now: datetime, participant_id: str, cause: str) -> list[CallEvent]:
        """The participant's control channel is gone. Media may go on: it has its own life."""
        known = self.state.people.get(participant_id)
        if known is None or not known.present or not self.is_open:
            return []
        mark = len(self.events)
        self._record(now, EventType.LEFT, _participant(participant_id), cause, {"participant_id": participant_id})
        return self._settled(mark, now)

    def replaced(self, now: datetime, participant_id: str, what: str) -> list[CallEvent]:
        """A second connection (`what`: channel or media) took the place of the participant's first."""
        self._require_open()
        mark = len(self.events)
        data = {"participant_id": participant_id, "what": what}
        self._record(now, EventType.REPLACED, _participant(participant_id), "second_connection", data)
        return self._settled(mark, now)

    def connected(self, now: datetime, participant_id: str) -> list[CallEvent]:
        """The participant's media is with the relay."""
        known = self.state.people.get(participant_id)
        if known is None or known.connected or not self.is_open:
            return []
        mark = len(self.events)
        data = {"participant_id": participant_id, "side": known.side.value}
        self._record(now, EventType.CONNECTED, _participant(participant_id), "media", data)
        return self._settled(mark, now)

    def disconnected(self, now: datetime, participant_id: str, cause: str) -> list[CallEvent]:
        """The participant's media is gone; `cause` says whether he hung up or was lost."""
        known = self.state.people.get(participant_id)
        if known is None or not known.connected or not self.is_open:
            return []
        mark = len(self.events)
        data = {"participant_id": participant_id, "side": known.side.value}
        self._record(now, EventType.DISCONNECTED, _participant(participant_id), cause, data)
        return self._settled(mark, now)

    def monitor_joined(self, now: datetime, session_id: str, officer_id: str, ground: str) -> list[CallEvent]:
        """An officer's leg is connected."""
        if session_id in self.state.monitors or not self.is_open:
            return []
        mark = len(self.events)
        data = {"session_id": session_id, "officer_id": officer_id, "ground": ground}
        self._record(now, EventType.MONITOR_JOINED, Actor(ActorKind.STAFF, officer_id), "warrant", data)
        return self._settled(mark, now)

    def monitor_left(self, now: datetime, session_id: str, cause: str, *, gone_since: datetime) -> list[CallEvent]:
        """An officer's leg is gone, in truth since `gone_since` (silence is noticed late); the 15 s start there."""
        officer_id = self.state.monitors.get(session_id)
        if officer_id is None or not self.is_open:
            return []
        mark = len(self.events)
        data = {"session_id": session_id, "officer_id": officer_id, "since": gone_since.isoformat()}
        self._record(now, EventType.MONITOR_LEFT, Actor(ActorKind.STAFF, officer_id), cause, data)
        return self._settled(mark, now)

    def recorder_attached(self, now: datetime, recording_id: str, policy_version: str) -> list[CallEvent]:
        """The recorder leg is in the room and writing."""
        self._require_open()
        mark = len(self.events)
        data = {"recording_id": recording_id, "policy_version": policy_version}
        self._record(now, EventType.RECORDER_ATTACHED, SYSTEM, "warrant", data)
        return self._settled(mark, now)

    def recorder_failed(self, now: datetime, cause: str) -> list[CallEvent]:
        """The recorder leg stopped writing. Where recording is required, this holds the call."""
        if self.state.recorder is not Recorder.ATTACHED or self.state.phase in FINAL:
            return []
        mark = len(self.events)
        self._record(now, EventType.RECORDER_FAILED, SYSTEM, cause)
        return self._settled(mark, now)

    def recorder_sealed(self, now: datetime, data: Mapping[str, Any]) -> list[CallEvent]:
        """The recording is sealed; `data` is its summary. Nothing is recorded of a call that is over already."""
        if self.state.phase in FINAL:
            return []
        mark = len(self.events)
        self._record(now, EventType.RECORDER_SEALED, SYSTEM, "call_over", data)
        return self.events[mark:]

    # --- interventions -----------------------------------------------------------------------------------------

    def hold(self, now: datetime, actor: Actor, reason: str, words: str = "") -> list[CallEvent]:
        """An officer pauses the call. `reason` is for the record, `words` are shown to the participants."""
        _require_staff(actor, reason)
        if self.state.phase not in IN_PROGRESS:
            raise WrongState(f"a call that is {self.state.phase} cannot be held")
        if self.state.held_by_officer:
            return []
        mark = len(self.events)
        self._record(now, EventType.HOLD_PLACED, actor, "officer", {"reason": reason, "words": words})
        return self._settled(mark, now, actor, words)

    def resume(self, now: datetime, actor: Actor, reason: str) -> list[CallEvent]:
        """An officer lifts his hold. WrongState if there is none; RecorderRequired if only the recorder is missing."""
        _require_staff(actor, reason)
        if not self.state.held_by_officer:
            if recorder_missing(self.charter, self.state) and self.state.phase is Phase.HELD:
                raise RecorderRequired("the call must be recorded and has no recorder")
            if self.state.held_sides:
                raise WrongState("participants are held, each by themselves: resume them")
            raise WrongState("the call is not held")
        mark = len(self.events)
        self._record(now, EventType.HOLD_LIFTED, actor, "officer", {"reason": reason})
        return self._settled(mark, now, actor)

    def hold_participant(
        self, now: datetime, participant_id: str, actor: Actor, reason: str, words: str = ""
    ) -> list[CallEvent]:
        """An officer pauses one participant: he neither receives nor is heard or seen. `words` are for him alone."""
        self._require_participant(participant_id, actor, reason)
        if participant_id in self.state.held_people:
            return []
        mark = len(self.events)
        data = {"participant_id": participant_id, "reason": reason, "words": words}
        self._record(now, EventType.PARTICIPANT_HELD, actor, "officer", data)
        return self._settled(mark, now, actor)

    def resume_participant(self, now: datetime, participant_id: str, actor: Actor, reason: str) -> list[CallEvent]:
        """An officer lifts the pause of one participant. WrongState if there is none."""
        self._require_participant(participant_id, actor, reason)
        if participant_id not in self.state.held_people:
            raise WrongState("the participant is not held")
        mark = len(self.events)
        data = {"participant_id": participant_id, "reason": reason}
        self._record(now, EventType.PARTICIPANT_RESUMED, actor, "officer", data)
        return self._settled(mark, now, actor)

    def remove_participant(
        self, now: datetime, participant_id: str, actor: Actor, reason: str, words: str
    ) -> list[CallEvent]:
        """An officer takes one participant out of the call for good. `words` are for him alone."""
        self._require_participant(participant_id, actor, reason)
        mark = len(self.events)
        data = {"participant_id": participant_id, "reason": reason, "words": words}
        self._record(now, EventType.PARTICIPANT_REMOVED, actor, "officer", data)
        return self._settled(mark, now, actor)

    def mute(
        self, now: datetime, participant_id: str, kind: Kind, muted: bool, actor: Actor, reason: str
    ) -> list[CallEvent]:
        """An officer mutes or unmutes a participant's audio or video in the relay."""
        self._require_participant(participant_id, actor, reason)
        mark = len(self.events)
        data = {"participant_id": participant_id, "kind": kind.value, "muted": muted, "reason": reason}
        self._record(now, EventType.MUTED, actor, "officer", data)
        return self._settled(mark, now)

    def bookmark(self, now: datetime, actor: Actor, note: str) -> list[CallEvent]:
        """An officer marks this moment of the call."""
        self._require_open()
        mark = len(self.events)
        self._record(now, EventType.BOOKMARK, actor, "officer", {"note": note})
        return self._settled(mark, now)

    def say(self, now: datetime, actor: Actor, text: str) -> list[CallEvent]:
        """An officer writes to the participants."""
        _require_staff(actor, text)
        self._require_open()
        mark = len(self.events)
        self._record(now, EventType.SAID, actor, "officer", {"text": text})
        return self._settled(mark, now)

    def talk_started(
        self, now: datetime, actor: Actor, sides: Sequence[Side], heard_by: Sequence[str]
    ) -> list[CallEvent]:
        """An officer begins to speak to `sides`; `heard_by` are the participants who can hear it."""
        self._require_open()
        if self.state.phase not in IN_PROGRESS:
            raise WrongState(f"nobody can be spoken to in a call that is {self.state.phase}")
        mark = len(self.events)
        data = {"sides": [side.value for side in sides], "heard_by": list(heard_by)}
        self._record(now, EventType.TALK_STARTED, actor, "officer", data)
        return self._settled(mark, now)

    def talk_stopped(self, now: datetime, actor: Actor, sides: Sequence[Side], cause: str) -> list[CallEvent]:
        """The officer speaks no more; `cause` says whether he stopped or was lost."""
        if not self.is_open:
            return []
        mark = len(self.events)
        self._record(now, EventType.TALK_STOPPED, actor, cause, {"sides": [side.value for side in sides]})
        return self._settled(mark, now)

    def terminate(self, now: datetime, actor: Actor, reason: str, words: str) -> list[CallEvent]:
        """A person ends the call for a reason. InvalidRequest without either: no program's judgement ends a call."""
        _require_staff(actor, reason)
        self._require_open()
        return self._end(now, Phase.TERMINATED, "officer", actor, {"reason": reason, "words": words})

    def withdraw(self, now: datetime, actor: Actor, words: str) -> list[CallEvent]:
        """A person has taken back a right on which the call rests, and with that ends it. `words` are shown to all.

        InvalidRequest for a program: taking a right back is a person's decision, whoever carries it here.
        """
        if not actor.is_person or not actor.actor_id:
            raise InvalidRequest("a right is taken back by a person")
        self._require_open()
        return self._end(now, Phase.ENDED, RIGHT_WITHDRAWN, actor, {"words": words})

    def question(self, now: datetime, words: str) -> list[CallEvent]:
        """Something has come up that an officer must look at: the call pauses until an officer resumes or ends it.

        A program may do this much. WrongState before the call is in progress.
        """
        if self.state.phase not in IN_PROGRESS:
            raise WrongState(f"a call that is {self.state.phase} cannot be held")
        if self.state.held_by_officer:
            return []
        mark = len(self.events)
        self._record(now, EventType.HOLD_PLACED, SYSTEM, "right_in_question", {"words": words})
        return self._settled(mark, now, SYSTEM, words)

    def fail(self, now: datetime, cause: str) -> list[CallEvent]:
        """The machinery cannot carry the call on. This is for breakage, never for judgement."""
        self._require_open()
        return self._end(now, Phase.FAILED, cause, SYSTEM)

    def cancel(self, now: datetime, cause: str) -> list[CallEvent]:
        """The booking behind the call is gone. WrongState once the call has been live: then a person terminates it."""
        self._require_open()
        if self.state.was_live:
            raise WrongState("a call that has begun is not cancelled")
        return self._end(now, Phase.FAILED, cause, SYSTEM)

    # --- time --------------------------------------------------------------------------------------------------

    def tick(self, now: datetime) -> list[CallEvent]:
        """What time has brought about by `now`."""
        return self._settled(len(self.events), now)

    def finish(self, now: datetime) -> list[CallEvent]:
        """The recording is sealed and the connections are closed: ENDING becomes its outcome."""
        if self.state.phase is not Phase.ENDING or self.state.outcome is None:
            raise WrongState("the call is not ending")
        mark = len(self.events)
        ending = next(event for event in reversed(self.events) if event.type is EventType.ENDING)
        self._record(now, EventType(self.state.outcome.value), ending.actor, ending.cause, ending.data)
        return self.events[mark:]

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen besides the end itself."""
        return self.state.phase is not Phase.ENDING and self.state.phase not in FINAL

    # --- consequences ------------------------------------------------------------------------------------------

    def _settled(self, mark: int, now: datetime, actor: Actor = SYSTEM, words: str = "") -> list[CallEvent]:
        """Record every transition that follows from what is known by `now`; the events since `mark`."""
        while self.is_open and self._step(now, actor, words):
            pass
        return self.events[mark:]

    def _step(self, now: datetime, actor: Actor, words: str) -> bool:
        phase = self.state.phase
        if self._time_is_over(now):
            return True
        self._give_notice(now)
        if phase is Phase.SCHEDULED:
            if now < self.charter.lobby_opens_at:
                return False
            self._record(now, EventType.LOBBY_OPENED, SYSTEM, "schedule")
            return True
        if phase in BEFORE_LIVE:
            return self._step_before_live(now)
        target, cause, data = target_phase(self.charter, self.rules, self.state, now)
        if target is phase:
            self._witness(now)
            return False
        self._record(now, EventType(target.value), actor, cause, {**data, "words": words} if words else data)
        return True

    def _step_before_live(self, now: datetime) -> bool:
        lacking = missing(self.charter, self.state)
        if self.state.phase is Phase.LOBBY_OPEN:
            if lacking:
                return False
            self._record(now, EventType.READY, SYSTEM, "all_present")
            return True
        if lacking:
            self._record(now, EventType.NOT_READY, SYSTEM, lacking[0], {"missing": lacking})
            return True
        if now < self.charter.starts_at:
            return False
        self._record(now, EventType.LIVE, SYSTEM, "schedule")
        return True

    def _time_is_over(self, now: datetime) -> bool:
        outcome = verdict(self.charter, self.rules, self.state, now)
        if outcome is not None:
            self._end(now, outcome[0], outcome[1], SYSTEM, outcome[2])
        return outcome is not None

    def _witness(self, now: datetime) -> None:
        state = self.state
        if state.phase is Phase.LIVE and state.last_at is not None and now - state.last_at >= self.rules.clock_every:
            seconds = round(state.connected_seconds(now), 3)
            self._record(now, EventType.CLOCK, SYSTEM, "live", {"connected_seconds": seconds})

    def _give_notice(self, now: datetime) -> None:
        minutes = due_notice(self.charter, self.rules, self.state, now)
        if minutes is not None:
            self._record(now, EventType.NOTICE, SYSTEM, "schedule", {"minutes": minutes})

    def _end(
        self, now: datetime, outcome: Phase, cause: str, actor: Actor, data: Mapping[str, Any] | None = None
    ) -> list[CallEvent]:
        mark = len(self.events)
        seconds = round(self.state.connected_seconds(now), 3)
        ending = {**(data or {}), "outcome": outcome.value, "connected_seconds": seconds}
        self._record(now, EventType.ENDING, actor, cause, ending)
        return self.events[mark:]

    def _record(
        self, now: datetime, type: EventType, actor: Actor, cause: str, data: Mapping[str, Any] | None = None
    ) -> None:
        # A clock that was set back must not break the order of the record.
        at = max(now, self.state.last_at) if self.state.last_at is not None else now
        event = CallEvent(
            call_id=parse_call_id(self.charter.call_id),
            sequence=self.state.sequence + 1,
            at=at,
            type=type,
            actor=actor,
            cause=cause,
            data=dict(data or {}),
        )
        self.state = apply(self.state, event)
        self.events.append(event)

    def _require_participant(self, participant_id: str, actor: Actor, reason: str) -> None:
        _require_staff(actor, reason)
        self._require_open()
        if participant_id not in self.state.people or participant_id in self.state.removed:
            raise UnknownParticipant("the call has no such participant")

    def _require_open(self) -> None:
        if not self.is_open:
            raise WrongState("the call is over")


def _participant(participant_id: str) -> Actor:
    return Actor(ActorKind.PARTICIPANT, participant_id)


def _require_staff(actor: Actor, reason: str) -> None:
    if actor.kind is not ActorKind.STAFF or not actor.actor_id:
        raise InvalidRequest("an intervention names the member of staff who makes it")
    if not reason.strip():
        raise InvalidRequest("an intervention gives its reason")
