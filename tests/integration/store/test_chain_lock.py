"""Two transactions that tell the same thing at once (one `dedupe_key`), the first of which has written it already."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Conflict
from visitserver.store.uow import SqlUnitOfWork, SqlUnitOfWorkFactory

_WAITING = """SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
 WHERE NOT granted AND datname = current_database()"""
ACTOR = Actor(ActorKind.SYSTEM, "test")


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_the_second_to_tell_it_has_a_conflict_and_the_first_is_done(uow: SqlUnitOfWorkFactory) -> None:
    written, second_asks = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with uow() as u:
            u.outbox.add("booking.confirmed", {}, dedupe_key="same")
            u.audit.append("test.first", ACTOR, "obj_1")
            await u.flush()
            written.set()
            await second_asks.wait()
            # Until the other one waits for this transaction.
            async with uow(read_only=True) as look:
                assert isinstance(look, SqlUnitOfWork)
                while not await _waiting(look):  # noqa: ASYNC110 (what is waited for is the server's)
                    await asyncio.sleep(0.02)
            await u.commit()

    async def second() -> None:
        await written.wait()
        async with uow() as u:
            u.outbox.add("booking.confirmed", {}, dedupe_key="same")
            u.audit.append("test.second", ACTOR, "obj_1")
            second_asks.set()
            await u.commit()

    results = await asyncio.wait_for(asyncio.gather(first(), second(), return_exceptions=True), 60)
    assert results[0] is None, results
    assert isinstance(results[1], Conflict), results


async def _waiting(u: SqlUnitOfWork) -> bool:
    return bool(await u.session.scalar(text(_WAITING)))
