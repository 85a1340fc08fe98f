"""people: machine clients, import runs, merged records. Revision 0008, after 0007."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: None = None
depends_on: None = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("prisoners", sa.Column("merged_into", sa.String(40), nullable=True))
    op.add_column("contacts", sa.Column("home_prison_id", sa.String(40), nullable=True))
    op.add_column("contacts", sa.Column("merged_into", sa.String(40), nullable=True))
    op.add_column("restrictions", sa.Column("prison_id", sa.String(40), nullable=True))
    op.create_index("ix_contacts_home_prison_id", "contacts", ["home_prison_id"])
    op.create_index("ix_contacts_email", "contacts", ["email"])
    op.create_table(
        "api_clients",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("prison_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.String(100), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("revoked_by", sa.String(100), nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["prison_id"],
            ["prisons.id"],
            name=op.f("fk_api_clients_prison_id_prisons"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_clients")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_clients_token_hash")),
    )
    op.create_index(op.f("ix_api_clients_prison_id"), "api_clients", ["prison_id"])
    op.create_table(
        "import_runs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("prison_id", sa.String(40), nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("faults", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["prison_id"],
            ["prisons.id"],
            name=op.f("fk_import_runs_prison_id_prisons"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_runs")),
    )
    op.create_index("ix_import_runs_prison", "import_runs", ["prison_id", "started_at", "id"])


def downgrade() -> None:
    op.drop_table("import_runs")
    op.drop_table("api_clients")
    op.drop_index("ix_contacts_email", "contacts")
    op.drop_index("ix_contacts_home_prison_id", "contacts")
    with op.batch_alter_table("restrictions") as batch_op:
        batch_op.drop_column("prison_id")
    with op.batch_alter_table("contacts") as batch_op:
        batch_op.drop_column("merged_into")
        batch_op.drop_column("home_prison_id")
    with op.batch_alter_table("prisoners") as batch_op:
        batch_op.drop_column("merged_into")
