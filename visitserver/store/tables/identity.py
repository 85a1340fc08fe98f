"""Enrolments, checks at the door, keys of persons and what is sealed with them."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Column, Dialect, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint
from sqlalchemy.types import TypeDecorator

from visitserver.domain.identity import (
    CheckState,
    Enrolment,
    EnrolmentRoute,
    EnrolmentState,
    IdentityCheck,
    PersonKey,
    PictureKind,
    SealedItem,
    Verdict,
)
from visitserver.store.base import Id, TextEnum, TextTuple, UtcDateTime, mapper_registry, metadata


class _Figures(TypeDecorator[tuple[float, ...]]):
    """A tuple of floats as a JSON array in a text column."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps([float(item) for item in value])

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[float, ...] | None:
        return None if value is None else tuple(json.loads(value))


enrolments = Table(
    "enrolments",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("contact_id", Id(), ForeignKey("contacts.id"), nullable=False, index=True),
    Column("route", TextEnum(EnrolmentRoute), nullable=False),
    Column("state", TextEnum(EnrolmentState), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("notice_version", String(40), nullable=False),
    Column("informed_at", UtcDateTime),
    Column("document_problems", TextTuple, nullable=False),
    Column("document_valid_until", UtcDateTime),
    Column("face_verdict", TextEnum(Verdict)),
    Column("face_reasons", TextTuple, nullable=False),
    Column("face_distances", _Figures, nullable=False),
    Column("liveness", String(200)),
    Column("policy_version", String(100)),
    Column("model_version", String(100)),
    Column("submitted_at", UtcDateTime),
    Column("decided_at", UtcDateTime),
    Column("decided_by", String(100)),
    Column("decision_reason", Text),
    Column("words_for_caller", Text),
    Column("scores_revealed_at", UtcDateTime),
    Column("scores_revealed_to", String(100)),
    Column("appealed_at", UtcDateTime),
    Column("appeal", Text),
    Index("ix_enrolments_queue", "state", "submitted_at", "id"),
)

identity_checks = Table(
    "identity_checks",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False, index=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("contact_id", Id(), ForeignKey("contacts.id"), nullable=False, index=True),
    Column("state", TextEnum(CheckState), nullable=False),
    Column("route", TextEnum(EnrolmentRoute), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("enrolment_id", Id(), ForeignKey("enrolments.id")),
    Column("verdict", TextEnum(Verdict)),
    Column("reasons", TextTuple, nullable=False),
    Column("distances", _Figures, nullable=False),
    Column("liveness", String(200)),
    Column("policy_version", String(100)),
    Column("model_version", String(100)),
    Column("decided_at", UtcDateTime),
    Column("decided_by", String(100)),
    Column("decision_reason", Text),
    Index("ix_identity_checks_queue", "prison_id", "state", "created_at", "id"),
)

person_keys = Table(
    "person_keys",
    metadata,
    Column("contact_id", Id(), ForeignKey("contacts.id"), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

sealed_items = Table(
    "sealed_items",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("contact_id", Id(), ForeignKey("contacts.id"), nullable=False, index=True),
    Column("owner_id", Id(), nullable=False),
    Column("kind", TextEnum(PictureKind), nullable=False),
    Column("number", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("delete_after", UtcDateTime, index=True),
    Column("model_version", String(100), nullable=False),
    Column("last_used_at", UtcDateTime),
    UniqueConstraint("owner_id", "kind", "number"),
)

mapper_registry.map_imperatively(Enrolment, enrolments)
mapper_registry.map_imperatively(IdentityCheck, identity_checks)
mapper_registry.map_imperatively(PersonKey, person_keys)
mapper_registry.map_imperatively(SealedItem, sealed_items)
