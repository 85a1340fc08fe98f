"""What services need of the store about the ledger of visit credits and the accounts of minutes owed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from visitserver.domain.allowance import LedgerEvent
from visitserver.domain.owed import OwedEvent
from visitserver.domain.paging import Page, PageRequest


class Allowance(Protocol):
    """The ledger and the accounts: they are only read and appended to."""

    def append(self, events: Sequence[LedgerEvent] | Sequence[OwedEvent]) -> None:
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

    async def owed_events(self, relationship_id: str) -> Sequence[OwedEvent]:
        """The whole account of a relationship in its order."""
        ...

    async def owed_by(self, prisoner_id: str, contact_id: str | None = None) -> dict[str, int]:
        """Seconds owed now for visits with the prisoner, by relationship (of that contact only, when there is one);
        those to whom nothing is owed are left out."""
        ...

    async def owed_history(self, prisoner_id: str, page: PageRequest) -> Page[OwedEvent]:
        """The lines of all a prisoner's relationships, newest first."""
        ...

    async def prisoners_to_accrue(self, after: str | None, limit: int) -> Sequence[str]:
        """Ids of prisoners who are at a prison, in order of id, after `after`."""
        ...
