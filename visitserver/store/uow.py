"""The unit of work over SQLAlchemy: one session, one transaction, every area's repository."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

import visitserver.store.tables  # noqa: F401 - maps every entity
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Unavailable
from visitserver.services.ports.uow import UnitOfWork
from visitserver.store.engine import BUSY_TIMEOUT_S, READ_ONLY
from visitserver.store.locks import take
from visitserver.store.repositories.accounts import SqlAccounts
from visitserver.store.repositories.allowance import SqlAllowance
from visitserver.store.repositories.audit import SqlAudit
from visitserver.store.repositories.calls import SqlCalls
from visitserver.store.repositories.clients import SqlClients
from visitserver.store.repositories.facts import SqlFacts
from visitserver.store.repositories.flags import SqlFlags
from visitserver.store.repositories.identity import SqlIdentity
from visitserver.store.repositories.merging import SqlMerging
from visitserver.store.repositories.offers import SqlOffers
from visitserver.store.repositories.outbox import SqlOutbox
from visitserver.store.repositories.people import SqlPeople
from visitserver.store.repositories.policies import SqlPolicies
from visitserver.store.repositories.recordings import SqlRecordings
from visitserver.store.repositories.records import SqlRecords
from visitserver.store.repositories.reports import SqlReports
from visitserver.store.repositories.rights import SqlRights
from visitserver.store.repositories.scheduling import SqlScheduling
from visitserver.store.repositories.webhooks import SqlWebhooks
from visitserver.store.session import WritingSession

log: Final = structlog.get_logger(__name__)


class SqlUnitOfWork:
    """The port services/ports/uow.py. Each area's owner adds one import above and one line to `__init__`."""

    def __init__(self, session: AsyncSession, clock: Clock, audit_key: bytes, *, read_only: bool) -> None:
        self._session = session
        self._read_only = read_only
        self.accounts = SqlAccounts(session)
        self.people = SqlPeople(session)
        self.rights = SqlRights(session)
        self.policies = SqlPolicies(session)
        self.scheduling = SqlScheduling(session)
        self.offers = SqlOffers(session)
        self.allowance = SqlAllowance(session)
        self.calls = SqlCalls(session)
        self.clients = SqlClients(session)
        self.facts = SqlFacts(session)
        self.flags = SqlFlags(session)
        self.identity = SqlIdentity(session)
        self.recordings = SqlRecordings(session)
        self.records = SqlRecords(session)
        self.merging = SqlMerging(session)
        self.audit = SqlAudit(session, clock, audit_key)
        self.outbox = SqlOutbox(session, clock)
        self.webhooks = SqlWebhooks(session)
        self.reports = SqlReports(session)

    @property
    def session(self) -> AsyncSession:
        """The session itself: for tests and for the store, not for services."""
        return self._session

    async def commit(self) -> None:
        if self._read_only:
            raise RuntimeError("a read-only unit of work has nothing to commit")
        await self.audit.write_waiting()
        await self._session.commit()

    async def flush(self) -> None:
        await self._session.flush()

    async def lock(self, *names: str, shared: Sequence[str] = ()) -> None:
        await take(self._session, *names, shared=shared)


class SqlUnitOfWorkFactory:
    """Makes units of work on one engine.

    `audit_key` (32 bytes or more) seals audit rows; it must come from outside the database and stay the same.
    """

    def __init__(self, engine: AsyncEngine, *, clock: Clock, audit_key: bytes) -> None:
        if len(audit_key) < 32:
            raise ValueError("the audit key needs 32 bytes or more")
        self._engine = engine
        self._clock = clock
        self._audit_key = audit_key
        # SQLite has one writer. Waiting here is fair and in order; its own busy handler polls.
        self._writer = asyncio.Lock() if engine.dialect.name == "sqlite" else None
        self._writing: asyncio.Task[object] | None = None

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    def __call__(self, *, read_only: bool = False) -> AbstractAsyncContextManager[UnitOfWork]:
        if read_only or self._writer is None:
            return self._transaction(read_only)
        return self._alone(self._writer)

    @asynccontextmanager
    async def _alone(self, writer: asyncio.Lock) -> AsyncIterator[UnitOfWork]:
        task = asyncio.current_task()
        if task is not None and self._writing is task:
            raise RuntimeError("a write unit of work within another one of the same task")
        try:
            async with asyncio.timeout(BUSY_TIMEOUT_S):
                await writer.acquire()
        except TimeoutError as error:
            raise Unavailable("The database is busy. Try again.", code="database_busy") from error
        self._writing = task
        try:
            async with self._transaction(False) as unit:
                yield unit
        finally:
            self._writing = None
            writer.release()

    @asynccontextmanager
    async def _transaction(self, read_only: bool) -> AsyncIterator[UnitOfWork]:
        options = {READ_ONLY: read_only, "postgresql_readonly": read_only}
        session = AsyncSession(
            self._engine, sync_session_class=WritingSession, expire_on_commit=False, autoflush=not read_only
        )
        try:
            try:
                await session.connection(execution_options=options)
            except (OSError, DBAPIError, PoolTimeout) as error:
                raise Unavailable("The database cannot be reached. Try again.", code="database_unavailable") from error
            try:
                yield SqlUnitOfWork(session, self._clock, self._audit_key, read_only=read_only)
            except IntegrityError as error:
                raise Conflict("Somebody else was quicker, or this exists already.", code="constraint") from error
            except DBAPIError as error:
                if error.connection_invalidated or _passes(error):
                    raise Unavailable("The database is busy. Try again.", code="database_unavailable") from error
                raise
        except asyncio.CancelledError:
            if self._writer is None:
                # Cut off in the middle of a statement, a connection to a server is good for nothing more, not even for
                # a rollback: it is closed, and the server rolls back.
                await asyncio.shield(session.invalidate())
            raise
        finally:
            await asyncio.shield(_let_go(session))


async def _let_go(session: AsyncSession) -> None:
    """Roll back what was not committed, and give the connection back. What was committed is committed even when the
    connection breaks here, and what was not is rolled back by the database: there is nothing to tell anybody.
    """
    try:
        await session.close()
    except (OSError, DBAPIError) as error:
        log.warning("connection to the database broke while it was let go", error=type(error).__name__)
        await session.invalidate()


# SQLSTATE classes (PostgreSQL, appendix A): connection, resources, operator intervention; serialisation, deadlock,
# lock not available; and SQLite's two result codes for a lock that somebody else holds.
_PASSING_STATES = ("08", "53", "57", "40001", "40P01", "55P03", "25P03")
_PASSING_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED")


def _passes(error: DBAPIError) -> bool:
    """Whether the same thing may well succeed a little later."""
    state = getattr(error.orig, "sqlstate", None) or ""
    name = getattr(error.orig, "sqlite_errorname", None) or ""
    return str(state).startswith(_PASSING_STATES) or str(name).startswith(_PASSING_SQLITE)
