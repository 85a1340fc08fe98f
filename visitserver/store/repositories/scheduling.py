"""Stations, templates, bookings, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TypeVar

from sqlalchemy import exists, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from visitserver.domain.errors import NotFound
from visitserver.domain.occupancy import Resource, ResourceKind, Span
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import (
    OPEN_STATES,
    Booking,
    BookingChange,
    BookingState,
    SessionTemplate,
    Station,
)
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.store.paging import fetch_page
from visitserver.store.repositories import occupancy as occupancy_rows
from visitserver.store.session import writing
from visitserver.store.tables.scheduling import (
    booking_changes,
    booking_participants,
    bookings,
    session_templates,
    stations,
)

T = TypeVar("T")

_WITH_CALLERS = (joinedload(Booking.participants),)  # type: ignore[arg-type]
"""One booking and its callers in one statement."""


class SqlScheduling:
    """The port services/ports/scheduling.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, item: Station | SessionTemplate | Booking | BookingChange) -> None:
        self._session.add(item)

    def add_new(self, booking: Booking) -> None:
        session = writing(self._session)
        session.add_row(bookings, booking)
        for each in booking.participants:
            session.add_row(booking_participants, each)

    async def get_station(self, station_id: str) -> Station:
        return await self._get(Station, station_id)

    async def stations(self, prison_id: str) -> Sequence[Station]:
        return (
            await self._session.scalars(
                select(Station).where(stations.c.prison_id == prison_id).order_by(stations.c.name, stations.c.id)
            )
        ).all()

    async def get_template(self, template_id: str) -> SessionTemplate:
        return await self._get(SessionTemplate, template_id)

    async def templates(self, prison_id: str, *, first: date, last: date) -> Sequence[SessionTemplate]:
        columns = session_templates.c
        return (
            await self._session.scalars(
                select(SessionTemplate)
                .where(
                    columns.prison_id == prison_id,
                    columns.valid_from <= last,
                    or_(columns.valid_to.is_(None), columns.valid_to >= first),
                )
                .order_by(columns.starts_at, columns.id)
            )
        ).all()

    async def get_booking(self, booking_id: str, *, for_update: bool = False) -> Booking:
        # Whoever waits for the row must not read its callers in the same statement: they would be those of before.
        found = await self._session.get(
            Booking,
            booking_id,
            options=() if for_update else _WITH_CALLERS,
            with_for_update=for_update or None,
            populate_existing=for_update,
        )
        if found is None:
            raise NotFound("There is no such booking.")
        return found

    async def bookings(self, wanted: BookingFilter, page: PageRequest) -> Page[Booking]:
        statement = select(Booking)
        if wanted.prison_id is not None:
            statement = statement.where(bookings.c.prison_id == wanted.prison_id)
        if wanted.prisoner_id is not None:
            statement = statement.where(bookings.c.prisoner_id == wanted.prisoner_id)
        if wanted.template_id is not None:
            statement = statement.where(bookings.c.template_id == wanted.template_id)
        if wanted.contact_id is not None:
            statement = statement.where(
                exists().where(
                    booking_participants.c.booking_id == bookings.c.id,
                    booking_participants.c.contact_id == wanted.contact_id,
                )
            )
        if wanted.states:
            statement = statement.where(bookings.c.state.in_(sorted(wanted.states)))
        if wanted.starts_from is not None:
            statement = statement.where(bookings.c.starts_at >= wanted.starts_from)
        if wanted.starts_before is not None:
            statement = statement.where(bookings.c.starts_at < wanted.starts_before)
        if wanted.created_from is not None:
            statement = statement.where(bookings.c.created_at >= wanted.created_from)
        if wanted.created_before is not None:
            statement = statement.where(bookings.c.created_at < wanted.created_before)
        if wanted.overbooked:
            statement = statement.where(bookings.c.overbook_reason.is_not(None))
        return await fetch_page(
            self._session,
            statement,
            [bookings.c.starts_at, bookings.c.id],
            page,
            lambda row: (row.starts_at, row.id),
        )

    async def bookings_due(self, *, starts_from: datetime, starts_before: datetime, limit: int) -> Sequence[Booking]:
        return (
            await self._session.scalars(
                select(Booking)
                .where(
                    bookings.c.state == BookingState.BOOKED,
                    bookings.c.starts_at >= starts_from,
                    bookings.c.starts_at < starts_before,
                )
                .order_by(bookings.c.starts_at, bookings.c.id)
                .limit(limit)
            )
        ).all()

    async def has_open_bookings(self, template_id: str, *, after: datetime) -> bool:
        found = await self._session.scalar(
            select(bookings.c.id)
            .where(
                bookings.c.template_id == template_id,
                bookings.c.state.in_(sorted(OPEN_STATES)),
                bookings.c.starts_at >= after,
            )
            .limit(1)
        )
        return found is not None

    async def lapsed_holds(
        self, at: datetime, limit: int, *, around: tuple[datetime, datetime] | None = None
    ) -> Sequence[Booking]:
        # The literal lets the partial index ix_bookings_held be used.
        statement = select(Booking).where(
            bookings.c.state == literal_column(f"'{BookingState.HELD.value}'"), bookings.c.hold_expires_at <= at
        )
        if around is not None:
            statement = statement.where(bookings.c.starts_at >= around[0], bookings.c.starts_at <= around[1])
        return (
            await self._session.scalars(
                statement.order_by(bookings.c.hold_expires_at, bookings.c.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
        ).all()

    async def changes_of(self, booking_ids: Sequence[str]) -> Sequence[BookingChange]:
        return (
            await self._session.scalars(
                select(BookingChange)
                .where(booking_changes.c.booking_id.in_(booking_ids))
                .order_by(booking_changes.c.booking_id, booking_changes.c.revision)
            )
        ).all()

    async def taken(self, resources: Sequence[Resource], span: Span) -> set[Resource]:
        return {resource for resource, _ in await self.occupied(resources, span)}

    async def occupied(
        self, resources: Sequence[Resource], span: Span, *, but: str | None = None
    ) -> set[tuple[Resource, int]]:
        return await occupancy_rows.occupied(self._session, resources, span, but=but)

    async def occupy(self, booking_id: str, resources: Sequence[Resource], span: Span) -> bool:
        return await occupancy_rows.occupy(self._session, booking_id, resources, span)

    async def release_contact(self, booking_id: str, contact_id: str) -> None:
        await occupancy_rows.release(self._session, booking_id, Resource(ResourceKind.CONTACT, contact_id))

    async def release(self, booking_id: str) -> None:
        await occupancy_rows.release(self._session, booking_id)

    async def holders(self, resource: Resource, span: Span) -> set[str]:
        return await occupancy_rows.holders(self._session, resource, span)

    async def _get(self, entity: type[T], key: str) -> T:
        found = await self._session.get(entity, key)
        if found is None:
            raise NotFound(f"There is no such {entity.__name__.lower()}.")
        return found
