"""The ledger, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.allowance import LedgerEvent
from visitserver.domain.owed import OwedEvent
from visitserver.domain.paging import Page, PageRequest
from visitserver.store.paging import fetch_page
from visitserver.store.session import writing
from visitserver.store.tables.allowance import ledger_events, owed_events
from visitserver.store.tables.people import prisoners
from visitserver.store.tables.rights import relationships


class SqlAllowance:
    """The port services/ports/allowance.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def append(self, events: Sequence[LedgerEvent] | Sequence[OwedEvent]) -> None:
        session = writing(self._session)
        for each in events:
            session.add_row(ledger_events if isinstance(each, LedgerEvent) else owed_events, each)

    async def events_of(self, prisoner_id: str) -> Sequence[LedgerEvent]:
        return (
            await self._session.scalars(
                select(LedgerEvent).where(ledger_events.c.prisoner_id == prisoner_id).order_by(ledger_events.c.sequence)
            )
        ).all()

    async def has_event(self, event_key: str) -> bool:
        found = await self._session.scalar(select(ledger_events.c.id).where(ledger_events.c.event_key == event_key))
        return found is not None

    async def history(self, prisoner_id: str, page: PageRequest) -> Page[LedgerEvent]:
        return await fetch_page(
            self._session,
            select(LedgerEvent).where(ledger_events.c.prisoner_id == prisoner_id),
            [ledger_events.c.sequence],
            page,
            lambda row: (row.sequence,),
            descending=True,
        )

    async def owed_events(self, relationship_id: str) -> Sequence[OwedEvent]:
        return (
            await self._session.scalars(
                select(OwedEvent)
                .where(owed_events.c.relationship_id == relationship_id)
                .order_by(owed_events.c.sequence)
            )
        ).all()

    async def owed_by(self, prisoner_id: str, contact_id: str | None = None) -> dict[str, int]:
        later = owed_events.alias()
        last = (
            select(owed_events.c.relationship_id, owed_events.c.balance_after)
            .outerjoin(
                later,
                (later.c.relationship_id == owed_events.c.relationship_id)
                & (later.c.sequence > owed_events.c.sequence),
            )
            # Whose relationship it is now: lines keep the prisoner they were written for, records are merged.
            .join(relationships, relationships.c.id == owed_events.c.relationship_id)
            .where(relationships.c.prisoner_id == prisoner_id, later.c.id.is_(None), owed_events.c.balance_after > 0)
        )
        if contact_id is not None:
            last = last.where(relationships.c.contact_id == contact_id)
        return {row.relationship_id: row.balance_after for row in await self._session.execute(last)}

    async def owed_history(self, prisoner_id: str, page: PageRequest) -> Page[OwedEvent]:
        return await fetch_page(
            self._session,
            select(OwedEvent)
            .join(relationships, relationships.c.id == owed_events.c.relationship_id)
            .where(relationships.c.prisoner_id == prisoner_id),
            [owed_events.c.at, owed_events.c.id],
            page,
            lambda row: (row.at, row.id),
            descending=True,
        )

    async def prisoners_to_accrue(self, after: str | None, limit: int) -> Sequence[str]:
        statement = select(prisoners.c.id).where(prisoners.c.prison_id.is_not(None))
        if after is not None:
            statement = statement.where(prisoners.c.id > after)
        return (await self._session.scalars(statement.order_by(prisoners.c.id).limit(limit))).all()
