"""A call's state as the channel's messages say it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from signaling.call_machine import CallMachine
from signaling.calls import FINAL, RIGHT_WITHDRAWN, ActorKind, CallEvent, EventType, Phase, phase_after
from signaling.media.leg import Kind, Side
from signaling.media.stats import RoomCounters
from signaling.messages import (
    Ended,
    Muted,
    MutedView,
    Notice,
    OfficerMessage,
    ParticipantInfo,
    Participants,
    ServerMessage,
    SlotView,
    State,
    Welcome,
)
from signaling.seats import Seat, Seats
from signaling.snapshot import ParticipantSnapshot, RoomSnapshot

_ABOUT_PEOPLE = frozenset(
    {
        EventType.JOINED,
        EventType.LEFT,
        EventType.CONNECTED,
        EventType.DISCONNECTED,
        EventType.PARTICIPANT_HELD,
        EventType.PARTICIPANT_RESUMED,
        EventType.PARTICIPANT_REMOVED,
    }
)
# What an event that led to the present phase may tell the participants; officers' reasons stay in the record.
_SAFE_WORDS = "words"


def participants_message(machine: CallMachine, seats: Seats) -> Participants:
    """Who is in the call."""
    return Participants(participants=tuple(_participant_info(machine, seat) for seat in seats))


def room_snapshot(
    node_id: str, machine: CallMachine, seats: Seats, counters: RoomCounters, now: datetime
) -> RoomSnapshot:
    """The room at this moment, as the node with this id has it."""
    state, charter = machine.state, machine.charter
    return RoomSnapshot(
        call_id=str(charter.call_id),
        node_id=node_id,
        privileged=charter.privileged,
        phase=state.phase,
        phase_since=state.phase_since,
        cause=state.cause,
        starts_at=charter.starts_at,
        ends_at=charter.ends_at,
        connected_seconds=state.connected_seconds(now),
        held_by_officer=state.held_by_officer,
        recording=charter.recording,
        recorder=state.recorder,
        supervision=charter.supervision,
        officers=tuple(sorted(set(state.monitors.values()))),
        participants=tuple(_participant_snapshot(machine, seat) for seat in seats),
        last_sequence=state.sequence,
        packets_received=counters.received,
        packets_forwarded=counters.forwarded,
        packets_dropped_gate=counters.dropped_gate,
    )


def _participant_snapshot(machine: CallMachine, seat: Seat) -> ParticipantSnapshot:
    participant_id = seat.ticket.participant_id
    person = machine.state.people.get(participant_id)
    return ParticipantSnapshot(
        participant_id=participant_id,
        side=seat.ticket.side,
        name=seat.ticket.name,
        present=person is not None and person.present,
        connected=person is not None and person.connected,
        muted=tuple(kind for kind in Kind if (participant_id, kind) in machine.state.muted),
        held=participant_id in machine.state.held_people,
        microphone=seat.device.microphone if seat.device else None,
        camera=seat.device.camera if seat.device else None,
        quality=seat.quality,
    )


def _participant_info(machine: CallMachine, seat: Seat) -> ParticipantInfo:
    participant_id = seat.ticket.participant_id
    person = machine.state.people.get(participant_id)
    return ParticipantInfo(
        participant_id=participant_id,
        side=seat.ticket.side,
        name=seat.ticket.name,
        connected=person is not None and person.connected,
        present=person is not None and person.present,
        microphone=seat.device.microphone if seat.device else None,
        camera=seat.device.camera if seat.device else None,
        held=participant_id in machine.state.held_people,
    )


def state_message(machine: CallMachine, now: datetime, event: CallEvent | None = None) -> State:
    """The phase that `event` began, or the one the call is in, with who brought it there and why."""
    if event is None:
        event = next((past for past in reversed(machine.events) if _begins_phase(past)), None)
        phase = machine.state.phase
    else:
        phase = phase_after(event.type) or machine.state.phase
    gone = set(machine.charter.sides) - machine.state.connected_sides
    return State(
        state=phase,
        by=_told_by(event),
        cause=_told_cause(event),
        words=str(event.data.get(_SAFE_WORDS, "")) if event else "",
        waiting_for=tuple(side for side in Side if side in gone),
        connected_seconds=round(machine.state.connected_seconds(now), 1),
        ends_at=machine.charter.ends_at,
    )


def _told_by(event: CallEvent | None) -> ActorKind:
    """Nobody in the call learns who took a right back, nor that somebody did: the record and officers know."""
    return ActorKind.SYSTEM if event is None or event.cause == RIGHT_WITHDRAWN else event.actor.kind


def _told_cause(event: CallEvent | None) -> str:
    if event is None:
        return "schedule"
    return "called_off" if event.cause == RIGHT_WITHDRAWN else event.cause


def _begins_phase(event: CallEvent) -> bool:
    return event.type is EventType.REOPENED or phase_after(event.type) is not None


def welcome_message(
    machine: CallMachine,
    seats: Seats,
    now: datetime,
    *,
    participant_id: str | None,
    slots: Iterable[SlotView],
    speaker: str | None = None,
) -> Welcome:
    """The first thing a client hears. `participant_id` is None for an officer."""
    charter = machine.charter
    return Welcome(
        call_id=str(charter.call_id),
        role="officer" if participant_id is None else "participant",
        participant_id=participant_id,
        state=state_message(machine, now),
        slots=tuple(slots),
        participants=participants_message(machine, seats).participants,
        muted=tuple(MutedView(participant_id=who, kind=kind) for who, kind in sorted(machine.state.muted)),
        speaker=speaker,
        starts_at=charter.starts_at,
        ends_at=charter.ends_at,
        server_time=now,
        notices=machine.rules.notices,
        recording=charter.recording,
        supervision=charter.supervision,
        watching=bool(machine.state.monitors) if charter.watch_banner else None,
    )


def participant_message(event: CallEvent, machine: CallMachine, seats: Seats, now: datetime) -> ServerMessage | None:
    """What participants are told of an event; None for what is not theirs: officers, the recorder, bookmarks."""
    data = event.data
    if event.type in _ABOUT_PEOPLE:
        return participants_message(machine, seats)
    match event.type:
        case EventType.ENDING:
            return Ended(
                outcome=Phase(data["outcome"]),
                cause=_told_cause(event),
                words=str(data.get(_SAFE_WORDS, "")),
                connected_seconds=data["connected_seconds"],
            )
        case EventType.NOTICE:
            return Notice(minutes=data["minutes"])
        case EventType.SAID:
            return OfficerMessage(text=data["text"])
        case EventType.MUTED:
            return Muted(participant_id=data["participant_id"], kind=Kind(data["kind"]), muted=data["muted"])
        case _ if _begins_phase(event) and phase_after(event.type) not in FINAL:
            return state_message(machine, now, event)
        case _:
            return None
