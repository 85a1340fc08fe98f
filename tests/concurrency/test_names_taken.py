"""Whoever books takes the names of all whom it concerns, on PostgreSQL: the other one waits, and then sees it.

Each test holds one transaction open until the other is through or waits for a name, so it needs no luck.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, time, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.rights import (
    FRIEND,
    KUURA,
    MOTHER,
    OTHER_PRISONER,
    PRISONER,
    SOCIAL,
    STAFF,
    SYSTEM_ACTOR,
    World,
    family,
    make_template,
    relationship_id,
    slot_key,
)
from visitserver.domain.errors import DecisionRefused
from visitserver.domain.rights import NonAssociation
from visitserver.domain.scheduling import Booking
from visitserver.domain.slots import day_starts
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.template_carry import carry_over, standing

pytestmark = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
NEXT_KEY = slot_key(DAY, time(9, 35))
"""Within half an hour of KEY, and with no cell of it in common: only a name can make the two wait for each other."""
EVENING = "tpl_evening"
LIMIT_S = 60


async def must_not_meet(world: World) -> None:
    first, second = sorted((PRISONER, OTHER_PRISONER))
    async with world.uow() as u:
        u.rights.add(NonAssociation("nas_1", first, second, date(2026, 3, 1), "import", reason="a feud"))
        await u.commit()


async def until_through_or_waiting(engine: AsyncEngine, other: Callable[[], asyncio.Task[Booking]]) -> bool:
    """Wait until `other` is done, or waits for a name that somebody holds. Whether it waits."""
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    async with asyncio.timeout(LIMIT_S), engine.connect() as connection:
        while True:
            if other().done():
                return False
            if (await connection.execute(waiting)).scalar_one():
                return True
            await connection.rollback()
            await asyncio.sleep(0.01)


async def two_at_once(world: World, engine: AsyncEngine) -> tuple[bool, asyncio.Task[Booking]]:
    """A visit is placed and not yet committed when staff book one for the other prisoner. Whether the second waits."""
    await world.grant(1)
    await world.grant(1, OTHER_PRISONER)
    second: list[asyncio.Task[Booking]] = []
    waited: list[bool] = []

    async def meanwhile(_: UnitOfWork, __: Booking) -> None:
        other = relationship_id(FRIEND, OTHER_PRISONER)
        second.append(asyncio.create_task(world.booking.book(STAFF, other, NEXT_KEY)))
        waited.append(await until_through_or_waiting(engine, lambda: second[0]))

    await world.booking.offer(SYSTEM_ACTOR, relationship_id(MOTHER), KEY, also=meanwhile)
    await asyncio.wait(second, timeout=LIMIT_S)
    return waited[0], second[0]


async def test_two_who_must_not_meet_are_not_booked_in_the_same_instant(
    world: World, store_engine: AsyncEngine
) -> None:
    await must_not_meet(world)
    waited, second = await two_at_once(world, store_engine)
    assert waited
    refused = second.exception()
    assert isinstance(refused, DecisionRefused)
    assert [each.key for each in refused.decision.deciding] == ["non_association"]


async def test_control_two_who_may_meet_do_not_wait_for_each_other(world: World, store_engine: AsyncEngine) -> None:
    waited, second = await two_at_once(world, store_engine)
    assert not waited
    assert second.result().slot_key == NEXT_KEY


async def moving(world: World) -> Booking:
    """A booking that can move to an evening session."""
    async with world.uow() as u:
        u.scheduling.add(make_template(EVENING, starts_at=time(18), ends_at=time(20)))
        await u.commit()
    await world.grant(1)
    return await world.booking.book(STAFF, relationship_id(MOTHER), KEY)


async def test_a_booking_does_not_leave_a_session_that_is_being_changed(
    world: World, store_engine: AsyncEngine
) -> None:
    mine = await moving(world)
    target = slot_key(DAY, time(18), EVENING)
    async with world.uow() as u:
        await u.lock(f"template:{SOCIAL}")
        change = asyncio.create_task(world.booking.change(family(MOTHER), mine.id, target))
        assert await until_through_or_waiting(store_engine, lambda: change)
    async with asyncio.timeout(LIMIT_S):
        assert (await change).slot_key == target


async def test_a_booking_that_has_left_meanwhile_is_not_carried_over(world: World) -> None:
    """Without the name, even: the row itself says where it is."""
    mine = await moving(world)
    target = slot_key(DAY, time(18), EVENING)
    async with world.uow() as u:
        old = await u.scheduling.get_template(SOCIAL)
        new = make_template("tpl_new", version=2, supersedes=SOCIAL)
        u.scheduling.add(new)
        await u.flush()
        found = await standing(u, old, new, KUURA.zone, after=day_starts(DAY, KUURA.zone), buffer=timedelta(minutes=5))
        assert [each.id for each in found.carried] == [mine.id]
        await world.booking.change(family(MOTHER), mine.id, target)
        assert await carry_over(u, new, found.carried) == []
        await u.commit()
    now = await world.bookings.get(STAFF, mine.id)
    assert (now.template_id, now.slot_key) == (EVENING, target)
