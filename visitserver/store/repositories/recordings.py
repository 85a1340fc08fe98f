"""Recordings, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.errors import NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.recordings import PLAYABLE, UNFINISHED, Recording, RecordingOpening, RecordingState
from visitserver.services.ports.recordings import RecordingFilter
from visitserver.store.paging import fetch_page
from visitserver.store.tables.recordings import recording_openings, recordings
from visitserver.store.tables.scheduling import booking_participants


class SqlRecordings:
    """The port services/ports/recordings.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, item: Recording | RecordingOpening) -> None:
        self._session.add(item)

    async def get(self, recording_id: str, *, for_update: bool = False) -> Recording:
        found = await self.find(recording_id, for_update=for_update)
        if found is None:
            raise NotFound("There is no such recording.")
        return found

    async def find(self, recording_id: str, *, for_update: bool = False) -> Recording | None:
        return await self._session.get(
            Recording, recording_id, with_for_update=for_update or None, populate_existing=for_update
        )

    async def recordings(self, wanted: RecordingFilter, page: PageRequest) -> Page[Recording]:
        columns = recordings.c
        statement = select(Recording)
        for column, value in (
            (columns.prison_id, wanted.prison_id),
            (columns.prisoner_id, wanted.prisoner_id),
            (columns.call_id, wanted.call_id),
        ):
            if value is not None:
                statement = statement.where(column == value)
        if wanted.contact_id is not None:
            statement = statement.where(
                exists().where(
                    booking_participants.c.booking_id == columns.booking_id,
                    booking_participants.c.contact_id == wanted.contact_id,
                )
            )
        if wanted.states:
            statement = statement.where(columns.state.in_(sorted(wanted.states)))
        if wanted.since is not None:
            statement = statement.where(columns.created_at >= wanted.since)
        if wanted.until is not None:
            statement = statement.where(columns.created_at < wanted.until)
        return await fetch_page(
            self._session,
            statement,
            [columns.created_at, columns.id],
            page,
            lambda row: (row.created_at, row.id),
            descending=True,
        )

    async def opening(self, opening_id: str) -> RecordingOpening | None:
        return await self._session.get(RecordingOpening, opening_id)

    async def openings(self, recording_id: str, page: PageRequest) -> Page[RecordingOpening]:
        columns = recording_openings.c
        return await fetch_page(
            self._session,
            select(RecordingOpening).where(columns.recording_id == recording_id),
            [columns.opened_at, columns.id],
            page,
            lambda row: (row.opened_at, row.id),
            descending=True,
        )

    async def unfinished(self, before: datetime, limit: int) -> Sequence[Recording]:
        columns = recordings.c
        return (
            await self._session.scalars(
                select(Recording)
                .where(columns.state.in_(sorted(UNFINISHED)), columns.expected_end < before)
                .order_by(columns.expected_end, columns.id)
                .limit(limit)
            )
        ).all()

    async def expired(self, now: datetime, limit: int) -> Sequence[Recording]:
        columns = recordings.c
        return (
            await self._session.scalars(
                select(Recording)
                .where(columns.state == RecordingState.SEALED, columns.retain_until <= now)
                .order_by(columns.retain_until, columns.id)
                .limit(limit)
            )
        ).all()

    async def unerased(self, limit: int) -> Sequence[Recording]:
        columns = recordings.c
        return (
            await self._session.scalars(
                select(Recording)
                .where(columns.state == RecordingState.DELETED, columns.erased_at.is_(None))
                .order_by(columns.deleted_at, columns.id)
                .limit(limit)
            )
        ).all()

    async def sample(self, limit: int, after: str) -> Sequence[Recording]:
        columns = recordings.c
        return (
            await self._session.scalars(
                select(Recording)
                .where(columns.state.in_(sorted(PLAYABLE)), columns.id > after)
                .order_by(columns.id)
                .limit(limit)
            )
        ).all()
