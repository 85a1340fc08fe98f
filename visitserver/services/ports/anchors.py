"""Where the audit log's heads are kept, outside the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from visitserver.domain.audit_check import Anchor


class AnchorStore(Protocol):
    """Appends and reads anchors. Raises Unavailable when the place cannot be reached, Invalid when it is unreadable."""

    async def append(self, anchor: Anchor) -> None:
        """Add one and make it durable."""
        ...

    async def read(self) -> Sequence[Anchor]:
        """All of them, oldest first."""
        ...
