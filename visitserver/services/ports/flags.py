"""What services need of the store about flags and the changes that raise them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from visitserver.domain.changes import Change, ChangeKind
from visitserver.domain.flags import Flag, FlagScan, FlagType
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import Booking


@dataclass(frozen=True, slots=True)
class FlagFilter:
    """Which open flags of a prison: all conditions that are set. Moments are UTC; `starts_*` are the booking's."""

    prison_id: str
    types: frozenset[FlagType] = field(default_factory=frozenset)
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    raised_before: datetime | None = None
    acknowledged: bool | None = None


@dataclass(frozen=True, slots=True)
class BookingScope:
    """Which open bookings, held ones apart: all conditions that are set, and those that end after `after`."""

    after: datetime
    prison_id: str | None = None
    prisoner_id: str | None = None
    contact_id: str | None = None
    relationship_id: str | None = None
    station_id: str | None = None
    template_id: str | None = None
    starts_before: datetime | None = None


class Flags(Protocol):
    """Flags, noted changes, nightly scans. `get` raises NotFound."""

    def add(self, item: Flag | Change | FlagScan) -> None: ...

    async def get(self, flag_id: str, *, for_update: bool = False) -> Flag:
        """`for_update` waits for whoever is changing it and reads it anew."""
        ...

    async def of_booking(self, booking_id: str, *, fresh: bool = False) -> Sequence[Flag]:
        """All of one booking, closed ones too, oldest first. `fresh` reads them anew."""
        ...

    async def open_of(self, booking_ids: Sequence[str]) -> dict[str, list[Flag]]:
        """The open flags of these bookings, by booking; nothing for one that has none."""
        ...

    async def queue(self, wanted: FlagFilter, page: PageRequest) -> Page[Flag]:
        """Open flags of bookings that still stand, the booking that comes first first."""
        ...

    async def counts(self, wanted: FlagFilter) -> dict[FlagType, int]:
        """How many of them there are of each type."""
        ...

    async def left_over(self, page: PageRequest) -> Page[Flag]:
        """Open flags of bookings that no longer stand, or stand at another time by now, by id."""
        ...

    async def bookings(self, scope: BookingScope, page: PageRequest) -> Page[Booking]:
        """BOOKED and REQUESTED ones, in order of start, then id."""
        ...

    async def count_bookings(self, scope: BookingScope) -> int:
        """How many of them there are."""
        ...

    async def pending(self, at: datetime, limit: int, *, only: Collection[str] | None = None) -> Sequence[Change]:
        """Changes that are not worked off and due by `at`, oldest first; `only` of these ids, where given."""
        ...

    async def pending_in_calls(self, at: datetime, kinds: Collection[ChangeKind], limit: int) -> Sequence[Change]:
        """Of these, those of the `kinds` that touch a call without an outcome and have not been seen to there."""
        ...

    async def change(self, change_id: str) -> Change | None:
        """The change, locked and read anew; None when somebody else is working it off just now."""
        ...

    async def delete_done(self, before: datetime) -> int:
        """Forget the changes that were worked off before that moment; how many."""
        ...

    async def scan(self, prison_id: str, night: date) -> FlagScan | None:
        """The scan of that night, read anew."""
        ...
