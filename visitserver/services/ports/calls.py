"""What services need of the store about calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from visitserver.domain.calls import Call, CallPhase, StoredCallEvent
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import Booking


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls: all conditions that are set. `starts_from` is included, `starts_before` is not (UTC)."""

    prison_id: str | None = None
    prisoner_id: str | None = None
    phases: frozenset[CallPhase] = field(default_factory=frozenset)
    starts_from: datetime | None = None
    starts_before: datetime | None = None


class Calls(Protocol):
    """Calls and their events. `get` raises NotFound; `find_…` gives None."""

    def add(self, item: Call | StoredCallEvent) -> None: ...

    async def get(self, call_id: str, *, for_update: bool = False) -> Call:
        """`for_update` waits for whoever is changing it and reads it anew."""
        ...

    async def find_of_booking(self, booking_id: str) -> Call | None: ...

    async def of_bookings(self, booking_ids: Sequence[str]) -> dict[str, Call]:
        """Those there are, by booking."""
        ...

    async def calls(self, wanted: CallFilter, page: PageRequest) -> Page[Call]:
        """In order of start, then id."""
        ...

    async def unfinished(self, limit: int) -> Sequence[Call]:
        """Calls without an outcome, in order of start."""
        ...

    async def events(self, call_id: str, after: int = 0) -> Sequence[StoredCallEvent]:
        """The events of one call with a sequence above `after`, in order."""
        ...

    async def bookings_without_call(self, *, starts_before: datetime, limit: int) -> Sequence[Booking]:
        """BOOKED ones that start before that moment and have no call yet, in order of start."""
        ...
