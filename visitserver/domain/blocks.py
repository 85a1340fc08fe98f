"""Blocked times: days and hours at which a prison, some of its stations or some of its sessions take no calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(eq=False)
class Block:
    """No calls from `starts_at` up to but not including `ends_at` (UTC).

    `station_ids` empty: at no station; `template_ids` empty: in every session. With both set, only those stations in
    those sessions. `reason` is for staff, `public_words` is what families may read (None: no reason is given).
    Lifting keeps the row.
    """

    id: str
    prison_id: str
    starts_at: datetime
    ends_at: datetime
    station_ids: frozenset[str]
    reason: str
    public_words: str | None
    created_at: datetime
    created_by: str
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    template_ids: frozenset[str] = frozenset()

    @property
    def stands(self) -> bool:
        """Whether it has not been lifted."""
        return self.lifted_at is None

    @property
    def whole_prison(self) -> bool:
        """Whether it stops everything."""
        return not self.station_ids and not self.template_ids

    def overlaps(self, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether it stands and some part of it lies between the two moments."""
        return self.stands and self.starts_at < ends_at and starts_at < self.ends_at

    def touches(self, template_id: str, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether it takes something from that session's slot: all of it, or some station."""
        return self.overlaps(starts_at, ends_at) and (not self.template_ids or template_id in self.template_ids)

    def stops(self, template_id: str, station_id: str, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether a call of that session at that station and time cannot be."""
        at_station = not self.station_ids or station_id in self.station_ids
        return at_station and self.touches(template_id, starts_at, ends_at)


def open_stations(
    blocks: Iterable[Block], template_id: str, station_ids: Iterable[str], starts_at: datetime, ends_at: datetime
) -> frozenset[str]:
    """Those of the stations at which no block stops a call of the session at that time; empty: none is left."""
    standing = [block for block in blocks if block.touches(template_id, starts_at, ends_at)]
    if not standing:
        return frozenset(station_ids)
    return frozenset(
        station_id
        for station_id in station_ids
        if not any(block.stops(template_id, station_id, starts_at, ends_at) for block in standing)
    )


def closing_block(blocks: Iterable[Block], template_id: str, starts_at: datetime, ends_at: datetime) -> Block | None:
    """The block that closes the slot at every station, the oldest of several; None when stations may be left."""
    closing = [block for block in blocks if not block.station_ids and block.touches(template_id, starts_at, ends_at)]
    return min(closing, key=lambda block: (block.created_at, block.id), default=None)
