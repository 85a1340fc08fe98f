"""Taking a place: writes the occupancy of a booking in the one order that everybody keeps."""

from __future__ import annotations

from collections.abc import Sequence

from visitserver.domain.occupancy import Resource, ResourceKind, Span, places, seats
from visitserver.domain.scheduling import Booking, Slot, SupervisionLevel
from visitserver.services.facts import Background
from visitserver.services.ports.uow import UnitOfWork


async def take_place(u: UnitOfWork, booking: Booking, slot: Slot, background: Background) -> bool:
    """Occupy prisoner, callers, a place of the slot, a station and (LIVE) an officer's seat; sets the station.

    False as soon as one of them is gone: the caller then rolls back. The order is that of ResourceKind and, within a
    kind, of the id, so two transactions never wait for each other in a circle.
    """
    span = background.span(slot)
    for resource in (
        Resource(ResourceKind.PRISONER, booking.prisoner_id),
        *sorted(Resource(ResourceKind.CONTACT, each) for each in booking.contact_ids),
    ):
        if not await u.scheduling.occupy(booking.id, resource, span):
            return False
    if await _first_free(u, booking.id, places(slot.key, slot.capacity), span) is None:
        return False
    stations = sorted(background.stations.intersection(slot.station_ids))
    station = await _first_free(u, booking.id, [Resource(ResourceKind.STATION, each) for each in stations], span)
    if station is None:
        return False
    booking.station_id = station.id
    return booking.supervision is not SupervisionLevel.LIVE or await take_seat(u, booking, background, span)


async def take_seat(u: UnitOfWork, booking: Booking, background: Background, span: Span) -> bool:
    """Occupy an officer's seat for the booking. False when none is free."""
    wanted = seats(booking.prison_id, background.seat_count)
    return await _first_free(u, booking.id, wanted, span) is not None


async def _first_free(u: UnitOfWork, booking_id: str, wanted: Sequence[Resource], span: Span) -> Resource | None:
    if not wanted:
        return None
    taken = await u.scheduling.taken(wanted[0].kind, [each.id for each in wanted], span)
    for resource in wanted:
        # Somebody may have taken it since we looked: then `occupy` says so and the next one is tried.
        if resource.id not in taken and await u.scheduling.occupy(booking_id, resource, span):
            return resource
    return None
