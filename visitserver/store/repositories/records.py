"""Records by the prison's own identifiers, kept in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Table, and_, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.appointments import Appointment
from visitserver.domain.importing import ImportKind
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact, Prisoner
from visitserver.domain.rights import (
    Alert,
    NonAssociation,
    Relationship,
    RelationshipState,
    Restriction,
    RestrictionScope,
)
from visitserver.store.paging import fetch_page
from visitserver.store.tables.offers import appointments
from visitserver.store.tables.people import contacts, prisoners, prisons, wings
from visitserver.store.tables.rights import alerts, non_associations, relationships, restrictions

_MAPPED: Final[Mapping[ImportKind, tuple[type[Any], Table]]] = {
    ImportKind.PRISONERS: (Prisoner, prisoners),
    ImportKind.CONTACTS: (Contact, contacts),
    ImportKind.RELATIONSHIPS: (Relationship, relationships),
    ImportKind.RESTRICTIONS: (Restriction, restrictions),
    ImportKind.ALERTS: (Alert, alerts),
    ImportKind.NON_ASSOCIATIONS: (NonAssociation, non_associations),
    ImportKind.APPOINTMENTS: (Appointment, appointments),
}


class SqlRecords:
    """The port services/ports/records.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.source = ""

    async def use_source_of(self, prison_id: str) -> None:
        found = await self._session.scalar(select(prisons.c.record_source).where(prisons.c.id == prison_id))
        self.source = found or ""

    async def find(self, kind: ImportKind, external_id: str, *, prison_id: str | None = None) -> Any:
        entity, table = _MAPPED[kind]
        statement = select(entity)
        if kind is ImportKind.APPOINTMENTS:
            statement = statement.where(table.c.external_id == external_id, table.c.prison_id == prison_id)
        else:
            statement = statement.where(self._named(table, external_id))
        return await self._session.scalar(statement.execution_options(populate_existing=True))

    async def lock_names(self, kind: ImportKind, values: Mapping[str, Any]) -> set[str]:
        names: set[str] = set()
        external_id = values["external_id"]
        match kind:
            case ImportKind.PRISONERS:
                matches = [self._named(prisoners, external_id)]
                if "number" in values:
                    matches.append(prisoners.c.number == values["number"])
                await self._add(names, "prisoner", select(prisoners.c.id).where(or_(*matches)))
            case ImportKind.CONTACTS:
                await self._of_contact(names, external_id)
            case ImportKind.RELATIONSHIPS:
                await self._of_relationship(names, external_id)
                await self._of_contact(names, values.get("contact_external_id"))
            case ImportKind.RESTRICTIONS:
                await self._of_restriction(names, external_id)
                subject = values.get("subject_external_id")
                match values.get("scope"):
                    case RestrictionScope.PERSON:
                        await self._of_contact(names, subject)
                    case RestrictionScope.RELATIONSHIP:
                        await self._of_relationship(names, subject)
                    case RestrictionScope.PRISONER:
                        await self._of_prisoner(names, subject)
            case ImportKind.ALERTS | ImportKind.APPOINTMENTS:
                table = _MAPPED[kind][1]
                named = (
                    self._named(table, external_id) if kind is ImportKind.ALERTS else table.c.external_id == external_id
                )
                await self._add(names, "prisoner", select(table.c.prisoner_id).where(named))
            case ImportKind.NON_ASSOCIATIONS:
                named = self._named(non_associations, external_id)
                for column in (non_associations.c.prisoner_a, non_associations.c.prisoner_b):
                    await self._add(names, "prisoner", select(column).where(named))
        for name in ("prisoner_external_id", "other_external_id"):
            await self._of_prisoner(names, values.get(name))
        return names

    async def external_ids(self, kind: ImportKind, ids: Sequence[str]) -> dict[str, str | None]:
        table = _MAPPED[kind][1]
        columns = select(table.c.id, table.c.external_id, table.c.external_source)
        rows = await self._session.execute(columns.where(table.c.id.in_(ids)))
        return {row.id: row.external_id if row.external_source == self.source else None for row in rows}

    async def page(self, kind: ImportKind, prison_id: str, page: PageRequest) -> Page[Any]:
        entity, table = _MAPPED[kind]
        statement = select(entity).where(_at(kind, table, prison_id))
        return await fetch_page(self._session, statement, [table.c.id], page, lambda row: (row.id,))

    async def wing(self, prison_id: str, name: str) -> str | None:
        return await self._session.scalar(
            select(wings.c.id).where(wings.c.prison_id == prison_id, wings.c.name == name).order_by(wings.c.id).limit(1)
        )

    async def contact_known_at(self, contact_id: str, prison_id: str) -> bool:
        found = await self._session.scalar(
            select(contacts.c.id).where(
                contacts.c.id == contact_id, or_(contacts.c.home_prison_id == prison_id, _met(contacts.c.id, prison_id))
            )
        )
        return found is not None

    async def contact_approved_at(self, contact_id: str, prison_id: str) -> bool:
        found = await self._session.scalar(
            select(relationships.c.id)
            .join(prisoners, prisoners.c.id == relationships.c.prisoner_id)
            .where(
                relationships.c.contact_id == contact_id,
                relationships.c.state == RelationshipState.APPROVED,
                relationships.c.withdrawn_at.is_(None),
                prisoners.c.prison_id == prison_id,
            )
            .limit(1)
        )
        return found is not None

    def _named(self, table: Table, external_id: str) -> ColumnElement[bool]:
        return and_(table.c.external_source == self.source, table.c.external_id == external_id)

    async def _add(self, names: set[str], prefix: str, statement: Select[Any]) -> None:
        names.update(f"{prefix}:{key}" for key in await self._session.scalars(statement) if key is not None)

    async def _of_prisoner(self, names: set[str], external_id: str | None) -> None:
        if external_id is not None:
            await self._add(names, "prisoner", select(prisoners.c.id).where(self._named(prisoners, external_id)))

    async def _of_contact(self, names: set[str], external_id: str | None) -> None:
        if external_id is not None:
            await self._add(names, "contact", select(contacts.c.id).where(self._named(contacts, external_id)))

    async def _of_relationship(self, names: set[str], external_id: str | None) -> None:
        if external_id is not None:
            condition = self._named(relationships, external_id)
            await self._add(names, "prisoner", select(relationships.c.prisoner_id).where(condition))
            await self._add(names, "contact", select(relationships.c.contact_id).where(condition))

    async def _of_restriction(self, names: set[str], external_id: str) -> None:
        condition = self._named(restrictions, external_id)
        await self._add(names, "prisoner", select(restrictions.c.prisoner_id).where(condition))
        await self._add(names, "contact", select(restrictions.c.contact_id).where(condition))
        linked = relationships.c.id == restrictions.c.relationship_id
        for prefix, column in (("prisoner", relationships.c.prisoner_id), ("contact", relationships.c.contact_id)):
            await self._add(names, prefix, select(column).join(restrictions, linked).where(condition))


def _met(contact_id: ColumnElement[str], prison_id: str) -> ColumnElement[bool]:
    """Whether the contact has (or had) a relationship with somebody who is at the prison now."""
    return exists().where(
        relationships.c.contact_id == contact_id,
        relationships.c.prisoner_id == prisoners.c.id,
        prisoners.c.prison_id == prison_id,
    )


def known_contact(table: Any, prison_id: str) -> ColumnElement[bool]:
    """Whether the contact of a row (of `contacts` or an alias) is known at the prison."""
    return or_(table.c.home_prison_id == prison_id, _met(table.c.id, prison_id))


def _here(prisoner_id: ColumnElement[str], prison_id: str) -> ColumnElement[bool]:
    return exists().where(prisoners.c.id == prisoner_id, prisoners.c.prison_id == prison_id)


def _at(kind: ImportKind, table: Table, prison_id: str) -> ColumnElement[bool]:
    """Which rows are the prison's."""
    match kind:
        case ImportKind.PRISONERS:
            return table.c.prison_id == prison_id
        case ImportKind.CONTACTS:
            return and_(table.c.merged_into.is_(None), known_contact(table, prison_id))
        case ImportKind.RESTRICTIONS:
            linked = exists().where(
                relationships.c.id == table.c.relationship_id,
                relationships.c.prisoner_id == prisoners.c.id,
                prisoners.c.prison_id == prison_id,
            )
            registered = exists().where(contacts.c.id == table.c.contact_id, contacts.c.home_prison_id == prison_id)
            return or_(_here(table.c.prisoner_id, prison_id), _met(table.c.contact_id, prison_id), registered, linked)
        case ImportKind.APPOINTMENTS:
            return table.c.prison_id == prison_id
        case ImportKind.NON_ASSOCIATIONS:
            return or_(_here(table.c.prisoner_a, prison_id), _here(table.c.prisoner_b, prison_id))
        case _:
            return _here(table.c.prisoner_id, prison_id)
