"""Policies, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.policies import Policies, PolicyValue
from visitserver.store.paging import fetch_page
from visitserver.store.tables.policies import policies


class SqlPolicies:
    """The port services/ports/policies.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, value: PolicyValue) -> None:
        self._session.add(value)

    async def at(self, prison_id: str, at: datetime) -> Policies:
        rows = await self._session.scalars(
            select(PolicyValue).where(
                or_(policies.c.prison_id == prison_id, policies.c.prison_id.is_(None)),
                policies.c.valid_from <= at,
                or_(policies.c.valid_to.is_(None), policies.c.valid_to > at),
            )
        )
        return Policies.resolve(list(rows), prison_id=prison_id, at=at)

    async def versions(self, prison_id: str | None, key: str) -> Sequence[PolicyValue]:
        mine = policies.c.prison_id.is_(None) if prison_id is None else policies.c.prison_id == prison_id
        return (
            await self._session.scalars(
                select(PolicyValue).where(mine, policies.c.key == key).order_by(policies.c.version)
            )
        ).all()

    async def history(self, prison_id: str, key: str, page: PageRequest) -> Page[PolicyValue]:
        return await fetch_page(
            self._session,
            select(PolicyValue).where(
                or_(policies.c.prison_id == prison_id, policies.c.prison_id.is_(None)), policies.c.key == key
            ),
            [policies.c.valid_from, policies.c.version, policies.c.id],
            page,
            lambda row: (row.valid_from, row.version, row.id),
            descending=True,
        )

    async def to_come(self, prison_id: str, after: datetime) -> Sequence[PolicyValue]:
        return (
            await self._session.scalars(
                select(PolicyValue)
                .where(
                    or_(policies.c.prison_id == prison_id, policies.c.prison_id.is_(None)),
                    policies.c.valid_from > after,
                )
                .order_by(policies.c.valid_from, policies.c.version)
            )
        ).all()
