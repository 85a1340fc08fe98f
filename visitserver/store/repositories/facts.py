"""What a decision rests on, kept in SQL and read in one statement for each step (services/ports/facts.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.allowance import LedgerEvent
from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block
from visitserver.domain.errors import NotFound
from visitserver.domain.occupancy import ResourceKind, Span
from visitserver.domain.owed import OwedEvent
from visitserver.domain.people import Prison
from visitserver.domain.policies import Policies
from visitserver.domain.rights import (
    Alert,
    CountedVisit,
    NonAssociatedVisit,
    Relationship,
    Restriction,
)
from visitserver.domain.scheduling import Station
from visitserver.services.ports.facts import DaysQuery, LinkRows, PartyRows, PlaceRows, RoomQuery
from visitserver.store.bundle import Bundle, Found
from visitserver.store.repositories.fact_parts import (
    ALERTS,
    APART,
    APPOINTMENTS,
    BEGINS,
    BLOCKS,
    CONTACTS,
    IN_USE,
    LAPSED,
    LEADS_APART,
    LEADS_PRISON,
    LEDGER,
    LINKS,
    NON_ASSOCIATED,
    OWED,
    OWN_HOLDS,
    PLACES,
    POLICIES,
    PRISON,
    PRISONER,
    RESTRICTIONS,
    STATIONS,
    TAKEN,
    TEMPLATE,
    TEMPLATES,
    VENUE,
    VISITS,
)
from visitserver.store.repositories.occupancy import LONGEST

_LINK_ROWS: Final = Bundle(LINKS, LEADS_APART, LEADS_PRISON, leads=True)
_PARTY_ROWS: Final = Bundle(PRISONER, PRISON, CONTACTS, POLICIES, TEMPLATES)
_PLACE_ROWS: Final = Bundle(
    LINKS, PRISONER, PRISON, CONTACTS, POLICIES, APART, TEMPLATE, VENUE, IN_USE, LAPSED, OWN_HOLDS
)
_ROOM: Final = (TAKEN, PLACES)
_DAYS: Final = (
    *(RESTRICTIONS, ALERTS, NON_ASSOCIATED, VISITS, APPOINTMENTS, BLOCKS),
    *(LEDGER, OWED, STATIONS, BEGINS),
)
_DAYS_ROWS: Final = Bundle(*_DAYS)
_DAYS_AND_ROOM_ROWS: Final = Bundle(*_DAYS, *_ROOM)
_ROOM_ROWS: Final = Bundle(*_ROOM)


class SqlFacts:
    """The port services/ports/facts.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def links(self, relationship_ids: Sequence[str]) -> LinkRows:
        found = await _LINK_ROWS.fetch(
            self._session, relationship_ids=list(relationship_ids), lead_id=relationship_ids[0]
        )
        where = found.one(LEADS_PRISON)
        return LinkRows(
            _in_order(found, relationship_ids), None if where is None else where.prison_id, found.all(LEADS_APART)
        )

    async def party(self, links: Sequence[Relationship], *, at: datetime, first: date) -> PartyRows:
        found = await _PARTY_ROWS.fetch(
            self._session,
            contact_ids=[each.contact_id for each in links],
            prisoner_id=links[0].prisoner_id,
            at=at,
            first=first,
        )
        prisoner, prison = found.one(PRISONER), found.one(PRISON)
        if prisoner is None:
            raise NotFound("There is no such prisoner.")
        return PartyRows(
            prisoner=prisoner,
            prison=prison,
            contacts={each.id: each for each in found.all(CONTACTS)},
            policies=_policies(found, prison, at),
            templates=found.all(TEMPLATES),
        )

    async def place(
        self,
        links: Sequence[Relationship],
        template_id: str,
        *,
        at: datetime,
        around: tuple[datetime, datetime],
        holder: str | None,
        but: str | None,
    ) -> PlaceRows:
        found = await _PLACE_ROWS.fetch(
            self._session,
            relationship_ids=[each.id for each in links],
            contact_ids=[each.contact_id for each in links],
            prisoner_id=links[0].prisoner_id,
            template_id=template_id,
            at=at,
            around_from=around[0],
            around_to=around[1],
            holder=holder or "",
            but=but or "",
        )
        prisoner, template, venue = found.one(PRISONER), found.one(TEMPLATE), found.one(VENUE)
        if prisoner is None:
            raise NotFound("There is no such prisoner.")
        if template is None or venue is None:
            raise NotFound("There is no such sessiontemplate.")
        prison = found.one(PRISON)
        return PlaceRows(
            links=_in_order(found, [each.id for each in links]),
            prisoner=prisoner,
            prison=prison,
            contacts={each.id: each for each in found.all(CONTACTS)},
            policies=_policies(found, prison, at),
            non_associations=found.all(APART),
            template=template,
            venue=venue,
            stations=found.one(IN_USE) or 0,
            lapsed=bool(found.all(LAPSED)),
            held=sorted(found.all(OWN_HOLDS)),
        )

    async def days(self, wanted: DaysQuery) -> SqlDaysRows:
        a_day, whole = timedelta(days=1), wanted.whole
        apart_from, apart_to = whole.starts_at - a_day, whole.ends_at + a_day
        bundle = _DAYS_ROWS if wanted.room is None else _DAYS_AND_ROOM_ROWS
        found = await bundle.fetch(
            self._session,
            prisoner_id=wanted.prisoner_id,
            prison_id=wanted.prison_id,
            contact_ids=list(wanted.contact_ids),
            relationship_ids=list(wanted.relationship_ids),
            lead_id=wanted.relationship_ids[0],
            first=wanted.first,
            last=wanted.last,
            whole_from=whole.starts_at,
            whole_to=whole.ends_at,
            apart_after=apart_from - LONGEST,
            apart_from=apart_from,
            apart_to=apart_to,
            apart_first=apart_from.astimezone(UTC).date() - a_day,
            apart_last=apart_to.astimezone(UTC).date() + a_day,
            counted_from=wanted.counted_from,
            counted_before=wanted.counted_before,
            but=wanted.but or "",
            **({} if wanted.room is None else _of_room(wanted.room)),
        )
        return SqlDaysRows(found, wanted.zone, compared=wanted.but is not None)

    async def room(self, wanted: RoomQuery) -> SqlRoomRows:
        return SqlRoomRows(await _ROOM_ROWS.fetch(self._session, but=wanted.but or "", **_of_room(wanted)))


class SqlRoomRows:
    """The port RoomRows."""

    def __init__(self, found: Found) -> None:
        self._found = found

    def spans(self) -> Sequence[tuple[ResourceKind, Span, Sequence[str]]]:
        return self._found.all(TAKEN)

    def places(self) -> dict[str, int]:
        return dict(self._found.all(PLACES))


class SqlDaysRows(SqlRoomRows):
    """The port DaysRows. `compared`: there is a booking that others were made before or after."""

    def __init__(self, found: Found, zone: ZoneInfo, *, compared: bool) -> None:
        super().__init__(found)
        self._zone = zone
        self._compared = compared

    def restrictions(self) -> Sequence[Restriction]:
        return sorted(self._found.all(RESTRICTIONS), key=lambda each: each.id)

    def alerts(self) -> Sequence[Alert]:
        return sorted(self._found.all(ALERTS), key=lambda each: each.id)

    def non_associated(self) -> Sequence[NonAssociatedVisit]:
        visits = self._found.all(NON_ASSOCIATED)
        return sorted(visits, key=lambda each: (each.starts_at, each.booking_id, each.non_association_id))

    def visits(self) -> Sequence[CountedVisit]:
        return [
            CountedVisit(
                *(each.booking_id, each.kind, each.starts_at, each.ends_at),
                day=each.starts_at.astimezone(self._zone).date(),
                earlier=bool(each.earlier) or not self._compared,
            )
            for each in sorted(self._found.all(VISITS), key=lambda each: (each.starts_at, each.booking_id))
        ]

    def appointments(self) -> Sequence[Appointment]:
        return sorted(self._found.all(APPOINTMENTS), key=lambda each: (each.starts_at, each.id))

    def blocks(self) -> Sequence[Block]:
        return sorted(self._found.all(BLOCKS), key=lambda each: (each.starts_at, each.id))

    def ledger(self) -> Sequence[LedgerEvent]:
        return sorted(self._found.all(LEDGER), key=lambda each: each.sequence)

    def owed(self) -> Sequence[OwedEvent]:
        return sorted(self._found.all(OWED), key=lambda each: each.sequence)

    def stations(self) -> Sequence[Station]:
        return sorted(self._found.all(STATIONS), key=lambda each: (each.name, each.id))

    def starts_at(self) -> datetime | None:
        return self._found.one(BEGINS)


def _policies(found: Found, prison: Prison | None, at: datetime) -> Policies:
    return Policies() if prison is None else Policies.resolve(found.all(POLICIES), prison_id=prison.id, at=at)


def _in_order(found: Found, relationship_ids: Sequence[str]) -> tuple[Relationship, ...]:
    links = {each.id: each for each in found.all(LINKS)}
    if any(each not in links for each in relationship_ids):
        raise NotFound("There is no such relationship.")
    return tuple([links[each] for each in relationship_ids])


def _of_room(wanted: RoomQuery) -> dict[str, Any]:
    ids: dict[str, list[str]] = {f"taken_{kind.value}": [] for kind in ResourceKind}
    for each in wanted.resources:
        ids[f"taken_{each.kind.value}"].append(each.id)
    return {
        **ids,
        "template_ids": sorted(wanted.template_ids),
        "taken_after": wanted.span.starts_at - LONGEST,
        "taken_from": wanted.span.starts_at,
        "taken_before": wanted.span.ends_at,
    }
