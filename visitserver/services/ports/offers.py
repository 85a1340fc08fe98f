"""What services need of the store about appointments, blocks, the waiting list and preferences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block
from visitserver.domain.calls import CallKind
from visitserver.domain.occupancy import Span
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.preferences import Preference
from visitserver.domain.scheduling import Booking
from visitserver.domain.waitlist import EntryState, WaitlistEntry, WaitlistOffer


@dataclass(frozen=True, slots=True)
class AppointmentFilter:
    """Which appointments: all conditions that are set. Those that end after `ends_after` and start before
    `starts_before` (UTC); cancelled ones only when asked for.
    """

    prison_id: str | None = None
    prisoner_id: str | None = None
    ends_after: datetime | None = None
    starts_before: datetime | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class BlockFilter:
    """Which blocks of a prison: those that end after `ends_after` (UTC); lifted ones only when asked for."""

    prison_id: str
    ends_after: datetime | None = None
    lifted: bool = False


@dataclass(frozen=True, slots=True)
class TouchedFilter:
    """Bookings of a prison that are REQUESTED or BOOKED and take place between `starts_at` and `ends_at` in part or
    whole (UTC): at one of the stations and in one of the sessions, of one of the kinds, each where it is not empty.
    """

    prison_id: str
    starts_at: datetime
    ends_at: datetime | None = None
    station_ids: frozenset[str] = frozenset()
    template_ids: frozenset[str] = frozenset()
    prisoner_id: str | None = None
    kinds: frozenset[CallKind] = frozenset()


class Offers(Protocol):
    """What stands beside the sessions. `get_…` raises NotFound; `fresh` reads anew what a lock was waited for."""

    def add(self, item: Appointment | Block | WaitlistEntry | WaitlistOffer | Preference) -> None: ...

    # appointments

    async def get_appointment(self, appointment_id: str, *, fresh: bool = False) -> Appointment: ...

    async def find_appointment(self, prison_id: str, external_id: str) -> Appointment | None: ...

    async def appointments(self, wanted: AppointmentFilter, page: PageRequest) -> Page[Appointment]:
        """In order of start, then id."""
        ...

    # blocks

    async def get_block(self, block_id: str, *, fresh: bool = False) -> Block: ...

    async def blocks(self, prison_id: str, span: Span) -> Sequence[Block]:
        """Those of the prison that stand and lie within `span` in part or whole, in order of start."""
        ...

    async def list_blocks(self, wanted: BlockFilter, page: PageRequest) -> Page[Block]:
        """In order of end, then id."""
        ...

    async def carry_waiting(self, template_id: str, successor_id: str, day: date) -> None:
        """Whoever waits for one slot of that session, on `day` or later, waits for the new version's slot."""
        ...

    async def touched(self, wanted: TouchedFilter, page: PageRequest) -> Page[Booking]:
        """In order of start, then id."""
        ...

    async def count_touched(self, wanted: TouchedFilter) -> int: ...

    async def extend_blocks(self, template_id: str, successor_id: str) -> None:
        """Every standing block of that session blocks its new version as well."""
        ...

    async def carry_places(self, old_key: str, new_key: str) -> None:
        """Give the new slot's bookings (their `slot_key` says so in the store already) its places instead of the old
        slot's: the first free numbers, in order. Nobody else may be placing on either slot meanwhile."""
        ...

    # the waiting list

    async def get_entry(self, entry_id: str, *, for_update: bool = False) -> WaitlistEntry: ...

    async def standing_entries(self, prisoner_id: str, contact_id: str) -> Sequence[WaitlistEntry]:
        """What this contact waits for with this prisoner, in order of first day."""
        ...

    async def waiting(self, prison_id: str, first: date, last: date, page: PageRequest) -> Page[WaitlistEntry]:
        """The WAITING entries of the prison for some day from `first` to `last`, whoever has waited longest first."""
        ...

    async def entries(
        self,
        states: frozenset[EntryState],
        page: PageRequest,
        *,
        prison_id: str | None = None,
        contact_id: str | None = None,
        prisoner_id: str | None = None,
    ) -> Page[WaitlistEntry]:
        """In order of the queue."""
        ...

    async def entries_before(self, prison_id: str, day: date, limit: int) -> Sequence[WaitlistEntry]:
        """WAITING entries whose last day came before `day`; locked, without those that somebody is changing."""
        ...

    async def get_offer(self, offer_id: str, *, for_update: bool = False) -> WaitlistOffer: ...

    async def offer_of_booking(self, booking_id: str) -> WaitlistOffer | None:
        """The offer that this held booking is, if it is one."""
        ...

    async def standing_offers(self, entry_ids: Sequence[str]) -> dict[str, WaitlistOffer]:
        """The offer that waits for each entry's answer, by entry id."""
        ...

    async def offered_entries(self, slot_key: str) -> frozenset[str]:
        """The entries to which this slot has been offered already."""
        ...

    async def offers_to_settle(self, page: PageRequest) -> Page[WaitlistOffer]:
        """STANDING offers whose booking is held no more, oldest first."""
        ...

    # preferences

    async def get_preference(self, preference_id: str, *, fresh: bool = False) -> Preference: ...

    async def preferences_of(self, prisoner_id: str, contact_id: str) -> Sequence[Preference]:
        """The standing ones of the contact with the prisoner, by rank."""
        ...

    async def preferences(self, prison_id: str, page: PageRequest, *, day: date | None = None) -> Page[Preference]:
        """The standing ones of the prison, oldest first, then by rank; with `day`, those whose days include it."""
        ...

    async def preferences_before(self, prison_id: str, day: date, limit: int) -> Sequence[Preference]:
        """Standing ones whose last day came before `day`; locked, without those that somebody is changing."""
        ...
