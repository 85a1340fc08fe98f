"""ledger: which call a credit pays for, accounts of minutes owed, the time that a call lost. Revision 0004, after 0003."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: None = None
depends_on: None = None

_DEFERRED: dict[str, Any] = {"initially": "DEFERRED", "deferrable": True}


def upgrade() -> None:
    # SQLite adds a column in place: the triggers that keep the ledger growing only stay as they are.
    op.add_column("ledger_events", sa.Column("call_day", sa.Date(), nullable=True))
    op.add_column("ledger_events", sa.Column("call_minutes", sa.Integer(), nullable=True))
    op.add_column("calls", sa.Column("lost_seconds", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "owed_events",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("prisoner_id", sa.String(length=40), nullable=False),
        sa.Column("relationship_id", sa.String(length=40), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("event_key", sa.String(length=200), nullable=False),
        sa.Column("balance_after", sa.Integer(), nullable=False),
        sa.Column("booking_id", sa.String(length=40), nullable=False),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_owed_events_sequence")),
        sa.CheckConstraint("seconds > 0", name=op.f("ck_owed_events_seconds")),
        sa.CheckConstraint("balance_after >= 0", name=op.f("ck_owed_events_balance")),
        sa.ForeignKeyConstraint(
            ["prisoner_id"], ["prisoners.id"], name=op.f("fk_owed_events_prisoner_id_prisoners"), **_DEFERRED
        ),
        sa.ForeignKeyConstraint(
            ["relationship_id"],
            ["relationships.id"],
            name=op.f("fk_owed_events_relationship_id_relationships"),
            **_DEFERRED,
        ),
        sa.ForeignKeyConstraint(
            ["booking_id"], ["bookings.id"], name=op.f("fk_owed_events_booking_id_bookings"), **_DEFERRED
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_owed_events")),
        sa.UniqueConstraint("event_key", name=op.f("uq_owed_events_event_key")),
        sa.UniqueConstraint("relationship_id", "sequence", name=op.f("uq_owed_events_relationship_id_sequence")),
    )
    op.create_index(op.f("ix_owed_events_prisoner_id"), "owed_events", ["prisoner_id"])
    op.create_index(op.f("ix_owed_events_booking_id"), "owed_events", ["booking_id"])
    _only_grows("owed_events")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(f"DROP TRIGGER owed_events_no_{verb}")
    op.drop_table("owed_events")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION owed_events_append_only()")
    op.drop_column("calls", "lost_seconds")
    op.drop_column("ledger_events", "call_minutes")
    op.drop_column("ledger_events", "call_day")


def _only_grows(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
                f" BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"
            )
        return
    op.execute(
        f"CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        f" $body$ BEGIN RAISE EXCEPTION '{table} only grows'; END $body$"
    )
    for verb in ("UPDATE", "DELETE", "TRUNCATE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
        )
