"""people: contact rights and scheduling. Revision 0008, after 0007."""

from __future__ import annotations

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
