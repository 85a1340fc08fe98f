"""One call that is broken keeps no other waiting, and nobody waits in a circle; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import time, timedelta
from typing import cast

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from signaling.calls import CallEvent
from signaling.ids import CallId
from tests.fixtures.rights import FRIEND, LAWYER, LEGAL, PRISONER, World, family, relationship_id, slot_key
from tests.fixtures.waiting import eventually
from tests.unit.services.calls_for_tests import DAY, Calls, calls_of
from visitserver.domain.allowance import CreditType, LedgerEvent, LedgerEventKind
from visitserver.domain.calls import Call, CallPhase
from visitserver.domain.recordings import RecordingState
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.store.uow import SqlUnitOfWork, SqlUnitOfWorkFactory

WAITING = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
)


@pytest.fixture
async def calls(world: World) -> AsyncIterator[Calls]:
    async with calls_of(world) as made:
        yield made


async def booked(calls: Calls, booking_id: str) -> Booking:
    async with calls.world.uow(read_only=True) as u:
        return await u.scheduling.get_booking(booking_id)


async def legal_booking(calls: Calls, at: time) -> Booking:
    """A lawyer's visit: it costs nothing, so no ledger stands in its way."""
    hold = await calls.world.booking.hold(family(LAWYER), relationship_id(LAWYER), slot_key(DAY, at, LEGAL))
    return await calls.world.booking.confirm(family(LAWYER), hold.id)


async def break_the_ledger(calls: Calls) -> None:
    """A line far behind the last: the prisoner's ledger contradicts itself from now on."""
    async with calls.world.uow() as u:
        line = LedgerEvent(
            id="led_broken",
            prisoner_id=PRISONER,
            sequence=99,
            at=calls.clock(),
            kind=LedgerEventKind.GRANTED,
            credit_id="crd_broken",
            credit_type=CreditType.STANDARD,
            reason="test",
            actor="test",
            event_key="broken",
            balance_after=1,
        )
        u.allowance.append([line])
        await u.commit()


async def test_a_booking_that_cannot_be_closed_does_not_keep_the_next_from_opening(calls: Calls) -> None:
    missed = await calls.book()
    due = await legal_booking(calls, time(10, 45))
    await break_the_ledger(calls)
    await calls.at(timedelta(hours=1, minutes=35).total_seconds())
    assert await calls.opener.run_once() == 1
    assert (await calls.of(due)).phase is CallPhase.SCHEDULED
    assert (await booked(calls, missed.id)).state is BookingState.BOOKED, "it stays, and is tried again"


async def test_an_opener_takes_the_prisoner_before_the_booking(calls: Calls) -> None:
    """As cancelling does. In the other order each would wait for what the other has."""
    factory = cast(SqlUnitOfWorkFactory, calls.world.uow)
    if factory.engine.dialect.name != "postgresql":
        pytest.skip("SQLite has one writer at a time: there is nothing to wait for in a circle")
    booking = await calls.book()
    await calls.at(3600)

    async def somebody_waits(session: AsyncSession) -> None:
        """Return once a transaction of this database waits for a name."""
        async with asyncio.timeout(60):
            while True:
                if await session.scalar(WAITING):
                    return
                await asyncio.sleep(0.02)

    async with calls.world.uow() as u:
        await u.lock(f"prisoner:{PRISONER}")
        opening = asyncio.create_task(calls.opener.run_once())
        await somebody_waits(cast(SqlUnitOfWork, u).session)
        async with asyncio.timeout(60):
            found = await u.scheduling.get_booking(booking.id, for_update=True)
        assert found.state is BookingState.BOOKED
    assert await opening == 0
    assert (await booked(calls, booking.id)).state is BookingState.FAILED


async def test_what_a_recorder_did_is_told_of_its_own_recording(calls: Calls) -> None:
    """Stored late and all at once, the first part's failure is not put down to the second."""
    call = await calls.opened()
    await calls.go_live(call)
    calls.legs[0].fail("storage")
    await calls.opener.run_once()
    first, second = (leg.warrant.recording_id for leg in calls.legs)
    assert (await calls.stored(call)).last_sequence == 0, "nothing is stored yet"
    await eventually(lambda: calls.legs[0].sealed != [], "the first part is sealed")
    calls.recordings._archive = NothingYet()  # type: ignore[assignment]
    await calls.consumer.catch_up()
    async with calls.world.uow(read_only=True) as u:
        states = {name: (await u.recordings.get(name)).state for name in (first, second)}
    assert states == {first: RecordingState.FAILED, second: RecordingState.RECORDING}


class NothingYet:
    """An archive that has nothing that is sealed."""

    async def sealed(self, recording_id: str) -> None:
        return None


async def test_a_broken_history_does_not_keep_other_calls_from_their_end(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    await calls.world.grant(1)
    hold = await calls.world.booking.hold(family(FRIEND), relationship_id(FRIEND), slot_key(DAY, time(9, 35)))
    await calls.world.booking.confirm(family(FRIEND), hold.id)
    broken = await calls.opened()
    await calls.at(timedelta(minutes=20).total_seconds())
    await calls.opener.run_once()
    asked = calls.control.events

    async def events(call_id: CallId, after: int = 0) -> list[CallEvent]:
        if str(call_id) == broken.id:
            raise ValueError("a history that contradicts itself")
        return list(await asked(call_id, after))

    monkeypatch.setattr(calls.control, "events", events)
    await calls.consumer.catch_up()
    async with calls.world.uow(read_only=True) as u:
        other: Call = next(call for call in await u.calls.unfinished(10) if call.id != broken.id)
    assert other.last_sequence > 0
    assert (await calls.stored(broken)).last_sequence == 0
