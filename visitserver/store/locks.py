"""Named locks that last as long as the transaction, in one place and one order."""

from __future__ import annotations

import hashlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


def lock_key(name: str) -> int:
    """A name's signed 64-bit key, as PostgreSQL's advisory locks want it."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


async def take(session: AsyncSession, *names: str) -> None:
    """Hold the names until the transaction ends, waiting for whoever holds one (up to the statement's time limit).

    Keys are taken in ascending order. SQLite's write transaction is alone already, so there is nothing to take.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    for key in sorted({lock_key(name) for name in names}):
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
