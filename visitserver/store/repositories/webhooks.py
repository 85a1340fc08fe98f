"""Webhooks' endpoints, kept in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.errors import NotFound
from visitserver.domain.webhooks import WebhookEndpoint
from visitserver.store.tables.webhooks import webhook_endpoints


class SqlWebhooks:
    """The port services/ports/webhooks.py."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def add(self, endpoint: WebhookEndpoint) -> None:
        self._session.add(endpoint)

    async def get(self, endpoint_id: str) -> WebhookEndpoint:
        found = await self._session.get(WebhookEndpoint, endpoint_id)
        if found is None:
            raise NotFound("There is no such endpoint.")
        return found

    async def endpoints(self, prison_id: str) -> Sequence[WebhookEndpoint]:
        columns = webhook_endpoints.c
        return (
            await self._session.scalars(
                select(WebhookEndpoint)
                .where(columns.prison_id == prison_id, columns.removed_at.is_(None))
                .order_by(columns.created_at, columns.id)
            )
        ).all()

    async def all_active(self) -> Sequence[WebhookEndpoint]:
        columns = webhook_endpoints.c
        return (
            await self._session.scalars(
                select(WebhookEndpoint)
                .where(columns.removed_at.is_(None), columns.paused_why == "")
                .order_by(columns.created_at, columns.id)
            )
        ).all()
