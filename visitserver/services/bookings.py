"""Reading bookings: one's own, a prison's day, the queue of requests."""

from __future__ import annotations

from datetime import date, timedelta

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import OPEN_STATES, Booking, BookingState
from visitserver.domain.slots import day_starts
from visitserver.services.access_checks import own_booking, own_prison
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWorkFactory


class BookingReader:
    """Bookings as their people may see them."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def get(self, actor: Actor, booking_id: str) -> Booking:
        """One booking, for its callers, its prisoner and staff of its prison; NotFound for everybody else."""
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_booking(actor, booking)
            return booking

    async def mine(
        self, actor: Actor, page: PageRequest, *, upcoming: bool | None = None, open_only: bool = False
    ) -> Page[Booking]:
        """A contact's or a prisoner's own bookings in order of start. `upcoming`: not ended yet (True), ended (False).

        A prisoner does not see holds: nothing is arranged yet.
        """
        if not (actor.is_family or actor.is_prisoner):
            raise NotFound("There is no such list.")
        states = frozenset({BookingState.REQUESTED, BookingState.BOOKED}) if open_only else frozenset[BookingState]()
        if actor.is_prisoner and not open_only:
            states = frozenset(BookingState) - {BookingState.HELD, BookingState.EXPIRED, BookingState.WITHDRAWN}
        now = self._clock()
        # A visit lasts three hours at most, so what has not ended began less than three hours ago.
        boundary = now - timedelta(hours=3)
        wanted = BookingFilter(
            contact_id=actor.id if actor.is_family else None,
            prisoner_id=actor.id if actor.is_prisoner else None,
            states=states,
            starts_from=boundary if upcoming is True else None,
            starts_before=now if upcoming is False else None,
        )
        async with self._uow(read_only=True) as u:
            found = await u.scheduling.bookings(wanted, page)
        if upcoming is None:
            return found
        return Page([each for each in found.items if (each.ends_at > now) is upcoming], found.next_cursor)

    async def day(
        self, actor: Actor, day: date, page: PageRequest, *, states: frozenset[BookingState] | None = None
    ) -> Page[Booking]:
        """What stands on one day of the actor's prison, in order of start; open bookings unless `states` says else."""
        async with self._uow(read_only=True) as u:
            prison = await u.people.get_prison(actor.prison_id or "")
            own_prison(actor, prison.id)
            wanted = BookingFilter(
                prison_id=prison.id,
                states=states or OPEN_STATES | {BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED},
                starts_from=day_starts(day, prison.zone),
                starts_before=day_starts(day + timedelta(days=1), prison.zone),
            )
            return await u.scheduling.bookings(wanted, page)

    async def requests(self, actor: Actor, page: PageRequest) -> Page[Booking]:
        """The bookings of the actor's prison that wait for a person's decision, soonest first."""
        own_prison(actor, actor.prison_id)
        wanted = BookingFilter(prison_id=actor.prison_id, states=frozenset({BookingState.REQUESTED}))
        async with self._uow(read_only=True) as u:
            return await u.scheduling.bookings(wanted, page)
