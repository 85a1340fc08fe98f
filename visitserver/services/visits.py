"""A visit as those see who meet: the booking with prison, prisoner and callers. And the prisoner's "I will come"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, NotFound
from visitserver.domain.flags import FlagType
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import RECORDING_REQUIRED, Policies, PolicyValue
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.access_checks import own_booking
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

LONGEST_VISIT = timedelta(hours=3)
PAST = timedelta(days=90)
"""How far back one's own list of past visits goes."""

MAY_MOVE: Final = frozenset(
    {FlagType.COURT_APPOINTMENT, FlagType.DATE_BLOCKED, FlagType.SESSION_BLOCKED, FlagType.STATION_OUT}
)
"""Flags of which people are told that their visit may have to move. The others could tell of a restriction, another
prisoner or intelligence: those stay the prison's own until somebody has decided."""

_UNSEEN = frozenset({BookingState.EXPIRED, BookingState.WITHDRAWN})
_UNSEEN_BY_PRISONER = _UNSEEN | {BookingState.HELD}


@dataclass(frozen=True, slots=True)
class Visit:
    """A booking with the people and the place it names. `contacts`: the lead first. `recorded`: whether the prison's
    policy, as it is at the start of the visit, has it recorded; never for a privileged one. `in_the_way`: something at
    the prison (MAY_MOVE) has come in its way, and a person there decides."""

    booking: Booking
    prison: Prison
    prisoner: Prisoner
    contacts: tuple[Contact, ...]
    recorded: bool
    in_the_way: bool = False

    def relationship_of(self, contact_id: str) -> str:
        """The relationship by which this caller takes part; NotFound for somebody else."""
        for participant in self.booking.participants:
            if participant.contact_id == contact_id:
                return participant.relationship_id
        raise NotFound("There is no such booking.")


class VisitService:
    """One's own visits, for families and prisoners. What is somebody else's is NotFound."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def get(self, actor: Actor, booking_id: str) -> Visit:
        """One of the actor's own."""
        async with self._uow(read_only=True) as u:
            return await _visit(u, await _own(u, actor, booking_id))

    async def coming(self, actor: Actor, page: PageRequest) -> Page[Visit]:
        """Those that are asked for or booked and have not ended, soonest first."""
        now = self._clock()
        open_states = frozenset({BookingState.REQUESTED, BookingState.BOOKED})
        found = await self._list(actor, page, BookingFilter(states=open_states, starts_from=now - LONGEST_VISIT))
        return Page([each for each in found.items if each.booking.ends_at > now], found.next_cursor)

    async def past(self, actor: Actor, page: PageRequest) -> Page[Visit]:
        """Those of the last 90 days that have ended or were called off, in order of start."""
        now = self._clock()
        states = frozenset(BookingState) - _UNSEEN_BY_PRISONER
        found = await self._list(
            actor, page, BookingFilter(states=states, starts_from=now - PAST, starts_before=now + PAST)
        )
        over = [each for each in found.items if each.booking.ends_at <= now or not each.booking.open]
        return Page(over, found.next_cursor)

    async def prisons(self, prison_ids: Iterable[str | None]) -> dict[str, Prison]:
        """Names and time zones by id, for whoever is shown a prisoner of theirs."""
        async with self._uow(read_only=True) as u:
            return {each: await u.people.get_prison(each) for each in sorted({one for one in prison_ids if one})}

    async def acknowledge(self, actor: Actor, booking_id: str, *, request_id: str | None = None) -> Booking:
        """The prisoner has seen the visit and will come. Twice is as good as once; Conflict when it is not booked."""
        async with self._uow() as u:
            booking = await _own(u, actor, booking_id)
            if not actor.is_prisoner:
                raise NotFound("There is no such booking.")
            await u.lock(f"prisoner:{booking.prisoner_id}")
            booking = await u.scheduling.get_booking(booking_id, for_update=True)
            if booking.state is not BookingState.BOOKED:
                raise Conflict("This visit is not booked.", code="booking_state")
            if booking.acknowledged_at is None:
                booking.acknowledged_at = self._clock()
                data: dict[str, object] = {}
                u.audit.append("booking.acknowledge", actor, booking.id, data, request_id, prison_id=booking.prison_id)
                await u.commit()
            return booking

    async def _list(self, actor: Actor, page: PageRequest, wanted: BookingFilter) -> Page[Visit]:
        if not (actor.is_family or actor.is_prisoner):
            raise NotFound("There is no such list.")
        own = BookingFilter(
            contact_id=actor.id if actor.is_family else None,
            prisoner_id=actor.id if actor.is_prisoner else None,
            states=wanted.states,
            starts_from=wanted.starts_from,
            starts_before=wanted.starts_before,
        )
        async with self._uow(read_only=True) as u:
            found = await u.scheduling.bookings(own, page)
            return Page(await _visits(u, found.items), found.next_cursor)


async def _own(u: UnitOfWork, actor: Actor, booking_id: str) -> Booking:
    booking = await u.scheduling.get_booking(booking_id)
    if not (actor.is_family or actor.is_prisoner):
        raise NotFound("There is no such booking.")
    own_booking(actor, booking)
    if booking.state in (_UNSEEN_BY_PRISONER if actor.is_prisoner else _UNSEEN):
        raise NotFound("There is no such booking.")
    return booking


async def _visit(u: UnitOfWork, booking: Booking) -> Visit:
    return (await _visits(u, [booking]))[0]


async def _visits(u: UnitOfWork, bookings: Sequence[Booking]) -> list[Visit]:
    prisoners = await u.people.prisoners([each.prisoner_id for each in bookings])
    contacts = await u.people.contacts([one for each in bookings for one in each.contact_ids])
    prisons = {each: await u.people.get_prison(each) for each in sorted({each.prison_id for each in bookings})}
    flags = await u.flags.open_of([each.id for each in bookings if each.open])
    # One look at the versions of each prison, however many visits: each visit then has the one of its own start.
    versions = {
        each: [
            *await u.policies.versions(None, RECORDING_REQUIRED.name),
            *await u.policies.versions(each, RECORDING_REQUIRED.name),
        ]
        for each in prisons
    }
    return [
        Visit(
            booking=each,
            prison=prisons[each.prison_id],
            prisoner=prisoners[each.prisoner_id],
            contacts=tuple(contacts[one] for one in each.contact_ids),
            recorded=not each.privileged and _recorded(versions[each.prison_id], each),
            in_the_way=any(flag.type in MAY_MOVE for flag in flags.get(each.id, ())),
        )
        for each in bookings
    ]


def _recorded(versions: list[PolicyValue], booking: Booking) -> bool:
    policies = Policies.resolve(versions, prison_id=booking.prison_id, at=booking.starts_at)
    return policies.flag(RECORDING_REQUIRED)
