"""Rights, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.decisions import DecisionRecord
from visitserver.domain.errors import NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rights import (
    Alert,
    CountedVisit,
    NonAssociatedVisit,
    NonAssociation,
    Relationship,
    RelationshipKind,
    RelationshipState,
    Restriction,
)
from visitserver.domain.scheduling import OPEN_STATES, BookingState
from visitserver.store.paging import fetch_page
from visitserver.store.session import writing
from visitserver.store.tables.people import prisoners
from visitserver.store.tables.rights import alerts, decisions, non_associations, relationships, restrictions
from visitserver.store.tables.scheduling import bookings, stations

T = TypeVar("T")


class SqlRights:
    """The port services/ports/rights.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, right: Relationship | Restriction | Alert | NonAssociation | DecisionRecord) -> None:
        if isinstance(right, DecisionRecord):
            writing(self._session).add_row(decisions, right)
        else:
            self._session.add(right)

    async def get_relationship(self, relationship_id: str, *, fresh: bool = False) -> Relationship:
        return await self._get(Relationship, relationship_id, fresh=fresh)

    async def find_relationship(self, prisoner_id: str, contact_id: str, kind: RelationshipKind) -> Relationship | None:
        return await self._session.scalar(
            select(Relationship).where(
                relationships.c.prisoner_id == prisoner_id,
                relationships.c.contact_id == contact_id,
                relationships.c.kind == kind,
            )
        )

    async def has_approved(self, prisoner_id: str, contact_id: str) -> bool:
        found = await self._session.scalar(
            select(relationships.c.id)
            .where(
                relationships.c.prisoner_id == prisoner_id,
                relationships.c.contact_id == contact_id,
                relationships.c.state == RelationshipState.APPROVED,
                relationships.c.withdrawn_at.is_(None),
            )
            .limit(1)
        )
        return found is not None

    async def known_at_prison(self, contact_id: str, prison_id: str) -> bool:
        found = await self._session.scalar(
            select(relationships.c.id)
            .join(prisoners, prisoners.c.id == relationships.c.prisoner_id)
            .where(relationships.c.contact_id == contact_id, prisoners.c.prison_id == prison_id)
            .limit(1)
        )
        return found is not None

    async def relationships_of_contact(self, contact_id: str, page: PageRequest) -> Page[Relationship]:
        return await fetch_page(
            self._session,
            select(Relationship).where(relationships.c.contact_id == contact_id),
            [relationships.c.requested_at, relationships.c.id],
            page,
            lambda row: (row.requested_at, row.id),
            descending=True,
        )

    async def relationships_of_prisoner(self, prisoner_id: str, page: PageRequest) -> Page[Relationship]:
        return await fetch_page(
            self._session,
            select(Relationship).where(relationships.c.prisoner_id == prisoner_id),
            [relationships.c.requested_at, relationships.c.id],
            page,
            lambda row: (row.requested_at, row.id),
            descending=True,
        )

    async def review_queue(self, prison_id: str, state: RelationshipState, page: PageRequest) -> Page[Relationship]:
        return await fetch_page(
            self._session,
            select(Relationship)
            .join(prisoners, prisoners.c.id == relationships.c.prisoner_id)
            .where(
                prisoners.c.prison_id == prison_id,
                relationships.c.state == state,
                relationships.c.withdrawn_at.is_(None),
            ),
            [relationships.c.requested_at, relationships.c.id],
            page,
            lambda row: (row.requested_at, row.id),
        )

    async def get_restriction(self, restriction_id: str, *, fresh: bool = False) -> Restriction:
        return await self._get(Restriction, restriction_id, fresh=fresh)

    async def restrictions_touching(
        self, *, prisoner_id: str, contact_ids: Sequence[str], relationship_ids: Sequence[str], first: date, last: date
    ) -> Sequence[Restriction]:
        rows = await self._session.scalars(
            select(Restriction)
            .where(
                or_(
                    restrictions.c.prisoner_id == prisoner_id,
                    restrictions.c.contact_id.in_(contact_ids),
                    restrictions.c.relationship_id.in_(relationship_ids),
                ),
                restrictions.c.lifted_at.is_(None),
                restrictions.c.starts_on <= last,
                or_(restrictions.c.ends_on.is_(None), restrictions.c.ends_on >= first),
            )
            .order_by(restrictions.c.id)
        )
        return rows.all()

    async def restrictions_of(self, subject_id: str, page: PageRequest) -> Page[Restriction]:
        return await fetch_page(
            self._session,
            select(Restriction).where(
                or_(
                    restrictions.c.prisoner_id == subject_id,
                    restrictions.c.contact_id == subject_id,
                    restrictions.c.relationship_id == subject_id,
                )
            ),
            [restrictions.c.created_at, restrictions.c.id],
            page,
            lambda row: (row.created_at, row.id),
            descending=True,
        )

    async def get_alert(self, alert_id: str, *, fresh: bool = False) -> Alert:
        return await self._get(Alert, alert_id, fresh=fresh)

    async def alerts_of(self, prisoner_id: str, *, first: date, last: date) -> Sequence[Alert]:
        rows = await self._session.scalars(
            select(Alert)
            .where(
                alerts.c.prisoner_id == prisoner_id,
                alerts.c.closed_at.is_(None),
                alerts.c.starts_on <= last,
                or_(alerts.c.ends_on.is_(None), alerts.c.ends_on >= first),
            )
            .order_by(alerts.c.id)
        )
        return rows.all()

    async def alerts(self, prisoner_id: str, page: PageRequest) -> Page[Alert]:
        return await fetch_page(
            self._session,
            select(Alert).where(alerts.c.prisoner_id == prisoner_id),
            [alerts.c.created_at, alerts.c.id],
            page,
            lambda row: (row.created_at, row.id),
            descending=True,
        )

    async def get_non_association(self, non_association_id: str, *, fresh: bool = False) -> NonAssociation:
        return await self._get(NonAssociation, non_association_id, fresh=fresh)

    async def non_associations_of(self, prisoner_id: str, *, first: date, last: date) -> Sequence[NonAssociation]:
        rows = await self._session.scalars(
            select(NonAssociation)
            .where(
                or_(non_associations.c.prisoner_a == prisoner_id, non_associations.c.prisoner_b == prisoner_id),
                non_associations.c.starts_on <= last,
                or_(non_associations.c.ends_on.is_(None), non_associations.c.ends_on >= first),
            )
            .order_by(non_associations.c.id)
        )
        return rows.all()

    async def non_associated_visits(
        self, prisoner_id: str, prison_id: str, *, starts_at: datetime, ends_at: datetime
    ) -> Sequence[NonAssociatedVisit]:
        # The prison's days are at most a day off those of UTC.
        links = await self.non_associations_of(
            prisoner_id, first=starts_at.date() - timedelta(days=1), last=ends_at.date() + timedelta(days=1)
        )
        if not links:
            return []
        rows = await self._session.execute(
            select(
                bookings.c.id,
                bookings.c.prisoner_id,
                bookings.c.starts_at,
                bookings.c.ends_at,
                prisoners.c.wing_id,
                stations.c.wing_id.label("station_wing_id"),
            )
            .join(prisoners, prisoners.c.id == bookings.c.prisoner_id)
            .join(stations, stations.c.id == bookings.c.station_id)
            .where(
                bookings.c.prisoner_id.in_(sorted({link.other(prisoner_id) for link in links})),
                bookings.c.prison_id == prison_id,
                bookings.c.state.in_(OPEN_STATES),
                bookings.c.starts_at < ends_at,
                bookings.c.ends_at > starts_at,
            )
            .order_by(bookings.c.starts_at, bookings.c.id)
        )
        return [
            NonAssociatedVisit(
                non_association_id=link.id,
                booking_id=row.id,
                prisoner_id=row.prisoner_id,
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                starts_on=link.starts_on,
                ends_on=link.ends_on,
                wing_id=row.wing_id,
                station_wing_id=row.station_wing_id,
            )
            for row in rows
            for link in links
            if link.other(prisoner_id) == row.prisoner_id
        ]

    async def counted_visits(
        self,
        prisoner_id: str,
        zone: ZoneInfo,
        *,
        starts_from: datetime,
        starts_before: datetime,
        but: str | None = None,
    ) -> Sequence[CountedVisit]:
        rows = await self._session.execute(
            select(
                bookings.c.id,
                bookings.c.kind,
                bookings.c.starts_at,
                bookings.c.ends_at,
                (true() if but is None else _made_before(but)).label("earlier"),
            )
            .where(
                bookings.c.prisoner_id == prisoner_id,
                bookings.c.starts_at >= starts_from,
                bookings.c.starts_at < starts_before,
                true() if but is None else bookings.c.id != but,
                or_(
                    bookings.c.state.in_(OPEN_STATES | {BookingState.COMPLETED}),
                    and_(bookings.c.state == BookingState.NO_SHOW, bookings.c.charged.is_(True)),
                ),
            )
            .order_by(bookings.c.starts_at, bookings.c.id)
        )
        return [
            CountedVisit(
                row.id, row.kind, row.starts_at, row.ends_at, row.starts_at.astimezone(zone).date(), bool(row.earlier)
            )
            for row in rows
        ]

    async def decisions_of_booking(self, booking_id: str) -> Sequence[DecisionRecord]:
        return (
            await self._session.scalars(
                select(DecisionRecord)
                .where(decisions.c.booking_id == booking_id)
                .order_by(decisions.c.at, decisions.c.id)
            )
        ).all()

    async def _get(self, entity: type[T], key: str, *, fresh: bool = False) -> T:
        found = await self._session.get(entity, key, populate_existing=fresh)
        if found is None:
            raise NotFound(f"There is no such {entity.__name__.lower()}.")
        return found


def _made_before(booking_id: str) -> ColumnElement[bool]:
    own = bookings.alias("own")
    made = select(own.c.created_at).where(own.c.id == booking_id).scalar_subquery()
    return or_(bookings.c.created_at < made, and_(bookings.c.created_at == made, bookings.c.id < booking_id))
