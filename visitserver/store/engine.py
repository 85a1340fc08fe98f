"""The database engine: SQLite through aiosqlite or PostgreSQL through asyncpg, behaving alike where it matters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

READ_ONLY = "visit_read_only"
"""Execution option of a connection that will only read."""

BUSY_TIMEOUT_S = 10.0
"""How long a statement waits for another process's lock on SQLite, and a checkout for a connection of the pool."""

STATEMENT_TIMEOUT_S = 30.0
"""PostgreSQL's limit for one statement, waiting for locks included."""


def create_engine(
    url: str | URL, *, pool_size: int = 10, statement_seconds: float = STATEMENT_TIMEOUT_S, echo: bool = False
) -> AsyncEngine:
    """An engine for `url`: `sqlite+aiosqlite:///path` or `postgresql+asyncpg://…`; ValueError for anything else.

    `statement_seconds` limits one statement on PostgreSQL, waiting for locks included.
    Plain `sqlite:///` and `postgresql://` addresses get the asynchronous driver by themselves.
    """
    parsed = make_url(url)
    dialect = parsed.get_backend_name()
    if dialect == "sqlite":
        return _sqlite(parsed.set(drivername="sqlite+aiosqlite"), pool_size, echo)
    if dialect == "postgresql":
        return create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"),
            echo=echo,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=BUSY_TIMEOUT_S,
            pool_pre_ping=True,
            connect_args={
                "timeout": BUSY_TIMEOUT_S,
                "server_settings": {
                    "timezone": "UTC",
                    "statement_timeout": str(int(statement_seconds * 1000)),
                    "idle_in_transaction_session_timeout": str(int(statement_seconds * 1000)),
                },
            },
        )
    raise ValueError(f"not a database this server knows: {dialect}")


def _sqlite(url: URL, pool_size: int, echo: bool) -> AsyncEngine:
    if url.database in (None, "", ":memory:"):
        raise ValueError("SQLite needs a file: several connections share the database")
    engine = create_async_engine(
        url,
        echo=echo,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_S,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: Any, _entry: ConnectionPoolEntry) -> None:
        # The driver must not open transactions by itself: its BEGIN is deferred, and a deferred transaction that
        # turns into a writer fails at once when somebody else wrote meanwhile.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a commit that was acknowledged survives a power cut
            "foreign_keys = ON",
            f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        # SQLite's own lower() knows ASCII alone; names do not keep to it.
        connection.create_function("lower", 1, _lower, deterministic=True)

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value
