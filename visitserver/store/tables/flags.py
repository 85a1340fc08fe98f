"""Flags on bookings, the changes that raise them, and the nightly scans."""

from __future__ import annotations

from sqlalchemy import Column, Date, ForeignKey, Index, Integer, String, Table, Text, text

from visitserver.domain.changes import Change, ChangeKind
from visitserver.domain.flags import Flag, FlagClosed, FlagScan, FlagType
from visitserver.store.base import Id, JsonData, TextEnum, UtcDateTime, mapper_registry, metadata

flags = Table(
    "flags",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False, index=True),
    Column("type", TextEnum(FlagType), nullable=False),
    Column("key", String(100), nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("raised_at", UtcDateTime, nullable=False),
    Column("attributes", JsonData, nullable=False),
    Column("acknowledged_by", String(100)),
    Column("acknowledged_at", UtcDateTime),
    Column("kept_by", String(100)),
    Column("kept_at", UtcDateTime),
    Column("kept_reason", Text),
    Column("closed_at", UtcDateTime),
    Column("closed_how", TextEnum(FlagClosed)),
    Column("closed_by", String(100)),
    Column("lapsed_at", UtcDateTime),
    # One open flag per booking, type and key: the same event five times raises one.
    Index(
        "uq_flags_open",
        "booking_id",
        "type",
        "key",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
    Index("ix_flags_queue", "prison_id", "closed_at", "starts_at", "id"),
)

changes = Table(
    "changes",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", TextEnum(ChangeKind), nullable=False),
    Column("by", String(100), nullable=False),
    Column("prison_id", Id()),
    Column("prisoner_id", Id()),
    Column("contact_id", Id()),
    Column("relationship_id", Id()),
    Column("station_id", Id()),
    Column("template_id", Id()),
    Column("from_at", UtcDateTime),
    Column("to_at", UtcDateTime),
    Column("attributes", JsonData, nullable=False),
    Column("cursor", Text),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime),
    Column("calls_done_at", UtcDateTime),
    Column("done_at", UtcDateTime),
    Index("ix_changes_pending", "done_at", "at"),
)

flag_scans = Table(
    "flag_scans",
    metadata,
    Column("prison_id", Id(), ForeignKey("prisons.id"), primary_key=True),
    Column("night", Date, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("cursor", Text),
    Column("checked", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("raised", Integer, nullable=False),
    Column("resolved", Integer, nullable=False),
    Column("finished_at", UtcDateTime),
)

mapper_registry.map_imperatively(Flag, flags)
mapper_registry.map_imperatively(Change, changes)
mapper_registry.map_imperatively(FlagScan, flag_scans)
