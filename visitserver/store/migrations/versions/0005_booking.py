"""booking: changes of bookings, offered places, overbooking; the indexes of availability. Revision 0005, after 0004."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: None = None
depends_on: None = None

HELD = sa.text("state = 'held'")


def upgrade() -> None:
    op.add_column("bookings", sa.Column("hold_kind", sa.String(length=64), nullable=True))
    op.add_column("bookings", sa.Column("overbook_reason", sa.Text(), nullable=True))
    op.add_column("bookings", sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE bookings SET requested_at = created_at WHERE state = 'requested'")
    op.add_column("bookings", sa.Column("escalated_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE bookings SET hold_kind = 'booker' WHERE state = 'held'")
    op.drop_index(op.f("ix_bookings_template_id"), "bookings")
    op.create_index("ix_bookings_template_day", "bookings", ["template_id", "starts_at", "state", "slot_key"])
    op.create_index("ix_bookings_held", "bookings", ["hold_expires_at"], postgresql_where=HELD, sqlite_where=HELD)
    op.create_table(
        "booking_changes",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("from_slot_key", sa.String(length=64), nullable=False),
        sa.Column("from_starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("from_station_id", sa.String(length=40), nullable=False),
        sa.Column("to_slot_key", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["booking_id"],
            ["bookings.id"],
            name=op.f("fk_booking_changes_booking_id_bookings"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_booking_changes")),
        sa.UniqueConstraint("booking_id", "revision", name=op.f("uq_booking_changes_booking_id_revision")),
    )
    op.create_index(
        "ix_occupancy_spans_resource", "occupancy_spans", ["kind", "resource", "starts_at", "ends_at", "booking_id"]
    )
    # What is over takes up nobody any more: occupancy holds open bookings and nothing else.
    for table in ("occupancy", "occupancy_spans"):
        op.execute(
            f"DELETE FROM {table} WHERE booking_id IN"  # noqa: S608 - two names of this file
            " (SELECT id FROM bookings WHERE state NOT IN ('held', 'requested', 'booked'))"
        )


def downgrade() -> None:
    op.drop_index("ix_occupancy_spans_resource", "occupancy_spans")
    op.drop_table("booking_changes")
    op.drop_index("ix_bookings_held", "bookings")
    op.drop_index("ix_bookings_template_day", "bookings")
    op.create_index(op.f("ix_bookings_template_id"), "bookings", ["template_id"])
    for name in ("escalated_at", "requested_at", "overbook_reason", "hold_kind"):
        op.drop_column("bookings", name)
