"""What services need of the store about the ledger of visit credits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from visitserver.domain.allowance import LedgerEvent
from visitserver.domain.paging import Page, PageRequest


class Allowance(Protocol):
    """The ledger: it is only read and appended to."""

    def append(self, events: Sequence[LedgerEvent]) -> None:
        """Add lines. A sequence or event key that exists already makes the commit fail with Conflict."""
        ...

    async def events_of(self, prisoner_id: str) -> Sequence[LedgerEvent]:
        """The whole ledger of a prisoner in its order."""
        ...

    async def has_event(self, event_key: str) -> bool:
        """Whether this happening has been entered already."""
        ...

    async def history(self, prisoner_id: str, page: PageRequest) -> Page[LedgerEvent]:
        """Newest line first."""
        ...

    async def prisoners_to_accrue(self, after: str | None, limit: int) -> Sequence[str]:
        """Ids of prisoners who are at a prison, in order of id, after `after`."""
        ...
