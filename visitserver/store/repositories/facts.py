"""What a decision rests on, kept in SQL and read in one statement for each step (services/ports/facts.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Date,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.allowance import LedgerEvent
from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import NotFound
from visitserver.domain.occupancy import ResourceKind, Span
from visitserver.domain.owed import OwedEvent
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import Policies, PolicyValue
from visitserver.domain.rights import (
    Alert,
    CountedVisit,
    NonAssociatedVisit,
    NonAssociation,
    Relationship,
    Restriction,
)
from visitserver.domain.scheduling import OPEN_STATES, BookingState, HoldKind, SessionTemplate, Station
from visitserver.services.ports.facts import DaysQuery, LinkRows, PartyRows, PlaceRows, RoomQuery
from visitserver.store.base import UtcDateTime
from visitserver.store.bundle import Bundle, Found, Lists, Part, entities
from visitserver.store.repositories.occupancy import LONGEST
from visitserver.store.tables.allowance import ledger_events, owed_events
from visitserver.store.tables.offers import appointments, blocks
from visitserver.store.tables.people import contacts, prisoners, prisons
from visitserver.store.tables.policies import policies
from visitserver.store.tables.rights import alerts, non_associations, relationships, restrictions
from visitserver.store.tables.scheduling import (
    booking_participants,
    bookings,
    occupancy_spans,
    session_templates,
    stations,
)

_OPEN: Final = sorted(each.value for each in OPEN_STATES)


def _given(name: str) -> Any:
    """A text parameter."""
    return bindparam(name, type_=relationships.c.id.type)


def _at(name: str) -> Any:
    """A parameter that is a moment."""
    return bindparam(name, type_=UtcDateTime())


def _day(name: str) -> Any:
    return bindparam(name, type_=Date())


def _texts(*values: str) -> list[ColumnElement[str]]:
    """Texts of ours that stand in the statement itself, so that the planner knows them."""
    return [literal_column(f"'{value}'") for value in values]


# What is read by the people and the session alone.

_LINKS: Final = entities(Relationship, relationships, lambda lists: lists.has(relationships.c.id, "relationship_ids"))
_APART: Final = entities(
    NonAssociation,
    non_associations,
    lambda _: or_(
        non_associations.c.prisoner_a == _given("prisoner_id"), non_associations.c.prisoner_b == _given("prisoner_id")
    ),
)
_LEADS_PRISONER: Final = (
    select(relationships.c.prisoner_id).where(relationships.c.id == _given("lead_id")).scalar_subquery()
)
_LEADS_APART: Final = entities(
    NonAssociation,
    non_associations,
    lambda _: or_(non_associations.c.prisoner_a == _LEADS_PRISONER, non_associations.c.prisoner_b == _LEADS_PRISONER),
)


class _Whereabouts(NamedTuple):
    prison_id: str | None


_LEADS_PRISON: Final = Part(
    lambda _: select(prisoners.c.prison_id).where(prisoners.c.id == _LEADS_PRISONER), _Whereabouts
)
_PRISONER: Final = entities(Prisoner, prisoners, lambda _: prisoners.c.id == _given("prisoner_id"))
_PRISON_ID: Final = select(prisoners.c.prison_id).where(prisoners.c.id == _given("prisoner_id")).scalar_subquery()
_PRISON: Final = entities(Prison, prisons, lambda _: prisons.c.id == _PRISON_ID)
_CONTACTS: Final = entities(Contact, contacts, lambda lists: lists.has(contacts.c.id, "contact_ids"))
_POLICIES: Final = entities(
    PolicyValue,
    policies,
    lambda _: and_(
        or_(policies.c.prison_id == _PRISON_ID, policies.c.prison_id.is_(None)),
        policies.c.valid_from <= _at("at"),
        or_(policies.c.valid_to.is_(None), policies.c.valid_to > _at("at")),
    ),
)
_TEMPLATE: Final = entities(
    SessionTemplate, session_templates, lambda _: session_templates.c.id == _given("template_id")
)
_TEMPLATES: Final = entities(
    SessionTemplate,
    session_templates,
    lambda _: and_(
        session_templates.c.prison_id == _PRISON_ID,
        or_(session_templates.c.valid_to.is_(None), session_templates.c.valid_to >= _day("first")),
    ),
)
_VENUE: Final = entities(
    Prison,
    prisons,
    lambda _: (
        prisons.c.id
        == select(session_templates.c.prison_id)
        .where(session_templates.c.id == _given("template_id"))
        .scalar_subquery()
    ),
)
_IN_USE: Final = Part(lambda _: select(func.count()).where(stations.c.prison_id == _PRISON_ID, stations.c.active), int)
# The literal lets the partial index ix_bookings_held be used.
_HELD: Final = bookings.c.state == literal_column(f"'{BookingState.HELD.value}'")
_LAPSED: Final = Part(
    lambda _: (
        select(bookings.c.id)
        .where(
            _HELD,
            bookings.c.hold_expires_at <= _at("at"),
            bookings.c.starts_at >= _at("around_from"),
            bookings.c.starts_at <= _at("around_to"),
            bookings.c.id != _given("but"),
        )
        .limit(1)
    ),
    str,
)
_OWN_HOLDS: Final = Part(
    lambda _: (
        select(bookings.c.id)
        .join(booking_participants, booking_participants.c.booking_id == bookings.c.id)
        .where(
            _HELD,
            booking_participants.c.contact_id == _given("holder"),
            booking_participants.c.lead,
            or_(bookings.c.hold_kind.is_(None), bookings.c.hold_kind != HoldKind.OFFER),
        )
    ),
    str,
)

# What is read for certain days.

_LEAD: Final = _given("lead_id")


def _in_force(table: Table, ended: str) -> ColumnElement[bool]:
    """Not ended by anybody, and in force on some day from `first` to `last`."""
    return and_(
        table.c[ended].is_(None),
        table.c.starts_on <= _day("last"),
        or_(table.c.ends_on.is_(None), table.c.ends_on >= _day("first")),
    )


_RESTRICTIONS: Final = entities(
    Restriction,
    restrictions,
    lambda lists: and_(
        or_(
            restrictions.c.prisoner_id == _given("prisoner_id"),
            lists.has(restrictions.c.contact_id, "contact_ids"),
            lists.has(restrictions.c.relationship_id, "relationship_ids"),
        ),
        _in_force(restrictions, "lifted_at"),
    ),
)
_ALERTS: Final = entities(
    Alert, alerts, lambda _: and_(alerts.c.prisoner_id == _given("prisoner_id"), _in_force(alerts, "closed_at"))
)


def _non_associated(_: Lists) -> Select[Any]:
    apart, prisoner = non_associations.c, _given("prisoner_id")
    return (
        select(
            apart.id,
            bookings.c.id,
            bookings.c.prisoner_id,
            bookings.c.starts_at,
            bookings.c.ends_at,
            apart.starts_on,
            apart.ends_on,
            prisoners.c.wing_id,
            stations.c.wing_id,
        )
        .select_from(non_associations)
        .join(
            bookings,
            # One equality: an OR here has the planners read every booking that the prison ever had.
            bookings.c.prisoner_id == case((apart.prisoner_a == prisoner, apart.prisoner_b), else_=apart.prisoner_a),
        )
        .join(prisoners, prisoners.c.id == bookings.c.prisoner_id)
        .join(stations, stations.c.id == bookings.c.station_id)
        .where(
            or_(apart.prisoner_a == prisoner, apart.prisoner_b == prisoner),
            # The prison's days are at most a day off those of UTC.
            apart.starts_on <= _day("apart_last"),
            or_(apart.ends_on.is_(None), apart.ends_on >= _day("apart_first")),
            bookings.c.prison_id == _given("prison_id"),
            bookings.c.state.in_(_texts(*_OPEN)),
            # No call lasts longer: the index is on starts.
            bookings.c.starts_at > _at("apart_after"),
            bookings.c.starts_at < _at("apart_to"),
            bookings.c.ends_at > _at("apart_from"),
        )
    )


_NON_ASSOCIATED: Final = Part(_non_associated, NonAssociatedVisit)


class _Visit(NamedTuple):
    booking_id: str
    kind: CallKind
    starts_at: datetime
    ends_at: datetime
    earlier: bool | None


def _counted(_: Lists) -> Select[Any]:
    own, but = bookings.alias("own"), _given("but")
    made = select(own.c.created_at).where(own.c.id == but).scalar_subquery()
    earlier = or_(bookings.c.created_at < made, and_(bookings.c.created_at == made, bookings.c.id < but))
    return select(
        bookings.c.id, bookings.c.kind, bookings.c.starts_at, bookings.c.ends_at, earlier.label("earlier")
    ).where(
        bookings.c.prisoner_id == _given("prisoner_id"),
        bookings.c.starts_at >= _at("counted_from"),
        bookings.c.starts_at < _at("counted_before"),
        bookings.c.id != but,
        or_(
            bookings.c.state.in_(_texts(*_OPEN, BookingState.COMPLETED.value)),
            and_(bookings.c.state.in_(_texts(BookingState.NO_SHOW.value)), bookings.c.charged),
        ),
    )


_VISITS: Final = Part(_counted, _Visit)
_APPOINTMENTS: Final = entities(
    Appointment,
    appointments,
    lambda _: and_(
        appointments.c.prisoner_id == _given("prisoner_id"),
        appointments.c.starts_at < _at("whole_to"),
        appointments.c.ends_at > _at("whole_from"),
        appointments.c.cancelled_at.is_(None),
    ),
)
_BLOCKS: Final = entities(
    Block,
    blocks,
    lambda _: and_(
        blocks.c.prison_id == _given("prison_id"),
        blocks.c.starts_at < _at("whole_to"),
        blocks.c.ends_at > _at("whole_from"),
        blocks.c.lifted_at.is_(None),
    ),
)
_LEDGER: Final = entities(LedgerEvent, ledger_events, lambda _: ledger_events.c.prisoner_id == _given("prisoner_id"))
_OWED: Final = entities(OwedEvent, owed_events, lambda _: owed_events.c.relationship_id == _LEAD)
_STATIONS: Final = entities(Station, stations, lambda _: stations.c.prison_id == _given("prison_id"))
_BEGINS: Final = Part(lambda _: select(bookings.c.starts_at).where(bookings.c.id == _given("but")), lambda at: at)

# What is taken.


def _taken(lists: Lists) -> Select[Any]:
    """By kind and time: in a session most visits begin and end together, so a row names all that they take up."""
    columns = occupancy_spans.c
    # A branch for each kind, so that each is a search in the index (kind, resource, starts_at, …).
    branches = union_all(
        *(
            select(columns.kind, columns.resource, columns.starts_at, columns.ends_at).where(
                columns.kind.in_(_texts(kind.value)),
                lists.has(columns.resource, f"taken_{kind.value}"),
                columns.starts_at > _at("taken_after"),
                columns.starts_at < _at("taken_before"),
                columns.ends_at > _at("taken_from"),
                columns.booking_id != _given("but"),
            )
            for kind in ResourceKind
        )
    ).subquery()
    kind, resource, starts_at, ends_at = branches.c
    return select(kind, starts_at, ends_at, lists.together(resource)).group_by(kind, starts_at, ends_at)


_TAKEN: Final = Part(_taken, lambda kind, starts, ends, ids: (ResourceKind(kind), Span(starts, ends), ids))
_PLACES: Final = Part(
    lambda lists: (
        select(bookings.c.slot_key, func.count())
        .where(
            lists.has(bookings.c.template_id, "template_ids"),
            bookings.c.state.in_(_texts(*_OPEN)),
            bookings.c.starts_at >= _at("taken_from"),
            bookings.c.starts_at < _at("taken_before"),
            bookings.c.id != _given("but"),
        )
        .group_by(bookings.c.slot_key)
    ),
    lambda key, count: (key, count),
)

_LINK_ROWS: Final = Bundle(_LINKS, _LEADS_APART, _LEADS_PRISON, leads=True)
_PARTY_ROWS: Final = Bundle(_PRISONER, _PRISON, _CONTACTS, _POLICIES, _TEMPLATES)
_PLACE_ROWS: Final = Bundle(
    _LINKS, _PRISONER, _PRISON, _CONTACTS, _POLICIES, _APART, _TEMPLATE, _VENUE, _IN_USE, _LAPSED, _OWN_HOLDS
)
_ROOM: Final = (_TAKEN, _PLACES)
_DAYS: Final = (
    *(_RESTRICTIONS, _ALERTS, _NON_ASSOCIATED, _VISITS, _APPOINTMENTS, _BLOCKS),
    *(_LEDGER, _OWED, _STATIONS, _BEGINS),
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
        where = found.one(_LEADS_PRISON)
        return LinkRows(
            _in_order(found, relationship_ids), None if where is None else where.prison_id, found.all(_LEADS_APART)
        )

    async def party(self, links: Sequence[Relationship], *, at: datetime, first: date) -> PartyRows:
        found = await _PARTY_ROWS.fetch(
            self._session,
            contact_ids=[each.contact_id for each in links],
            prisoner_id=links[0].prisoner_id,
            at=at,
            first=first,
        )
        prisoner, prison = found.one(_PRISONER), found.one(_PRISON)
        if prisoner is None:
            raise NotFound("There is no such prisoner.")
        return PartyRows(
            prisoner=prisoner,
            prison=prison,
            contacts={each.id: each for each in found.all(_CONTACTS)},
            policies=_policies(found, prison, at),
            templates=found.all(_TEMPLATES),
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
        prisoner, template, venue = found.one(_PRISONER), found.one(_TEMPLATE), found.one(_VENUE)
        if prisoner is None:
            raise NotFound("There is no such prisoner.")
        if template is None or venue is None:
            raise NotFound("There is no such sessiontemplate.")
        prison = found.one(_PRISON)
        return PlaceRows(
            links=_in_order(found, [each.id for each in links]),
            prisoner=prisoner,
            prison=prison,
            contacts={each.id: each for each in found.all(_CONTACTS)},
            policies=_policies(found, prison, at),
            non_associations=found.all(_APART),
            template=template,
            venue=venue,
            stations=found.one(_IN_USE) or 0,
            lapsed=bool(found.all(_LAPSED)),
            held=sorted(found.all(_OWN_HOLDS)),
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
        return self._found.all(_TAKEN)

    def places(self) -> dict[str, int]:
        return dict(self._found.all(_PLACES))


class SqlDaysRows(SqlRoomRows):
    """The port DaysRows. `compared`: there is a booking that others were made before or after."""

    def __init__(self, found: Found, zone: ZoneInfo, *, compared: bool) -> None:
        super().__init__(found)
        self._zone = zone
        self._compared = compared

    def restrictions(self) -> Sequence[Restriction]:
        return sorted(self._found.all(_RESTRICTIONS), key=lambda each: each.id)

    def alerts(self) -> Sequence[Alert]:
        return sorted(self._found.all(_ALERTS), key=lambda each: each.id)

    def non_associated(self) -> Sequence[NonAssociatedVisit]:
        visits = self._found.all(_NON_ASSOCIATED)
        return sorted(visits, key=lambda each: (each.starts_at, each.booking_id, each.non_association_id))

    def visits(self) -> Sequence[CountedVisit]:
        return [
            CountedVisit(
                *(each.booking_id, each.kind, each.starts_at, each.ends_at),
                day=each.starts_at.astimezone(self._zone).date(),
                earlier=bool(each.earlier) or not self._compared,
            )
            for each in sorted(self._found.all(_VISITS), key=lambda each: (each.starts_at, each.booking_id))
        ]

    def appointments(self) -> Sequence[Appointment]:
        return sorted(self._found.all(_APPOINTMENTS), key=lambda each: (each.starts_at, each.id))

    def blocks(self) -> Sequence[Block]:
        return sorted(self._found.all(_BLOCKS), key=lambda each: (each.starts_at, each.id))

    def ledger(self) -> Sequence[LedgerEvent]:
        return sorted(self._found.all(_LEDGER), key=lambda each: each.sequence)

    def owed(self) -> Sequence[OwedEvent]:
        return sorted(self._found.all(_OWED), key=lambda each: each.sequence)

    def stations(self) -> Sequence[Station]:
        return sorted(self._found.all(_STATIONS), key=lambda each: (each.name, each.id))

    def starts_at(self) -> datetime | None:
        return self._found.one(_BEGINS)


def _policies(found: Found, prison: Prison | None, at: datetime) -> Policies:
    return Policies() if prison is None else Policies.resolve(found.all(_POLICIES), prison_id=prison.id, at=at)


def _in_order(found: Found, relationship_ids: Sequence[str]) -> tuple[Relationship, ...]:
    links = {each.id: each for each in found.all(_LINKS)}
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
