"""Rights, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.decisions import DecisionRecord
from visitserver.domain.errors import NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rights import (
    Alert,
    NonAssociation,
    Relationship,
    RelationshipKind,
    RelationshipState,
    Restriction,
)
from visitserver.store.paging import fetch_page
from visitserver.store.session import writing
from visitserver.store.tables.people import prisoners
from visitserver.store.tables.rights import alerts, decisions, non_associations, relationships, restrictions

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
