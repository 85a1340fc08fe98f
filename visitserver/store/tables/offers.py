"""What decides which times are offered beside the sessions: appointments, blocks, the waiting list, preferences."""

from __future__ import annotations

from sqlalchemy import (
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
)

from visitserver.domain.appointments import Appointment, AppointmentKind
from visitserver.domain.blocks import Block
from visitserver.domain.preferences import Preference, PreferenceEnd
from visitserver.domain.waitlist import EntryState, OfferState, WaitlistEntry, WaitlistOffer
from visitserver.store.base import (
    Id,
    IntTuple,
    TextEnum,
    TextSet,
    TextTuple,
    UtcDateTime,
    mapper_registry,
    metadata,
)

appointments = Table(
    "appointments",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False),
    Column("kind", TextEnum(AppointmentKind), nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("external_id", String(100)),
    Column("note", Text),
    Column("cancelled_at", UtcDateTime),
    UniqueConstraint("prison_id", "external_id"),
    CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    Index("ix_appointments_prisoner", "prisoner_id", "starts_at"),
    Index("ix_appointments_prison", "prison_id", "starts_at", "id"),
)

blocks = Table(
    "blocks",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
    Column("station_ids", TextSet(), nullable=False),
    Column("template_ids", TextSet(), nullable=False),
    Column("reason", Text, nullable=False),
    Column("public_words", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("lifted_at", UtcDateTime),
    Column("lifted_by", String(100)),
    CheckConstraint("ends_at > starts_at", name="ends_after_start"),
    Index("ix_blocks_prison", "prison_id", "ends_at", "id"),
)

waitlist_entries = Table(
    "waitlist_entries",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False),
    Column("contact_id", Id(), ForeignKey("contacts.id"), nullable=False, index=True),
    Column("relationship_id", Id(), ForeignKey("relationships.id"), nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("slot_key", String(64)),
    Column("guest_ids", TextTuple, nullable=False),
    Column("from_time", Time),
    Column("to_time", Time),
    Column("state", TextEnum(EntryState), nullable=False),
    Column("lapses", Integer, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("booking_id", Id(), ForeignKey("bookings.id")),
    CheckConstraint("last_day >= first_day", name="ends_after_start"),
    Index("ix_waitlist_entries_queue", "prison_id", "state", "queued_at", "id"),
    Index("ix_waitlist_entries_prisoner", "prisoner_id", "state"),
)

waitlist_offers = Table(
    "waitlist_offers",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("entry_id", Id(), ForeignKey("waitlist_entries.id"), nullable=False),
    Column("booking_id", Id(), ForeignKey("bookings.id"), nullable=False, unique=True),
    Column("slot_key", String(64), nullable=False, index=True),
    Column("starts_at", UtcDateTime, nullable=False),
    Column("offered_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("state", TextEnum(OfferState), nullable=False),
    Column("settled_at", UtcDateTime),
    # A slot is offered to an entry once.
    UniqueConstraint("entry_id", "slot_key"),
    Index("ix_waitlist_offers_due", "state", "expires_at", "id"),
)

preferences = Table(
    "preferences",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), nullable=False, index=True),
    Column("contact_id", Id(), ForeignKey("contacts.id"), nullable=False, index=True),
    Column("relationship_id", Id(), ForeignKey("relationships.id"), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("weekdays", IntTuple, nullable=False),
    Column("from_time", Time),
    Column("to_time", Time),
    Column("guest_ids", TextTuple, nullable=False),
    Column("note", Text),
    Column("matched_slot_key", String(64)),
    Column("matched_at", UtcDateTime),
    Column("closed_at", UtcDateTime),
    Column("closed_how", TextEnum(PreferenceEnd)),
    CheckConstraint("last_day >= first_day", name="ends_after_start"),
    CheckConstraint("rank >= 1", name="rank"),
    Index("ix_preferences_queue", "prison_id", "created_at", "id"),
)

mapper_registry.map_imperatively(Appointment, appointments)
mapper_registry.map_imperatively(Block, blocks)
mapper_registry.map_imperatively(WaitlistEntry, waitlist_entries)
mapper_registry.map_imperatively(WaitlistOffer, waitlist_offers)
mapper_registry.map_imperatively(Preference, preferences)
