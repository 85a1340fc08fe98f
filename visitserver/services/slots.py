"""Which times there are for somebody, each with the decision: what can be booked, and why not the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import CallKind
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision
from visitserver.domain.errors import Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rights import Relationship
from visitserver.domain.rules.engine import Hearing
from visitserver.domain.rules.facts import Known
from visitserver.domain.rules.order import RULES
from visitserver.domain.rules.slot_fit import misfits
from visitserver.domain.scheduling import Booking, SessionTemplate, Slot
from visitserver.domain.slots import slots_of
from visitserver.services.access_checks import own_booking
from visitserver.services.clock import today_at, usable_day
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
        visit, staff's own sessions, another wing) are left out. Invalid for more days than that, and outside 2000–2199.
        """
        async with self._uow(read_only=True) as u:
            links = await self._placing.links_to_look(u, actor, relationship_id, guests)
            background, slots = await self._slots_for(u, actor.kind, links, first, days, after=page.cursor)
            chosen = list(islice(slots, page.limit + 1))
            more = len(chosen) > page.limit
            chosen = chosen[: page.limit]
            offers = await self._decide(u, background, chosen)
            return Page(offers, _cursor(chosen[-1]) if more and chosen else None)

    async def next_free(
        self, actor: Actor, relationship_id: str, *, guests: Sequence[str] = (), count: int = 5
    ) -> list[SlotOffer]:
        """The first 1 to 20 times that can be booked."""
        if not 1 <= count <= 20:
            raise Invalid("Ask for 1 to 20 times.", field="count")
        found: list[SlotOffer] = []
        async with self._uow(read_only=True) as u:
            links = await self._placing.links_to_look(u, actor, relationship_id, guests)
            background, slots = await self._slots_for(u, actor.kind, links, None, None)
            while chosen := list(islice(slots, 100)):
                found += [each for each in await self._decide(u, background, chosen) if each.decision.allowed]
                if len(found) >= count:
                    break
        return found[:count]

    async def alternatives(self, actor: Actor, booking_id: str, count: int = 3) -> list[SlotOffer]:
        """The `count` (1 to 20) other times nearest to a booking's own at which the same people could meet, in order.

        Only times that can be booked without a person's look; the booking itself does not stand in their way, and what
        it has paid counts. For its callers' lead, staff of its prison, and the system (which asks as the family would).
        None when the prisoner is not at the booking's prison any more.
        """
        if not 1 <= count <= 20:
            raise Invalid("Ask for 1 to 20 times.", field="count")
        found: list[SlotOffer] = []
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_booking(actor, booking)
            if (await u.people.get_prisoner(booking.prisoner_id)).prison_id != booking.prison_id:
                return []
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

    async def _slots_for(
        self,
        u: UnitOfWork,
        asked_by: ActorKind,
        links: Sequence[Relationship],
        first: date | None,
        days: int | None,
        *,
        but: str | None = None,
        after: str | None = None,
    ) -> tuple[Background, Iterator[Slot]]:
        """What the party looks at, and the slots that may be for them, in order, made as they are asked for."""
        party = await self._facts.party(u, links)
        now = self._clock()
        policies = await u.policies.at(party.prison.id, now)
        if days is None:
            days = min(MAX_DAYS, policies.number(keys.NOTICE_DAYS_MAX) + 1)
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"Ask for 1 to {MAX_DAYS} days.", field="days")
        first = today_at(party.prison, now) if first is None else usable_day(first, "first")
        last = first + timedelta(days=days - 1)
        background = await self._facts.background(u, party, now=now, asked_by=asked_by, first=first, last=last, but=but)
        templates = await u.scheduling.templates(party.prison.id, first=first, last=last)
        return background, self._fitting(background, templates, links[0].call_kind, first, last, after)

    @staticmethod
    def _fitting(
        background: Background,
        templates: Sequence[SessionTemplate],
        kind: CallKind,
        first: date,
        last: date,
        after: str | None,
    ) -> Iterator[Slot]:
        """Week by week, from the week of the cursor `after` on: who looks at a page pays for a page."""
        party, now = background.party, background.now
        zone = party.prison.zone
        if after is not None:
            first = max(first, _day_of(after, zone, first))
        while first <= last:
            end = min(last, first + timedelta(days=6))
            slots = [
                slot
                for template in templates
                for slot in slots_of(template, zone, first, end, buffer=background.buffer)
                if slot.ends_at > now
                and (after is None or _cursor(slot) > after)
                and not any(misfits(slot.terms, kind, party.prisoner, background.asked_by))
            ]
            yield from sorted(slots, key=_cursor)
            first = end + timedelta(days=1)

    async def _decide(
        self, u: UnitOfWork, background: Background, slots: Sequence[Slot], *, booking: Booking | None = None
    ) -> list[SlotOffer]:
        rooms = await self._facts.rooms(u, background, slots, but=booking.id if booking else None)
        hearing = Hearing(RULES)
        charged = booking is not None and booking.charged
        offers = []
        for slot in slots:
            room = rooms[slot.key]
            watched = background.may_be_watched(slot)
            free = room.value.free(watched=watched) if isinstance(room, Known) else None
            offers.append(SlotOffer(slot, hearing.decide(background.facts(slot, room, already_charged=charged)), free))
        return offers


def _day_of(cursor: str, zone: ZoneInfo, first: date) -> date:
    """The prison's day on which the slot of the cursor begins; `first` for what is no cursor of ours."""
    try:
        starts_at = datetime.strptime(cursor.split(".")[0], "%Y%m%dT%H%MZ").replace(tzinfo=UTC)
        return starts_at.astimezone(zone).date()
    except (ValueError, OverflowError):
        return first


def _cursor(slot: Slot) -> str:
    return f"{slot.starts_at:%Y%m%dT%H%MZ}.{slot.template_id}"
