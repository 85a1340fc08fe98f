"""What services need of the store for numbers: rows without names, streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from visitserver.domain.reports import DecisionRow, RequestRow, VisitRow


class Reports(Protocol):
    """Reads only. `since` is included, `until` is not (UTC)."""

    def visits(self, prison_id: str, since: datetime, until: datetime) -> AsyncIterator[VisitRow]:
        """Bookings of the prison that start in the period, in order of start, read in chunks."""
        ...

    def decisions(self, prison_id: str, since: datetime, until: datetime) -> AsyncIterator[DecisionRow]:
        """Decisions of the period that did not allow."""
        ...

    async def requests(self, prison_id: str, since: datetime, until: datetime) -> Sequence[RequestRow]:
        """Contact requests of the period for prisoners who are at the prison."""
        ...

    async def prisoners_held(self, prison_id: str) -> int:
        """How many prisoners are at the prison."""
        ...
