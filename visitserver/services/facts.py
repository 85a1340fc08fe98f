"""Gathers the facts that the rules look at. A source that fails is Missing, and its rule then asks for a review."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeVar

from visitserver.domain import policies as keys
from visitserver.domain.actors import SYSTEM, ActorKind
from visitserver.domain.errors import NotFound, Unavailable
from visitserver.domain.ledger import Ledger
from visitserver.domain.occupancy import Resource, ResourceKind, Span, seats
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.domain.rights import Relationship, Restriction
from visitserver.domain.rules.facts import Caller, Facts, IdentityStanding, Known, Missing, Room
from visitserver.domain.scheduling import Slot
from visitserver.services.accruals import bring_up_to_date, next_credit_day
from visitserver.services.clock import today_at
from visitserver.services.ports.identity_standing import IdentityStandings
from visitserver.services.ports.uow import UnitOfWork

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Party:
    """Who wants to talk: one prisoner, the lead's relationship first, then the others'."""

    prison: Prison
    prisoner: Prisoner
    relationships: tuple[Relationship, ...]
    contacts: Mapping[str, Contact]

    @property
    def contact_ids(self) -> tuple[str, ...]:
        return tuple(each.contact_id for each in self.relationships)

    @property
    def locks(self) -> tuple[str, ...]:
        """The names that booking takes, and that whoever changes a right takes too: the two never cross."""
        return (f"prisoner:{self.prisoner.id}", *(f"contact:{each}" for each in self.contact_ids))


@dataclass(frozen=True, slots=True)
class Background:
    """What is the same for every slot that one party looks at."""

    party: Party
    now: datetime
    policies: Policies
    callers: tuple[Caller, ...]
    restrictions: Known[Sequence[Restriction]] | Missing
    ledger: Known[Ledger] | Missing
    next_credit: date | None
    stations: frozenset[str]
    asked_by: ActorKind
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def buffer(self) -> timedelta:
        return timedelta(minutes=self.policies.number(keys.BUFFER_MINUTES))

    @property
    def seat_count(self) -> int:
        return self.policies.number(keys.OFFICERS) * self.policies.number(keys.CALLS_PER_OFFICER)

    def span(self, slot: Slot) -> Span:
        """What a booking of the slot occupies."""
        return Span.of_call(slot.starts_at, slot.ends_at, buffer=self.buffer)

    def facts(self, slot: Slot, room: Known[Room] | Missing, *, already_charged: bool = False) -> Facts:
        """The facts about one slot."""
        return Facts(
            now=self.now,
            today=today_at(self.party.prison, self.now),
            prison=self.party.prison,
            prisoner=self.party.prisoner,
            slot=slot,
            kind=self.party.relationships[0].call_kind,
            asked_by=self.asked_by,
            callers=self.callers,
            policies=self.policies,
            restrictions=self.restrictions,
            ledger=self.ledger,
            room=room,
            next_credit=self.next_credit,
            already_charged=already_charged,
            overrides=self.overrides,
        )


class FactsReader:
    """Reads facts within a unit of work."""

    def __init__(self, identity: IdentityStandings, *, new_id: Callable[[str], str]) -> None:
        self._identity = identity
        self._new_id = new_id

    async def party(self, u: UnitOfWork, relationships: Sequence[Relationship]) -> Party:
        """The people behind the relationships; NotFound when one is gone or the prisoner is at no prison."""
        prisoner = await u.people.get_prisoner(relationships[0].prisoner_id)
        if prisoner.prison_id is None:
            raise NotFound("This person is at no prison now.", code="prisoner_moved")
        contacts = await u.people.contacts([each.contact_id for each in relationships])
        prison = await u.people.get_prison(prisoner.prison_id)
        return Party(prison, prisoner, tuple(relationships), contacts)

    async def background(
        self,
        u: UnitOfWork,
        party: Party,
        *,
        now: datetime,
        asked_by: ActorKind,
        first: date,
        last: date,
        overrides: Mapping[str, str] | None = None,
    ) -> Background:
        """Everything about the party that does not depend on the slot; restrictions of the days `first` to `last`."""
        policies = await u.policies.at(party.prison.id, now)
        standings = await _guarded("identity", self._identity(u, party.contact_ids))
        restrictions = await _guarded(
            "restrictions",
            u.rights.restrictions_touching(
                prisoner_id=party.prisoner.id,
                contact_ids=party.contact_ids,
                relationship_ids=[each.id for each in party.relationships],
                first=first,
                last=last,
            ),
        )
        ledger = await _guarded("ledger", self.ledger(u, party.prisoner, party.prison, policies, now=now))
        stations = await u.scheduling.stations(party.prison.id)
        return Background(
            party=party,
            now=now,
            policies=policies,
            callers=tuple(
                Caller(party.contacts[each.contact_id], each, number == 0, _standing(standings, each.contact_id))
                for number, each in enumerate(party.relationships)
            ),
            restrictions=restrictions,
            ledger=ledger,
            next_credit=next_credit_day(party.prisoner, party.prison, policies, now),
            stations=frozenset(station.id for station in stations if station.active),
            asked_by=asked_by,
            overrides=overrides or {},
        )

    async def rooms(
        self, u: UnitOfWork, background: Background, slots: Sequence[Slot], *, but: str | None = None
    ) -> dict[str, Known[Room] | Missing]:
        """What is left in each slot, by slot key, in a handful of queries for all of them.

        The booking `but` does not count against itself.
        """
        if not slots:
            return {}
        read = await _guarded("occupancy", _occupancy(u, background, slots, but))
        if isinstance(read, Missing):
            return {slot.key: read for slot in slots}
        return {slot.key: Known(_room(background, slot, read.value)) for slot in slots}

    async def ledger(
        self, u: UnitOfWork, prisoner: Prisoner, prison: Prison, policies: Policies, *, now: datetime
    ) -> Ledger:
        """The ledger as of now. What the calendar owes is in it, and in its `new` events until somebody stores them."""
        ledger = await self.stored_ledger(u, prisoner.id)
        bring_up_to_date(ledger, prisoner, prison, policies, now=now, actor=SYSTEM.reference)
        return ledger

    async def stored_ledger(self, u: UnitOfWork, prisoner_id: str) -> Ledger:
        """The ledger as it is stored, without what the calendar owes."""
        return Ledger(prisoner_id, await u.allowance.events_of(prisoner_id), new_id=self._new_id)


@dataclass(frozen=True, slots=True)
class _Occupied:
    cells: set[tuple[Resource, int]]
    places: Mapping[str, int]


async def _occupancy(u: UnitOfWork, background: Background, slots: Sequence[Slot], but: str | None) -> _Occupied:
    spans = [background.span(slot) for slot in slots]
    whole = Span(min(span.starts_at for span in spans), max(span.ends_at for span in spans))
    party = background.party
    wanted = [
        Resource(ResourceKind.PRISONER, party.prisoner.id),
        *(Resource(ResourceKind.CONTACT, each) for each in party.contact_ids),
        *(
            Resource(ResourceKind.STATION, each)
            for each in sorted({each for slot in slots for each in slot.station_ids})
        ),
        *seats(party.prison.id, background.seat_count),
    ]
    cells = await u.scheduling.occupied(wanted, whole, but=but)
    templates = sorted({slot.template_id for slot in slots})
    return _Occupied(cells, await u.scheduling.places_taken(templates, whole, but=but))


def _room(background: Background, slot: Slot, occupied: _Occupied) -> Room:
    cells = background.span(slot).cells
    during = {resource for resource, cell in occupied.cells if cell in cells}

    def busy(kind: ResourceKind) -> set[str]:
        return {resource.id for resource in during if resource.kind is kind}

    stations = background.stations.intersection(slot.station_ids)
    return Room(
        prisoner_busy=bool(busy(ResourceKind.PRISONER)),
        busy_contacts=frozenset(busy(ResourceKind.CONTACT)),
        free_places=slot.capacity - occupied.places.get(slot.key, 0),
        free_stations=len(stations - busy(ResourceKind.STATION)),
        free_seats=background.seat_count - len(busy(ResourceKind.SEAT)),
    )


def _standing(
    standings: Known[dict[str, IdentityStanding]] | Missing, contact_id: str
) -> Known[IdentityStanding] | Missing:
    if isinstance(standings, Missing):
        return standings
    return Known(standings.value.get(contact_id, IdentityStanding(approved=False)))


async def _guarded(source: str, read: Awaitable[T]) -> Known[T] | Missing:
    try:
        return Known(await read)
    except (Unavailable, TimeoutError, OSError, ValueError) as error:
        return Missing(source, type(error).__name__)
