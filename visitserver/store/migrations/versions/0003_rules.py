"""rules: alerts, the groups of a session template, whose word a policy is. Revision 0003, after 0002."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None

GROUPS = (
    "include_locations",
    "exclude_locations",
    "include_categories",
    "exclude_categories",
    "incentive_levels",
    "legal_statuses",
)


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("prisoner_id", sa.String(length=40), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(length=100), nullable=True),
        sa.Column("external_id", sa.String(length=100), nullable=True),
        sa.CheckConstraint("ends_on IS NULL OR ends_on >= starts_on", name=op.f("ck_alerts_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["prisoner_id"],
            ["prisoners.id"],
            name=op.f("fk_alerts_prisoner_id_prisoners"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("external_id", name=op.f("uq_alerts_external_id")),
    )
    op.create_index(op.f("ix_alerts_prisoner_id"), "alerts", ["prisoner_id"])
    # SQLite adds a column in place, without copying a table that others refer to.
    for name in GROUPS:
        op.add_column("session_templates", sa.Column(name, sa.Text(), nullable=False, server_default="[]"))
    op.add_column("non_associations", sa.Column("created_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("non_associations", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("non_associations", sa.Column("external_id", sa.String(length=100), nullable=True))
    op.create_index(op.f("ix_non_associations_external_id"), "non_associations", ["external_id"], unique=True)
    op.add_column("policies", sa.Column("authority", sa.String(length=200), nullable=True))


def downgrade() -> None:
    op.drop_column("policies", "authority")
    op.drop_index(op.f("ix_non_associations_external_id"), "non_associations")
    for name in ("external_id", "reason", "created_at"):
        op.drop_column("non_associations", name)
    for name in reversed(GROUPS):
        op.drop_column("session_templates", name)
    op.drop_index(op.f("ix_alerts_prisoner_id"), "alerts")
    op.drop_table("alerts")
