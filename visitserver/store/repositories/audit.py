"""The audit log, kept in SQL: chained and sealed while nobody else can append."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.actors import Actor
from visitserver.domain.audit import GENESIS, AuditEntry, canonical_data, chain_hash, seal_of
from visitserver.domain.clock import Clock
from visitserver.domain.paging import Page, PageRequest
from visitserver.services.ports.audit import AuditFilter
from visitserver.store.locks import lock_key
from visitserver.store.paging import fetch_page
from visitserver.store.session import writing
from visitserver.store.tables.audit import audit_log

CHAIN_LOCK = "audit-chain"
_HEAD = select(audit_log.c.sequence, audit_log.c.sha256).order_by(audit_log.c.sequence.desc()).limit(1)


class SqlAudit:
    """The port services/ports/audit.py. Rows wait in memory until the unit of work commits."""

    def __init__(self, session: AsyncSession, clock: Clock, key: bytes) -> None:
        self._session = session
        self._clock = clock
        self._key = key
        self._waiting: list[AuditEntry] = []

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
        self._waiting.append(
            AuditEntry(
                sequence=0,
                at=self._clock(),
                action=action,
                actor_kind=actor.kind.value,
                actor_id=actor.id,
                object_id=object,
                previous="",
                sha256="",
                seal="",
                prison_id=prison_id or actor.prison_id,
                request_id=request_id,
                data=canonical_data(data or {}),
            )
        )

    async def write_waiting(self) -> None:
        """Write all that waits, and chain and insert these rows last.

        The chain's lock is held from the last statement before the head is read until the end of the transaction.
        """
        session = writing(self._session)
        if not self._waiting:
            await self._session.flush()
            return
        await self._session.run_sync(lambda _: session.flush(lock=lock_key(CHAIN_LOCK)))
        connection = await self._session.connection()
        head = (await connection.execute(_HEAD)).one_or_none()
        sequence, previous = (head.sequence, head.sha256) if head else (0, GENESIS)
        for entry in self._waiting:
            sequence += 1
            entry.sequence, entry.previous = sequence, previous
            entry.sha256 = previous = chain_hash(entry)
            entry.seal = seal_of(entry.sha256, self._key)
        await connection.execute(
            insert(audit_log), [{each.key: getattr(entry, each.key) for each in audit_log.c} for entry in self._waiting]
        )
        self._waiting = []

    async def head(self) -> AuditEntry | None:
        return await self._session.scalar(select(AuditEntry).order_by(audit_log.c.sequence.desc()).limit(1))

    async def rows(self, wanted: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        statement = select(AuditEntry)
        if wanted.action is not None:
            statement = statement.where(audit_log.c.action == wanted.action)
        if wanted.actor_id is not None:
            statement = statement.where(audit_log.c.actor_id == wanted.actor_id)
        if wanted.object_id is not None:
            statement = statement.where(audit_log.c.object_id == wanted.object_id)
        if wanted.prison_id is not None:
            statement = statement.where(audit_log.c.prison_id == wanted.prison_id)
        if wanted.since is not None:
            statement = statement.where(audit_log.c.at >= wanted.since)
        if wanted.until is not None:
            statement = statement.where(audit_log.c.at < wanted.until)
        return await fetch_page(
            self._session, statement, [audit_log.c.sequence], page, lambda row: (row.sequence,), descending=True
        )

    async def walk(self, *, start: int = 1, chunk: int = 1000) -> AsyncIterator[AuditEntry]:
        following = start
        while True:
            rows = (
                await self._session.scalars(
                    select(AuditEntry)
                    .where(audit_log.c.sequence >= following)
                    .order_by(audit_log.c.sequence)
                    .limit(chunk)
                )
            ).all()
            for row in rows:
                yield row
            if len(rows) < chunk:
                return
            following = rows[-1].sequence + 1
            self._session.expunge_all()
