"""Calls as the console shows them: a tile of the wall, the focus of one, its events with names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from signaling.calls import FINAL, Phase, Recorder
from signaling.capabilities import RecordingPolicy, Supervision
from signaling.media.leg import Kind, Side
from signaling.snapshot import RoomSnapshot
from visitserver.domain.calls import Call, StoredCallEvent
from visitserver.http.forms import Body
from visitserver.services.desk import BookingView


class Health(Body):
    """What a participant's browser measured over the last seconds. `loss` is 0..1, `height` in pixels."""

    rtt_ms: float | None = None
    loss: float | None = None
    kbit_in: float | None = None
    kbit_out: float | None = None
    height: int | None = None


class PersonOut(Body):
    """A participant: `present` on the control channel, `connected` with media."""

    participant_id: str
    side: Side
    name: str
    present: bool
    connected: bool
    muted: tuple[Kind, ...] = ()
    held: bool = False
    microphone: str | None = None
    camera: str | None = None
    quality: Health | None = None


class CallOut(Body):
    """A call now. Times are UTC. `watchers` counts officers who watch, the asking one included."""

    call_id: str
    privileged: bool
    phase: Phase
    cause: str
    starts_at: datetime
    ends_at: datetime
    connected_seconds: float
    prisoner: str
    visitors: list[str]
    station: str
    wing: str
    watch_required: bool
    watchers: int
    watched_by_me: bool
    recorded: bool
    recorder: Recorder
    participants: list[PersonOut]


class EventOut(Body):
    """An event; `actor` is a name, or empty for the system."""

    sequence: int
    at: datetime
    type: str
    actor: str
    cause: str
    data: dict[str, Any]


def live_call(snapshot: RoomSnapshot, view: BookingView | None, me: str) -> CallOut:
    """A call with an open room. `view` is its booking, `me` the asking officer's id."""
    people = [
        PersonOut(
            **one.model_dump(exclude={"quality"}),
            quality=None if one.quality is None else Health(**one.quality.model_dump(include=set(Health.model_fields))),
        )
        for one in snapshot.participants
    ]
    return CallOut(
        call_id=snapshot.call_id,
        privileged=snapshot.privileged,
        phase=snapshot.phase,
        cause=snapshot.cause,
        starts_at=snapshot.starts_at,
        ends_at=snapshot.ends_at,
        connected_seconds=snapshot.connected_seconds,
        watch_required=snapshot.supervision is Supervision.LIVE,
        watchers=len(set(snapshot.officers)),
        watched_by_me=me in snapshot.officers,
        recorded=snapshot.recording is RecordingPolicy.REQUIRED,
        recorder=snapshot.recorder,
        participants=people,
        **_who(view, people),
    )


def stored_call(call: Call, view: BookingView | None) -> CallOut:
    """A call without a room: not open yet, over, or its node is gone."""
    return CallOut(
        call_id=call.id,
        privileged=call.privileged,
        phase=Phase(call.phase.value),
        cause=call.cause or "",
        starts_at=call.starts_at,
        ends_at=call.ends_at,
        connected_seconds=call.connected_seconds,
        watch_required=call.supervision == Supervision.LIVE,
        watchers=0,
        watched_by_me=False,
        recorded=call.recorded,
        recorder=Recorder.ABSENT,
        participants=[],
        **_who(view, []),
    )


def is_over(call: CallOut) -> bool:
    """Whether the call has its outcome."""
    return call.phase in FINAL


def events_out(events: Iterable[StoredCallEvent], view: BookingView | None, staff: Mapping[str, str]) -> list[EventOut]:
    """Events with names in place of ids: of participants from the booking, of staff from `staff` (by id)."""
    people = _names(view)
    out = []
    for event in events:
        data = dict(event.data)
        participant = data.get("participant_id")
        if isinstance(participant, str) and participant in people:
            data["name"] = people[participant]
        officer = data.get("officer_id")
        if isinstance(officer, str) and officer in staff:
            data["name"] = staff[officer]
        actor = staff.get(event.actor_id) or people.get(event.actor_id) or ""
        out.append(
            EventOut(sequence=event.sequence, at=event.at, type=event.type, actor=actor, cause=event.cause, data=data)
        )
    return out


def staff_in(events: Sequence[StoredCallEvent]) -> list[str]:
    """The ids of staff that the events name."""
    found = {event.actor_id for event in events if event.actor_kind == "staff"}
    found |= {str(event.data["officer_id"]) for event in events if "officer_id" in event.data}
    return sorted(found)


def _who(view: BookingView | None, people: Sequence[PersonOut]) -> dict[str, Any]:
    """Whom the call is between. Without its booking, whoever is in the room."""
    if view is None:
        prisoners = [one.name for one in people if one.side is Side.PRISONER]
        others = [one.name for one in people if one.side is not Side.PRISONER]
        return {"prisoner": ", ".join(prisoners), "visitors": others, "station": "", "wing": ""}
    return {
        "prisoner": view.prisoner.name,
        "visitors": list(view.visitors),
        "station": view.station.name,
        "wing": view.wing.name if view.wing else "",
    }


def _names(view: BookingView | None) -> dict[str, str]:
    if view is None:
        return {}
    return {view.prisoner.id: view.prisoner.name} | {contact.id: contact.name for contact in view.contacts}
