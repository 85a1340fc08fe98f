"""Versioned policy values."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from visitserver.domain.policies import PolicyValue
from visitserver.store.base import Id, JsonData, UtcDateTime, mapper_registry, metadata

policies = Table(
    "policies",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), index=True),
    Column("key", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("value", JsonData, nullable=False),
    Column("valid_from", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("valid_to", UtcDateTime),
    Column("authority", String(200)),
    UniqueConstraint("prison_id", "key", "version"),
)

mapper_registry.map_imperatively(PolicyValue, policies)
