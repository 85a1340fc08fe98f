"""Gathers the facts that the rules look at. A source that fails is Missing, and its rule then asks for a review."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeVar

from visitserver.domain import policies as keys
from visitserver.domain.actors import SYSTEM, ActorKind
from visitserver.domain.allowance import LedgerEvent
from visitserver.domain.errors import NotFound, Unavailable
from visitserver.domain.ledger import Ledger
from visitserver.domain.occupancy import Resource, Span
from visitserver.domain.owed import OwedAccount
from visitserver.domain.people import Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.domain.rights import Relationship
from visitserver.domain.rules.facts import Caller, IdentityStanding, Known, Missing, Room
from visitserver.domain.scheduling import SessionTemplate, Slot
from visitserver.domain.slots import day_starts
from visitserver.services.accruals import bring_up_to_date, next_credit_day
from visitserver.services.background import Background, Party
from visitserver.services.ports.facts import DaysQuery, DaysRows, RoomQuery
from visitserver.services.ports.identity_standing import IdentityStandings
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.rooms import Occupied, room_of, room_query

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks when, and about what.

    `but` is the booking that is looked at: it does not count besides itself (see rules/counting.py). `standing`: it has
    been asked for or booked, and stays at its time. `deciding`: a person decides the request now.
    """

    now: datetime
    by: ActorKind
    overrides: Mapping[str, str] = field(default_factory=dict)
    but: str | None = None
    standing: bool = False
    deciding: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """All about one slot, of one moment."""

    background: Background
    room: Known[Room] | Missing
    occupied: Known[Occupied] | Missing


@dataclass(frozen=True, slots=True)
class Offered:
    """A party with what its prison offers, whatever the rules say: the policies as of now, and the sessions."""

    party: Party
    policies: Policies
    templates: Sequence[SessionTemplate]


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

    async def offered(self, u: UnitOfWork, links: Sequence[Relationship], *, now: datetime, first: date) -> Offered:
        """The same people, and the sessions that take place on the day `first` or later; NotFound as above.

        One statement.
        """
        rows = await u.facts.party(links, at=now, first=first)
        if rows.prison is None:
            raise NotFound("This person is at no prison now.", code="prisoner_moved")
        return Offered(Party(rows.prison, rows.prisoner, tuple(links), rows.contacts), rows.policies, rows.templates)

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
        policies: Policies | None = None,
    ) -> Background:
        """Everything about the party that does not depend on the slot, as far as it touches the days `first` to `last`.

        See Asked for the rest. One statement, besides what identity asks, and one more where `policies` are not given.
        """
        policies = policies or await u.policies.at(party.prison.id, now)
        asked = Asked(now, asked_by, overrides or {}, but, standing, deciding)
        rows = await u.facts.days(_days(party, policies, first, last, but))
        return await self._background(u, party, policies, rows, asked)

    async def look(
        self,
        u: UnitOfWork,
        party: Party,
        policies: Policies,
        slot: Slot,
        asked: Asked,
        besides: Sequence[Resource] = (),
        *,
        stations: int | None = None,
    ) -> Looked:
        """The same about one slot, with what is left in it and whether the resources `besides` are taken.

        `stations` as for room_query. One statement, besides what identity asks.
        """
        room = room_query(party, policies, [slot], asked.but, besides, stations=stations)
        rows = await u.facts.days(_days(party, policies, slot.day, slot.day, asked.but, room))
        background = await self._background(u, party, policies, rows, asked)
        occupied = _known("occupancy", lambda: Occupied.of(rows))
        if isinstance(occupied, Missing):
            return Looked(background, occupied, occupied)
        return Looked(background, Known(room_of(background, slot, occupied.value)), occupied)

    async def survey(
        self, u: UnitOfWork, offered: Offered, slots: Sequence[Slot], asked: Asked
    ) -> tuple[Background, dict[str, Known[Room] | Missing]]:
        """What decides about one or more slots: all that stands on their days, and what is left in each, by slot key.

        One statement, besides what identity asks.
        """
        party, policies = offered.party, offered.policies
        days, room = [slot.day for slot in slots], room_query(party, policies, slots, asked.but)
        rows = await u.facts.days(_days(party, policies, min(days), max(days), asked.but, room))
        background = await self._background(u, party, policies, rows, asked)
        return background, _left(background, slots, _known("occupancy", lambda: Occupied.of(rows)))

    async def rooms(
        self, u: UnitOfWork, background: Background, slots: Sequence[Slot], *, but: str | None = None
    ) -> dict[str, Known[Room] | Missing]:
        """What is left in each slot, by slot key, in one statement for all of them.

        The booking `but` does not count against itself.
        """
        if not slots:
            return {}
        rows = await u.facts.room(room_query(background.party, background.policies, slots, but))
        return _left(background, slots, _known("occupancy", lambda: Occupied.of(rows)))

    async def ledger(
        self, u: UnitOfWork, prisoner: Prisoner, prison: Prison, policies: Policies, *, now: datetime
    ) -> Ledger:
        """The ledger as of now. What the calendar owes is in it, and in its `new` events until somebody stores them."""
        return self._up_to_date(await u.allowance.events_of(prisoner.id), prisoner, prison, policies, now)

    async def stored_ledger(self, u: UnitOfWork, prisoner_id: str) -> Ledger:
        """The ledger as it is stored, without what the calendar owes."""
        return Ledger(prisoner_id, await u.allowance.events_of(prisoner_id), new_id=self._new_id)

    def _up_to_date(
        self, events: Sequence[LedgerEvent], prisoner: Prisoner, prison: Prison, policies: Policies, now: datetime
    ) -> Ledger:
        ledger = Ledger(prisoner.id, events, new_id=self._new_id)
        bring_up_to_date(ledger, prisoner, prison, policies, now=now, actor=SYSTEM.reference)
        return ledger

    async def _background(
        self, u: UnitOfWork, party: Party, policies: Policies, rows: DaysRows, asked: Asked
    ) -> Background:
        prisoner, prison, now = party.prisoner, party.prison, asked.now
        lead = party.relationships[0]
        begins = rows.starts_at()
        return Background(
            party=party,
            now=now,
            policies=policies,
            callers=await self._callers(u, party),
            restrictions=_known("restrictions", rows.restrictions),
            ledger=_known("ledger", lambda: self._up_to_date(rows.ledger(), prisoner, prison, policies, now)),
            alerts=_known("alerts", rows.alerts),
            non_associated=_known("non_associations", rows.non_associated),
            visits=_known("visits", rows.visits),
            appointments=_known("appointments", rows.appointments),
            blocks=_known("blocks", rows.blocks),
            next_credit=next_credit_day(prisoner, prison, policies, now),
            all_stations=rows.stations(),
            asked_by=asked.by,
            owed=_known("owed_minutes", lambda: OwedAccount(prisoner.id, lead.id, rows.owed(), new_id=self._new_id)),
            standing=asked.standing,
            deciding=asked.deciding,
            own_day=None if begins is None else begins.astimezone(prison.zone).date(),
            overrides=asked.overrides,
        )

    async def _callers(self, u: UnitOfWork, party: Party) -> tuple[Caller, ...]:
        standings: Known[dict[str, IdentityStanding]] | Missing
        try:
            standings = Known(await self._identity(u, party.contact_ids))
        except _UNREADABLE as error:
            standings = Missing("identity", type(error).__name__)
        return tuple(
            Caller(party.contacts[each.contact_id], each, number == 0, _standing(standings, each.contact_id))
            for number, each in enumerate(party.relationships)
        )


_UNREADABLE = (Unavailable, TimeoutError, OSError, ValueError, TypeError, LookupError)
"""What a source raises that gives no answer, or one that nobody understands."""


def _days(
    party: Party, policies: Policies, first: date, last: date, but: str | None, room: RoomQuery | None = None
) -> DaysQuery:
    zone = party.prison.zone
    counted_first, counted_last = counted_days(party.prisoner, party.prison, policies, first, last)
    return DaysQuery(
        prisoner_id=party.prisoner.id,
        prison_id=party.prison.id,
        contact_ids=party.contact_ids,
        relationship_ids=tuple(each.id for each in party.relationships),
        zone=zone,
        first=first,
        last=last,
        whole=Span(day_starts(first, zone), day_starts(last + timedelta(days=1), zone)),
        counted_from=day_starts(counted_first, zone),
        counted_before=day_starts(counted_last + timedelta(days=1), zone),
        but=but,
        room=room,
    )


def _left(
    background: Background, slots: Sequence[Slot], occupied: Known[Occupied] | Missing
) -> dict[str, Known[Room] | Missing]:
    if isinstance(occupied, Missing):
        return {slot.key: occupied for slot in slots}
    return {slot.key: Known(room_of(background, slot, occupied.value)) for slot in slots}


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


def _known(source: str, read: Callable[[], T]) -> Known[T] | Missing:
    try:
        return Known(read())
    except _UNREADABLE as error:
        return Missing(source, type(error).__name__)
