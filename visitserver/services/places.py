"""Taking a place: writes the occupancy of a booking in the one order that everybody keeps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from visitserver.domain.occupancy import Resource, ResourceKind, Span, media_calls, places, seats, watched_places
from visitserver.domain.scheduling import Booking, Slot, SupervisionLevel
from visitserver.services.background import Background
from visitserver.services.ports.uow import UnitOfWork

MOST_BEYOND: Final = 20
"""How many visits staff may place beyond a session's capacity: each needs a free station all the same."""


async def take_place(
    u: UnitOfWork,
    booking: Booking,
    slot: Slot,
    background: Background,
    *,
    station_id: str | None = None,
    seen: frozenset[Resource] | None = None,
) -> bool:
    """Occupy prisoner, callers, a place of the slot, a station and (LIVE) an officer's seat; sets the station.

    Where they are limited, one of the calls that may be watched and one that the servers carry, too. `station_id`: that
    station and no other. A booking with an `overbook_reason` may take a place beyond the slot's capacity; nothing else
    is ever beyond what there is. `seen`: what is taken, when somebody has looked already in this transaction. False
    when one of them is gone: the caller then rolls back. The order is that of ResourceKind and, within a kind, of the
    id, so two transactions never wait for each other in a circle.
    """
    people = [
        Resource(ResourceKind.PRISONER, booking.prisoner_id),
        *sorted(Resource(ResourceKind.CONTACT, each) for each in booking.contact_ids),
    ]
    stations = sorted(background.open_stations(slot))
    if station_id is not None:
        stations = [each for each in stations if each == station_id]
    beyond = 0 if booking.overbook_reason is None else MOST_BEYOND
    one_of = [places(slot.key, slot.capacity + beyond), [Resource(ResourceKind.STATION, each) for each in stations]]
    if booking.supervision is SupervisionLevel.LIVE:
        one_of += _to_watch(booking, slot, background)
    if background.media_count is not None:
        one_of.append(media_calls(booking.prison_id, background.media_count))
    chosen = await _take(u, booking.id, people, one_of, background.span(slot), seen)
    if chosen is None:
        return False
    booking.station_id = next(each.id for each in chosen if each.kind is ResourceKind.STATION)
    return True


async def take_seat(u: UnitOfWork, booking: Booking, slot: Slot, background: Background) -> bool:
    """Occupy what a call that is watched live needs besides, for a booking placed without. False when none is free."""
    wanted = _to_watch(booking, slot, background)
    return await _take(u, booking.id, [], wanted, background.span(slot)) is not None


def _to_watch(booking: Booking, slot: Slot, background: Background) -> list[list[Resource]]:
    """An officer's seat and, where they are limited, one of the session's calls that may be watched."""
    wanted = [seats(booking.prison_id, background.seat_count)]
    if slot.capacity_supervised is not None:
        wanted.append(watched_places(slot.key, slot.capacity_supervised))
    return wanted


async def _take(
    u: UnitOfWork,
    booking_id: str,
    fixed: Sequence[Resource],
    one_of: Sequence[Sequence[Resource]],
    span: Span,
    seen: frozenset[Resource] | None = None,
) -> list[Resource] | None:
    """All of `fixed` and the first free one of each list of `one_of`; None when there is no such set.

    Looking only chooses: the insert decides. When it says that somebody else came first, that somebody has committed
    and is seen by the next look, so every round has one candidate less and the search ends.
    """
    while True:
        taken: Collection[Resource] = (
            await u.scheduling.taken([*fixed, *(each for wanted in one_of for each in wanted)], span)
            if seen is None
            else seen
        )
        seen = None
        if any(each in taken for each in fixed):
            return None
        free = [next((each for each in wanted if each not in taken), None) for wanted in one_of]
        chosen = [each for each in free if each is not None]
        if len(chosen) < len(one_of):
            return None
        if await u.scheduling.occupy(booking_id, [*fixed, *chosen], span):
            return chosen
