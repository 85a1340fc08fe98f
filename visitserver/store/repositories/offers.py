"""Appointments, blocks, the waiting list and preferences, kept in SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, Text, func, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block
from visitserver.domain.errors import NotFound
from visitserver.domain.occupancy import Span
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.preferences import Preference
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.domain.waitlist import STANDING, EntryState, OfferState, WaitlistEntry, WaitlistOffer
from visitserver.services.ports.offers import AppointmentFilter, BlockFilter, TouchedFilter
from visitserver.store.paging import fetch_page
from visitserver.store.tables.offers import appointments, blocks, preferences, waitlist_entries, waitlist_offers
from visitserver.store.tables.scheduling import bookings, occupancy, occupancy_spans

T = TypeVar("T")

_NAMES = {
    Appointment: "appointment",
    Block: "block",
    WaitlistEntry: "entry of the waiting list",
    WaitlistOffer: "offer",
    Preference: "preference",
}


# A call lasts three hours at most (domain/slots.py), so whatever goes on at a moment began less than that before it:
# the index is on starts.
_LONGEST_CALL = timedelta(hours=3)


def _touching(wanted: TouchedFilter) -> list[ColumnElement[bool]]:
    conditions = [
        bookings.c.prison_id == wanted.prison_id,
        bookings.c.state.in_([BookingState.BOOKED, BookingState.REQUESTED]),
        bookings.c.starts_at > wanted.starts_at - _LONGEST_CALL,
        bookings.c.ends_at > wanted.starts_at,
    ]
    if wanted.ends_at is not None:
        conditions.append(bookings.c.starts_at < wanted.ends_at)
    if wanted.station_ids:
        conditions.append(bookings.c.station_id.in_(sorted(wanted.station_ids)))
    if wanted.template_ids:
        conditions.append(bookings.c.template_id.in_(sorted(wanted.template_ids)))
    if wanted.prisoner_id is not None:
        conditions.append(bookings.c.prisoner_id == wanted.prisoner_id)
    if wanted.kinds:
        conditions.append(bookings.c.kind.in_(sorted(wanted.kinds)))
    return conditions


class SqlOffers:
    """The port services/ports/offers.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, item: Appointment | Block | WaitlistEntry | WaitlistOffer | Preference) -> None:
        self._session.add(item)

    async def get_appointment(self, appointment_id: str, *, fresh: bool = False) -> Appointment:
        return await self._get(Appointment, appointment_id, fresh=fresh)

    async def find_appointment(self, prison_id: str, external_id: str) -> Appointment | None:
        return await self._session.scalar(
            select(Appointment).where(appointments.c.prison_id == prison_id, appointments.c.external_id == external_id)
        )

    async def appointments(self, wanted: AppointmentFilter, page: PageRequest) -> Page[Appointment]:
        statement = select(Appointment)
        if wanted.prison_id is not None:
            statement = statement.where(appointments.c.prison_id == wanted.prison_id)
        if wanted.prisoner_id is not None:
            statement = statement.where(appointments.c.prisoner_id == wanted.prisoner_id)
        if wanted.ends_after is not None:
            statement = statement.where(appointments.c.ends_at > wanted.ends_after)
        if wanted.starts_before is not None:
            statement = statement.where(appointments.c.starts_at < wanted.starts_before)
        if not wanted.cancelled:
            statement = statement.where(appointments.c.cancelled_at.is_(None))
        return await fetch_page(
            self._session,
            statement,
            [appointments.c.starts_at, appointments.c.id],
            page,
            lambda row: (row.starts_at, row.id),
        )

    async def get_block(self, block_id: str, *, fresh: bool = False) -> Block:
        return await self._get(Block, block_id, fresh=fresh)

    async def blocks(self, prison_id: str, span: Span) -> Sequence[Block]:
        return (
            await self._session.scalars(
                select(Block)
                .where(
                    blocks.c.prison_id == prison_id,
                    blocks.c.ends_at > span.starts_at,
                    blocks.c.starts_at < span.ends_at,
                    blocks.c.lifted_at.is_(None),
                )
                .order_by(blocks.c.starts_at, blocks.c.id)
            )
        ).all()

    async def list_blocks(self, wanted: BlockFilter, page: PageRequest) -> Page[Block]:
        statement = select(Block).where(blocks.c.prison_id == wanted.prison_id)
        if wanted.ends_after is not None:
            statement = statement.where(blocks.c.ends_at > wanted.ends_after)
        if not wanted.lifted:
            statement = statement.where(blocks.c.lifted_at.is_(None))
        return await fetch_page(
            self._session, statement, [blocks.c.ends_at, blocks.c.id], page, lambda row: (row.ends_at, row.id)
        )

    async def extend_blocks(self, template_id: str, successor_id: str) -> None:
        written = type_coerce(blocks.c.template_ids, Text)
        rows = await self._session.scalars(
            select(Block).where(blocks.c.lifted_at.is_(None), written.contains(f'"{template_id}"', autoescape=True))
        )
        for block in rows:
            block.template_ids = block.template_ids | {successor_id}

    async def carry_places(self, old_key: str, new_key: str) -> None:
        spans = occupancy_spans.c
        rows = await self._session.execute(
            select(spans.booking_id, spans.kind, spans.resource)
            .join(bookings, bookings.c.id == spans.booking_id)
            .where(bookings.c.slot_key == new_key, spans.resource.startswith(f"{old_key}#", autoescape=True))
            .order_by(spans.kind, spans.resource)
        )
        taken: Counter[str] = Counter()
        for booking_id, kind, resource in rows.all():
            renamed = f"{new_key}#{taken[kind]:03}"
            taken[kind] += 1
            for table in (occupancy, occupancy_spans):
                await self._session.execute(
                    update(table)
                    .where(table.c.booking_id == booking_id, table.c.kind == kind, table.c.resource == resource)
                    .values(resource=renamed)
                )

    async def carry_waiting(self, template_id: str, successor_id: str, day: date) -> None:
        rows = await self._session.scalars(
            select(WaitlistEntry).where(
                waitlist_entries.c.slot_key.startswith(f"{template_id}@", autoescape=True),
                waitlist_entries.c.first_day >= day,
                waitlist_entries.c.state.in_(sorted(STANDING)),
            )
        )
        for entry in rows:
            if entry.slot_key is not None:
                entry.slot_key = f"{successor_id}@{entry.slot_key.split('@', 1)[1]}"

    async def touched(self, wanted: TouchedFilter, page: PageRequest) -> Page[Booking]:
        return await fetch_page(
            self._session,
            select(Booking).where(*_touching(wanted)),
            [bookings.c.starts_at, bookings.c.id],
            page,
            lambda row: (row.starts_at, row.id),
        )

    async def count_touched(self, wanted: TouchedFilter) -> int:
        statement = select(func.count()).select_from(bookings).where(*_touching(wanted))
        return int(await self._session.scalar(statement) or 0)

    async def get_entry(self, entry_id: str, *, for_update: bool = False) -> WaitlistEntry:
        return await self._get(WaitlistEntry, entry_id, fresh=for_update, for_update=for_update)

    async def standing_entries(self, prisoner_id: str, contact_id: str) -> Sequence[WaitlistEntry]:
        return (
            await self._session.scalars(
                select(WaitlistEntry)
                .where(
                    waitlist_entries.c.prisoner_id == prisoner_id,
                    waitlist_entries.c.contact_id == contact_id,
                    waitlist_entries.c.state.in_(sorted(STANDING)),
                )
                .order_by(waitlist_entries.c.first_day, waitlist_entries.c.id)
            )
        ).all()

    async def waiting(self, prison_id: str, first: date, last: date, page: PageRequest) -> Page[WaitlistEntry]:
        return await fetch_page(
            self._session,
            select(WaitlistEntry).where(
                waitlist_entries.c.prison_id == prison_id,
                waitlist_entries.c.state == EntryState.WAITING,
                waitlist_entries.c.first_day <= last,
                waitlist_entries.c.last_day >= first,
            ),
            [waitlist_entries.c.queued_at, waitlist_entries.c.id],
            page,
            lambda row: (row.queued_at, row.id),
        )

    async def entries(
        self,
        states: frozenset[EntryState],
        page: PageRequest,
        *,
        prison_id: str | None = None,
        contact_id: str | None = None,
        prisoner_id: str | None = None,
    ) -> Page[WaitlistEntry]:
        statement = select(WaitlistEntry)
        if states:
            statement = statement.where(waitlist_entries.c.state.in_(sorted(states)))
        if prison_id is not None:
            statement = statement.where(waitlist_entries.c.prison_id == prison_id)
        if contact_id is not None:
            statement = statement.where(waitlist_entries.c.contact_id == contact_id)
        if prisoner_id is not None:
            statement = statement.where(waitlist_entries.c.prisoner_id == prisoner_id)
        return await fetch_page(
            self._session,
            statement,
            [waitlist_entries.c.queued_at, waitlist_entries.c.id],
            page,
            lambda row: (row.queued_at, row.id),
        )

    async def entries_before(self, prison_id: str, day: date, limit: int) -> Sequence[WaitlistEntry]:
        return (
            await self._session.scalars(
                select(WaitlistEntry)
                .where(
                    waitlist_entries.c.prison_id == prison_id,
                    waitlist_entries.c.state == EntryState.WAITING,
                    waitlist_entries.c.last_day < day,
                )
                .order_by(waitlist_entries.c.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
        ).all()

    async def get_offer(self, offer_id: str, *, for_update: bool = False) -> WaitlistOffer:
        return await self._get(WaitlistOffer, offer_id, fresh=for_update, for_update=for_update)

    async def offer_of_booking(self, booking_id: str) -> WaitlistOffer | None:
        return await self._session.scalar(select(WaitlistOffer).where(waitlist_offers.c.booking_id == booking_id))

    async def standing_offers(self, entry_ids: Sequence[str]) -> dict[str, WaitlistOffer]:
        rows = await self._session.scalars(
            select(WaitlistOffer).where(
                waitlist_offers.c.entry_id.in_(entry_ids), waitlist_offers.c.state == OfferState.STANDING
            )
        )
        return {row.entry_id: row for row in rows}

    async def offered_entries(self, slot_key: str) -> frozenset[str]:
        return frozenset(
            await self._session.scalars(
                select(waitlist_offers.c.entry_id).where(waitlist_offers.c.slot_key == slot_key)
            )
        )

    async def offers_to_settle(self, page: PageRequest) -> Page[WaitlistOffer]:
        return await fetch_page(
            self._session,
            select(WaitlistOffer)
            .join(bookings, bookings.c.id == waitlist_offers.c.booking_id)
            .where(waitlist_offers.c.state == OfferState.STANDING, bookings.c.state != BookingState.HELD),
            [waitlist_offers.c.expires_at, waitlist_offers.c.id],
            page,
            lambda row: (row.expires_at, row.id),
        )

    async def get_preference(self, preference_id: str, *, fresh: bool = False) -> Preference:
        return await self._get(Preference, preference_id, fresh=fresh)

    async def preferences_of(self, prisoner_id: str, contact_id: str) -> Sequence[Preference]:
        return (
            await self._session.scalars(
                select(Preference)
                .where(
                    preferences.c.prisoner_id == prisoner_id,
                    preferences.c.contact_id == contact_id,
                    preferences.c.closed_at.is_(None),
                )
                .order_by(preferences.c.rank, preferences.c.id)
            )
        ).all()

    async def preferences(self, prison_id: str, page: PageRequest, *, day: date | None = None) -> Page[Preference]:
        statement = select(Preference).where(preferences.c.prison_id == prison_id, preferences.c.closed_at.is_(None))
        if day is not None:
            statement = statement.where(preferences.c.first_day <= day, preferences.c.last_day >= day)
        return await fetch_page(
            self._session,
            statement,
            [preferences.c.created_at, preferences.c.rank, preferences.c.id],
            page,
            lambda row: (row.created_at, row.rank, row.id),
        )

    async def preferences_before(self, prison_id: str, day: date, limit: int) -> Sequence[Preference]:
        return (
            await self._session.scalars(
                select(Preference)
                .where(
                    preferences.c.prison_id == prison_id,
                    preferences.c.closed_at.is_(None),
                    preferences.c.last_day < day,
                )
                .order_by(preferences.c.id)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
        ).all()

    async def _get(self, entity: type[T], key: str, *, fresh: bool = False, for_update: bool = False) -> T:
        found = await self._session.get(entity, key, populate_existing=fresh, with_for_update=for_update or None)
        if found is None:
            raise NotFound(f"There is no such {_NAMES[entity]}.")
        return found
