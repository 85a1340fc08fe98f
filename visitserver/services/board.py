"""The week by station and time: what stands, what is free, what is blocked. Reads only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor
from visitserver.domain.blocks import Block
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.occupancy import CELL, Resource, ResourceKind, Span
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.people import Prison
from visitserver.domain.scheduling import OPEN_STATES, SessionTemplate, Slot, Station
from visitserver.domain.slots import day_starts, parse_slot_key, slot_at, slots_of
from visitserver.services.access_checks import own_prison
from visitserver.services.desk import SHOWN, BookingView, read_views
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MOST: Final = 1000
"""So many bookings are put into one board. Beyond that `Board.left_off` says that the days have to be looked at."""
STATIONS_AT_ONCE: Final = 12
MAX_DAYS: Final = 14


class CellState(StrEnum):
    """What a station's time is, as seen from the desk."""

    BOOKED = "booked"
    FREE = "free"
    FULL = "full"  # a session, but its places are taken, or the station is still in use
    BLOCKED = "blocked"
    PAST = "past"
    NONE = "none"  # no session at this time of this day


@dataclass(frozen=True, slots=True)
class Offer:
    """A session's slot that uses the station at this time. `free`: its free places, not counting officers' seats."""

    slot: Slot
    name: str
    free: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One station at one time of one day. `why`: the words of the block that lies on it."""

    station: Station
    day: date
    wall: time
    state: CellState
    views: tuple[BookingView, ...] = ()
    offers: tuple[Offer, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One station and time of day, over the days of the board."""

    station: Station
    wall: time
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under one heading: of a station by time, or of a time by station."""

    station: Station | None
    wall: time | None
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """The days from `days[0]` on. `parts`: how many parts the stations make, `part` (from 0) is this one."""

    prison: Prison
    days: tuple[date, ...]
    groups: tuple[Group, ...]
    stations: tuple[Station, ...]
    part: int
    parts: int
    left_off: bool

    @property
    def cells(self) -> Iterable[Cell]:
        """Every cell, row by row."""
        return (cell for group in self.groups for row in group.rows for cell in row.cells)


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot: who has its places, which of its stations are in use then, the blocks that take something from it."""

    slot: Slot
    template: SessionTemplate
    views: tuple[BookingView, ...]
    stations: tuple[Station, ...]
    busy: frozenset[str]
    blocks: tuple[Block, ...]

    @property
    def free(self) -> int:
        """The places that nobody has; the stations may allow fewer."""
        return max(0, self.slot.capacity - sum(view.booking.state in OPEN_STATES for view in self.views))


class BoardService:
    """Everything is of the actor's own prison."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def board(
        self, actor: Actor, first: date, days: int = 7, *, by_time: bool = False, wing_id: str = "", part: int = 0
    ) -> Board:
        """The prison's `days` days (1 to 14) from `first` on; only the stations of a wing where one is named.

        `part`: which twelve of the stations, by name, from 0. Invalid for more days, or a part that there is not.
        """
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"Ask for 1 to {MAX_DAYS} days.", field="days")
        own_prison(actor, actor.prison_id)
        last = first + timedelta(days=days - 1)
        async with self._uow(read_only=True) as u:
            prison = await u.people.get_prison(actor.prison_id or "")
            views, left_off = await _views(u, prison, first, last)
            used = {view.station.id for view in views}
            stations = [
                one
                for one in await u.scheduling.stations(prison.id)
                if (one.active or one.id in used) and (not wing_id or one.wing_id == wing_id)
            ]
            parts = max(1, -(-len(stations) // STATIONS_AT_ONCE))
            if not 0 <= part < parts:
                raise Invalid("There are not so many stations.", field="part")
            shown = tuple(stations[part * STATIONS_AT_ONCE : (part + 1) * STATIONS_AT_ONCE])
            policies = await u.policies.at(prison.id, self._clock())
            buffer = timedelta(minutes=policies.number(keys.BUFFER_MINUTES))
            templates = await u.scheduling.templates(prison.id, first=first, last=last)
            blocks = await u.offers.blocks(prison.id, _span(prison, first, last))
        table = _Table(prison, self._clock(), buffer, views, templates, blocks)
        whole = tuple(first + timedelta(days=number) for number in range(days))
        cells = table.cells(shown, whole)
        return Board(prison, whole, _groups(shown, whole, cells, by_time), shown, part, parts, left_off)

    async def slot(self, actor: Actor, slot_key: str) -> SlotView:
        """One slot of the actor's prison; NotFound when there is none, Invalid for what is no slot's key."""
        template_id, starts_at = parse_slot_key(slot_key)
        async with self._uow(read_only=True) as u:
            template = await u.scheduling.get_template(template_id)
            own_prison(actor, template.prison_id)
            prison = await u.people.get_prison(template.prison_id)
            policies = await u.policies.at(prison.id, self._clock())
            buffer = timedelta(minutes=policies.number(keys.BUFFER_MINUTES))
            slot = slot_at(template, prison.zone, starts_at, buffer=buffer)
            if slot is None:
                raise NotFound("There is no such time.")
            span = Span.of_call(slot.starts_at, slot.ends_at, buffer=buffer)
            wanted = BookingFilter(
                template_id=template.id, states=SHOWN, starts_from=starts_at, starts_before=starts_at + CELL
            )
            found = await u.scheduling.bookings(wanted, PageRequest(MAX_LIMIT))
            stations = [one for one in await u.scheduling.stations(prison.id) if one.id in slot.station_ids]
            resources = [Resource(ResourceKind.STATION, one.id) for one in sorted(stations, key=lambda one: one.id)]
            return SlotView(
                slot=slot,
                template=template,
                views=tuple(await read_views(u, found.items)),
                stations=tuple(stations),
                busy=frozenset(each.id for each in await u.scheduling.taken(resources, span)),
                blocks=tuple(
                    each
                    for each in await u.offers.blocks(prison.id, Span(slot.starts_at, slot.ends_at))
                    if each.touches(template.id, slot.starts_at, slot.ends_at)
                ),
            )


def _span(prison: Prison, first: date, last: date) -> Span:
    return Span(day_starts(first, prison.zone), day_starts(last + timedelta(days=1), prison.zone))


async def _views(u: UnitOfWork, prison: Prison, first: date, last: date) -> tuple[list[BookingView], bool]:
    wanted = BookingFilter(
        prison_id=prison.id,
        states=SHOWN,
        starts_from=day_starts(first, prison.zone),
        starts_before=day_starts(last + timedelta(days=1), prison.zone),
    )
    found: list[BookingView] = []
    cursor: str | None = None
    while True:
        page = await u.scheduling.bookings(wanted, PageRequest(MAX_LIMIT, cursor))
        found += await read_views(u, page.items)
        cursor = page.next_cursor
        if cursor is None or len(found) >= MOST:
            return found, cursor is not None


_Key = tuple[str, date, time]
"""Station, day and wall-clock time of the prison."""


class _Table:
    """Bookings and slots by station, day and time."""

    def __init__(
        self,
        prison: Prison,
        now: datetime,
        buffer: timedelta,
        views: Sequence[BookingView],
        templates: Sequence[SessionTemplate],
        blocks: Sequence[Block],
    ) -> None:
        self._prison, self._now, self._buffer = prison, now, buffer
        self._templates, self._blocks = templates, blocks
        self._views: dict[_Key, list[BookingView]] = defaultdict(list)
        self._busy: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
        self._taken: Counter[str] = Counter()
        for view in views:
            booking = view.booking
            local = booking.starts_at.astimezone(prison.zone)
            self._views[view.station.id, local.date(), local.time()].append(view)
            if booking.state in OPEN_STATES:
                self._busy[view.station.id].append((booking.starts_at, booking.ends_at))
                self._taken[booking.slot_key] += 1

    def cells(self, stations: Sequence[Station], days: Sequence[date]) -> dict[_Key, Cell]:
        """A cell for whatever there is: a booking or a session's slot."""
        offers: dict[_Key, list[Offer]] = defaultdict(list)
        known = {station.id: station for station in stations}
        for template in self._templates:
            for slot in slots_of(template, self._prison.zone, days[0], days[-1], buffer=self._buffer):
                wall = slot.starts_at.astimezone(self._prison.zone).time()
                offer = Offer(slot, template.name, max(0, slot.capacity - self._taken[slot.key]))
                for station_id in slot.station_ids:
                    if station_id in known and known[station_id].active:
                        offers[station_id, slot.day, wall].append(offer)
        keys_ = {*offers, *(key for key in self._views if key[0] in known)}
        return {key: self._cell(known[key[0]], key, offers.get(key, [])) for key in keys_}

    def _cell(self, station: Station, key: _Key, offers: list[Offer]) -> Cell:
        views = tuple(self._views.get(key, ()))
        times = [(one.booking.template_id, one.booking.starts_at, one.booking.ends_at) for one in views]
        times += [(one.slot.template_id, one.slot.starts_at, one.slot.ends_at) for one in offers]
        stopped = (
            each.reason
            for each in self._blocks
            for of, begins, ends in times
            if each.stops(of, station.id, begins, ends)
        )
        why = next(stopped, "")
        return Cell(station, key[1], key[2], self._state(station, views, offers, why), views, tuple(offers), why)

    def _state(
        self, station: Station, views: Sequence[BookingView], offers: Sequence[Offer], blocked: str
    ) -> CellState:
        if views:
            return CellState.BOOKED
        if blocked:
            return CellState.BLOCKED
        if all(offer.slot.starts_at <= self._now for offer in offers):
            return CellState.PAST
        for offer in offers:
            if offer.free and offer.slot.starts_at > self._now and not self._in_use(station, offer.slot):
                return CellState.FREE
        return CellState.FULL

    def _in_use(self, station: Station, slot: Slot) -> bool:
        """Whether some visit at the station leaves no pause before or after this time."""
        begins, ends = slot.starts_at - self._buffer, slot.ends_at + self._buffer
        return any(busy_from < ends and begins < busy_to for busy_from, busy_to in self._busy[station.id])


def _groups(
    stations: Sequence[Station], days: Sequence[date], cells: Mapping[_Key, Cell], by_time: bool
) -> tuple[Group, ...]:
    walls: dict[str, set[time]] = defaultdict(set)
    for station_id, _day, wall in cells:
        walls[station_id].add(wall)

    def row(station: Station, wall: time) -> Row:
        empty = CellState.NONE
        return Row(
            station,
            wall,
            tuple(cells.get((station.id, day, wall)) or Cell(station, day, wall, empty) for day in days),
        )

    if by_time:
        return tuple(
            Group(None, wall, tuple(row(one, wall) for one in stations if wall in walls[one.id]))
            for wall in sorted({wall for found in walls.values() for wall in found})
        )
    return tuple(
        Group(station, None, tuple(row(station, wall) for wall in sorted(walls[station.id]))) for station in stations
    )
