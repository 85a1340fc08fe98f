"""What a booking costs in questions to the database: a number of statements, which no machine makes larger or smaller.

Who needs one more raises the limit here, and says why in docs/decisions/0224.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, time, timedelta

import pytest
from sqlalchemy import event

from tests.fixtures.rights import CHILD, MOTHER, STAFF, World, family, relationship_id, slot_key
from visitserver.domain.actors import SYSTEM
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import Booking, BookingState, HoldKind
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.uow import UnitOfWork
from visitserver.store.uow import SqlUnitOfWorkFactory

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
OTHER_KEY = slot_key(DAY, time(10, 45))

# By database: the rows that one step adds go in one statement on PostgreSQL, in one for each table on SQLite. BEGIN and
# COMMIT are not among them.
HOLD = {"postgresql": 9, "sqlite": 11}
CONFIRM = {"postgresql": 11, "sqlite": 12}
RELEASE = 6
"""What a hold costs more when its booker keeps another place already, or another hold around is over."""


@contextmanager
def statements(world: World) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    assert isinstance(world.uow, SqlUnitOfWorkFactory)
    engine = world.uow.engine.sync_engine
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.split()[0] not in ("BEGIN", "COMMIT"):
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def dialect(world: World) -> str:
    assert isinstance(world.uow, SqlUnitOfWorkFactory)
    return world.uow.engine.dialect.name


@pytest.mark.parametrize("guests", [(), (relationship_id(CHILD),)], ids=["alone", "with a child"])
async def test_a_hold_and_its_confirmation_ask_little(world: World, guests: tuple[str, ...]) -> None:
    await world.grant(1)
    with statements(world) as held:
        hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY, guests=guests)
    with statements(world) as confirmed:
        booking = await world.booking.confirm(family(MOTHER), hold.id)
    assert booking.state is BookingState.BOOKED
    assert len(held) <= HOLD[dialect(world)], held
    assert len(confirmed) <= CONFIRM[dialect(world)], confirmed


async def test_so_does_a_hold_in_place_of_another(world: World) -> None:
    await world.grant(1)
    first = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    with statements(world) as held:
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER), OTHER_KEY)
    assert len(held) <= HOLD[dialect(world)] + RELEASE, held
    assert (await world.bookings.get(STAFF, first.id)).state is BookingState.WITHDRAWN


async def test_and_a_hold_where_another_is_over(world: World) -> None:
    await world.grant(1)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    world.clock.advance(hours=1)
    with statements(world) as held:
        await world.booking.book(STAFF, relationship_id(MOTHER), KEY)
    assert len(held) <= HOLD[dialect(world)] + RELEASE + 2, held
    assert (await world.bookings.get(STAFF, hold.id)).state is BookingState.EXPIRED


async def test_what_is_changed_after_a_booking_is_written_is_written_too(world: World) -> None:
    """A booking's row is written with the others; whoever changes it afterwards in the same transaction is heard."""
    await world.grant(1)
    ends: list[str] = []

    async def also(u: UnitOfWork, booking: Booking) -> None:
        await u.flush()
        booking.reason = "changed later"
        ends.append(booking.id)

    await world.booking.offer(SYSTEM, relationship_id(MOTHER), KEY, lasts=timedelta(hours=1), also=also)
    stored = await world.bookings.get(STAFF, ends[0])
    assert (stored.reason, stored.hold_kind) == ("changed later", HoldKind.OFFER)
    assert [each.contact_id for each in stored.participants] == [MOTHER]


async def test_many_rows_are_written_as_well(world: World) -> None:
    """More than go into one statement."""
    async with world.uow() as u:
        for number in range(40):
            u.outbox.add("test.topic", {"number": number})
            u.audit.append("test.row", STAFF, f"obj_{number}")
        await u.commit()
    async with world.uow(read_only=True) as u:
        rows = await u.audit.rows(AuditFilter(action="test.row"), PageRequest(200))
        messages = await u.outbox.messages(None, PageRequest(200))
    assert [row.object_id for row in rows.items] == [f"obj_{number}" for number in reversed(range(40))]
    assert sorted(each.payload["number"] for each in messages.items if each.topic == "test.topic") == list(range(40))
