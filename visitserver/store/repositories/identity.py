"""Identity, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import CursorResult, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.errors import NotFound
from visitserver.domain.identity import (
    CheckState,
    Enrolment,
    EnrolmentState,
    IdentityCheck,
    PersonKey,
    PictureKind,
    SealedItem,
)
from visitserver.domain.paging import Page, PageRequest
from visitserver.store.paging import fetch_page
from visitserver.store.tables.identity import enrolments, identity_checks, person_keys, sealed_items
from visitserver.store.tables.people import prisoners
from visitserver.store.tables.rights import relationships

T = TypeVar("T")
_FINAL = (EnrolmentState.REFUSED, EnrolmentState.EXPIRED)


class SqlIdentity:
    """The port services/ports/identity.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, item: Enrolment | IdentityCheck | PersonKey | SealedItem) -> None:
        self._session.add(item)

    async def get_enrolment(self, enrolment_id: str, *, fresh: bool = False) -> Enrolment:
        return await self._get(Enrolment, enrolment_id, "identity check", fresh=fresh)

    async def latest_enrolment(self, contact_id: str) -> Enrolment | None:
        return await self._session.scalar(
            select(Enrolment)
            .where(enrolments.c.contact_id == contact_id)
            .order_by(enrolments.c.created_at.desc(), enrolments.c.id.desc())
            .limit(1)
        )

    async def approved_enrolments(self, contact_ids: Sequence[str]) -> dict[str, Enrolment]:
        rows = await self._session.scalars(
            select(Enrolment)
            .where(enrolments.c.contact_id.in_(contact_ids), enrolments.c.state == EnrolmentState.APPROVED)
            .order_by(enrolments.c.expires_at, enrolments.c.id)
        )
        return {row.contact_id: row for row in rows}

    async def enrolments(
        self, prison_id: str | None, states: frozenset[EnrolmentState], page: PageRequest
    ) -> Page[Enrolment]:
        wanted = select(Enrolment).where(enrolments.c.state.in_(sorted(states)))
        if prison_id is not None:
            wanted = wanted.where(enrolments.c.contact_id.in_(_contacts_of(prison_id)))
        since = func.coalesce(enrolments.c.submitted_at, enrolments.c.created_at, type_=enrolments.c.created_at.type)
        return await fetch_page(
            self._session,
            wanted,
            [since, enrolments.c.id],
            page,
            lambda row: (row.submitted_at or row.created_at, row.id),
        )

    async def concerns_prison(self, contact_id: str, prison_id: str) -> bool:
        return bool(
            await self._session.scalar(_contacts_of(prison_id).where(relationships.c.contact_id == contact_id).limit(1))
        )

    async def get_check(self, check_id: str, *, fresh: bool = False) -> IdentityCheck:
        return await self._get(IdentityCheck, check_id, "check", fresh=fresh)

    async def checks_of_booking(self, booking_id: str) -> Sequence[IdentityCheck]:
        rows = await self._session.scalars(
            select(IdentityCheck)
            .where(identity_checks.c.booking_id == booking_id)
            .order_by(identity_checks.c.created_at, identity_checks.c.id)
        )
        return rows.all()

    async def checks_in_review(self, prison_id: str | None, page: PageRequest) -> Page[IdentityCheck]:
        wanted = select(IdentityCheck).where(identity_checks.c.state == CheckState.REVIEW)
        if prison_id is not None:
            wanted = wanted.where(identity_checks.c.prison_id == prison_id)
        return await fetch_page(
            self._session,
            wanted,
            [identity_checks.c.created_at, identity_checks.c.id],
            page,
            lambda row: (row.created_at, row.id),
        )

    async def find_key(self, contact_id: str) -> PersonKey | None:
        return await self._session.get(PersonKey, contact_id)

    async def delete_key(self, contact_id: str) -> None:
        await self._session.execute(delete(sealed_items).where(sealed_items.c.contact_id == contact_id))
        await self._session.execute(delete(person_keys).where(person_keys.c.contact_id == contact_id))

    async def items(self, owner_id: str, kind: PictureKind | None = None) -> Sequence[SealedItem]:
        wanted = select(SealedItem).where(sealed_items.c.owner_id == owner_id)
        if kind is not None:
            wanted = wanted.where(sealed_items.c.kind == kind)
        return (await self._session.scalars(wanted.order_by(sealed_items.c.kind, sealed_items.c.number))).all()

    async def items_of(self, contact_id: str) -> Sequence[SealedItem]:
        wanted = select(SealedItem).where(sealed_items.c.contact_id == contact_id).order_by(sealed_items.c.id)
        return (await self._session.scalars(wanted)).all()

    async def delete_items(self, owner_id: str, kinds: frozenset[PictureKind]) -> None:
        await self._session.execute(
            delete(sealed_items).where(sealed_items.c.owner_id == owner_id, sealed_items.c.kind.in_(sorted(kinds)))
        )

    async def keep_pictures_until(self, owner_id: str, moment: datetime) -> None:
        await self._session.execute(
            update(sealed_items)
            .where(sealed_items.c.owner_id == owner_id, sealed_items.c.kind != PictureKind.TEMPLATE)
            .values(delete_after=moment)
        )

    async def delete_due_items(self, now: datetime, limit: int) -> int:
        due = select(sealed_items.c.id).where(sealed_items.c.delete_after <= now).limit(limit)
        result: CursorResult[Any] = await self._session.execute(  # type: ignore[assignment]
            delete(sealed_items).where(sealed_items.c.id.in_(due.scalar_subquery()))
        )
        return int(result.rowcount)

    async def template_used(self, item_id: str, at: datetime) -> None:
        later = or_(sealed_items.c.last_used_at.is_(None), sealed_items.c.last_used_at < at)
        await self._session.execute(
            update(sealed_items).where(sealed_items.c.id == item_id, later).values(last_used_at=at)
        )

    async def unused_templates(self, since: datetime, limit: int) -> Sequence[SealedItem]:
        used = func.coalesce(
            sealed_items.c.last_used_at, sealed_items.c.created_at, type_=sealed_items.c.created_at.type
        )
        rows = await self._session.scalars(
            select(SealedItem)
            .where(sealed_items.c.kind == PictureKind.TEMPLATE, used < since)
            .order_by(sealed_items.c.id)
            .limit(limit)
        )
        return rows.all()

    async def overdue_enrolments(self, now: datetime, limit: int) -> Sequence[Enrolment]:
        rows = await self._session.scalars(
            select(Enrolment)
            .where(
                enrolments.c.expires_at <= now,
                # What an officer has yet to decide does not run out under their hands.
                enrolments.c.state.not_in((*_FINAL, EnrolmentState.SUBMITTED)),
            )
            .order_by(enrolments.c.expires_at, enrolments.c.id)
            .limit(limit)
        )
        return rows.all()

    async def _get(self, entity: type[T], key: str, name: str, *, fresh: bool = False) -> T:
        found = await self._session.get(entity, key, populate_existing=fresh)
        if found is None:
            raise NotFound(f"There is no such {name}.")
        return found


def _contacts_of(prison_id: str) -> Any:
    """Ids of contacts with a relationship to somebody at the prison."""
    return (
        select(relationships.c.contact_id)
        .join(prisoners, prisoners.c.id == relationships.c.prisoner_id)
        .where(prisoners.c.prison_id == prison_id)
    )
