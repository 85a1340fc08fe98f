"""Named locks that last as long as the transaction, in one place and one order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


def lock_key(name: str) -> int:
    """A name's signed 64-bit key, as PostgreSQL's advisory locks want it."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


async def take(session: AsyncSession, *names: str, shared: Sequence[str] = ()) -> None:
    """Hold the names until the transaction ends, waiting for whoever holds one; `shared` ones with others who share.

    Waiting ends with the statement's time limit. Keys are taken in ascending order. SQLite's write transaction is alone
    already, so there is nothing to take.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    wanted = {lock_key(name): "pg_advisory_xact_lock_shared" for name in shared}
    wanted |= {lock_key(name): "pg_advisory_xact_lock" for name in names}
    if wanted:
        # PostgreSQL evaluates the columns of one SELECT from left to right.
        await session.execute(select(*(getattr(func, function)(key) for key, function in sorted(wanted.items()))))
