"""Relationships, restrictions, non-associations, and the decisions that were made about them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, Index, String, Table, Text, UniqueConstraint

from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import DecisionRecord, Outcome
from visitserver.domain.rights import (
    Alert,
    NonAssociation,
    PrisonerAnswer,
    Relationship,
    RelationshipKind,
    RelationshipState,
    Restriction,
    RestrictionEffect,
    RestrictionScope,
)
from visitserver.store.base import Id, JsonData, TextEnum, TextTuple, UtcDateTime, mapper_registry, metadata

relationships = Table(
    "relationships",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False, index=True),
    Column("contact_id", Id(), ForeignKey("contacts.id"), nullable=False, index=True),
    Column("kind", TextEnum(RelationshipKind), nullable=False),
    Column("call_kind", TextEnum(CallKind), nullable=False),
    Column("relation", String(100), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("state", TextEnum(RelationshipState), nullable=False),
    Column("prisoner_answer", TextEnum(PrisonerAnswer), nullable=False),
    Column("statement", Text),
    Column("decided_at", UtcDateTime),
    Column("decided_by", String(100)),
    Column("reason", Text),
    Column("answered_at", UtcDateTime),
    Column("withdrawn_at", UtcDateTime),
    Column("external_id", String(100)),
    Column("external_source", String(64), nullable=False, server_default=""),
    UniqueConstraint("external_source", "external_id"),
    UniqueConstraint("prisoner_id", "contact_id", "kind"),
    Index("ix_relationships_queue", "state", "requested_at", "id"),
)

restrictions = Table(
    "restrictions",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("scope", TextEnum(RestrictionScope), nullable=False),
    Column("type", String(64), nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("authority", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("contact_id", Id(), ForeignKey("contacts.id"), index=True),
    Column("relationship_id", Id(), ForeignKey("relationships.id"), index=True),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), index=True),
    Column("effect", TextEnum(RestrictionEffect)),
    Column("review_on", Date),
    Column("note", Text),
    Column("lifted_at", UtcDateTime),
    Column("lifted_by", String(100)),
    Column("external_id", String(100)),
    Column("external_source", String(64), nullable=False, server_default=""),
    UniqueConstraint("external_source", "external_id"),
    Column("prison_id", Id()),
    CheckConstraint(
        "(scope = 'person' AND contact_id IS NOT NULL) OR (scope = 'relationship' AND relationship_id IS NOT NULL)"
        " OR (scope = 'prisoner' AND prisoner_id IS NOT NULL)",
        name="scope_has_its_id",
    ),
    CheckConstraint("ends_on IS NULL OR ends_on >= starts_on", name="ends_after_start"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False, index=True),
    Column("code", String(64), nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("note", Text),
    Column("closed_at", UtcDateTime),
    Column("closed_by", String(100)),
    Column("external_id", String(100)),
    Column("external_source", String(64), nullable=False, server_default=""),
    UniqueConstraint("external_source", "external_id"),
    CheckConstraint("ends_on IS NULL OR ends_on >= starts_on", name="ends_after_start"),
)

non_associations = Table(
    "non_associations",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prisoner_a", Id(), ForeignKey("prisoners.id"), nullable=False),
    Column("prisoner_b", Id(), ForeignKey("prisoners.id"), nullable=False, index=True),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("created_by", String(100), nullable=False),
    Column("created_at", UtcDateTime),
    Column("reason", Text),
    Column("external_id", String(100)),
    Column("external_source", String(64), nullable=False, server_default=""),
    UniqueConstraint("external_source", "external_id"),
    UniqueConstraint("prisoner_a", "prisoner_b", "starts_on"),
    CheckConstraint("prisoner_a < prisoner_b", name="smaller_id_first"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("outcome", TextEnum(Outcome), nullable=False),
    Column("trace", JsonData, nullable=False),
    Column("prison_id", Id()),
    Column("prisoner_id", Id(), index=True),
    Column("booking_id", Id(), index=True),
    Column("slot_key", String(64)),
    Column("deciding", TextTuple, nullable=False, server_default="[]"),
    Index("ix_decisions_prison", "prison_id", "at"),
)

mapper_registry.map_imperatively(Relationship, relationships)
mapper_registry.map_imperatively(Restriction, restrictions)
mapper_registry.map_imperatively(Alert, alerts)
mapper_registry.map_imperatively(NonAssociation, non_associations)
mapper_registry.map_imperatively(DecisionRecord, decisions)
