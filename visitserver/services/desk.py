"""What staff see of a day: bookings with the people, the station and the wing they are about. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.flags import Flag
from visitserver.domain.paging import MAX_LIMIT, Page, PageRequest
from visitserver.domain.people import Contact, Prison, Prisoner, Wing
from visitserver.domain.scheduling import OPEN_STATES, Booking, BookingChange, BookingState, Station
from visitserver.domain.slots import day_starts
from visitserver.services.access_checks import own_prison
from visitserver.services.clock import today_at
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

SHOWN = OPEN_STATES | {BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED}
"""The states of a calendar: what stands, and what has taken place or should have."""

MAX_DAYS = 31


@dataclass(frozen=True, slots=True)
class BookingView:
    """A booking with everybody and everything it names. `contacts`: the lead first."""

    booking: Booking
    prisoner: Prisoner
    contacts: tuple[Contact, ...]
    station: Station
    wing: Wing | None

    @property
    def visitors(self) -> tuple[str, ...]:
        """The callers' names, the lead's first."""
        return tuple(contact.name for contact in self.contacts)


@dataclass(frozen=True, slots=True)
class BookingStory:
    """What happened to a booking after it was made. `stations`: names by id."""

    changes: tuple[BookingChange, ...]
    flags: tuple[Flag, ...]
    stations: Mapping[str, str]


class DeskService:
    """Everything is of the actor's own prison; what is not is NotFound."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def prison(self, actor: Actor) -> Prison:
        """The actor's prison."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.people.get_prison(actor.prison_id or "")

    async def today(self, actor: Actor) -> date:
        """The day it is at the actor's prison."""
        return today_at(await self.prison(actor), self._clock())

    async def stations(self, actor: Actor) -> Sequence[Station]:
        """By name, the inactive ones too."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.scheduling.stations(actor.prison_id or "")

    async def wings(self, actor: Actor) -> Sequence[Wing]:
        """The wings of the actor's prison."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.people.wings(actor.prison_id or "")

    async def between(
        self,
        actor: Actor,
        first: date,
        days: int,
        page: PageRequest,
        *,
        states: frozenset[BookingState] = SHOWN,
    ) -> Page[BookingView]:
        """What stands on the prison's days from `first` on (1 to 31 of them), in order of start."""
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"Ask for 1 to {MAX_DAYS} days.", field="days")
        async with self._uow(read_only=True) as u:
            own_prison(actor, actor.prison_id)
            prison = await u.people.get_prison(actor.prison_id or "")
            wanted = BookingFilter(
                prison_id=prison.id,
                states=states,
                starts_from=day_starts(first, prison.zone),
                starts_before=day_starts(first + timedelta(days=days), prison.zone),
            )
            found = await u.scheduling.bookings(wanted, page)
            return Page(await read_views(u, found.items), found.next_cursor)

    async def views(self, actor: Actor, bookings: Sequence[Booking]) -> list[BookingView]:
        """The same for bookings that another service gave; NotFound when one is another prison's."""
        for booking in bookings:
            own_prison(actor, booking.prison_id)
        async with self._uow(read_only=True) as u:
            return await read_views(u, bookings)

    async def view(self, actor: Actor, booking_id: str) -> BookingView:
        """One booking."""
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            return (await read_views(u, [booking]))[0]

    async def story(self, actor: Actor, booking_id: str) -> BookingStory:
        """Where a booking of the actor's prison stood before, oldest first, and every flag that it has had."""
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            stations = {one.id: one.name for one in await u.scheduling.stations(booking.prison_id)}
            return BookingStory(
                tuple(await u.scheduling.changes_of([booking.id])),
                tuple(await u.flags.of_booking(booking.id)),
                stations,
            )

    async def current(self, actor: Actor) -> dict[str, BookingView]:
        """What may be going on now or about to begin, by booking id: starts from three hours ago to 30 minutes ahead.

        At most 200: more calls than any prison has stations.
        """
        own_prison(actor, actor.prison_id)
        now = self._clock()
        wanted = BookingFilter(
            prison_id=actor.prison_id,
            states=SHOWN - {BookingState.HELD, BookingState.REQUESTED},
            starts_from=now - timedelta(hours=3),  # the longest visit
            starts_before=now + timedelta(minutes=30),
        )
        async with self._uow(read_only=True) as u:
            found = await u.scheduling.bookings(wanted, PageRequest(MAX_LIMIT))
            return {view.booking.id: view for view in await read_views(u, found.items)}

    async def search_prisoners(self, actor: Actor, text: str, page: PageRequest) -> Page[Prisoner]:
        """Prisoners of the actor's prison whose number or a name begins with `text`."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.people.search_prisoners(actor.prison_id or "", text, page)

    async def prisoner(self, actor: Actor, prisoner_id: str) -> Prisoner:
        """One prisoner of the actor's prison."""
        async with self._uow(read_only=True) as u:
            prisoner = await u.people.get_prisoner(prisoner_id)
            own_prison(actor, prisoner.prison_id)
            return prisoner

    async def prisoner_names(self, actor: Actor, prisoner_ids: Sequence[str]) -> dict[str, str]:
        """Name and number by id. The ids come from lists that were the actor's to see; people may have moved since."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            found = await u.people.prisoners(prisoner_ids)
        return {key: f"{one.name} ({one.number})" for key, one in found.items()}

    async def contact_names(self, actor: Actor, contact_ids: Sequence[str]) -> dict[str, str]:
        """Names by id, of contacts that lists of the actor's named."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return {key: one.name for key, one in (await u.people.contacts(contact_ids)).items()}

    async def staff_names(self, actor: Actor, references: Iterable[str]) -> dict[str, str]:
        """Names of staff of the actor's prison by id or `staff:<id>` reference; others are left out."""
        names: dict[str, str] = {}
        async with self._uow(read_only=True) as u:
            for reference in sorted(set(references)):
                kind, _, rest = reference.partition(":")
                staff_id = rest if kind == ActorKind.STAFF else reference
                try:
                    staff = await u.people.get_staff(staff_id)
                except NotFound:
                    continue
                if staff.prison_id == actor.prison_id:
                    names[reference] = staff.name
        return names


async def read_views(u: UnitOfWork, bookings: Sequence[Booking]) -> list[BookingView]:
    """The bookings with everybody and everything they name, within the caller's transaction."""
    prisoners = await u.people.prisoners([booking.prisoner_id for booking in bookings])
    contacts = await u.people.contacts([contact for booking in bookings for contact in booking.contact_ids])
    prisons = sorted({booking.prison_id for booking in bookings})
    stations = {station.id: station for prison in prisons for station in await u.scheduling.stations(prison)}
    wings = {wing.id: wing for prison in prisons for wing in await u.people.wings(prison)}
    views = []
    for booking in bookings:
        prisoner = prisoners[booking.prisoner_id]
        known = tuple(contacts[contact] for contact in booking.contact_ids)
        wing = wings.get(prisoner.wing_id or "")
        views.append(BookingView(booking, prisoner, known, stations[booking.station_id], wing))
    return views
