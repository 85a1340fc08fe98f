"""Call events between the media nodes' form and the store's."""

from __future__ import annotations

from collections.abc import Iterable

from signaling.calls import Actor, ActorKind, CallEvent, EventType
from signaling.ids import parse_call_id
from visitserver.domain.calls import StoredCallEvent


def row_of(event: CallEvent) -> StoredCallEvent:
    """The event as a row."""
    return StoredCallEvent(
        call_id=str(event.call_id),
        sequence=event.sequence,
        at=event.at,
        type=event.type.value,
        actor_kind=event.actor.kind.value,
        actor_id=event.actor.actor_id,
        cause=event.cause,
        data=dict(event.data),
    )


def removed_from(rows: Iterable[StoredCallEvent]) -> frozenset[str]:
    """The participants whom officers have taken out of the call, by its events stored so far."""
    return frozenset(str(row.data["participant_id"]) for row in rows if row.type == EventType.PARTICIPANT_REMOVED)


def event_of(row: StoredCallEvent) -> CallEvent:
    """The row as an event; ValueError for what no media node wrote."""
    return CallEvent(
        call_id=parse_call_id(row.call_id),
        sequence=row.sequence,
        at=row.at,
        type=EventType(row.type),
        actor=Actor(ActorKind(row.actor_kind), row.actor_id),
        cause=row.cause,
        data=row.data,
    )
