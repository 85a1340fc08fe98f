"""The SELECTs of what a decision rests on: one for each source (see facts.py, which asks them together)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

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

from visitserver.domain.allowance import LedgerEvent
from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block
from visitserver.domain.calls import CallKind
from visitserver.domain.occupancy import ResourceKind, Span
from visitserver.domain.owed import OwedEvent
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import PolicyValue
from visitserver.domain.rights import (
    Alert,
    NonAssociatedVisit,
    NonAssociation,
    Relationship,
    Restriction,
)
from visitserver.domain.scheduling import OPEN_STATES, BookingState, HoldKind, SessionTemplate, Station
from visitserver.store.base import UtcDateTime
from visitserver.store.bundle import Lists, Part, entities
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

LINKS: Final = entities(Relationship, relationships, lambda lists: lists.has(relationships.c.id, "relationship_ids"))
APART: Final = entities(
    NonAssociation,
    non_associations,
    lambda _: or_(
        non_associations.c.prisoner_a == _given("prisoner_id"), non_associations.c.prisoner_b == _given("prisoner_id")
    ),
)
_LEADS_PRISONER: Final = (
    select(relationships.c.prisoner_id).where(relationships.c.id == _given("lead_id")).scalar_subquery()
)
LEADS_APART: Final = entities(
    NonAssociation,
    non_associations,
    lambda _: or_(non_associations.c.prisoner_a == _LEADS_PRISONER, non_associations.c.prisoner_b == _LEADS_PRISONER),
)


class _Whereabouts(NamedTuple):
    prison_id: str | None


LEADS_PRISON: Final = Part(
    lambda _: select(prisoners.c.prison_id).where(prisoners.c.id == _LEADS_PRISONER), _Whereabouts
)
PRISONER: Final = entities(Prisoner, prisoners, lambda _: prisoners.c.id == _given("prisoner_id"))
_PRISON_ID: Final = select(prisoners.c.prison_id).where(prisoners.c.id == _given("prisoner_id")).scalar_subquery()
PRISON: Final = entities(Prison, prisons, lambda _: prisons.c.id == _PRISON_ID)
CONTACTS: Final = entities(Contact, contacts, lambda lists: lists.has(contacts.c.id, "contact_ids"))
POLICIES: Final = entities(
    PolicyValue,
    policies,
    lambda _: and_(
        or_(policies.c.prison_id == _PRISON_ID, policies.c.prison_id.is_(None)),
        policies.c.valid_from <= _at("at"),
        or_(policies.c.valid_to.is_(None), policies.c.valid_to > _at("at")),
    ),
)
TEMPLATE: Final = entities(
    SessionTemplate, session_templates, lambda _: session_templates.c.id == _given("template_id")
)
TEMPLATES: Final = entities(
    SessionTemplate,
    session_templates,
    lambda _: and_(
        session_templates.c.prison_id == _PRISON_ID,
        or_(session_templates.c.valid_to.is_(None), session_templates.c.valid_to >= _day("first")),
    ),
)
VENUE: Final = entities(
    Prison,
    prisons,
    lambda _: (
        prisons.c.id
        == select(session_templates.c.prison_id)
        .where(session_templates.c.id == _given("template_id"))
        .scalar_subquery()
    ),
)
IN_USE: Final = Part(lambda _: select(func.count()).where(stations.c.prison_id == _PRISON_ID, stations.c.active), int)
# The literal lets the partial index ix_bookings_held be used.
_HELD: Final = bookings.c.state == literal_column(f"'{BookingState.HELD.value}'")
LAPSED: Final = Part(
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
OWN_HOLDS: Final = Part(
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


RESTRICTIONS: Final = entities(
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
ALERTS: Final = entities(
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


NON_ASSOCIATED: Final = Part(_non_associated, NonAssociatedVisit)


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


VISITS: Final = Part(_counted, _Visit)
APPOINTMENTS: Final = entities(
    Appointment,
    appointments,
    lambda _: and_(
        appointments.c.prisoner_id == _given("prisoner_id"),
        appointments.c.starts_at < _at("whole_to"),
        appointments.c.ends_at > _at("whole_from"),
        appointments.c.cancelled_at.is_(None),
    ),
)
BLOCKS: Final = entities(
    Block,
    blocks,
    lambda _: and_(
        blocks.c.prison_id == _given("prison_id"),
        blocks.c.starts_at < _at("whole_to"),
        blocks.c.ends_at > _at("whole_from"),
        blocks.c.lifted_at.is_(None),
    ),
)
LEDGER: Final = entities(LedgerEvent, ledger_events, lambda _: ledger_events.c.prisoner_id == _given("prisoner_id"))
OWED: Final = entities(OwedEvent, owed_events, lambda _: owed_events.c.relationship_id == _LEAD)
STATIONS: Final = entities(Station, stations, lambda _: stations.c.prison_id == _given("prison_id"))
BEGINS: Final = Part(lambda _: select(bookings.c.starts_at).where(bookings.c.id == _given("but")), lambda at: at)

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


TAKEN: Final = Part(_taken, lambda kind, starts, ends, ids: (ResourceKind(kind), Span(starts, ends), ids))
PLACES: Final = Part(
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
