"""Gathers the facts that the rules look at. A source that fails is Missing, and its rule then asks for a review."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TypeVar

from visitserver.domain import policies as keys
from visitserver.domain.actors import SYSTEM, ActorKind
from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block, open_stations
from visitserver.domain.errors import NotFound, Unavailable
from visitserver.domain.ledger import Ledger
from visitserver.domain.occupancy import Resource, ResourceKind, Span, media_calls, seats, watched_places
from visitserver.domain.owed import MINUTE
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.domain.rights import (
    Alert,
    CountedVisit,
    NonAssociatedVisit,
    Relationship,
    Restriction,
)
from visitserver.domain.rules.facts import Caller, Facts, IdentityStanding, Known, Missing, Room
from visitserver.domain.scheduling import Slot, Station, SupervisionLevel
from visitserver.domain.slots import day_starts
from visitserver.services.accruals import bring_up_to_date, next_credit_day
from visitserver.services.clock import today_at
from visitserver.services.ports.identity_standing import IdentityStandings
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.taken import Taken

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


@dataclass(frozen=True)
class Background:
    """What is the same for every slot that one party looks at."""

    party: Party
    now: datetime
    policies: Policies
    callers: tuple[Caller, ...]
    restrictions: Known[Sequence[Restriction]] | Missing
    ledger: Known[Ledger] | Missing
    alerts: Known[Sequence[Alert]] | Missing
    non_associated: Known[Sequence[NonAssociatedVisit]] | Missing
    visits: Known[Sequence[CountedVisit]] | Missing
    appointments: Known[Sequence[Appointment]] | Missing
    blocks: Known[Sequence[Block]] | Missing
    next_credit: date | None
    all_stations: Sequence[Station]
    asked_by: ActorKind
    owed_minutes: Known[int] | Missing
    standing: bool = False
    deciding: bool = False
    own_day: date | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def stations(self) -> frozenset[str]:
        """The stations in use, blocked or not."""
        return frozenset(station.id for station in self.all_stations if station.active)

    @cached_property
    def _station_wings(self) -> Mapping[str, str]:
        return {each.id: each.wing_id for each in self.all_stations if each.wing_id is not None}

    @cached_property
    def _today(self) -> date:
        return today_at(self.party.prison, self.now)

    @property
    def media_count(self) -> int | None:
        """How many calls the servers carry at once; None where there are no more stations than that anyway."""
        most = self.policies.number(keys.MEDIA_CALLS)
        return most if len(self.stations) > most else None

    def open_stations(self, slot: Slot) -> frozenset[str]:
        """The slot's stations that are in use and not blocked then. Blocks that could not be read block nothing here:
        the rule about them asks for a review.
        """
        stations = self.stations.intersection(slot.station_ids)
        if isinstance(self.blocks, Missing):
            return stations
        return open_stations(self.blocks.value, slot.template_id, stations, slot.starts_at, slot.ends_at)

    def may_be_watched(self, slot: Slot) -> bool:
        """Whether a call in the slot needs an officer watching live, as far as can be said without its day."""
        if self.party.relationships[0].call_kind.privileged:
            return False
        return slot.supervision is SupervisionLevel.LIVE or any(
            each.needs_officer for each in (self.restrictions.value if isinstance(self.restrictions, Known) else ())
        )

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
            today=self._today,
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
            alerts=self.alerts,
            non_associated=self.non_associated,
            visits=self.visits,
            appointments=self.appointments,
            blocks=self.blocks,
            owed_minutes=self.owed_minutes,
            station_wings=self._station_wings,
            next_credit=self.next_credit,
            already_charged=already_charged,
            standing=self.standing,
            deciding=self.deciding,
            own_day=self.own_day,
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
        but: str | None = None,
        standing: bool = False,
        deciding: bool = False,
    ) -> Background:
        """Everything about the party that does not depend on the slot, as far as it touches the days `first` to `last`.

        `but` is the booking that is looked at: it does not count besides itself (see rules/counting.py). `standing`:
        it has been asked for or booked, and stays at its time. `deciding`: a person decides the request now.
        """
        policies = await u.policies.at(party.prison.id, now)
        prisoner, zone = party.prisoner, party.prison.zone
        whole = Span(day_starts(first, zone), day_starts(last + timedelta(days=1), zone))
        # As far as two who must not meet are to be kept apart, and a whole day when they are.
        apart = timedelta(days=1)
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
        alerts = await _guarded("alerts", u.rights.alerts_of(prisoner.id, first=first, last=last))
        non_associated = await _guarded(
            "non_associations",
            u.rights.non_associated_visits(
                prisoner.id, party.prison.id, starts_at=whole.starts_at - apart, ends_at=whole.ends_at + apart
            ),
        )
        counted = counted_days(prisoner, party.prison, policies, first, last)
        visits = await _guarded(
            "visits",
            u.rights.counted_visits(
                prisoner.id,
                zone,
                starts_from=day_starts(counted[0], zone),
                starts_before=day_starts(counted[1] + timedelta(days=1), zone),
                but=but,
            ),
        )
        appointments = await _guarded("appointments", u.offers.appointments_of([prisoner.id], whole))
        blocks = await _guarded("blocks", u.offers.blocks(party.prison.id, whole))
        ledger = await _guarded("ledger", self.ledger(u, party.prisoner, party.prison, policies, now=now))
        owed = await _guarded("owed_minutes", _owed_minutes(u, party))
        stations = await u.scheduling.stations(party.prison.id)
        own = None if but is None else await u.scheduling.get_booking(but)
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
            alerts=alerts,
            non_associated=non_associated,
            visits=visits,
            appointments=appointments,
            blocks=blocks,
            next_credit=next_credit_day(party.prisoner, party.prison, policies, now),
            all_stations=stations,
            asked_by=asked_by,
            owed_minutes=owed,
            standing=standing,
            deciding=deciding,
            own_day=None if own is None else own.starts_at.astimezone(zone).date(),
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


async def _owed_minutes(u: UnitOfWork, party: Party) -> int:
    lead = party.relationships[0]
    return (await u.allowance.owed_by(lead.prisoner_id, lead.contact_id)).get(lead.id, 0) // MINUTE


@dataclass(frozen=True, slots=True)
class _Occupied:
    taken: Taken
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
        *(
            each
            for slot in slots
            if background.may_be_watched(slot)
            for each in watched_places(slot.key, slot.capacity_supervised or 0)
        ),
        *media_calls(party.prison.id, background.media_count or 0),
    ]
    taken = Taken(await u.scheduling.occupied_spans(wanted, whole, but=but))
    templates = sorted({slot.template_id for slot in slots})
    return _Occupied(taken, await u.scheduling.places_taken(templates, whole, but=but))


def _room(background: Background, slot: Slot, occupied: _Occupied) -> Room:
    during = occupied.taken.during(background.span(slot))

    def busy(kind: ResourceKind) -> set[str]:
        return during.get(kind, set())

    stations = background.open_stations(slot)
    return Room(
        prisoner_busy=bool(busy(ResourceKind.PRISONER)),
        busy_contacts=frozenset(busy(ResourceKind.CONTACT)),
        free_places=slot.capacity - occupied.places.get(slot.key, 0),
        free_stations=len(stations - busy(ResourceKind.STATION)),
        free_seats=background.seat_count - len(busy(ResourceKind.SEAT)),
        free_media=_most_media(background) - len(busy(ResourceKind.MEDIA)),
        free_supervised=_free_watched(slot, busy(ResourceKind.WATCHED)),
    )


def _most_media(background: Background) -> int:
    return background.policies.number(keys.MEDIA_CALLS)


def _free_watched(slot: Slot, taken: set[str]) -> int | None:
    if slot.capacity_supervised is None:
        return None
    return slot.capacity_supervised - sum(each.startswith(f"{slot.key}#") for each in taken)


def counted_days(prisoner: Prisoner, prison: Prison, policies: Policies, first: date, last: date) -> tuple[date, date]:
    """The first and the last day (the prison's) of which visits count for a visit on a day from `first` to `last`.

    The whole months and weeks, and the reception phase where it has not ended before.
    """
    from_ = min(first.replace(day=1), first - timedelta(days=first.weekday()))
    to = max(last.replace(day=monthrange(last.year, last.month)[1]), last + timedelta(days=6 - last.weekday()))
    admitted = prisoner.admitted_at.astimezone(prison.zone).date()
    phase = timedelta(days=policies.number(keys.RECEPTION_DAYS))
    if first < admitted + phase:
        from_, to = min(from_, admitted), max(to, admitted + phase)
    return from_, to


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
