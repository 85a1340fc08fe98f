"""A migrated database is the one that the tables describe, on both databases, triggers and all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import downgrade
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from tests.fixtures.store import AUDIT_KEY, SettableClock
from visitserver.domain.actors import SYSTEM
from visitserver.store.engine import create_engine
from visitserver.store.migrate import config, current_revision, migrate, newest_revision
from visitserver.store.tables import metadata
from visitserver.store.uow import SqlUnitOfWorkFactory


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite'}"
    else:
        yield request.getfixturevalue("fresh_postgres_url")


async def with_engine(url: str, work: object) -> object:
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)  # type: ignore[arg-type]
    finally:
        await engine.dispose()


def guards(connection: Connection) -> set[tuple[str, str]]:
    """Triggers, functions, exclusion constraints and deferrable foreign keys, by name and definition."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        tables = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
        deferred = {(name, str(sql.count("DEFERRABLE INITIALLY DEFERRED"))) for name, sql in tables}
        return {(name, " ".join(sql.split())) for name, sql in rows} | deferred
    queries = (
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT proname, prosrc FROM pg_proc WHERE proname LIKE '%append_only'",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint",
    )
    return {(name, body) for query in queries for name, body in connection.execute(text(query))}


async def test_upgrading_an_empty_database_makes_what_the_tables_say(empty_url: str) -> None:
    await migrate(empty_url)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": metadata})
        return [each for each in compare_metadata(context, metadata) if "alembic_version" not in str(each)]

    assert await with_engine(empty_url, differences) == []
    assert await current_revision(empty_url) == newest_revision() is not None


async def test_the_guards_are_those_of_the_tables(empty_url: str, request: pytest.FixtureRequest) -> None:
    """What autogenerate does not compare: triggers, the exclusion constraint, deferred foreign keys."""
    created = "sqlite_store_url" if empty_url.startswith("sqlite") else "postgres_store_url"
    await migrate(empty_url)
    wanted = await with_engine(request.getfixturevalue(created), guards)
    found = await with_engine(empty_url, guards)
    assert isinstance(found, set)
    assert isinstance(wanted, set)
    assert {each for each in found if "alembic_version" not in each[0]} == wanted
    assert any("only grows" in body for _, body in wanted)


async def test_upgrading_twice_and_at_once_changes_nothing(empty_url: str) -> None:
    await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    await migrate(empty_url)
    assert await current_revision(empty_url) == newest_revision()


async def test_a_migrated_database_works(empty_url: str, clock: SettableClock) -> None:
    await migrate(empty_url)
    engine = create_engine(empty_url)
    uow = SqlUnitOfWorkFactory(engine, clock=clock, audit_key=AUDIT_KEY)
    async with uow() as u:
        u.audit.append("migrate", SYSTEM, "database", {"to": newest_revision()})
        u.outbox.add("nothing", {"a": [1, None]})
        await u.commit()
    async with uow(read_only=True) as u:
        head = await u.audit.head()
    await engine.dispose()
    assert head is not None
    assert head.data == {"to": newest_revision()}


async def test_downgrading_leaves_nothing(empty_url: str) -> None:
    await migrate(empty_url)

    def down(connection: Connection) -> list[str]:
        downgrade(config(connection), "base")
        names = metadata.tables.keys()
        found = connection.dialect.get_table_names(connection)
        connection.commit()
        return sorted(set(names).intersection(found))

    assert await with_engine(empty_url, down) == []


async def test_a_database_that_was_never_migrated_says_so(empty_url: str) -> None:
    assert await current_revision(empty_url) is None
