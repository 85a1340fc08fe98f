"""Rows for reports, read in SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.decisions import Outcome
from visitserver.domain.reports import DecisionRow, RequestRow, VisitRow
from visitserver.store.tables.calls import calls
from visitserver.store.tables.people import prisoners
from visitserver.store.tables.rights import decisions, relationships
from visitserver.store.tables.scheduling import bookings

CHUNK = 1000


class SqlReports:
    """The port services/ports/reports.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def visits(self, prison_id: str, since: datetime, until: datetime) -> AsyncIterator[VisitRow]:
        columns = bookings.c
        statement = (
            select(
                *(columns.id, columns.prisoner_id, columns.kind, columns.state, columns.starts_at, columns.ends_at),
                *(columns.created_at, columns.decided_at, columns.outcome),
                columns.overbook_reason.is_not(None),
                calls.c.connected_seconds,
            )
            .outerjoin(calls, calls.c.booking_id == columns.id)
            .where(columns.prison_id == prison_id, columns.starts_at >= since, columns.starts_at < until)
            .order_by(columns.starts_at, columns.id)
            .execution_options(yield_per=CHUNK)
        )
        async for row in await self._session.stream(statement):
            yield VisitRow(*row)

    async def decisions(self, prison_id: str, since: datetime, until: datetime) -> AsyncIterator[DecisionRow]:
        columns = decisions.c
        statement = (
            select(columns.outcome, columns.deciding)
            .where(
                columns.prison_id == prison_id,
                columns.at >= since,
                columns.at < until,
                columns.outcome != Outcome.ALLOW,
            )
            .execution_options(yield_per=CHUNK)
        )
        async for row in await self._session.stream(statement):
            yield DecisionRow(*row)

    async def requests(self, prison_id: str, since: datetime, until: datetime) -> Sequence[RequestRow]:
        columns = relationships.c
        rows = await self._session.execute(
            select(columns.state, columns.requested_at, columns.decided_at)
            .join(prisoners, prisoners.c.id == columns.prisoner_id)
            .where(prisoners.c.prison_id == prison_id, columns.requested_at >= since, columns.requested_at < until)
        )
        return [RequestRow(*row) for row in rows]

    async def prisoners_held(self, prison_id: str) -> int:
        found = await self._session.scalar(
            select(func.count()).select_from(prisoners).where(prisoners.c.prison_id == prison_id)
        )
        return int(found or 0)
