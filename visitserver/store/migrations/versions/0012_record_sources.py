"""The identifiers of record systems are unique within their source. Revision 0012, after 0011.

What there is keeps its meaning: every prison and every identifier is of the one common source, "".
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: None = None
depends_on: None = None

TABLES = ("prisoners", "contacts", "relationships", "restrictions", "alerts")


def upgrade() -> None:
    op.add_column("prisons", sa.Column("record_source", sa.String(length=64), nullable=False, server_default=""))
    op.drop_index(op.f("ix_non_associations_external_id"), "non_associations")
    for table in (*TABLES, "non_associations"):
        with op.batch_alter_table(table) as batch_op:
            batch_op.add_column(sa.Column("external_source", sa.String(length=64), nullable=False, server_default=""))
            if table in TABLES:
                batch_op.drop_constraint(op.f(f"uq_{table}_external_id"), type_="unique")
            batch_op.create_unique_constraint(
                op.f(f"uq_{table}_external_source_external_id"), ["external_source", "external_id"]
            )


def downgrade() -> None:
    """Fails where two sources use one identifier: then there is no way back."""
    for table in (*TABLES, "non_associations"):
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_constraint(op.f(f"uq_{table}_external_source_external_id"), type_="unique")
            if table in TABLES:
                batch_op.create_unique_constraint(op.f(f"uq_{table}_external_id"), ["external_id"])
            batch_op.drop_column("external_source")
    op.create_index(op.f("ix_non_associations_external_id"), "non_associations", ["external_id"], unique=True)
    with op.batch_alter_table("prisons") as batch_op:
        batch_op.drop_column("record_source")
