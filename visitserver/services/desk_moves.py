"""Before a booking is moved: what the rules say about another time or station. Looks only; booking.change moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision, Outcome, RuleResult
from visitserver.domain.errors import Invalid
from visitserver.domain.occupancy import Resource, ResourceKind
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rules.engine import Hearing
from visitserver.domain.rules.facts import Known
from visitserver.domain.rules.order import RULES
from visitserver.domain.rules.room import free_place
from visitserver.domain.scheduling import Slot, Station
from visitserver.domain.slots import slots_of
from visitserver.services.access_checks import own_prison
from visitserver.services.background import Background
from visitserver.services.desk import BookingView, read_views
from visitserver.services.desk_why import Answer, look
from visitserver.services.facts import FactsReader
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MAX_DAYS: Final = 31


@dataclass(frozen=True, slots=True)
class MovePreview:
    """A booking, where it would go, and what the rules say of it. `station` None: whichever is free."""

    view: BookingView
    answer: Answer
    station: Station | None

    @property
    def slot(self) -> Slot:
        """Where it would go."""
        return self.answer.slot

    @property
    def decision(self) -> Decision:
        """What the rules say to staff."""
        return self.answer.decision

    @property
    def same(self) -> bool:
        """Whether that is where it stands already."""
        booking = self.view.booking
        here = self.station is None or self.station.id == booking.station_id
        return self.slot.key == booking.slot_key and here


@dataclass(frozen=True, slots=True)
class MoveOffer:
    """A time to which a booking could go. `free_places` is None when it could not be read."""

    slot: Slot
    decision: Decision
    free_places: int | None


class DeskMoves:
    """Everything is of the actor's own prison; what is not is NotFound."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts

    async def preview(self, actor: Actor, booking_id: str, slot_key: str, station_id: str | None = None) -> MovePreview:
        """What the rules say now about this booking at that slot, its own place and credit counted as free and paid.

        A station that the session does not use, or that is in use then, refuses by the rule of the free place.
        NotFound for a slot that there is not.
        """
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            view = (await read_views(u, [booking]))[0]
            ordered = sorted(booking.participants, key=lambda each: (not each.lead, each.contact_id))
            links = [await u.rights.get_relationship(each.relationship_id) for each in ordered]
            answer, background = await look(u, self._facts, self._clock(), actor, links, slot_key, booking)
            station = None
            if station_id:
                station = await u.scheduling.get_station(station_id)
                own_prison(actor, station.prison_id)
                fault = await self._station_fault(u, background, answer.slot, station, booking.id)
                if fault:
                    answer = replace(answer, decision=with_station(answer.decision, fault, station.id))
            return MovePreview(view, answer, station)

    async def offers(self, actor: Actor, booking_id: str, first: date, days: int, page: PageRequest) -> Page[MoveOffer]:
        """The times of `days` days (1 to 31) from the prison's day `first` on to which it could go, in order of start.

        Each with what the rules say, as `preview`. Sessions that are for another kind of visit are left out.
        """
        if not 1 <= days <= MAX_DAYS:
            raise Invalid(f"Ask for 1 to {MAX_DAYS} days.", field="days")
        last = first + timedelta(days=days - 1)
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            ordered = sorted(booking.participants, key=lambda each: (not each.lead, each.contact_id))
            links = [await u.rights.get_relationship(each.relationship_id) for each in ordered]
            party = await self._facts.party(u, links)
            own_prison(actor, party.prison.id)
            now = self._clock()
            background = await self._facts.background(
                u, party, now=now, asked_by=actor.kind, first=first, last=last, but=booking.id
            )
            slots = sorted(
                (
                    slot
                    for template in await u.scheduling.templates(party.prison.id, first=first, last=last)
                    if booking.kind in template.kinds
                    for slot in slots_of(template, party.prison.zone, first, last, buffer=background.buffer)
                    if slot.starts_at > now
                ),
                key=_cursor,
            )
            left = [slot for slot in slots if page.cursor is None or _cursor(slot) > page.cursor]
            chosen = left[: page.limit]
            rooms = await self._facts.rooms(u, background, chosen, but=booking.id)
        offers, hearing = [], Hearing(RULES)
        for slot in chosen:
            room = rooms[slot.key]
            free = max(0, min(room.value.free_places, room.value.free_stations)) if isinstance(room, Known) else None
            facts = background.facts(slot, room, already_charged=booking.charged)
            offers.append(MoveOffer(slot, hearing.decide(facts), free))
        return Page(offers, _cursor(chosen[-1]) if len(left) > len(chosen) else None)

    async def _station_fault(
        self, u: UnitOfWork, background: Background, slot: Slot, station: Station, booking_id: str
    ) -> str:
        """Why this very station cannot be had, in staff's words; empty when it can."""
        if not station.active:
            return f"{station.name} is out of use."
        if station.id not in slot.station_ids:
            return f"This session does not use {station.name}."
        busy = await u.scheduling.occupied(
            [Resource(ResourceKind.STATION, station.id)], background.span(slot), but=booking_id
        )
        return f"{station.name} is in use at that time." if busy else ""


def _cursor(slot: Slot) -> str:
    return f"{slot.starts_at:%Y%m%dT%H%MZ}.{slot.template_id}"


def with_station(decision: Decision, fault: str, station_id: str) -> Decision:
    """The decision with the wanted station's fault in the place of what the rule of the free place said."""
    before = next((result for result in decision.trace if result.key == free_place.key), None)
    if before is not None and before.outcome is Outcome.REFUSE:
        return decision
    inputs = {**(before.inputs if before else {}), "station": station_id}
    result = RuleResult(
        free_place.key,
        Outcome.REFUSE,
        fault,
        policy_version=before.policy_version if before else "",
        inputs=inputs,
    )
    if before is None:
        return Decision((*decision.trace, result))
    return replace(decision, trace=tuple(result if each is before else each for each in decision.trace))
