"""The ledger of visit credits, and the accounts of minutes owed."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, Integer, String, Table, UniqueConstraint

from visitserver.domain.allowance import CreditType, LedgerEvent, LedgerEventKind
from visitserver.domain.owed import OwedEvent, OwedEventKind
from visitserver.store.append_only import append_only_ddl
from visitserver.store.base import Id, TextEnum, UtcDateTime, after_create, mapper_registry, metadata

ledger_events = Table(
    "ledger_events",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", TextEnum(LedgerEventKind), nullable=False),
    Column("credit_id", Id(), nullable=False),
    Column("credit_type", TextEnum(CreditType), nullable=False),
    Column("reason", String(200), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("event_key", String(200), nullable=False, unique=True),
    Column("balance_after", Integer, nullable=False),
    Column("booking_id", Id(), ForeignKey("bookings.id"), index=True),
    Column("expires_at", UtcDateTime),
    Column("call_day", Date),
    Column("call_minutes", Integer),
    Column("granted_at", UtcDateTime),
    UniqueConstraint("prisoner_id", "sequence"),
    CheckConstraint("sequence >= 1", name="sequence"),
)

after_create(ledger_events, append_only_ddl("ledger_events"))

owed_events = Table(
    "owed_events",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False, index=True),
    Column("relationship_id", Id(), ForeignKey("relationships.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", TextEnum(OwedEventKind), nullable=False),
    Column("seconds", Integer, nullable=False),
    Column("reason", String(200), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("event_key", String(200), nullable=False, unique=True),
    Column("balance_after", Integer, nullable=False),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False, index=True),
    UniqueConstraint("relationship_id", "sequence"),
    CheckConstraint("sequence >= 1", name="sequence"),
    CheckConstraint("seconds > 0", name="seconds"),
    CheckConstraint("balance_after >= 0", name="balance"),
)

after_create(owed_events, append_only_ddl("owed_events"))

mapper_registry.map_imperatively(LedgerEvent, ledger_events)
mapper_registry.map_imperatively(OwedEvent, owed_events)
