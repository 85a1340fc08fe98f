"""flags: contact rights and scheduling. Revision 0007, after 0006."""

from __future__ import annotations

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
