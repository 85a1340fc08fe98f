"""Prisons, wings, prisoners, contacts, staff."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Date, ForeignKey, Index, String, Table, UniqueConstraint

from visitserver.domain.people import Contact, IncentiveLevel, LegalStatus, Prison, Prisoner, Staff, Wing
from visitserver.store.base import Id, TextEnum, TextTuple, UtcDateTime, mapper_registry, metadata

prisons = Table(
    "prisons",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("code", String(32), nullable=False, unique=True),
    Column("record_source", String(64), nullable=False, server_default=""),
)

wings = Table(
    "wings",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
)

prisoners = Table(
    "prisoners",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("number", String(64), nullable=False, unique=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), index=True),
    Column("given_name", String(200), nullable=False),
    Column("family_name", String(200), nullable=False),
    Column("born_on", Date, nullable=False),
    Column("admitted_at", UtcDateTime, nullable=False),
    Column("wing_id", Id(), ForeignKey("wings.id")),
    Column("location", TextTuple, nullable=False),
    Column("legal_status", TextEnum(LegalStatus), nullable=False),
    Column("incentive_level", TextEnum(IncentiveLevel), nullable=False),
    Column("category", String(64)),
    Column("language", String(16), nullable=False),
    Column("released_at", UtcDateTime),
    Column("external_id", String(100)),
    Column("external_source", String(64), nullable=False, server_default=""),
    UniqueConstraint("external_source", "external_id"),
    Column("merged_into", Id()),
    Index("ix_prisoners_name", "family_name", "given_name"),
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("given_name", String(200), nullable=False),
    Column("family_name", String(200), nullable=False),
    Column("born_on", Date, nullable=False),
    Column("email", String(320)),
    Column("phone", String(40)),
    Column("timezone", String(64)),
    Column("language", String(16), nullable=False),
    Column("external_id", String(100)),
    Column("external_source", String(64), nullable=False, server_default=""),
    UniqueConstraint("external_source", "external_id"),
    Column("home_prison_id", Id(), index=True),
    Column("merged_into", Id()),
    Index("ix_contacts_name", "family_name", "given_name"),
    Index("ix_contacts_email", "email"),
)

staff = Table(
    "staff",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("email", String(320)),
    Column("active", Boolean, nullable=False),
)

mapper_registry.map_imperatively(Prison, prisons)
mapper_registry.map_imperatively(Wing, wings)
mapper_registry.map_imperatively(Prisoner, prisoners)
mapper_registry.map_imperatively(Contact, contacts)
mapper_registry.map_imperatively(Staff, staff)
