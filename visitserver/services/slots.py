"""Which times there are for somebody, each with the decision: what can be booked, and why not the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision
from visitserver.domain.errors import Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rights import Relationship
from visitserver.domain.rules.engine import Hearing
from visitserver.domain.rules.facts import Known, Missing, Room
from visitserver.domain.rules.order import RULES
from visitserver.domain.rules.slot_fit import misfits
from visitserver.domain.scheduling import SessionTerms, Slot, minute_text
from visitserver.domain.slots import slots_of
from visitserver.services.access_checks import own_booking
from visitserver.services.background import Background, buffer_of
from visitserver.services.clock import today_at, usable_day
from visitserver.services.facts import Asked, FactsReader, Offered
from visitserver.services.placing import Placing
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MAX_DAYS = 62
AT_ONCE: Final = 1_000
"""For so many times what is left in them is read in one go."""

_SOME: Final = 25
_ROOM_ENOUGH: Final = Known(
    Room(prisoner_busy=False, busy_contacts=frozenset(), free_places=1, free_stations=1, free_seats=1)
)
"""Before anybody has looked. Were it missing, its rules would ask for a person, and `time_to_review` refuse for it."""
_Place = tuple[datetime, str]
"""Where a slot stands in the list: its start and its template."""


@dataclass(frozen=True, slots=True)
class SlotOffer:
    """A time and what the rules say about it for this party. `free_places` is None when it could not be read."""

    slot: Slot
    decision: Decision
    free_places: int | None

    @property
    def cursor(self) -> str:
        """The list goes on after this one with this cursor."""
        return _cursor(self.slot)


@dataclass(frozen=True, slots=True)
class _View:
    """Who looks at what: the prison's days `first` to `last`."""

    offered: Offered
    asked: Asked
    first: date
    last: date


class SlotService:
    """Availability."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader, placing: Placing) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts
        self._placing = placing

    async def offers(
        self,
        actor: Actor,
        relationship_id: str,
        page: PageRequest,
        *,
        guests: Sequence[str] = (),
        first: date | None = None,
        days: int | None = None,
    ) -> Page[SlotOffer]:
        """The times of `days` days (1 to 62) from the prison's day `first` on, in order, each with its decision.

        Default: from today to the end of the booking window. Times that are not for this party at all (another kind of
        visit, staff's own sessions, another wing) are left out. Invalid for more days than that, and outside 2000–2199.
        """
        after = None if page.cursor is None else _read_cursor(page.cursor)
        async with self._uow(read_only=True) as u:
            links = await self._placing.links_to_look(u, actor, relationship_id, guests)
            view, slots = await self._slots_for(u, actor.kind, links, first, days, after=after)
            chosen = list(islice(slots, page.limit + 1))
            more = len(chosen) > page.limit
            chosen = chosen[: page.limit]
            return Page(await self._surveyed(u, view, chosen), _cursor(chosen[-1]) if more else None)

    async def calendar(
        self,
        actor: Actor,
        relationship_id: str,
        *,
        guests: Sequence[str] = (),
        first: date | None = None,
        days: int | None = None,
    ) -> list[SlotOffer]:
        """All the times that `offers` gives page by page, at once and of one moment: for who looks at whole weeks."""
        offers: list[SlotOffer] = []
        async with self._uow(read_only=True) as u:
            links = await self._placing.links_to_look(u, actor, relationship_id, guests)
            view, slots = await self._slots_for(u, actor.kind, links, first, days)
            while chosen := list(islice(slots, AT_ONCE)):
                offers += await self._surveyed(u, view, chosen)
        return offers

    async def next_free(
        self, actor: Actor, relationship_id: str, *, guests: Sequence[str] = (), count: int = 5
    ) -> list[SlotOffer]:
        """The first 1 to 20 times that can be booked."""
        if not 1 <= count <= 20:
            raise Invalid("Ask for 1 to 20 times.", field="count")
        async with self._uow(read_only=True) as u:
            links = await self._placing.links_to_look(u, actor, relationship_id, guests)
            view, slots = await self._slots_for(u, actor.kind, links, None, None)
            return await self._allowed(u, view, slots, count)

    async def alternatives(self, actor: Actor, booking_id: str, count: int = 3) -> list[SlotOffer]:
        """The `count` (1 to 20) other times nearest to a booking's own at which the same people could meet, in order.

        Only times that can be booked without a person's look; the booking itself does not stand in their way, and what
        it has paid counts. For its callers' lead, staff of its prison, and the system (which asks as the family would).
        None when the prisoner is not at the booking's prison any more.
        """
        if not 1 <= count <= 20:
            raise Invalid("Ask for 1 to 20 times.", field="count")
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_booking(actor, booking)
            if (await u.people.get_prisoner(booking.prisoner_id)).prison_id != booking.prison_id:
                return []
            ordered = sorted(booking.participants, key=lambda each: (not each.lead, each.contact_id))
            links = [await u.rights.get_relationship(each.relationship_id) for each in ordered]
            asked_by = ActorKind.FAMILY if actor.is_system else actor.kind
            view, slots = await self._slots_for(u, asked_by, links, None, None, but=booking.id)
            near = sorted(
                (each for each in slots if each.key != booking.slot_key),
                key=lambda each: (abs(each.starts_at - booking.starts_at), each.key),
            )
            found = await self._allowed(u, view, iter(near), count, charged=booking.charged)
        return sorted(found, key=lambda each: each.cursor)

    async def _slots_for(
        self,
        u: UnitOfWork,
        asked_by: ActorKind,
        links: Sequence[Relationship],
        first: date | None,
        days: int | None,
        *,
        but: str | None = None,
        after: _Place | None = None,
    ) -> tuple[_View, Iterator[Slot]]:
        """What the party looks at, and the slots that may be for them, in order, made as they are asked for."""
        now = self._clock()
        if first is not None:
            usable_day(first, "first")
        # Before anything is known of the prison: its today is at most a day off.
        offered = await self._facts.offered(u, links, now=now, first=first or now.date() - timedelta(days=1))
        if days is None:
            days = min(MAX_DAYS, offered.policies.number(keys.NOTICE_DAYS_MAX) + 1)
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"Ask for 1 to {MAX_DAYS} days.", field="days")
        first = first or today_at(offered.party.prison, now)
        view = _View(offered, Asked(now, asked_by, but=but), first, first + timedelta(days=days - 1))
        return view, _fitting(view, after)

    async def _surveyed(self, u: UnitOfWork, view: _View, slots: Sequence[Slot]) -> list[SlotOffer]:
        """The slots with their decisions."""
        if not slots:
            return []
        background, rooms = await self._facts.survey(u, view.offered, slots, view.asked)
        return _decided(background, slots, rooms, Hearing(RULES), charged=False)

    async def _allowed(
        self, u: UnitOfWork, view: _View, slots: Iterator[Slot], count: int, *, charged: bool = False
    ) -> list[SlotOffer]:
        """The first `count` of the slots that the rules allow.

        What is left in a slot is read only where nothing else refuses it: a refusal stands, whatever room there is.
        """
        asked, found = view.asked, list[SlotOffer]()
        background = await self._facts.background(
            u,
            view.offered.party,
            now=asked.now,
            asked_by=asked.by,
            first=view.first,
            last=view.last,
            but=asked.but,
            policies=view.offered.policies,
        )
        hearing = Hearing(RULES)
        possible = (
            slot
            for slot in slots
            if not hearing.decide(background.facts(slot, _ROOM_ENOUGH, already_charged=charged)).refused
        )
        while len(found) < count and (chosen := list(islice(possible, _SOME))):
            rooms = await self._facts.rooms(u, background, chosen, but=asked.but)
            offers = _decided(background, chosen, rooms, hearing, charged=charged)
            found += [each for each in offers if each.decision.allowed]
        return found[:count]


def _fitting(view: _View, after: _Place | None) -> Iterator[Slot]:
    """In order, each made when it is asked for: who looks at a page pays for a page."""
    party, asked = view.offered.party, view.asked
    zone, buffer = party.prison.zone, buffer_of(view.offered.policies)
    first = view.first if after is None else max(view.first, _day_of(after, zone, view.first))
    kind = party.relationships[0].call_kind
    fitting = [
        slots_of(template, zone, first, view.last, buffer=buffer)
        for template in view.offered.templates
        if not any(misfits(SessionTerms.of(template), kind, party.prisoner, asked.by))
    ]
    for slot in merge(*fitting, key=_place):
        if slot.ends_at > asked.now and (after is None or _place(slot) > after):
            yield slot


def _decided(
    background: Background,
    slots: Sequence[Slot],
    rooms: Mapping[str, Known[Room] | Missing],
    hearing: Hearing,
    *,
    charged: bool,
) -> list[SlotOffer]:
    offers = []
    for slot in slots:
        room = rooms[slot.key]
        watched = background.may_be_watched(slot)
        free = room.value.free(watched=watched) if isinstance(room, Known) else None
        offers.append(SlotOffer(slot, hearing.decide(background.facts(slot, room, already_charged=charged)), free))
    return offers


def _place(slot: Slot) -> _Place:
    return slot.starts_at, slot.terms.template_id


def _read_cursor(cursor: str) -> _Place:
    """Where a list goes on; Invalid for what is no cursor of ours."""
    moment, _, template_id = cursor.partition(".")
    try:
        return datetime.strptime(moment, "%Y%m%dT%H%MZ").replace(tzinfo=UTC), template_id
    except ValueError as error:
        raise Invalid("This page does not exist.", code="cursor", field="cursor") from error


def _day_of(after: _Place, zone: ZoneInfo, first: date) -> date:
    """The prison's day on which the slot begins; `first` for a moment at the ends of the calendar."""
    try:
        return after[0].astimezone(zone).date()
    except OverflowError:
        return first


def _cursor(slot: Slot) -> str:
    return f"{minute_text(slot.starts_at)}.{slot.terms.template_id}"
