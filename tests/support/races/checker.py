"""Was anybody ever in two places? Asked of the database as it is afterwards, and of what the clients were told.

A client's word is taken conservatively: a booking counts as standing only from when its client was told so until the
first moment at which anybody began something that might have ended it. Two such intervals of one resource that overlap
are a double booking that somebody was promised, whatever the database says later.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.store import AUDIT_KEY
from tests.support.races.record import UNKNOWN, Done, moment
from tests.support.races.scene import BUFFER, CAPACITY, OPEN, SEATS, WATCHED_CAPACITY, RaceClock
from visitserver.domain.audit_check import check_rows
from visitserver.domain.ledger import Ledger
from visitserver.domain.occupancy import Span
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import OPEN_STATES, Booking, BookingState
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.store.uow import SqlUnitOfWorkFactory

ENDED_BY_OTHERS = ("hold", "offer")
"""A caller's next hold gives back the one before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A booking that its client was told of, over the real time in which it stood for certain."""

    id: str
    facts: dict[str, Any]
    told: float
    until: float

    @property
    def starts_at(self) -> datetime:
        return moment(self.facts["starts_at"])

    @property
    def ends_at(self) -> datetime:
        return moment(self.facts["ends_at"]) + BUFFER

    def meets(self, other: Standing) -> bool:
        """Whether both stood at one moment, for calls (with the pause after each) that overlap."""
        return (
            self.told < other.until
            and other.told < self.until
            and self.starts_at < other.ends_at
            and other.starts_at < self.ends_at
        )


LATE = 20.0
"""Seconds after which an operation of unknown end has ended: by then its backend knows that its client is gone."""


def standings(history: Sequence[Done], clock: RaceClock) -> list[Standing]:
    """Every certain interval that the record tells of."""
    touching: dict[str, list[Done]] = defaultdict(list)
    holding: dict[str, list[Done]] = defaultdict(list)
    for done in history:
        for booking in set(done.bookings):
            touching[booking].append(done)
        if done.name in ENDED_BY_OTHERS:
            holding[done.args["contact"]].append(done)
    found = []
    for done in history:
        if done.result != "ok" or done.booking is None or done.ended is None:
            continue
        facts = done.booking
        if facts["state"] not in OPEN_STATES:
            continue
        others = list(touching[facts["id"]])
        until = float("inf")
        if facts["state"] == BookingState.HELD:
            others += holding[facts["contacts"][0]]
            until = clock.real(moment(facts["hold_until"]))
        # What overlaps this operation may have been the later one; what began after it ends what it told of.
        until = min([until, *(each.began for each in others if each is not done and _over(each) > done.began)])
        if until > done.ended:
            found.append(Standing(facts["id"], facts, done.ended, until))
    return found


def _over(done: Done) -> float:
    """When the operation had surely ended."""
    if done.ended is None:
        return done.began + LATE
    return done.ended + LATE if done.result == UNKNOWN else done.ended


def check_record(history: Sequence[Done], clock: RaceClock) -> list[str]:
    """The double bookings that clients were told of."""
    wrong: list[str] = []
    by_resource: dict[tuple[str, str], list[Standing]] = defaultdict(list)
    by_slot: dict[str, list[Standing]] = defaultdict(list)
    live = []
    for each in standings(history, clock):
        by_resource["prisoner", each.facts["prisoner"]].append(each)
        by_resource["station", each.facts["station"]].append(each)
        for contact in each.facts["contacts"]:
            by_resource["contact", contact].append(each)
        if not each.facts["overbooked"]:
            by_slot[each.facts["slot"]].append(each)
        if each.facts["live"]:
            live.append(each)
    for (kind, name), found in by_resource.items():
        for one, other in _pairs(found):
            if one.id != other.id and one.meets(other):
                wrong.append(f"told: {kind} {name} in {one.id} and {other.id}")
    for slot, found in by_slot.items():
        most = _most(found)
        capacity = CAPACITY if slot.startswith(f"{OPEN}@") else WATCHED_CAPACITY
        if most > capacity:
            wrong.append(f"told: {most} in {slot}, which has room for {capacity}")
    for start in {each.starts_at for each in live}:
        during = [each for each in live if each.starts_at <= start < each.ends_at]
        if (most := _most(during)) > SEATS:
            wrong.append(f"told: {most} watched calls at {start}, for {SEATS} seats")
    return wrong


def check_told(history: Sequence[Done], bookings: Sequence[Booking]) -> list[str]:
    """What a client was told last about a booking is what is stored, unless something came after it."""
    stored = {each.id: each for each in bookings}
    last: dict[str, Done] = {}
    uncertain = set()
    for done in history:
        for booking in set(done.bookings):
            if done.result == "ok" and done.booking is not None:
                before = last.get(booking)
                if before is not None and (before.ended or 0) > done.began:
                    uncertain.add(booking)  # they overlapped: either may have been the last
                last[booking] = done
            else:
                uncertain.add(booking)
    wrong = []
    for booking_id, done in last.items():
        facts = done.booking
        if facts is None or booking_id in uncertain or facts["state"] == BookingState.HELD:
            continue
        found = stored.get(booking_id)
        if found is None:
            wrong.append(f"lost: {booking_id} was told to a client and is not stored")
        elif (found.state.value, found.slot_key, found.station_id) != (facts["state"], facts["slot"], facts["station"]):
            wrong.append(f"lost: {booking_id} was told as {facts['state']} at {facts['slot']}, is {found.state}")
    return wrong


async def check_store(engine: AsyncEngine, clock: Callable[[], datetime]) -> tuple[list[str], list[Booking]]:
    """What the database itself says that cannot be, and every booking in it."""
    uow = SqlUnitOfWorkFactory(engine, clock=clock, audit_key=AUDIT_KEY)
    bookings: list[Booking] = []
    cursor: str | None = None
    async with uow(read_only=True) as u:
        while True:
            page = await u.scheduling.bookings(BookingFilter(), PageRequest(200, cursor))
            bookings += page.items
            if (cursor := page.next_cursor) is None:
                break
    standing = [each for each in bookings if each.open]
    wrong = [*_overlaps(standing), *_crowds(standing)]
    async with engine.connect() as connection:
        cells = set(
            map(tuple, await connection.execute(text("SELECT kind, resource, cell, booking_id FROM occupancy")))
        )
        spans = Counter((await connection.execute(text("SELECT booking_id FROM occupancy_spans"))).scalars())
    wrong += _occupancy(standing, cells, spans)
    async with uow(read_only=True) as u:
        for prisoner in sorted({each.prisoner_id for each in bookings}):
            mine = [each for each in bookings if each.prisoner_id == prisoner]
            wrong += _ledger(prisoner, await u.allowance.events_of(prisoner), mine)
    async with uow(read_only=True) as u:
        report = await check_rows(u.audit.walk(), [], AUDIT_KEY)
    if not report.valid:
        wrong.append(f"audit: the chain does not hold: {report}")
    return wrong, bookings


def _overlaps(standing: Sequence[Booking]) -> Iterator[str]:
    by_resource: dict[tuple[str, str], list[Booking]] = defaultdict(list)
    for each in standing:
        by_resource["prisoner", each.prisoner_id].append(each)
        by_resource["station", each.station_id].append(each)
        for contact in each.contact_ids:
            by_resource["contact", contact].append(each)
    for (kind, name), found in by_resource.items():
        for one, other in _pairs(found):
            if one.starts_at < other.ends_at + BUFFER and other.starts_at < one.ends_at + BUFFER:
                yield f"stored: {kind} {name} in {one.id} and {other.id}"


def _crowds(standing: Sequence[Booking]) -> Iterator[str]:
    counts = Counter(each.slot_key for each in standing if each.overbook_reason is None)
    for slot, count in counts.items():
        capacity = CAPACITY if slot.startswith(f"{OPEN}@") else WATCHED_CAPACITY
        if count > capacity:
            yield f"stored: {count} in {slot}, which has room for {capacity}"
    live = [each for each in standing if each.supervision.value == "live"]
    for start in {each.starts_at for each in live}:
        count = sum(each.starts_at <= start < each.ends_at + BUFFER for each in live)
        if count > SEATS:
            yield f"stored: {count} watched calls at {start}, for {SEATS} seats"


def _occupancy(standing: Sequence[Booking], cells: set[tuple[Any, ...]], spans: Counter[str]) -> Iterator[str]:
    """Occupancy holds what open bookings take up, and nothing else."""
    by_booking: dict[str, dict[str, set[tuple[str, int]]]] = defaultdict(lambda: defaultdict(set))
    for kind, resource, cell, booking_id in cells:
        by_booking[booking_id][kind].add((resource, cell))
    for stranger in by_booking.keys() - {each.id for each in standing}:
        yield f"occupancy: {stranger} is not open and takes up room"
    for each in standing:
        found = by_booking[each.id]
        wanted = Span.of_call(each.starts_at, each.ends_at, buffer=BUFFER).cells
        people = {("prisoner", each.prisoner_id), ("station", each.station_id)}
        people |= {("contact", contact) for contact in each.contact_ids}
        for kind, resource in people:
            if {cell for name, cell in found[kind] if name == resource} != set(wanted):
                yield f"occupancy: {each.id} does not take up {kind} {resource}"
        if len(found["place"]) != len(wanted):
            yield f"occupancy: {each.id} does not take up one place"
        if each.supervision.value == "live" and len(found["seat"]) != len(wanted):
            yield f"occupancy: {each.id} is watched and takes up no seat"
        if spans[each.id] != sum(len({name for name, _ in rows}) for rows in found.values()):
            yield f"occupancy: the spans of {each.id} are not those of its cells"


def _ledger(prisoner: str, events: Sequence[Any], bookings: Sequence[Booking]) -> Iterator[str]:
    try:
        Ledger(prisoner, events, new_id=lambda prefix: prefix)
    except ValueError as error:
        yield f"ledger: {error}"
    spent = Counter(each.booking_id for each in events if each.kind.value in ("spent", "overdrawn"))
    refunded = Counter(each.booking_id for each in events if each.kind.value == "refunded")
    for each in bookings:
        paid = spent[each.id] - refunded[each.id]
        wanted = 1 if each.charged and each.open else 0
        # A debt that the next credit repaid shows as one more line.
        over = each.state in (BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED)
        if refunded[each.id] > 1 or (paid != wanted and spent[each.id] <= 1 and not over):
            yield f"ledger: {each.id} is {each.state} and has paid {paid}"


def _pairs(found: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for number, one in enumerate(found):
        for other in found[:number]:
            yield one, other


def _most(found: Iterable[Standing]) -> int:
    """How many different bookings stood at one moment, at most."""
    marks = sorted([(each.told, 1, each.id) for each in found] + [(each.until, -1, each.id) for each in found])
    present: Counter[str] = Counter()
    most = 0
    for _, change, booking in marks:
        present[booking] += change
        most = max(most, sum(count > 0 for count in present.values()))
    return most
