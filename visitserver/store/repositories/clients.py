"""Machine clients and import runs, kept in SQL."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.clients import ApiClient, ImportRun
from visitserver.domain.errors import NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.store.paging import fetch_page
from visitserver.store.tables.clients import api_clients, import_runs


class SqlClients:
    """The port services/ports/clients.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, item: ApiClient | ImportRun) -> None:
        self._session.add(item)

    async def get_client(self, client_id: str, *, lock: bool = False) -> ApiClient:
        found = await self._session.get(ApiClient, client_id, with_for_update=lock or None, populate_existing=lock)
        if found is None:
            raise NotFound("There is no such client.")
        return found

    async def find_client_by_token(self, token_hash: str) -> ApiClient | None:
        return await self._session.scalar(select(ApiClient).where(api_clients.c.token_hash == token_hash))

    async def touch(self, client_id: str, at: datetime) -> None:
        await self._session.execute(
            update(api_clients)
            .where(
                api_clients.c.id == client_id,
                or_(api_clients.c.last_used_at.is_(None), api_clients.c.last_used_at < at),
            )
            .values(last_used_at=at)
        )

    async def clients(self, prison_id: str, page: PageRequest) -> Page[ApiClient]:
        return await fetch_page(
            self._session,
            select(ApiClient).where(api_clients.c.prison_id == prison_id),
            [api_clients.c.created_at, api_clients.c.id],
            page,
            lambda row: (row.created_at, row.id),
            descending=True,
        )

    async def get_run(self, run_id: str) -> ImportRun:
        found = await self._session.get(ImportRun, run_id)
        if found is None:
            raise NotFound("There is no such import.")
        return found

    async def runs(self, prison_id: str, page: PageRequest) -> Page[ImportRun]:
        return await fetch_page(
            self._session,
            select(ImportRun).where(import_runs.c.prison_id == prison_id),
            [import_runs.c.started_at, import_runs.c.id],
            page,
            lambda row: (row.started_at, row.id),
            descending=True,
        )
