"""The mistake that the constraint is there for: look in one transaction, write in another."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from signaling.ids import new_id
from tests.fixtures.rights import PRISON, World, relationship_id
from tests.support.races.scene import BUFFER, OPEN, SEATS, templates
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict
from visitserver.domain.occupancy import Resource, ResourceKind, Span, places, seats
from visitserver.domain.scheduling import Booking, BookingParticipant, BookingState, SupervisionLevel
from visitserver.domain.slots import parse_slot_key


async def naive_booking(world: World, contact: str, prisoner: str, key: str) -> Booking:
    """Book without the services. Conflict when it sees that there is no room, or when the insert says so."""
    template_id, starts_at = parse_slot_key(key)
    template = next(each for each in templates() if each.id == template_id)
    ends_at = starts_at + timedelta(minutes=template.duration_minutes)
    span = Span.of_call(starts_at, ends_at, buffer=BUFFER)
    people = [Resource(ResourceKind.PRISONER, prisoner), Resource(ResourceKind.CONTACT, contact)]
    one_of = [
        places(key, template.capacity),
        [Resource(ResourceKind.STATION, each) for each in sorted(template.station_ids)],
        *([] if template_id == OPEN else [seats(PRISON, SEATS)]),
    ]
    async with world.uow(read_only=True) as u:
        taken = await u.scheduling.taken([*people, *(each for wanted in one_of for each in wanted)], span)
    free = [next((each for each in wanted if each not in taken), None) for wanted in one_of]
    chosen = [each for each in free if each is not None]
    if not taken.isdisjoint(people) or len(chosen) < len(one_of):
        raise Conflict("full", code="full")
    await asyncio.sleep(0)
    booking_id = new_id("bkg")
    booking = Booking(
        id=booking_id,
        prison_id=PRISON,
        prisoner_id=prisoner,
        kind=CallKind.SOCIAL,
        state=BookingState.BOOKED,
        template_id=template_id,
        slot_key=key,
        starts_at=starts_at,
        ends_at=ends_at,
        supervision=SupervisionLevel.NONE if template_id == OPEN else SupervisionLevel.LIVE,
        created_at=world.clock(),
        created_by="test",
        station_id=next(each.id for each in chosen if each.kind is ResourceKind.STATION),
        participants=[BookingParticipant(booking_id, contact, relationship_id(contact, prisoner), lead=True)],
    )
    async with world.uow() as u:
        u.scheduling.add(booking)
        if not await u.scheduling.occupy(booking_id, [*people, *chosen], span):
            raise Conflict("lost", code="lost")
        await u.commit()
    return booking
