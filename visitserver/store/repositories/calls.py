"""Calls and their events, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.calls import FINAL_PHASES, Call, StoredCallEvent
from visitserver.domain.errors import NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.ports.calls import CallFilter
from visitserver.store.paging import fetch_page
from visitserver.store.tables.calls import call_events, calls
from visitserver.store.tables.scheduling import bookings


class SqlCalls:
    """The port services/ports/calls.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, item: Call | StoredCallEvent) -> None:
        self._session.add(item)

    async def get(self, call_id: str, *, for_update: bool = False) -> Call:
        found = await self._session.get(Call, call_id, with_for_update=for_update or None, populate_existing=for_update)
        if found is None:
            raise NotFound("There is no such call.")
        return found

    async def find_of_booking(self, booking_id: str) -> Call | None:
        return (await self._session.scalars(select(Call).where(calls.c.booking_id == booking_id))).one_or_none()

    async def of_bookings(self, booking_ids: Sequence[str]) -> dict[str, Call]:
        found = await self._session.scalars(select(Call).where(calls.c.booking_id.in_(booking_ids)))
        return {call.booking_id: call for call in found}

    async def calls(self, wanted: CallFilter, page: PageRequest) -> Page[Call]:
        statement = select(Call)
        if wanted.prison_id is not None:
            statement = statement.where(calls.c.prison_id == wanted.prison_id)
        if wanted.prisoner_id is not None:
            statement = statement.where(calls.c.prisoner_id == wanted.prisoner_id)
        if wanted.phases:
            statement = statement.where(calls.c.phase.in_(sorted(wanted.phases)))
        if wanted.starts_from is not None:
            statement = statement.where(calls.c.starts_at >= wanted.starts_from)
        if wanted.starts_before is not None:
            statement = statement.where(calls.c.starts_at < wanted.starts_before)
        return await fetch_page(
            self._session, statement, [calls.c.starts_at, calls.c.id], page, lambda row: (row.starts_at, row.id)
        )

    async def unfinished(self, limit: int) -> Sequence[Call]:
        return (
            await self._session.scalars(
                select(Call)
                .where(calls.c.phase.not_in(sorted(FINAL_PHASES)))
                .order_by(calls.c.starts_at, calls.c.id)
                .limit(limit)
            )
        ).all()

    async def events(self, call_id: str, after: int = 0) -> Sequence[StoredCallEvent]:
        return (
            await self._session.scalars(
                select(StoredCallEvent)
                .where(call_events.c.call_id == call_id, call_events.c.sequence > after)
                .order_by(call_events.c.sequence)
            )
        ).all()

    async def bookings_without_call(self, *, starts_before: datetime, limit: int) -> Sequence[Booking]:
        return (
            await self._session.scalars(
                select(Booking)
                .where(
                    bookings.c.state == BookingState.BOOKED,
                    bookings.c.starts_at < starts_before,
                    ~exists().where(calls.c.booking_id == bookings.c.id),
                )
                .order_by(bookings.c.starts_at, bookings.c.id)
                .limit(limit)
            )
        ).all()
