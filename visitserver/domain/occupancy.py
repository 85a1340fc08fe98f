"""Who and what a call takes up, in five-minute cells."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from visitserver.domain.errors import Invalid

CELL = timedelta(minutes=5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ResourceKind(StrEnum):
    """What can be in one booking at a time.

    PLACE is one of a slot's places, WATCHED one of those that may be watched live, SEAT one of the officers' live
    watches, MEDIA one of the calls that the servers carry for a prison.
    """

    PRISONER = "prisoner"
    CONTACT = "contact"
    PLACE = "place"
    STATION = "station"
    SEAT = "seat"
    WATCHED = "watched"
    MEDIA = "media"


# Every transaction takes its resources in this order and, within a kind, by id: so two never wait for each other.
ORDER: tuple[ResourceKind, ...] = tuple(ResourceKind)


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """One thing that a booking occupies."""

    kind: ResourceKind
    id: str


@dataclass(frozen=True, slots=True)
class Span:
    """From `starts_at` up to but not including `ends_at`, both UTC on five-minute marks."""

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        for moment in (self.starts_at, self.ends_at):
            if moment.tzinfo is None or (moment - _EPOCH) % CELL:
                raise Invalid("A call begins and ends on a five-minute mark.", code="time_grid")
        if self.ends_at <= self.starts_at:
            raise Invalid("A call ends after it begins.", code="time_order")

    @classmethod
    def of_call(cls, starts_at: datetime, ends_at: datetime, *, buffer: timedelta) -> Span:
        """The span that a call takes up: its own time and the pause after it, rounded up to whole cells."""
        return cls(starts_at, ends_at + -(-buffer // CELL) * CELL)

    @property
    def cells(self) -> range:
        """The numbers of its cells, counted from 1970 in UTC."""
        return range((self.starts_at - _EPOCH) // CELL, (self.ends_at - _EPOCH) // CELL)

    def overlaps(self, other: Span) -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at


def places(slot_key: str, capacity: int) -> list[Resource]:
    """The places of a slot: as many resources as it has capacity."""
    return [Resource(ResourceKind.PLACE, f"{slot_key}#{number:03}") for number in range(capacity)]


def seats(prison_id: str, count: int) -> list[Resource]:
    """The officers' live watches of a prison."""
    return [Resource(ResourceKind.SEAT, f"{prison_id}#{number:03}") for number in range(count)]


def watched_places(slot_key: str, capacity: int) -> list[Resource]:
    """The places of a slot whose calls may be watched live, where its template has a limit."""
    return [Resource(ResourceKind.WATCHED, f"{slot_key}#{number:03}") for number in range(capacity)]


def media_calls(prison_id: str, count: int) -> list[Resource]:
    """The calls that the servers carry for a prison at one time."""
    return [Resource(ResourceKind.MEDIA, f"{prison_id}#{number:04}") for number in range(count)]
