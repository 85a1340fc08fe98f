"""Calls and their events."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from visitserver.domain.calls import Call, CallKind, CallPhase, OutcomeCode, StoredCallEvent
from visitserver.store.append_only import append_only_ddl
from visitserver.store.base import Id, JsonData, TextEnum, UtcDateTime, after_create, mapper_registry, metadata

calls = Table(
    "calls",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False, unique=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False),
    Column("kind", TextEnum(CallKind), nullable=False),
    Column("lobby_opens_at", UtcDateTime, nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("recorded", Boolean, nullable=False),
    Column("supervision", String(16), nullable=False),
    Column("watch_banner", Boolean, nullable=False),
    Column("policy_version", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("phase", TextEnum(CallPhase), nullable=False),
    Column("recording_id", Id()),
    Column("last_sequence", Integer, nullable=False),
    Column("connected_seconds", Integer, nullable=False),
    Column("lost_seconds", Integer, nullable=False, server_default="0"),
    Column("outcome", TextEnum(OutcomeCode)),
    Column("cause", String(64)),
    Column("ended_at", UtcDateTime),
    Index("ix_calls_prison_day", "prison_id", "starts_at", "id"),
    Index("ix_calls_prisoner", "prisoner_id", "starts_at"),
    Index("ix_calls_phase", "phase", "starts_at"),
)

call_events = Table(
    "call_events",
    metadata,
    Column("call_id", Id(), ForeignKey("calls.id"), primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("type", String(32), nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(64), nullable=False),
    Column("cause", String(64), nullable=False),
    Column("data", JsonData, nullable=False),
)
after_create(call_events, append_only_ddl("call_events"))

mapper_registry.map_imperatively(Call, calls)
mapper_registry.map_imperatively(StoredCallEvent, call_events)
