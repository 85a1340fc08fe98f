"""A room at one moment, for the officers' console and the application."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from signaling.calls import Phase, Recorder
from signaling.capabilities import RecordingPolicy, Supervision
from signaling.media.leg import Kind, Side
from signaling.messages import Quality


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class ParticipantSnapshot(_Model):
    """A participant: `present` on the control channel, `connected` with media."""

    participant_id: str
    side: Side
    name: str
    present: bool
    connected: bool
    muted: tuple[Kind, ...]
    held: bool = False
    microphone: str | None
    camera: str | None
    quality: Quality | None


class RoomSnapshot(_Model):
    """A room: its phase since when, its clock, who is there and who watches."""

    call_id: str
    node_id: str
    privileged: bool
    phase: Phase
    phase_since: datetime | None
    cause: str
    starts_at: datetime
    ends_at: datetime
    connected_seconds: float
    held_by_officer: bool
    recording: RecordingPolicy
    recorder: Recorder
    supervision: Supervision
    officers: tuple[str, ...]
    participants: tuple[ParticipantSnapshot, ...]
    last_sequence: int
    packets_received: int
    packets_forwarded: int
    packets_dropped_gate: int
