"""What is left of everything that a visit takes up, slot by slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from visitserver.domain import policies as keys
from visitserver.domain.occupancy import Resource, ResourceKind, Span, media_calls, seats, watched_places
from visitserver.domain.policies import Policies
from visitserver.domain.rules.facts import Room
from visitserver.domain.scheduling import Slot
from visitserver.services.background import Background, Party, buffer_of, seat_count
from visitserver.services.ports.facts import RoomQuery, RoomRows
from visitserver.services.taken import Taken


@dataclass(frozen=True, slots=True)
class Occupied:
    """What is taken around some slots: of the resources by time, of each session's places by slot key."""

    taken: Taken
    places: Mapping[str, int]

    @classmethod
    def of(cls, rows: RoomRows) -> Occupied:
        """What was read. ValueError for rows that say what nobody knows."""
        return cls(Taken(rows.spans()), rows.places())


def room_query(
    party: Party,
    policies: Policies,
    slots: Sequence[Slot],
    but: str | None,
    besides: Sequence[Resource] = (),
    *,
    stations: int | None = None,
) -> RoomQuery:
    """What has to be read to say what is left in the slots, and whether the resources `besides` are taken.

    `stations`: how many the prison has in use, where that is known. What the servers carry is asked for only when it
    may be less than that.
    """
    carried = policies.number(keys.MEDIA_CALLS)
    if stations is not None and stations <= carried:
        carried = 0
    resources = [
        Resource(ResourceKind.PRISONER, party.prisoner.id),
        *(Resource(ResourceKind.CONTACT, each) for each in party.contact_ids),
        *(
            Resource(ResourceKind.STATION, each)
            for each in sorted({each for slot in slots for each in slot.station_ids})
        ),
        *seats(party.prison.id, seat_count(policies)),
        *(each for slot in slots if (most := slot.capacity_supervised) for each in watched_places(slot.key, most)),
        *media_calls(party.prison.id, carried),
        *besides,
    ]
    first, last = min(slot.starts_at for slot in slots), max(slot.ends_at for slot in slots)
    whole = Span.of_call(first, last, buffer=buffer_of(policies))
    return RoomQuery(resources, sorted({slot.template_id for slot in slots}), whole, but)


def room_of(background: Background, slot: Slot, occupied: Occupied) -> Room:
    """What is left in the slot."""
    span, key, during = background.span(slot), slot.key, occupied.taken.during
    free_watched = slot.capacity_supervised
    if free_watched is not None and background.may_be_watched(slot):
        free_watched -= sum(each.startswith(f"{key}#") for each in during(ResourceKind.WATCHED, span))
    media = () if background.media_count is None else during(ResourceKind.MEDIA, span)
    return Room(
        prisoner_busy=bool(during(ResourceKind.PRISONER, span)),
        busy_contacts=frozenset(during(ResourceKind.CONTACT, span)),
        free_places=slot.capacity - occupied.places.get(key, 0),
        free_stations=len(background.open_stations(slot) - during(ResourceKind.STATION, span)),
        free_seats=background.seat_count - len(during(ResourceKind.SEAT, span)),
        free_media=background.policies.number(keys.MEDIA_CALLS) - len(media),
        free_supervised=free_watched,
    )
