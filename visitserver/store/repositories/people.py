"""People, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.errors import NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact, Prison, Prisoner, Staff, Wing
from visitserver.store.paging import fetch_page
from visitserver.store.tables.people import contacts, prisoners, prisons, wings
from visitserver.store.tables.rights import relationships

T = TypeVar("T")


class SqlPeople:
    """The port services/ports/people.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, person: Prison | Wing | Prisoner | Contact | Staff) -> None:
        self._session.add(person)

    async def get_prison(self, prison_id: str) -> Prison:
        return await self._get(Prison, prison_id)

    async def find_prison_by_code(self, code: str) -> Prison | None:
        return await self._session.scalar(select(Prison).where(prisons.c.code == code))

    async def record_sources(self) -> set[str]:
        return set(await self._session.scalars(select(prisons.c.record_source).distinct()))

    async def prisons(self, page: PageRequest) -> Page[Prison]:
        return await fetch_page(
            self._session, select(Prison), [prisons.c.name, prisons.c.id], page, lambda row: (row.name, row.id)
        )

    async def wings(self, prison_id: str) -> Sequence[Wing]:
        return (
            await self._session.scalars(
                select(Wing).where(wings.c.prison_id == prison_id).order_by(wings.c.name, wings.c.id)
            )
        ).all()

    async def get_prisoner(self, prisoner_id: str) -> Prisoner:
        return await self._get(Prisoner, prisoner_id)

    async def find_prisoner_by_number(self, number: str) -> Prisoner | None:
        return await self._session.scalar(select(Prisoner).where(prisoners.c.number == number))

    async def search_prisoners(self, prison_id: str, text: str, page: PageRequest) -> Page[Prisoner]:
        statement = select(Prisoner).where(
            prisoners.c.prison_id == prison_id,
            or_(
                _begins(prisoners.c.number, text),
                _begins(prisoners.c.family_name, text),
                _begins(prisoners.c.given_name, text),
            ),
        )
        order = [prisoners.c.family_name, prisoners.c.given_name, prisoners.c.id]
        return await fetch_page(
            self._session, statement, order, page, lambda row: (row.family_name, row.given_name, row.id)
        )

    async def get_contact(self, contact_id: str) -> Contact:
        return await self._get(Contact, contact_id)

    async def contacts(self, contact_ids: Sequence[str]) -> dict[str, Contact]:
        rows = await self._session.scalars(select(Contact).where(contacts.c.id.in_(contact_ids)))
        return {row.id: row for row in rows}

    async def prisoners(self, prisoner_ids: Sequence[str]) -> dict[str, Prisoner]:
        rows = await self._session.scalars(select(Prisoner).where(prisoners.c.id.in_(prisoner_ids)))
        return {row.id: row for row in rows}

    async def search_contacts(self, prison_id: str, text: str, page: PageRequest) -> Page[Contact]:
        known_here = exists().where(
            relationships.c.contact_id == contacts.c.id,
            relationships.c.prisoner_id == prisoners.c.id,
            prisoners.c.prison_id == prison_id,
        )
        statement = select(Contact).where(
            known_here, or_(_begins(contacts.c.family_name, text), _begins(contacts.c.given_name, text))
        )
        order = [contacts.c.family_name, contacts.c.given_name, contacts.c.id]
        return await fetch_page(
            self._session, statement, order, page, lambda row: (row.family_name, row.given_name, row.id)
        )

    async def get_staff(self, staff_id: str) -> Staff:
        return await self._get(Staff, staff_id)

    async def _get(self, entity: type[T], key: str) -> T:
        found = await self._session.get(entity, key)
        if found is None:
            raise NotFound(f"There is no such {entity.__name__.lower()}.")
        return found


def _begins(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return func.lower(column).startswith(text.strip().lower(), autoescape=True)
