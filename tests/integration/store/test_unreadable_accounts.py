"""Stored rows that nobody understands: nothing is booked that nobody can account for, and who asks is told."""

from __future__ import annotations

from datetime import date, time

import pytest
from sqlalchemy import text

from tests.fixtures.rights import MOTHER, PRISONER, STAFF, World, family, relationship_id, slot_key
from visitserver.domain.errors import Unavailable
from visitserver.domain.scheduling import BookingState
from visitserver.store.uow import SqlUnitOfWork

KEY = slot_key(date(2026, 3, 6), time(9))


async def sql(world: World, statement: str) -> None:
    async with world.uow() as u:
        assert isinstance(u, SqlUnitOfWork)
        await u.session.execute(text(statement))
        await u.commit()


async def test_an_account_of_minutes_that_cannot_be_read_does_not_stop_who_pays_with_a_credit(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    await world.grant(3)
    other = await world.booking.book(STAFF, relationship_id(MOTHER), slot_key(date(2026, 3, 7), time(9)))
    await sql(
        world,
        "insert into owed_events (id,prisoner_id,relationship_id,sequence,at,kind,seconds,reason,actor,event_key,"
        f"balance_after,booking_id) values ('owd_x','{PRISONER}','{relationship_id(MOTHER)}',9,'2026-03-01','earned',"
        f"60,'r','a','k_y',60,'{other.id}')",
    )
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    booking = await world.booking.confirm(family(MOTHER), hold.id)
    assert booking.charged


async def test_a_ledger_that_cannot_be_read_books_nothing_and_says_so(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(2)
    await sql(
        world,
        "insert into ledger_events (id,prisoner_id,sequence,at,kind,credit_id,credit_type,reason,actor,event_key,"
        f"balance_after) values ('led_x','{PRISONER}',99,'2026-03-01','granted','crd_x','standard','r','a','k_x',7)",
    )
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    with pytest.raises(Unavailable):
        await world.booking.confirm(family(MOTHER), hold.id)
    async with world.uow(read_only=True) as u:
        booking = await u.scheduling.get_booking(hold.id)
    assert (booking.state, booking.charged) == (BookingState.HELD, False)
