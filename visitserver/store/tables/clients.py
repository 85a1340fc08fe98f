"""Machine clients and what they imported."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table

from visitserver.domain.clients import ApiClient, ImportRun
from visitserver.store.base import Id, JsonData, TextSet, UtcDateTime, mapper_registry, metadata

api_clients = Table(
    "api_clients",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("actions", TextSet(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", String(100)),
    Column("last_used_at", UtcDateTime),
)

import_runs = Table(
    "import_runs",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("dry_run", Boolean, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("prison_id", Id(), ForeignKey("prisons.id")),
    Column("finished_at", UtcDateTime),
    Column("lines", Integer, nullable=False),
    Column("created", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("ended", Integer, nullable=False),
    Column("unchanged", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("faults", JsonData, nullable=False),
    Index("ix_import_runs_prison", "prison_id", "started_at", "id"),
)

mapper_registry.map_imperatively(ApiClient, api_clients)
mapper_registry.map_imperatively(ImportRun, import_runs)
