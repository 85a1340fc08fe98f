"""Which times there are for somebody, each with the decision: what can be booked, and why not the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision
from visitserver.domain.errors import Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rights import Relationship
from visitserver.domain.rules.facts import Known
from visitserver.domain.rules.order import decide_visit
from visitserver.domain.rules.slot_fit import misfits
from visitserver.domain.scheduling import Booking, Slot
from visitserver.domain.slots import slots_of
from visitserver.services.access_checks import own_booking
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

    async def alternatives(self, actor: Actor, booking_id: str, count: int = 3) -> list[SlotOffer]:
        """The `count` (1 to 20) other times nearest to a booking's own at which the same people could meet, in order.

        Only times that can be booked without a person's look; the booking itself does not stand in their way, and what
        it has paid counts. For its callers' lead, staff of its prison, and the system (which asks as the family would).
        """
        if not 1 <= count <= 20:
            raise Invalid("Ask for 1 to 20 times.", field="count")
        found: list[SlotOffer] = []
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_booking(actor, booking)
            ordered = sorted(booking.participants, key=lambda each: (not each.lead, each.contact_id))
            links = [await u.rights.get_relationship(each.relationship_id) for each in ordered]
            asked_by = ActorKind.FAMILY if actor.is_system else actor.kind
            background, slots = await self._slots_for(u, asked_by, links, None, None, but=booking.id)
            near = sorted(
                (each for each in slots if each.key != booking.slot_key),
                key=lambda each: (abs(each.starts_at - booking.starts_at), each.key),
            )
            rest = iter(near)
            while len(found) < count and (chosen := list(islice(rest, 60))):
                offers = await self._decide(u, background, chosen, booking=booking)
                found += [each for each in offers if each.decision.allowed]
        return sorted(found[:count], key=lambda each: each.cursor)

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
        return await self._slots_for(u, actor.kind, links, first, days)

    async def _slots_for(
        self,
        u: UnitOfWork,
        asked_by: ActorKind,
        links: Sequence[Relationship],
        first: date | None,
        days: int | None,
        *,
        but: str | None = None,
    ) -> tuple[Background, list[Slot]]:
        party = await self._facts.party(u, links)
        now = self._clock()
        policies = await u.policies.at(party.prison.id, now)
        if days is None:
            days = min(MAX_DAYS, policies.number(keys.NOTICE_DAYS_MAX) + 1)
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"Ask for 1 to {MAX_DAYS} days.", field="days")
        first = first or today_at(party.prison, now)
        last = first + timedelta(days=days - 1)
        background = await self._facts.background(u, party, now=now, asked_by=asked_by, first=first, last=last, but=but)
        kind = links[0].call_kind
        slots = [
            slot
            for template in await u.scheduling.templates(party.prison.id, first=first, last=last)
            for slot in slots_of(template, party.prison.zone, first, last, buffer=background.buffer)
            if slot.ends_at > now and not any(misfits(slot, kind, party.prisoner, asked_by))
        ]
        slots.sort(key=_cursor)
        return background, slots

    async def _decide(
        self, u: UnitOfWork, background: Background, slots: Sequence[Slot], *, booking: Booking | None = None
    ) -> list[SlotOffer]:
        rooms = await self._facts.rooms(u, background, slots, but=booking.id if booking else None)
        charged = booking is not None and booking.charged
        offers = []
        for slot in slots:
            room = rooms[slot.key]
            free = max(0, min(room.value.free_places, room.value.free_stations)) if isinstance(room, Known) else None
            offers.append(SlotOffer(slot, decide_visit(background.facts(slot, room, already_charged=charged)), free))
        return offers


def _cursor(slot: Slot) -> str:
    return f"{slot.starts_at:%Y%m%dT%H%MZ}.{slot.template_id}"
