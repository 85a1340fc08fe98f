"""flags: what has come up against bookings, noted changes, nightly scans. Revision 0007, after 0006."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "flags",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("prison_id", sa.String(40), nullable=False),
        sa.Column("booking_id", sa.String(40), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("key", sa.String(100), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attributes", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("acknowledged_by", sa.String(100)),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True)),
        sa.Column("kept_by", sa.String(100)),
        sa.Column("kept_at", sa.DateTime(timezone=True)),
        sa.Column("kept_reason", sa.Text()),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("closed_how", sa.String(64)),
        sa.Column("closed_by", sa.String(100)),
        sa.Column("lapsed_at", sa.DateTime(timezone=True)),
        *_references("flags", prison_id="prisons", booking_id="bookings"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flags")),
    )
    op.create_index(op.f("ix_flags_booking_id"), "flags", ["booking_id"])
    op.create_index("ix_flags_queue", "flags", ["prison_id", "closed_at", "starts_at", "id"])
    still_open = sa.text("closed_at IS NULL")
    op.create_index(
        "uq_flags_open",
        "flags",
        ["booking_id", "type", "key"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_table(
        "changes",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("by", sa.String(100), nullable=False),
        sa.Column("prison_id", sa.String(40)),
        sa.Column("prisoner_id", sa.String(40)),
        sa.Column("contact_id", sa.String(40)),
        sa.Column("relationship_id", sa.String(40)),
        sa.Column("station_id", sa.String(40)),
        sa.Column("template_id", sa.String(40)),
        sa.Column("from_at", sa.DateTime(timezone=True)),
        sa.Column("to_at", sa.DateTime(timezone=True)),
        sa.Column("attributes", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("calls_done_at", sa.DateTime(timezone=True)),
        sa.Column("done_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
    )
    op.create_index("ix_changes_pending", "changes", ["done_at", "at"])
    op.create_table(
        "flag_scans",
        sa.Column("prison_id", sa.String(40), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("checked", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("raised", sa.Integer(), nullable=False),
        sa.Column("resolved", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        *_references("flag_scans", prison_id="prisons"),
        sa.PrimaryKeyConstraint("prison_id", "night", name=op.f("pk_flag_scans")),
    )


def downgrade() -> None:
    op.drop_table("flag_scans")
    op.drop_table("changes")
    op.drop_table("flags")


def _references(table: str, **columns: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            [column],
            [f"{other}.id"],
            name=op.f(f"fk_{table}_{column}_{other}"),
            deferrable=True,
            initially="DEFERRED",
        )
        for column, other in columns.items()
    ]
