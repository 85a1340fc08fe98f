"""The outbox, kept in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from signaling.ids import new_id
from visitserver.domain.clock import Clock
from visitserver.domain.errors import NotFound
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.domain.paging import Page, PageRequest
from visitserver.store.paging import fetch_page
from visitserver.store.session import writing
from visitserver.store.tables.outbox import outbox


class SqlOutbox:
    """The port services/ports/outbox.py."""

    def __init__(self, session: AsyncSession, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def add(
        self,
        topic: str,
        payload: Mapping[str, Any],
        *,
        due_at: datetime | None = None,
        dedupe_key: str | None = None,
        request_id: str | None = None,
    ) -> str:
        now = self._clock()
        message = OutboxMessage(
            id=new_id("msg"),
            topic=topic,
            created_at=now,
            due_at=due_at or now,
            payload=dict(payload),
            dedupe_key=dedupe_key,
            request_id=request_id,
            prison_id=payload.get("prison_id"),
        )
        writing(self._session).add_row(outbox, message)
        return message.id

    async def get(self, message_id: str) -> OutboxMessage:
        found = await self._session.get(OutboxMessage, message_id)
        if found is None:
            raise NotFound("There is no such message.")
        return found

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        found = await self._session.scalars(select(outbox.c.dedupe_key).where(outbox.c.dedupe_key.in_(keys)))
        return {key for key in found if key is not None}

    async def claim(
        self,
        at: datetime,
        *,
        lease: timedelta,
        limit: int,
        topics: Collection[str] | None = None,
        but: Collection[str] = (),
    ) -> Sequence[OutboxMessage]:
        conditions = [] if topics is None else [outbox.c.topic.in_(topics)]
        rows = (
            await self._session.scalars(
                select(OutboxMessage)
                .where(
                    outbox.c.state == OutboxState.PENDING,
                    outbox.c.due_at <= at,
                    or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= at),
                    outbox.c.topic.not_in(but),
                    *conditions,
                )
                .order_by(outbox.c.due_at, outbox.c.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
        ).all()
        for row in rows:
            row.claimed_until = at + lease
        return rows

    async def messages(
        self, state: OutboxState | None, page: PageRequest, *, prison_id: str | None = None
    ) -> Page[OutboxMessage]:
        statement = select(OutboxMessage)
        if prison_id is not None:
            statement = statement.where(or_(outbox.c.prison_id == prison_id, outbox.c.prison_id.is_(None)))
        if state is not None:
            statement = statement.where(outbox.c.state == state)
        return await fetch_page(
            self._session,
            statement,
            [outbox.c.created_at, outbox.c.id],
            page,
            lambda row: (row.created_at, row.id),
            descending=True,
        )
