"""Webhooks' endpoints."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, LargeBinary, String, Table

from visitserver.domain.webhooks import LONGEST_URL, WebhookEndpoint
from visitserver.store.base import Id, TextSet, UtcDateTime, mapper_registry, metadata

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False, index=True),
    Column("url", String(LONGEST_URL), nullable=False),
    Column("events", TextSet(), nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("description", String(200), nullable=False),
    Column("paused_why", String(32), nullable=False),
    Column("removed_at", UtcDateTime),
)

mapper_registry.map_imperatively(WebhookEndpoint, webhook_endpoints)
