"""What services need of the outbox."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.domain.paging import Page, PageRequest


class Outbox(Protocol):
    """Messages that leave after commit."""

    def add(
        self,
        topic: str,
        payload: Mapping[str, Any],
        *,
        due_at: datetime | None = None,
        dedupe_key: str | None = None,
        request_id: str | None = None,
    ) -> str:
        """Write a message in this transaction; gives its id. It is due at once unless `due_at` says later.

        A `prison_id` in the payload says whose administrators see the message.
        """
        ...

    async def get(self, message_id: str) -> OutboxMessage: ...

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        """Those of these dedupe keys that a message has already."""
        ...

    async def claim(
        self,
        at: datetime,
        *,
        lease: timedelta,
        limit: int,
        topics: Collection[str] | None = None,
        but: Collection[str] = (),
    ) -> Sequence[OutboxMessage]:
        """Take up to `limit` due messages for this worker until `at + lease`: of `topics` only, or all but `but`.

        Two workers never get the same one.
        """
        ...

    async def messages(
        self, state: OutboxState | None, page: PageRequest, *, prison_id: str | None = None
    ) -> Page[OutboxMessage]:
        """Newest first; with `prison_id` those of that prison and those of none."""
        ...
