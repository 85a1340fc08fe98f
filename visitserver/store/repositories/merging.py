"""Finding and merging two records of one person, in SQL.

Which columns name a contact or a prisoner is read from the tables' own foreign keys: a new table cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import Column, CursorResult, Table, Text, and_, delete, func, or_, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.calls import FINAL_PHASES
from visitserver.domain.merging import HintReason, outlast
from visitserver.domain.occupancy import ResourceKind
from visitserver.domain.paging import PageRequest
from visitserver.domain.preferences import Preference
from visitserver.domain.rights import NonAssociation, Relationship
from visitserver.domain.waitlist import WaitlistEntry
from visitserver.store.base import metadata
from visitserver.store.paging import decode_cursor, encode_cursor
from visitserver.store.repositories.records import known_contact
from visitserver.store.tables.accounts import accounts
from visitserver.store.tables.calls import calls
from visitserver.store.tables.flags import changes
from visitserver.store.tables.identity import sealed_items
from visitserver.store.tables.offers import preferences, waitlist_entries
from visitserver.store.tables.people import contacts, prisoners
from visitserver.store.tables.rights import non_associations, relationships
from visitserver.store.tables.scheduling import booking_participants, occupancy, occupancy_spans

_ONLY_GROW: Final = frozenset({"audit_log", "ledger_events", "owed_events", "call_events"})
_OTHERWISE: Final = frozenset({"relationships", "accounts", "person_keys", "sealed_items", "non_associations"})


def naming(target: Table) -> list[Column[Any]]:
    """Every column that refers to a row of `target`, of tables whose rows can change."""
    return [
        column
        for table in metadata.sorted_tables
        if table.name not in _ONLY_GROW
        for column in table.columns
        if any(key.column.table is target for key in column.foreign_keys)
    ]


class SqlMerging:
    """The port services/ports/merging.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def hints(
        self, prison_id: str, page: PageRequest
    ) -> tuple[Sequence[tuple[str, str, HintReason]], str | None]:
        first, second = contacts.alias("first"), contacts.alias("second")
        picture, other = sealed_items.alias("picture"), sealed_items.alias("other")
        both = and_(
            first.c.id < second.c.id,
            first.c.merged_into.is_(None),
            second.c.merged_into.is_(None),
            known_contact(first, prison_id),
            known_contact(second, prison_id),
        )
        same_name = and_(
            func.lower(first.c.family_name) == func.lower(second.c.family_name),
            func.lower(first.c.given_name) == func.lower(second.c.given_name),
            first.c.born_on == second.c.born_on,
        )
        same_document = and_(
            picture.c.contact_id == first.c.id,
            other.c.contact_id == second.c.id,
            picture.c.sha256 == other.c.sha256,
        )
        found: list[tuple[str, str, HintReason]] = []
        for reason, statement in (
            (HintReason.NAME_AND_BIRTH, select(first.c.id, second.c.id).where(both, same_name)),
            (HintReason.EMAIL, select(first.c.id, second.c.id).where(both, first.c.email == second.c.email)),
            (HintReason.DOCUMENT, select(first.c.id, second.c.id).where(both, same_document).distinct()),
        ):
            pair = (first.c.id, second.c.id)
            if page.cursor is not None:
                after = decode_cursor(page.cursor, 2)
                statement = statement.where(or_(pair[0] > after[0], and_(pair[0] == after[0], pair[1] > after[1])))
            rows = await self._session.execute(statement.order_by(*pair).limit(page.limit + 1))
            found += [(row[0], row[1], reason) for row in rows]
        pairs = sorted({(a, b) for a, b, _ in found})
        shown = set(pairs[: page.limit])
        cursor = encode_cursor(pairs[page.limit - 1]) if len(pairs) > page.limit else None
        return sorted(each for each in found if each[:2] in shown), cursor

    async def relationships_of(
        self, *, contact_id: str | None = None, prisoner_id: str | None = None
    ) -> Sequence[Relationship]:
        column, value = _named(relationships, contact_id, prisoner_id)
        statement = select(Relationship).where(column == value).order_by(relationships.c.id)
        return (await self._session.scalars(statement.execution_options(populate_existing=True))).all()

    async def prisons_of_contact(self, contact_id: str) -> set[str]:
        rows = await self._session.scalars(
            select(prisoners.c.prison_id)
            .join(relationships, relationships.c.prisoner_id == prisoners.c.id)
            .where(relationships.c.contact_id == contact_id, prisoners.c.prison_id.is_not(None))
            .distinct()
        )
        return set(rows)

    async def shared_bookings(self, first: str, second: str) -> int:
        one, two = booking_participants.alias("one"), booking_participants.alias("two")
        return await self._count(
            select(func.count())
            .select_from(one.join(two, one.c.booking_id == two.c.booking_id))
            .where(one.c.contact_id == first, two.c.contact_id == second)
        )

    async def clashes(self, first: str, second: str, *, kind: ResourceKind) -> int:
        one, two = occupancy.alias("one"), occupancy.alias("two")
        same = and_(one.c.kind == kind.value, two.c.kind == kind.value)
        return await self._count(
            select(func.count())
            .select_from(one.join(two, one.c.cell == two.c.cell))
            .where(same, one.c.resource == first, two.c.resource == second)
        )

    async def open_calls(self, prisoner_id: str) -> int:
        return await self._count(
            select(func.count())
            .select_from(calls)
            .where(calls.c.prisoner_id == prisoner_id, calls.c.phase.not_in(sorted(FINAL_PHASES)))
        )

    async def counts(self, *, contact_id: str | None = None, prisoner_id: str | None = None) -> dict[str, int]:
        target, value = (contacts, contact_id) if contact_id is not None else (prisoners, prisoner_id)
        found: dict[str, int] = {}
        for column in naming(target):
            number = await self._count(select(func.count()).select_from(column.table).where(column == value))
            if number:
                found[column.table.name] = found.get(column.table.name, 0) + number
        return found

    async def move_relationship(self, goes: str, stays: str) -> None:
        for column in naming(relationships):
            await self._rename(column, goes, stays)
        await self._rename(changes.c.relationship_id, goes, stays)
        for waiting in await self._with_guests([goes]):
            renamed = (stays if each == goes else each for each in waiting.guest_ids)
            waiting.guest_ids = tuple(dict.fromkeys(renamed))

    async def move_contact(self, goes: str, stays: str) -> None:
        await self._move(contacts, goes, stays)
        await self._rename(changes.c.contact_id, goes, stays)
        await self._occupy(ResourceKind.CONTACT, goes, stays)
        await self._session.execute(update(contacts).where(contacts.c.merged_into == goes).values(merged_into=stays))
        await self._once_each(stays)

    async def move_prisoner(self, goes: str, stays: str) -> Mapping[str, str | None]:
        await self._move(prisoners, goes, stays)
        await self._rename(changes.c.prisoner_id, goes, stays)
        await self._occupy(ResourceKind.PRISONER, goes, stays)
        await self._session.execute(update(prisoners).where(prisoners.c.merged_into == goes).values(merged_into=stays))
        named = or_(non_associations.c.prisoner_a == goes, non_associations.c.prisoner_b == goes)
        dropped: dict[str, str | None] = {}
        for rule in (await self._session.scalars(select(NonAssociation).where(named))).all():
            pair = sorted({stays if each == goes else each for each in (rule.prisoner_a, rule.prisoner_b)})
            same = select(NonAssociation).where(
                non_associations.c.prisoner_a == pair[0],
                non_associations.c.prisoner_b == pair[-1],
                non_associations.c.starts_on == rule.starts_on,
            )
            kept = None if len(pair) == 1 else await self._session.scalar(same)
            if len(pair) > 1 and kept is None:
                rule.prisoner_a, rule.prisoner_b = pair
                continue
            dropped[rule.id] = None if kept is None else kept.id
            await self._session.delete(rule)
            await self._session.flush()
            if kept is not None:
                outlast(kept, rule)
        return dropped

    async def move_account(self, *, kind: str, goes: str, stays: str) -> bool:
        column = accounts.c.contact_id if kind == "contact" else accounts.c.prisoner_id
        taken = await self._count(select(func.count()).select_from(accounts).where(column == stays))
        if taken:
            await self._session.execute(delete(accounts).where(column == goes))
            return False
        return await self._rename(column, goes, stays) > 0

    async def _with_guests(self, relationship_ids: Sequence[str]) -> list[WaitlistEntry | Preference]:
        """What waits, or did, with some of these as further callers."""
        found: list[WaitlistEntry | Preference] = []
        for entity, table in ((WaitlistEntry, waitlist_entries), (Preference, preferences)):
            guests = type_coerce(table.c.guest_ids, Text)  # as it is written: a JSON array
            named = or_(False, *(guests.contains(f'"{each}"', autoescape=True) for each in relationship_ids))
            statement: Any = select(entity).where(named).execution_options(populate_existing=True)
            found += await self._session.scalars(statement)
        return found

    async def _once_each(self, contact_id: str) -> None:
        """Let the contact be a guest neither of their own nor twice, whichever of their relationships say so."""
        own = {link.id for link in await self.relationships_of(contact_id=contact_id)}
        for waiting in await self._with_guests(sorted(own)):
            first = [each for each in waiting.guest_ids if each in own][: waiting.contact_id != contact_id]
            waiting.guest_ids = tuple(each for each in waiting.guest_ids if each not in own or each in first)

    async def _move(self, target: Table, goes: str, stays: str) -> None:
        for column in naming(target):
            if column.table.name not in _OTHERWISE:
                await self._rename(column, goes, stays)

    async def _occupy(self, kind: ResourceKind, goes: str, stays: str) -> None:
        for table in (occupancy, occupancy_spans):
            await self._session.execute(
                update(table).where(table.c.kind == kind.value, table.c.resource == goes).values(resource=stays)
            )

    async def _rename(self, column: Column[Any], goes: str, stays: str) -> int:
        result = await self._session.execute(
            update(column.table)
            .where(column == goes)
            .values({column.name: stays})
            .execution_options(synchronize_session=False)
        )
        return cast("CursorResult[Any]", result).rowcount

    async def _count(self, statement: Any) -> int:
        return int(await self._session.scalar(statement) or 0)


def _named(table: Table, contact_id: str | None, prisoner_id: str | None) -> tuple[Column[Any], str | None]:
    return (table.c.contact_id, contact_id) if contact_id is not None else (table.c.prisoner_id, prisoner_id)


__all__ = ["SqlMerging", "naming"]
