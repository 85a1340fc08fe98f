"""Which times there are for somebody, each with the decision: what can be booked, and why not the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision
from visitserver.domain.errors import Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rules.facts import Known
from visitserver.domain.rules.order import decide_visit
from visitserver.domain.rules.slot_fit import misfits
from visitserver.domain.scheduling import Slot
from visitserver.domain.slots import slots_of
from visitserver.services.clock import today_at
from visitserver.services.facts import Background, FactsReader
from visitserver.services.placing import Placing
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MAX_DAYS = 62


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
        visit, staff's own sessions, another wing) are left out. Invalid for more days than that.
        """
        async with self._uow(read_only=True) as u:
            background, slots = await self._slots(u, actor, relationship_id, guests, first, days)
            start = 0
            if page.cursor is not None:
                following = [number for number, slot in enumerate(slots) if _cursor(slot) > page.cursor]
                start = following[0] if following else len(slots)
            chosen = slots[start : start + page.limit]
            offers = await self._decide(u, background, chosen)
            more = start + page.limit < len(slots)
            return Page(offers, _cursor(chosen[-1]) if more and chosen else None)

    async def next_free(
        self, actor: Actor, relationship_id: str, *, guests: Sequence[str] = (), count: int = 5
    ) -> list[SlotOffer]:
        """The first 1 to 20 times that can be booked."""
        if not 1 <= count <= 20:
            raise Invalid("Ask for 1 to 20 times.", field="count")
        found: list[SlotOffer] = []
        async with self._uow(read_only=True) as u:
            background, slots = await self._slots(u, actor, relationship_id, guests, None, None)
            rest = iter(slots)
            while chosen := list(islice(rest, 100)):
                found += [each for each in await self._decide(u, background, chosen) if each.decision.allowed]
                if len(found) >= count:
                    break
        return found[:count]

    async def _slots(
        self,
        u: UnitOfWork,
        actor: Actor,
        relationship_id: str,
        guests: Sequence[str],
        first: date | None,
        days: int | None,
    ) -> tuple[Background, list[Slot]]:
        links = await self._placing.links_to_look(u, actor, relationship_id, guests)
        party = await self._facts.party(u, links)
        now = self._clock()
        policies = await u.policies.at(party.prison.id, now)
        if days is None:
            days = min(MAX_DAYS, policies.number(keys.NOTICE_DAYS_MAX) + 1)
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"Ask for 1 to {MAX_DAYS} days.", field="days")
        first = first or today_at(party.prison, now)
        last = first + timedelta(days=days - 1)
        background = await self._facts.background(u, party, now=now, asked_by=actor.kind, first=first, last=last)
        kind = links[0].call_kind
        slots = [
            slot
            for template in await u.scheduling.templates(party.prison.id, first=first, last=last)
            for slot in slots_of(template, party.prison.zone, first, last, buffer=background.buffer)
            if slot.ends_at > now and not any(misfits(slot, kind, party.prisoner, actor.kind))
        ]
        slots.sort(key=_cursor)
        return background, slots

    async def _decide(self, u: UnitOfWork, background: Background, slots: Sequence[Slot]) -> list[SlotOffer]:
        rooms = await self._facts.rooms(u, background, slots)
        offers = []
        for slot in slots:
            room = rooms[slot.key]
            free = max(0, min(room.value.free_places, room.value.free_stations)) if isinstance(room, Known) else None
            offers.append(SlotOffer(slot, decide_visit(background.facts(slot, room)), free))
        return offers


def _cursor(slot: Slot) -> str:
    return f"{slot.starts_at:%Y%m%dT%H%MZ}.{slot.template_id}"
