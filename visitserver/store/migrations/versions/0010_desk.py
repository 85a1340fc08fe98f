"""desk: what a family is told when staff reject or cancel a booking. Revision 0010, after 0009."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("bookings", sa.Column("rejection", sa.String(length=64), nullable=True))
    op.add_column("bookings", sa.Column("rejection_day", sa.Date(), nullable=True))
    op.add_column("bookings", sa.Column("family_words", sa.Text(), nullable=True))


def downgrade() -> None:
    for name in ("family_words", "rejection_day", "rejection"):
        op.drop_column("bookings", name)
