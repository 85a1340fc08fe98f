"""Flags and noted changes, kept in SQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.calls import FINAL_PHASES
from visitserver.domain.changes import Change, ChangeKind
from visitserver.domain.errors import NotFound
from visitserver.domain.flags import Flag, FlagScan, FlagType
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.ports.flags import BookingScope, FlagFilter
from visitserver.store.paging import fetch_page
from visitserver.store.tables.calls import calls
from visitserver.store.tables.flags import changes, flags
from visitserver.store.tables.scheduling import booking_participants, bookings

STANDING = sorted({BookingState.REQUESTED, BookingState.BOOKED})


class SqlFlags:
    """The port services/ports/flags.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, item: Flag | Change | FlagScan) -> None:
        self._session.add(item)

    async def get(self, flag_id: str, *, for_update: bool = False) -> Flag:
        found = await self._session.get(Flag, flag_id, with_for_update=for_update or None, populate_existing=for_update)
        if found is None:
            raise NotFound("There is no such flag.")
        return found

    async def of_booking(self, booking_id: str, *, fresh: bool = False) -> Sequence[Flag]:
        statement = select(Flag).where(flags.c.booking_id == booking_id).order_by(flags.c.raised_at, flags.c.id)
        return (await self._session.scalars(statement.execution_options(populate_existing=fresh))).all()

    async def open_of(self, booking_ids: Sequence[str]) -> dict[str, list[Flag]]:
        rows = await self._session.scalars(
            select(Flag)
            .where(flags.c.booking_id.in_(booking_ids), flags.c.closed_at.is_(None))
            .order_by(flags.c.raised_at, flags.c.id)
        )
        found: dict[str, list[Flag]] = {}
        for flag in rows:
            found.setdefault(flag.booking_id, []).append(flag)
        return found

    async def queue(self, wanted: FlagFilter, page: PageRequest) -> Page[Flag]:
        return await fetch_page(
            self._session,
            _wanted(select(Flag), wanted),
            [flags.c.starts_at, flags.c.id],
            page,
            lambda row: (row.starts_at, row.id),
        )

    async def counts(self, wanted: FlagFilter) -> dict[FlagType, int]:
        statement = _wanted(select(flags.c.type, func.count()), wanted).group_by(flags.c.type)
        return {type_: int(count) for type_, count in await self._session.execute(statement)}

    async def left_over(self, page: PageRequest) -> Page[Flag]:
        return await fetch_page(
            self._session,
            select(Flag)
            .join(bookings, bookings.c.id == flags.c.booking_id)
            .where(
                flags.c.closed_at.is_(None),
                or_(bookings.c.state.not_in(STANDING), bookings.c.starts_at != flags.c.starts_at),
            ),
            [flags.c.id],
            page,
            lambda row: (row.id,),
        )

    async def bookings(self, scope: BookingScope, page: PageRequest) -> Page[Booking]:
        return await fetch_page(
            self._session,
            _within(select(Booking), scope),
            [bookings.c.starts_at, bookings.c.id],
            page,
            lambda row: (row.starts_at, row.id),
        )

    async def count_bookings(self, scope: BookingScope) -> int:
        found = await self._session.scalar(_within(select(func.count()).select_from(bookings), scope))
        return int(found or 0)

    async def pending(self, at: datetime, limit: int, *, only: Collection[str] | None = None) -> Sequence[Change]:
        due = select(Change).where(changes.c.done_at.is_(None), or_(changes.c.due_at.is_(None), changes.c.due_at <= at))
        if only is not None:
            due = due.where(changes.c.id.in_(only))
        return (await self._session.scalars(due.order_by(changes.c.at, changes.c.id).limit(limit))).all()

    async def pending_in_calls(self, at: datetime, kinds: Collection[ChangeKind], limit: int) -> Sequence[Change]:
        in_it = (
            select(booking_participants.c.booking_id)
            .where(
                booking_participants.c.booking_id == bookings.c.id,
                _is_or_any(changes.c.contact_id, booking_participants.c.contact_id),
                _is_or_any(changes.c.relationship_id, booking_participants.c.relationship_id),
            )
            .correlate(bookings, changes)
            .exists()
        )
        under_way = (
            select(calls.c.id)
            .join(bookings, bookings.c.id == calls.c.booking_id)
            .where(
                calls.c.phase.not_in(sorted(FINAL_PHASES)),
                _is_or_any(changes.c.prisoner_id, bookings.c.prisoner_id),
                in_it,
            )
            .correlate(changes)
            .exists()
        )
        return (
            await self._session.scalars(
                select(Change)
                .where(
                    changes.c.done_at.is_(None),
                    changes.c.calls_done_at.is_(None),
                    changes.c.kind.in_(sorted(kinds)),
                    or_(changes.c.due_at.is_(None), changes.c.due_at <= at),
                    under_way,
                )
                .order_by(changes.c.at, changes.c.id)
                .limit(limit)
            )
        ).all()

    async def change(self, change_id: str) -> Change | None:
        return await self._session.scalar(
            select(Change)
            .where(changes.c.id == change_id)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )

    async def delete_done(self, before: datetime) -> int:
        result = await self._session.execute(delete(Change).where(changes.c.done_at < before))
        return int(getattr(result, "rowcount", 0))

    async def scan(self, prison_id: str, night: date) -> FlagScan | None:
        return await self._session.get(FlagScan, (prison_id, night), populate_existing=True)


def _is_or_any(wanted: ColumnElement[Any], column: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(wanted.is_(None), wanted == column)


def _within(statement: Select[Any], scope: BookingScope) -> Select[Any]:
    """Open bookings, held ones apart, that end after the scope begins and fit every condition that is set."""
    statement = statement.where(bookings.c.state.in_(STANDING), bookings.c.ends_at > scope.after)
    for column, value in (
        (bookings.c.prison_id, scope.prison_id),
        (bookings.c.prisoner_id, scope.prisoner_id),
        (bookings.c.station_id, scope.station_id),
        (bookings.c.template_id, scope.template_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    for column, value in (
        (booking_participants.c.contact_id, scope.contact_id),
        (booking_participants.c.relationship_id, scope.relationship_id),
    ):
        if value is not None:
            statement = statement.where(
                exists().where(booking_participants.c.booking_id == bookings.c.id, column == value)
            )
    if scope.starts_before is not None:
        statement = statement.where(bookings.c.starts_at < scope.starts_before)
    return statement


def _wanted(statement: Select[Any], wanted: FlagFilter) -> Select[Any]:
    statement = statement.join(bookings, bookings.c.id == flags.c.booking_id).where(
        flags.c.prison_id == wanted.prison_id,
        flags.c.closed_at.is_(None),
        bookings.c.state.in_(STANDING),
    )
    if wanted.types:
        statement = statement.where(flags.c.type.in_(sorted(wanted.types)))
    if wanted.starts_from is not None:
        statement = statement.where(flags.c.starts_at >= wanted.starts_from)
    if wanted.starts_before is not None:
        statement = statement.where(flags.c.starts_at < wanted.starts_before)
    if wanted.raised_before is not None:
        statement = statement.where(flags.c.raised_at < wanted.raised_before)
    if wanted.acknowledged is not None:
        seen = flags.c.acknowledged_at
        statement = statement.where(seen.is_not(None) if wanted.acknowledged else seen.is_(None))
    return statement
