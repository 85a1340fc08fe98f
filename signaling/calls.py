"""A call's states and events. A call is what its events say: `replay` gives the state, nothing else is remembered.

What may happen when, and what follows from it, is decided in signaling/call_machine.py; here stands only what each
event means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from signaling.ids import OrdinaryCallId, PrivilegedCallId, parse_call_id
from signaling.media.leg import Kind, Side


class Phase(StrEnum):
    """Where a call is. Media flows in LIVE and nowhere else."""

    SCHEDULED = "scheduled"
    LOBBY_OPEN = "lobby_open"
    READY = "ready"
    LIVE = "live"
    HELD = "held"
    WAITING_MONITOR = "waiting_monitor"
    RECONNECTING = "reconnecting"
    ENDING = "ending"  # the gate is shut for good; the recording is being sealed
    ENDED = "ended"
    TERMINATED = "terminated"
    NO_SHOW = "no_show"
    FAILED = "failed"


BEFORE_LIVE = frozenset({Phase.LOBBY_OPEN, Phase.READY})
IN_PROGRESS = frozenset({Phase.LIVE, Phase.HELD, Phase.WAITING_MONITOR, Phase.RECONNECTING})
FINAL = frozenset({Phase.ENDED, Phase.TERMINATED, Phase.NO_SHOW, Phase.FAILED})


class EventType(StrEnum):
    """What can happen to a call. The first group changes the phase, the second says what the phase follows from."""

    LOBBY_OPENED = "lobby_opened"
    READY = "ready"
    NOT_READY = "not_ready"
    LIVE = "live"
    HELD = "held"
    WAITING_MONITOR = "waiting_monitor"
    RECONNECTING = "reconnecting"
    ENDING = "ending"
    ENDED = "ended"
    TERMINATED = "terminated"
    NO_SHOW = "no_show"
    FAILED = "failed"

    OPENED = "opened"
    REOPENED = "reopened"
    JOINED = "joined"
    LEFT = "left"
    REPLACED = "replaced"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    MONITOR_JOINED = "monitor_joined"
    MONITOR_LEFT = "monitor_left"
    RECORDER_ATTACHED = "recorder_attached"
    RECORDER_FAILED = "recorder_failed"
    RECORDER_SEALED = "recorder_sealed"
    HOLD_PLACED = "hold_placed"
    HOLD_LIFTED = "hold_lifted"
    MUTED = "muted"
    PARTICIPANT_HELD = "participant_held"
    PARTICIPANT_RESUMED = "participant_resumed"
    PARTICIPANT_REMOVED = "participant_removed"
    BOOKMARK = "bookmark"
    SAID = "said"
    TALK_STARTED = "talk_started"  # an officer's voice is heard by `sides`
    TALK_STOPPED = "talk_stopped"
    NOTICE = "notice"
    CLOCK = "clock"  # the call is still live: after a crash, what it witnessed counts


_PHASE_AFTER: Mapping[EventType, Phase] = {
    EventType.LOBBY_OPENED: Phase.LOBBY_OPEN,
    EventType.READY: Phase.READY,
    EventType.NOT_READY: Phase.LOBBY_OPEN,
    EventType.LIVE: Phase.LIVE,
    EventType.HELD: Phase.HELD,
    EventType.WAITING_MONITOR: Phase.WAITING_MONITOR,
    EventType.RECONNECTING: Phase.RECONNECTING,
    EventType.ENDING: Phase.ENDING,
    EventType.ENDED: Phase.ENDED,
    EventType.TERMINATED: Phase.TERMINATED,
    EventType.NO_SHOW: Phase.NO_SHOW,
    EventType.FAILED: Phase.FAILED,
}


def phase_after(event: EventType) -> Phase | None:
    """The phase that an event of this type begins; None for one that begins none."""
    return _PHASE_AFTER.get(event)


_OPEN = frozenset({Phase.SCHEDULED}) | BEFORE_LIVE | IN_PROGRESS
_MAY_FOLLOW: Mapping[Phase, frozenset[Phase]] = {
    Phase.LOBBY_OPEN: frozenset({Phase.SCHEDULED, Phase.READY}),
    Phase.READY: frozenset({Phase.LOBBY_OPEN}),
    Phase.LIVE: frozenset({Phase.READY}) | (IN_PROGRESS - {Phase.LIVE}),
    Phase.HELD: IN_PROGRESS - {Phase.HELD},
    Phase.WAITING_MONITOR: IN_PROGRESS - {Phase.WAITING_MONITOR},
    Phase.RECONNECTING: IN_PROGRESS - {Phase.RECONNECTING},
    Phase.ENDING: _OPEN,
    **{final: frozenset({Phase.ENDING}) for final in FINAL},
}


class ActorKind(StrEnum):
    """Who can cause an event."""

    STAFF = "staff"
    PARTICIPANT = "participant"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who caused an event; `actor_id` is an identifier, never a name."""

    kind: ActorKind
    actor_id: str

    @property
    def is_person(self) -> bool:
        """Whether a person acted, not a program."""
        return self.kind is not ActorKind.SYSTEM


SYSTEM = Actor(ActorKind.SYSTEM, "system")

RIGHT_WITHDRAWN = "right_withdrawn"
"""The cause of an end: somebody took back a right on which the call rested. For the record and for officers only."""


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One thing that happened to a call. `sequence` counts from 1 without holes; `at` is UTC-aware and never goes back.

    `cause` is a short stable code; `data` holds JSON values only.
    """

    call_id: OrdinaryCallId | PrivilegedCallId
    sequence: int
    at: datetime
    type: EventType
    actor: Actor
    cause: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The event for the bus, the store and the recording's timeline."""
        return {
            "call_id": str(self.call_id),
            "sequence": self.sequence,
            "at": self.at.isoformat(),
            "type": self.type.value,
            "actor": {"kind": self.actor.kind.value, "id": self.actor.actor_id},
            "cause": self.cause,
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> CallEvent:
        """The event `to_json` wrote; ValueError, TypeError or KeyError for anything else."""
        at = datetime.fromisoformat(payload["at"])
        if at.tzinfo is None:
            raise ValueError("an event's time carries its zone")
        return cls(
            call_id=parse_call_id(payload["call_id"]),
            sequence=int(payload["sequence"]),
            at=at,
            type=EventType(payload["type"]),
            actor=Actor(ActorKind(payload["actor"]["kind"]), str(payload["actor"]["id"])),
            cause=str(payload["cause"]),
            data=dict(payload["data"]),
        )


class Recorder(StrEnum):
    """The recorder leg as the call sees it."""

    ABSENT = "absent"
    ATTACHED = "attached"
    FAILED = "failed"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Person:
    """A participant: `present` is signed in on the control channel, `connected` has media with the relay."""

    side: Side
    present: bool = False
    connected: bool = False


@dataclass(frozen=True, slots=True)
class CallState:
    """What the events so far amount to. Immutable; `apply` gives the next one."""

    phase: Phase = Phase.SCHEDULED
    phase_since: datetime | None = None
    sequence: int = 0
    last_at: datetime | None = None
    people: Mapping[str, Person] = field(default_factory=lambda: MappingProxyType({}))
    arrived: frozenset[Side] = frozenset()
    monitors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # media session -> officer
    monitor_gone_since: datetime | None = None
    recorder: Recorder = Recorder.ABSENT
    held_by_officer: bool = False
    muted: frozenset[tuple[str, Kind]] = frozenset()
    held_people: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # participant -> words to him
    removed: frozenset[str] = frozenset()
    noticed: frozenset[int] = frozenset()  # minutes
    finished_seconds: float = 0.0  # live time up to the last pause
    live_since: datetime | None = None
    was_live: bool = False
    outcome: Phase | None = None
    cause: str = ""

    @property
    def connected_sides(self) -> frozenset[Side]:
        """The sides of which somebody has media with the relay."""
        return frozenset(person.side for person in self.people.values() if person.connected)

    @property
    def held_sides(self) -> frozenset[Side]:
        """The sides of which somebody is connected, and everybody who is has been paused by an officer."""
        active = {
            person.side for name, person in self.people.items() if person.connected and name not in self.held_people
        }
        return self.connected_sides - active

    def connected_seconds(self, now: datetime) -> float:
        """Seconds the call has been live. Holds, waits and reconnecting do not count."""
        if self.live_since is None:
            return self.finished_seconds
        return self.finished_seconds + max(0.0, (now - self.live_since).total_seconds())


class BrokenHistory(ValueError):
    """The events are not the history of one call: a hole, a step back, or a transition that cannot be."""


def apply(state: CallState, event: CallEvent) -> CallState:
    """The state after `event`. BrokenHistory if it cannot follow `state`."""
    if event.sequence != state.sequence + 1:
        raise BrokenHistory(f"event {event.sequence} cannot follow event {state.sequence}")
    if state.last_at is not None and event.at < state.last_at:
        raise BrokenHistory(f"event {event.sequence} is older than the one before it")
    if state.phase in FINAL:
        raise BrokenHistory(f"nothing follows {state.phase}")
    after = _with_phase(state, event) if event.type in _PHASE_AFTER else _with_fact(state, event)
    return replace(after, sequence=event.sequence, last_at=event.at)


def replay(events: Iterable[CallEvent]) -> CallState:
    """The state that a call's events, from the first, amount to. BrokenHistory if they are not such."""
    state = CallState()
    for event in events:
        state = apply(state, event)
    return state


def _with_phase(state: CallState, event: CallEvent) -> CallState:
    phase = _PHASE_AFTER[event.type]
    if state.phase not in _MAY_FOLLOW[phase]:
        raise BrokenHistory(f"{phase} cannot follow {state.phase}")
    state = replace(_clock_stopped(state, event.at), phase=phase, phase_since=event.at)
    if phase is Phase.LIVE:
        return replace(state, live_since=event.at, was_live=True)
    if phase is Phase.ENDING:
        return replace(state, outcome=Phase(event.data["outcome"]), cause=event.cause)
    if phase in FINAL and phase is not state.outcome:
        raise BrokenHistory(f"{phase} is not the outcome that was announced")
    return state


def _clock_stopped(state: CallState, at: datetime) -> CallState:
    return replace(state, finished_seconds=state.connected_seconds(at), live_since=None)


def _with_fact(state: CallState, event: CallEvent) -> CallState:
    data = event.data
    match event.type:
        case EventType.JOINED:
            side = Side(data["side"])
            known = state.people.get(data["participant_id"], Person(side))
            return _person(
                replace(state, arrived=state.arrived | {side}), data["participant_id"], replace(known, present=True)
            )
        case EventType.LEFT:
            return _changed(state, data["participant_id"], present=False)
        case EventType.CONNECTED:
            return _changed(state, data["participant_id"], connected=True)
        case EventType.DISCONNECTED:
            return _changed(state, data["participant_id"], connected=False)
        case EventType.MONITOR_JOINED:
            monitors = {**state.monitors, data["session_id"]: data["officer_id"]}
            return replace(state, monitors=MappingProxyType(monitors), monitor_gone_since=None)
        case EventType.MONITOR_LEFT:
            monitors = {key: officer for key, officer in state.monitors.items() if key != data["session_id"]}
            gone_since = None if monitors else datetime.fromisoformat(data["since"])
            return replace(state, monitors=MappingProxyType(monitors), monitor_gone_since=gone_since)
        case EventType.RECORDER_ATTACHED:
            return replace(state, recorder=Recorder.ATTACHED)
        case EventType.RECORDER_FAILED:
            return replace(state, recorder=Recorder.FAILED)
        case EventType.RECORDER_SEALED if state.phase is Phase.ENDING:
            return replace(state, recorder=Recorder.SEALED)
        case EventType.HOLD_PLACED:
            return replace(state, held_by_officer=True)
        case EventType.HOLD_LIFTED:
            return replace(state, held_by_officer=False)
        case EventType.MUTED:
            key = (str(data["participant_id"]), Kind(data["kind"]))
            return replace(state, muted=state.muted | {key} if data["muted"] else state.muted - {key})
        case EventType.PARTICIPANT_HELD:
            held = {**state.held_people, _known(state, data["participant_id"]): str(data.get("words", ""))}
            return replace(state, held_people=MappingProxyType(held))
        case EventType.PARTICIPANT_RESUMED:
            return replace(state, held_people=_without(state, _known(state, data["participant_id"])))
        case EventType.PARTICIPANT_REMOVED:
            gone = _known(state, data["participant_id"])
            state = _changed(state, gone, present=False, connected=False)
            return replace(state, held_people=_without(state, gone), removed=state.removed | {gone})
        case EventType.NOTICE:
            return replace(state, noticed=state.noticed | {int(data["minutes"])})
        case EventType.REOPENED:
            return _reopened(state, event)
        case _:
            return state


def _known(state: CallState, participant_id: str) -> str:
    if participant_id not in state.people:
        raise BrokenHistory("an event about somebody who never joined")
    return participant_id


def _without(state: CallState, participant_id: str) -> Mapping[str, str]:
    return MappingProxyType({name: words for name, words in state.held_people.items() if name != participant_id})


def _person(state: CallState, participant_id: str, person: Person) -> CallState:
    return replace(state, people=MappingProxyType({**state.people, participant_id: person}))


def _changed(state: CallState, participant_id: str, **changes: bool) -> CallState:
    known = state.people.get(participant_id)
    if known is None:
        raise BrokenHistory("an event about somebody who never joined")
    return _person(state, participant_id, replace(known, **changes))  # type: ignore[arg-type]


def _reopened(state: CallState, event: CallEvent) -> CallState:
    """The node that held the call is gone: its connections too, and the clock stopped at its last sign of life."""
    nobody = {name: replace(person, present=False, connected=False) for name, person in state.people.items()}
    phase = state.phase
    if phase in IN_PROGRESS:
        phase = Phase.RECONNECTING
    elif phase in BEFORE_LIVE:
        phase = Phase.LOBBY_OPEN
    gone_since = state.monitor_gone_since or (event.at if state.monitors else None)
    return replace(
        _clock_stopped(state, state.last_at or event.at),
        phase=phase,
        phase_since=event.at,
        people=MappingProxyType(nobody),
        monitors=MappingProxyType({}),
        monitor_gone_since=gone_since,
        recorder=Recorder.ABSENT,
    )
