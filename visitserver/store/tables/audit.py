"""The audit log."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table

from visitserver.domain.audit import AuditEntry
from visitserver.store.append_only import append_only_ddl
from visitserver.store.base import Id, JsonData, UtcDateTime, after_create, mapper_registry, metadata

audit_log = Table(
    "audit_log",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String(64), nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(100), nullable=False),
    Column("object_id", String(100), nullable=False, index=True),
    Column("previous", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("seal", String(64), nullable=False),
    Column("prison_id", Id()),
    Column("request_id", String(64)),
    Column("data", JsonData, nullable=False),
    Index("ix_audit_log_actor", "actor_kind", "actor_id", "sequence"),
)

after_create(audit_log, append_only_ddl("audit_log"))

mapper_registry.map_imperatively(AuditEntry, audit_log)
