"""Bringing a database to the schema of this version. `python -m visitserver.store.migrate "what changes"` writes a new
revision from the difference between the newest one and the tables (for developers).
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, text

from visitserver.store.engine import create_engine
from visitserver.store.locks import lock_key

SCRIPTS = Path(__file__).parent / "migrations"


async def migrate(url: str | URL, revision: str = "head") -> None:
    """Upgrade the database to `revision`, in one transaction. Safe to run from several processes at once."""
    engine = create_engine(url, pool_size=1)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade, revision)
    finally:
        await engine.dispose()


async def current_revision(url: str | URL) -> str | None:
    """The revision that the database is at; None for one that was never migrated."""
    engine = create_engine(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    finally:
        await engine.dispose()


def newest_revision() -> str | None:
    """The revision that this version of the program wants."""
    return ScriptDirectory.from_config(config()).get_current_head()


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, made here instead of in a file; `connection` is what env.py runs on."""
    made = Config()
    made.set_main_option("script_location", str(SCRIPTS))
    made.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    made.attributes["connection"] = connection
    return made


def _upgrade(connection: Connection, revision: str) -> None:
    if connection.dialect.name == "postgresql":
        # SQLite's write transaction is alone by itself.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key("migrate")})
    command.upgrade(config(connection), revision)


async def write_revision(message: str) -> None:
    """Write a revision into `migrations/versions` by comparing an upgraded empty SQLite database with the tables."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/empty.sqlite"
        await migrate(url)
        engine = create_engine(url, pool_size=1)
        number = len(list((SCRIPTS / "versions").glob("[0-9]*.py"))) + 1

        def write(connection: Connection) -> None:
            command.revision(config(connection), message=message, autogenerate=True, rev_id=f"{number:04}")

        try:
            async with engine.begin() as connection:
                await connection.run_sync(write)
        finally:
            await engine.dispose()


if __name__ == "__main__":
    asyncio.run(write_revision(sys.argv[1]))
