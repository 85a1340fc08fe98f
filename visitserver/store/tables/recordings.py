"""Recordings and who opened them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from visitserver.domain.recordings import Recording, RecordingOpening, RecordingState
from visitserver.store.base import Id, TextEnum, UtcDateTime, mapper_registry, metadata

recordings = Table(
    "recordings",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("call_id", Id(), nullable=False, index=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False, index=True),
    Column("policy_version", String(64), nullable=False),
    Column("state", TextEnum(RecordingState), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expected_end", UtcDateTime, nullable=False),
    Column("booking_id", Id(), ForeignKey("bookings.id"), index=True),
    Column("started_at", UtcDateTime),
    Column("sealed_at", UtcDateTime),
    Column("head_sha256", String(64)),
    Column("segments", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("gaps", Integer, nullable=False),
    Column("interrupted", Boolean, nullable=False),
    Column("failure", String(64)),
    Column("retain_until", UtcDateTime),
    Column("held_at", UtcDateTime),
    Column("held_by", String(100)),
    Column("hold_reason", Text),
    Column("deleted_at", UtcDateTime),
    Column("deletion_reason", Text),
    Column("erased_at", UtcDateTime),
    Index("ix_recordings_list", "prison_id", "created_at", "id"),
    Index("ix_recordings_retention", "state", "retain_until"),
    Index("ix_recordings_overdue", "state", "expected_end"),
)

recording_openings = Table(
    "recording_openings",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("recording_id", Id(), ForeignKey("recordings.id"), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_recording_openings_list", "recording_id", "opened_at", "id"),
)

mapper_registry.map_imperatively(Recording, recordings)
mapper_registry.map_imperatively(RecordingOpening, recording_openings)
