"""Stations, templates, bookings, and the occupancy that makes a double booking impossible."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    Time,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import relationship

from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.rejections import RejectionReason
from visitserver.domain.scheduling import (
    Booking,
    BookingChange,
    BookingParticipant,
    BookingState,
    HoldKind,
    SessionTemplate,
    Station,
    StationKind,
    SupervisionLevel,
)
from visitserver.store.base import (
    Id,
    IntTuple,
    PathSet,
    TextEnum,
    TextSet,
    TextTuple,
    UtcDateTime,
    after_create,
    mapper_registry,
    metadata,
)

stations = Table(
    "stations",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False, index=True),
    Column("name", String(100), nullable=False),
    Column("kind", TextEnum(StationKind), nullable=False),
    Column("wing_id", Id(), ForeignKey("wings.id")),
    Column("active", Boolean, nullable=False),
)

session_templates = Table(
    "session_templates",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("weekdays", IntTuple, nullable=False),
    Column("starts_at", Time, nullable=False),
    Column("ends_at", Time, nullable=False),
    Column("duration_minutes", Integer, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("station_ids", TextTuple, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date),
    Column("every_weeks", Integer, nullable=False),
    Column("capacity_supervised", Integer),
    Column("kinds", TextSet(CallKind), nullable=False),
    Column("supervision", TextEnum(SupervisionLevel), nullable=False),
    Column("credit_type", TextEnum(CreditType)),
    Column("public", Boolean, nullable=False),
    Column("include_wings", TextSet(), nullable=False),
    Column("exclude_wings", TextSet(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("include_locations", PathSet, nullable=False, server_default="[]"),
    Column("exclude_locations", PathSet, nullable=False, server_default="[]"),
    Column("include_categories", TextSet(), nullable=False, server_default="[]"),
    Column("exclude_categories", TextSet(), nullable=False, server_default="[]"),
    Column("incentive_levels", TextSet(IncentiveLevel), nullable=False, server_default="[]"),
    Column("legal_statuses", TextSet(LegalStatus), nullable=False, server_default="[]"),
    Column("supersedes", Id(), ForeignKey("session_templates.id")),
    Column("created_by", String(100), nullable=False),
    Column("created_at", UtcDateTime),
    CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="ends_after_start"),
    CheckConstraint("capacity >= 0", name="capacity"),
)

bookings = Table(
    "bookings",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False),
    Column("kind", TextEnum(CallKind), nullable=False),
    Column("state", TextEnum(BookingState), nullable=False),
    Column("template_id", Id(), ForeignKey("session_templates.id"), nullable=False),
    Column("slot_key", String(64), nullable=False, index=True),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("supervision", TextEnum(SupervisionLevel), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("station_id", Id(), ForeignKey("stations.id"), nullable=False),
    Column("credit_type", TextEnum(CreditType)),
    Column("hold_expires_at", UtcDateTime),
    Column("hold_extended", Boolean, nullable=False),
    Column("charged", Boolean, nullable=False),
    Column("outcome", String(64)),
    Column("reason", Text),
    Column("decided_by", String(100)),
    Column("decided_at", UtcDateTime),
    Column("revision", Integer, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    Column("hold_kind", TextEnum(HoldKind)),
    Column("overbook_reason", Text),
    Column("requested_at", UtcDateTime),
    Column("escalated_at", UtcDateTime),
    Column("rejection", TextEnum(RejectionReason)),
    Column("rejection_day", Date),
    Column("family_words", Text),
    CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    Index("ix_bookings_prison_day", "prison_id", "starts_at", "id"),
    Index("ix_bookings_prisoner", "prisoner_id", "starts_at"),
    Index("ix_bookings_state", "state", "starts_at"),
    # How many stand on each slot of a template during some days, without reading the rows.
    Index("ix_bookings_template_day", "template_id", "starts_at", "state", "slot_key"),
    # The few that are held just now, among all that ever were booked.
    Index(
        "ix_bookings_held",
        "hold_expires_at",
        postgresql_where=text("state = 'held'"),
        sqlite_where=text("state = 'held'"),
    ),
)

booking_changes = Table(
    "booking_changes",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("from_slot_key", String(64), nullable=False),
    Column("from_starts_at", UtcDateTime, nullable=False),
    Column("from_ends_at", UtcDateTime, nullable=False),
    Column("from_station_id", Id(), nullable=False),
    Column("to_slot_key", String(64), nullable=False),
    Column("reason", Text),
    UniqueConstraint("booking_id", "revision"),
)

booking_participants = Table(
    "booking_participants",
    metadata,
    Column("booking_id", Id(), ForeignKey("bookings.id"), primary_key=True),
    Column("contact_id", Id(), ForeignKey("contacts.id"), primary_key=True, index=True),
    Column("relationship_id", Id(), ForeignKey("relationships.id"), nullable=False, index=True),
    Column("lead", Boolean, nullable=False),
)

# One row per resource and five-minute cell: the primary key is what makes a second booking impossible.
occupancy = Table(
    "occupancy",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("resource", String(100), primary_key=True),
    Column("cell", BigInteger, primary_key=True, autoincrement=False),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False, index=True),
)

# The same once more as a span, for people who read the database and for PostgreSQL's exclusion constraint.
occupancy_spans = Table(
    "occupancy_spans",
    metadata,
    Column("booking_id", Id(), ForeignKey("bookings.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("resource", String(100), primary_key=True),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    # Holds all that availability asks, so that a month of a prison is read without touching the rows.
    Index("ix_occupancy_spans_resource", "kind", "resource", "starts_at", "ends_at", "booking_id"),
)

after_create(
    occupancy_spans,
    [
        ("postgresql", "CREATE EXTENSION IF NOT EXISTS btree_gist"),
        (
            "postgresql",
            "ALTER TABLE occupancy_spans ADD CONSTRAINT ex_occupancy_spans_overlap EXCLUDE USING gist"
            " (kind WITH =, resource WITH =, tstzrange(starts_at, ends_at) WITH &&)",
        ),
    ],
)

mapper_registry.map_imperatively(Station, stations)
mapper_registry.map_imperatively(SessionTemplate, session_templates)
mapper_registry.map_imperatively(BookingChange, booking_changes)
mapper_registry.map_imperatively(BookingParticipant, booking_participants)
mapper_registry.map_imperatively(
    Booking,
    bookings,
    properties={
        "participants": relationship(BookingParticipant, lazy="selectin", cascade="all, delete-orphan"),
    },
)
