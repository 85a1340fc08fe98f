"""What services need of the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from visitserver.domain.actors import Actor
from visitserver.domain.audit import AuditEntry
from visitserver.domain.paging import Page, PageRequest


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows: all conditions that are set. `since` is included, `until` is not (UTC)."""

    action: str | None = None
    actor_id: str | None = None
    object_id: str | None = None
    prison_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Audit(Protocol):
    """The log: it is only read and appended to."""

    def append(
        self,
        action: str,
        actor: Actor,
        object: str,
        data: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        *,
        prison_id: str | None = None,
    ) -> None:
        """Note that `actor` did `action` to the thing with the id `object`.

        The row is chained and written by the unit of work's commit, last of all, so that nobody else waits for it
        longer than a commit takes. `data` is JSON: ids and codes, no personal data. `prison_id` is the actor's unless
        given.
        """
        ...

    async def head(self) -> AuditEntry | None:
        """The last row."""
        ...

    async def rows(self, wanted: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        """Newest first."""
        ...

    def walk(self, *, start: int = 1, chunk: int = 1000) -> AsyncIterator[AuditEntry]:
        """Every row from sequence `start` on, in order, read in chunks."""
        ...
