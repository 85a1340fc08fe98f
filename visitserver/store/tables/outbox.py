"""The outbox."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table, Text

from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.store.base import Id, JsonData, TextEnum, UtcDateTime, mapper_registry, metadata

outbox = Table(
    "outbox",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("topic", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("payload", JsonData, nullable=False),
    Column("state", TextEnum(OutboxState), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Column("claimed_until", UtcDateTime),
    Column("delivered_at", UtcDateTime),
    Column("dedupe_key", String(200), unique=True),
    Column("request_id", String(64)),
    Column("prison_id", Id()),
    Index("ix_outbox_due", "state", "due_at"),
    Index("ix_outbox_created", "created_at", "id"),
)

mapper_registry.map_imperatively(OutboxMessage, outbox)
