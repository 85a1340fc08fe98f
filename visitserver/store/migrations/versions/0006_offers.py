"""offers: appointments, blocks, the waiting list, preferences. Revision 0006, after 0005."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "blocks",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("prison_id", sa.String(length=40), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("station_ids", sa.Text(), nullable=False),
        sa.Column("template_ids", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("public_words", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("lifted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.String(length=100), nullable=True),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_blocks_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["prison_id"],
            ["prisons.id"],
            name=op.f("fk_blocks_prison_id_prisons"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocks")),
    )
    with op.batch_alter_table("blocks", schema=None) as batch_op:
        batch_op.create_index("ix_blocks_prison", ["prison_id", "ends_at", "id"], unique=False)

    op.create_table(
        "appointments",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("prison_id", sa.String(length=40), nullable=False),
        sa.Column("prisoner_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("external_id", sa.String(length=100), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_appointments_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["prison_id"],
            ["prisons.id"],
            name=op.f("fk_appointments_prison_id_prisons"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["prisoner_id"],
            ["prisoners.id"],
            name=op.f("fk_appointments_prisoner_id_prisoners"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointments")),
        sa.UniqueConstraint("prison_id", "external_id", name=op.f("uq_appointments_prison_id_external_id")),
    )
    with op.batch_alter_table("appointments", schema=None) as batch_op:
        batch_op.create_index("ix_appointments_prison", ["prison_id", "starts_at", "id"], unique=False)
        batch_op.create_index("ix_appointments_prisoner", ["prisoner_id", "starts_at"], unique=False)

    op.create_table(
        "preferences",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("prison_id", sa.String(length=40), nullable=False),
        sa.Column("prisoner_id", sa.String(length=40), nullable=False),
        sa.Column("contact_id", sa.String(length=40), nullable=False),
        sa.Column("relationship_id", sa.String(length=40), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("weekdays", sa.Text(), nullable=False),
        sa.Column("from_time", sa.Time(), nullable=True),
        sa.Column("to_time", sa.Time(), nullable=True),
        sa.Column("guest_ids", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("matched_slot_key", sa.String(length=64), nullable=True),
        sa.Column("matched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_how", sa.String(length=64), nullable=True),
        sa.CheckConstraint("last_day >= first_day", name=op.f("ck_preferences_ends_after_start")),
        sa.CheckConstraint("rank >= 1", name=op.f("ck_preferences_rank")),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
            name=op.f("fk_preferences_contact_id_contacts"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["prison_id"],
            ["prisons.id"],
            name=op.f("fk_preferences_prison_id_prisons"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["prisoner_id"],
            ["prisoners.id"],
            name=op.f("fk_preferences_prisoner_id_prisoners"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["relationship_id"],
            ["relationships.id"],
            name=op.f("fk_preferences_relationship_id_relationships"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preferences")),
    )
    with op.batch_alter_table("preferences", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_preferences_contact_id"), ["contact_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_preferences_prisoner_id"), ["prisoner_id"], unique=False)
        batch_op.create_index("ix_preferences_queue", ["prison_id", "created_at", "id"], unique=False)

    op.create_table(
        "waitlist_entries",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("prison_id", sa.String(length=40), nullable=False),
        sa.Column("prisoner_id", sa.String(length=40), nullable=False),
        sa.Column("contact_id", sa.String(length=40), nullable=False),
        sa.Column("relationship_id", sa.String(length=40), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("slot_key", sa.String(length=64), nullable=True),
        sa.Column("guest_ids", sa.Text(), nullable=False),
        sa.Column("from_time", sa.Time(), nullable=True),
        sa.Column("to_time", sa.Time(), nullable=True),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("lapses", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("booking_id", sa.String(length=40), nullable=True),
        sa.CheckConstraint("last_day >= first_day", name=op.f("ck_waitlist_entries_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["booking_id"],
            ["bookings.id"],
            name=op.f("fk_waitlist_entries_booking_id_bookings"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"],
            ["contacts.id"],
            name=op.f("fk_waitlist_entries_contact_id_contacts"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["prison_id"],
            ["prisons.id"],
            name=op.f("fk_waitlist_entries_prison_id_prisons"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["prisoner_id"],
            ["prisoners.id"],
            name=op.f("fk_waitlist_entries_prisoner_id_prisoners"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["relationship_id"],
            ["relationships.id"],
            name=op.f("fk_waitlist_entries_relationship_id_relationships"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waitlist_entries")),
    )
    with op.batch_alter_table("waitlist_entries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_waitlist_entries_contact_id"), ["contact_id"], unique=False)
        batch_op.create_index("ix_waitlist_entries_prisoner", ["prisoner_id", "state"], unique=False)
        batch_op.create_index("ix_waitlist_entries_queue", ["prison_id", "state", "queued_at", "id"], unique=False)

    op.create_table(
        "waitlist_offers",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("entry_id", sa.String(length=40), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("slot_key", sa.String(length=64), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["booking_id"],
            ["bookings.id"],
            name=op.f("fk_waitlist_offers_booking_id_bookings"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["waitlist_entries.id"],
            name=op.f("fk_waitlist_offers_entry_id_waitlist_entries"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waitlist_offers")),
        sa.UniqueConstraint("booking_id", name=op.f("uq_waitlist_offers_booking_id")),
        sa.UniqueConstraint("entry_id", "slot_key", name=op.f("uq_waitlist_offers_entry_id_slot_key")),
    )
    with op.batch_alter_table("waitlist_offers", schema=None) as batch_op:
        batch_op.create_index("ix_waitlist_offers_due", ["state", "expires_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_waitlist_offers_slot_key"), ["slot_key"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("waitlist_offers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_waitlist_offers_slot_key"))
        batch_op.drop_index("ix_waitlist_offers_due")

    op.drop_table("waitlist_offers")
    with op.batch_alter_table("waitlist_entries", schema=None) as batch_op:
        batch_op.drop_index("ix_waitlist_entries_queue")
        batch_op.drop_index("ix_waitlist_entries_prisoner")
        batch_op.drop_index(batch_op.f("ix_waitlist_entries_contact_id"))

    op.drop_table("waitlist_entries")
    with op.batch_alter_table("preferences", schema=None) as batch_op:
        batch_op.drop_index("ix_preferences_queue")
        batch_op.drop_index(batch_op.f("ix_preferences_prisoner_id"))
        batch_op.drop_index(batch_op.f("ix_preferences_contact_id"))

    op.drop_table("preferences")
    with op.batch_alter_table("appointments", schema=None) as batch_op:
        batch_op.drop_index("ix_appointments_prisoner")
        batch_op.drop_index("ix_appointments_prison")

    op.drop_table("appointments")
    with op.batch_alter_table("blocks", schema=None) as batch_op:
        batch_op.drop_index("ix_blocks_prison")

    op.drop_table("blocks")
