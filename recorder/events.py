"""What the recorder reads out of a call's events: whether media flows, and what may stand in clear in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signaling.calls import EventType

_GATE_OPEN = EventType.LIVE
_GATE_SHUT = frozenset(
    {
        EventType.NOT_READY,
        EventType.HELD,
        EventType.WAITING_MONITOR,
        EventType.RECONNECTING,
        EventType.REOPENED,
        EventType.ENDING,
        EventType.ENDED,
        EventType.TERMINATED,
        EventType.NO_SHOW,
        EventType.FAILED,
    }
)
PAUSES = frozenset({EventType.HELD, EventType.WAITING_MONITOR, EventType.RECONNECTING, EventType.REOPENED})

# Identifiers and codes only. Words that people wrote (notes, messages, reasons) stay in the encrypted log.
_IN_CLEAR = frozenset(
    {"participant_id", "side", "kind", "muted", "minutes", "outcome", "officer_id", "session_id", "recording_id"}
)


def gate_after(event: Mapping[str, Any]) -> bool | None:
    """Whether the relay forwards media after `event` (a CallEvent as JSON); None if the event does not say."""
    try:
        kind = EventType(event.get("type", ""))
    except ValueError:
        return None
    if kind is _GATE_OPEN:
        return True
    return False if kind in _GATE_SHUT else None


def muted_by(event: Mapping[str, Any]) -> tuple[str, str] | None:
    """(participant, kind of track) that `event` mutes; None for every other event."""
    data = event.get("data")
    if event.get("type") != EventType.MUTED or not isinstance(data, Mapping) or not data.get("muted"):
        return None
    return str(data.get("participant_id", "")), str(data.get("kind", ""))


def in_clear(event: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest, which is not encrypted, says of `event`."""
    data = event.get("data")
    kept = {}
    if isinstance(data, Mapping):
        kept = {key: value for key, value in data.items() if key in _IN_CLEAR and isinstance(value, str | int | bool)}
    actor = event.get("actor")
    return {
        "actor": {key: str(actor.get(key, "")) for key in ("kind", "id")} if isinstance(actor, Mapping) else {},
        "at": str(event.get("at", "")),
        "cause": str(event.get("cause", "")),
        "data": kept,
        "sequence": int(event.get("sequence", 0)),
        "type": str(event.get("type", "")),
    }
