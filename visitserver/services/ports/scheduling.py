"""What services need of the store about stations, templates, bookings and occupancy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from visitserver.domain.occupancy import Resource, Span
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import Booking, BookingChange, BookingState, SessionTemplate, Station


@dataclass(frozen=True, slots=True)
class BookingFilter:
    """Which bookings: all conditions that are set. `…_from` is included, `…_before` is not (UTC).

    `overbooked`: only those placed beyond their session's capacity.
    """

    prison_id: str | None = None
    prisoner_id: str | None = None
    contact_id: str | None = None
    template_id: str | None = None
    states: frozenset[BookingState] = field(default_factory=frozenset)
    starts_from: datetime | None = None
    starts_before: datetime | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    overbooked: bool = False


class Scheduling(Protocol):
    """Stations, templates, bookings, occupancy. `get_…` raises NotFound."""

    def add(self, item: Station | SessionTemplate | Booking | BookingChange) -> None: ...

    def add_new(self, booking: Booking) -> None:
        """A booking that was made in this transaction: the same, written together with all that is only ever added."""
        ...

    async def get_station(self, station_id: str) -> Station: ...

    async def stations(self, prison_id: str) -> Sequence[Station]:
        """By name, the inactive ones too."""
        ...

    async def get_template(self, template_id: str) -> SessionTemplate: ...

    async def templates(self, prison_id: str, *, first: date, last: date) -> Sequence[SessionTemplate]:
        """Those valid on some day from `first` to `last`."""
        ...

    async def get_booking(self, booking_id: str, *, for_update: bool = False) -> Booking:
        """`for_update` waits for whoever is changing it and reads it anew."""
        ...

    async def bookings(self, wanted: BookingFilter, page: PageRequest) -> Page[Booking]:
        """In order of start, then id."""
        ...

    async def bookings_due(self, *, starts_from: datetime, starts_before: datetime, limit: int) -> Sequence[Booking]:
        """BOOKED ones of all prisons that start in the interval, in order of start: what calls are opened from."""
        ...

    async def has_open_bookings(self, template_id: str, *, after: datetime) -> bool:
        """Whether any booking still stands on the template that starts at or after that moment."""
        ...

    async def lapsed_holds(
        self, at: datetime, limit: int, *, around: tuple[datetime, datetime] | None = None
    ) -> Sequence[Booking]:
        """HELD bookings whose hold ended at or before `at`, oldest first, locked; those that somebody else is
        changing just now are left out. `around`: only visits that start in this interval, both ends included."""
        ...

    async def changes_of(self, booking_ids: Sequence[str]) -> Sequence[BookingChange]:
        """What these bookings were before they were moved, by booking and revision."""
        ...

    async def taken(self, resources: Sequence[Resource], span: Span) -> set[Resource]:
        """Which of the resources are occupied during some part of `span`."""
        ...

    async def occupied(
        self, resources: Sequence[Resource], span: Span, *, but: str | None = None
    ) -> set[tuple[Resource, int]]:
        """(resource, cell) of every occupied cell of these resources within `span`, but for the booking `but`."""
        ...

    async def occupy(self, booking_id: str, resources: Sequence[Resource], span: Span) -> bool:
        """Take every cell of all these resources, or none at all; False when somebody has one of them.

        Waits for whoever is about to take one. `resources` must be in the order of occupancy.ORDER, then of id.
        """
        ...

    async def release_contact(self, booking_id: str, contact_id: str) -> None:
        """Give back the time of one caller of the booking. Doing it twice changes nothing."""
        ...

    async def release(self, booking_id: str) -> None:
        """Give back everything the booking occupies. Doing it twice changes nothing."""
        ...

    async def holders(self, resource: Resource, span: Span) -> set[str]:
        """The bookings that occupy some cell of the resource within `span`."""
        ...
