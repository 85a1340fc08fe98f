"""guards: what the tables' own definitions cannot say.

Append-only triggers on the audit log, the ledger and the call events; on PostgreSQL the exclusion constraint that
forbids overlapping spans of one resource. Revision 0002, after 0001.
"""

from __future__ import annotations

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None

APPEND_ONLY = ("audit_log", "ledger_events", "call_events")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
                    f" BEGIN SELECT RAISE(ABORT, '{table} only grows'); END"
                )
        return
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS"
            f" $body$ BEGIN RAISE EXCEPTION '{table} only grows'; END $body$"
        )
        for verb in ("UPDATE", "DELETE", "TRUNCATE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
            )
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.execute(
        "ALTER TABLE occupancy_spans ADD CONSTRAINT ex_occupancy_spans_overlap EXCLUDE USING gist"
        " (kind WITH =, resource WITH =, tstzrange(starts_at, ends_at) WITH &&)"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for verb in ("update", "delete"):
                op.execute(f"DROP TRIGGER {table}_no_{verb}")
        return
    op.execute("ALTER TABLE occupancy_spans DROP CONSTRAINT ex_occupancy_spans_overlap")
    for table in APPEND_ONLY:
        for verb in ("update", "delete", "truncate"):
            op.execute(f"DROP TRIGGER {table}_no_{verb} ON {table}")
        op.execute(f"DROP FUNCTION {table}_append_only()")
