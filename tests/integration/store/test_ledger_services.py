"""The ledger through the services: the same event five times, floors and minutes owed that pay, lockdowns, staff."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Any

import pytest

from tests.fixtures.rights import (
    MOTHER,
    OTHER_PRISONER,
    PRISONER,
    PRISONER_ACTOR,
    STAFF,
    STRANGER_STAFF,
    SYSTEM_ACTOR,
    World,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.allowance import CreditType, LedgerEventKind
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.domain.owed import OwedEventKind
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.ports.audit import AuditFilter

LINK = relationship_id(MOTHER)
NEXT_WEEK = date(2026, 3, 10)


async def book(world: World, at: time = time(10, 10), day: date = NEXT_WEEK) -> Booking:
    held = await world.booking.hold(family(MOTHER), LINK, slot_key(day, at))
    booked = await world.booking.confirm(family(MOTHER), held.id)
    assert booked.state is BookingState.BOOKED
    return booked


async def snapshot(world: World) -> tuple[Any, ...]:
    """Everything that an event that was told before must not change."""
    async with world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(), PageRequest(200))).items
    lines = (await world.allowance.history(STAFF, PRISONER, PageRequest(200))).items
    owed = (await world.allowance.owed_history(STAFF, PRISONER, PageRequest(200))).items
    view = await world.allowance.view(STAFF, PRISONER)
    return len(rows), [line.event_key for line in lines], [line.event_key for line in owed], view


async def five_times(world: World, what: Any) -> None:
    await what()
    after_the_first = await snapshot(world)
    for _ in range(4):
        await what()
    assert await snapshot(world) == after_the_first


async def close(world: World, booking: Booking, outcome: OutcomeCode, owed: int) -> None:
    async with world.uow() as u:
        await world.booking.close_within(
            u, SYSTEM_ACTOR, booking.id, BookingState.FAILED, outcome, refund=True, owed=owed
        )
        await u.commit()


async def test_the_same_event_five_times_changes_nothing_after_the_first(world: World) -> None:
    async def give() -> None:
        await world.allowance.grant(
            STAFF, PRISONER, CreditType.COMPASSIONATE, "a death in the family", count=2, event_key="letter-17"
        )

    async def take() -> None:
        await world.allowance.take_away(
            STAFF, PRISONER, CreditType.COMPASSIONATE, "given by mistake", event_key="letter-18"
        )

    await five_times(world, give)
    await five_times(world, take)
    booking = await book(world)
    await five_times(world, lambda: world.booking.confirm(family(MOTHER), booking.id))
    await five_times(world, lambda: close(world, booking, OutcomeCode.TECHNICAL_FAILURE, 1500))
    await five_times(world, lambda: world.allowance.refund_technical(SYSTEM_ACTOR, booking.id, "relay lost"))
    await five_times(world, world.allowance.accrue)
    second = await book(world)
    await five_times(world, lambda: world.booking.cancel(family(MOTHER), second.id))
    view = await world.allowance.view(STAFF, PRISONER)
    assert (view.compassionate, view.balance, view.minutes_owed) == (1, 1, 25)


async def test_a_lost_visit_gives_back_its_credit_and_owes_its_minutes_to_that_relationship(world: World) -> None:
    await world.grant(1)
    booking = await book(world)
    await close(world, booking, OutcomeCode.TECHNICAL_FAILURE, 1800)
    mine = await world.allowance.view(family(MOTHER), PRISONER)
    assert (mine.balance, mine.minutes_owed, dict(mine.owed)) == (1, 30, {})
    assert dict((await world.allowance.view(PRISONER_ACTOR, PRISONER)).owed) == {LINK: 30}
    assert (await world.allowance.view(family("con_friend"), PRISONER)).minutes_owed == 0
    await book(world, time(11, 20))  # the credit first
    assert (await world.allowance.view(STAFF, PRISONER)).minutes_owed == 30
    third = await book(world, time(14, 15))  # then the minutes owed
    view = await world.allowance.view(STAFF, PRISONER)
    assert (view.balance, view.minutes_owed) == (0, 0)
    with pytest.raises(DecisionRefused):
        await book(world, time(15, 25))
    await world.booking.cancel(family(MOTHER), third.id)
    assert (await world.allowance.view(STAFF, PRISONER)).minutes_owed == 30
    lines = (await world.allowance.owed_history(PRISONER_ACTOR, PRISONER, PageRequest())).items
    assert sorted(line.kind for line in lines) == [OwedEventKind.EARNED, OwedEventKind.RETURNED, OwedEventKind.USED]


async def test_minutes_owed_that_do_not_cover_a_visit_do_not_pay_for_it(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(1)
    await close(world, await book(world), OutcomeCode.TECHNICAL_FAILURE, 29 * 60)
    await book(world, time(11, 20))
    with pytest.raises(DecisionRefused):
        await book(world, time(14, 15))


async def test_the_floor_pays_when_nothing_else_does_and_not_beyond(sqlite_world: World) -> None:
    world = sqlite_world
    await world.policies.set(STAFF, STAFF.prison_id, "floor.month_standard", 2, "the law")
    view = await world.allowance.view(STAFF, PRISONER)
    assert (view.balance, view.floor_left, view.floor_until) == (0, 2, date(2026, 3, 31))
    await book(world, time(10, 10))
    await book(world, time(11, 20))
    assert (await world.allowance.view(STAFF, PRISONER)).floor_left == 0
    with pytest.raises(DecisionRefused):
        await book(world, time(14, 15))
    lines = (await world.allowance.history(STAFF, PRISONER, PageRequest())).items
    assert [(line.kind, line.credit_type) for line in lines] == [
        (LedgerEventKind.SPENT, CreditType.FLOOR),
        (LedgerEventKind.GRANTED, CreditType.FLOOR),
    ] * 2
    assert {line.call_day for line in lines} == {NEXT_WEEK}


async def test_the_reception_credit_comes_by_itself_and_goes_after_three_days(sqlite_world: World) -> None:
    world = sqlite_world
    await world.policies.set(STAFF, STAFF.prison_id, "reception.credit_hours", 96, "the law")
    assert (await world.allowance.view(STAFF, PRISONER)).reception == 1
    assert await world.allowance.accrue() == 2
    world.clock.advance(days=3)
    assert await world.allowance.accrue() == 2
    assert (await world.allowance.view(STAFF, PRISONER)).reception == 0


@pytest.mark.parametrize(
    ("ahead", "outcome", "owed"),
    [
        (timedelta(hours=5), OutcomeCode.BATCH_CANCELLATION, 30),
        (timedelta(hours=5), OutcomeCode.ESTABLISHMENT_CANCELLED, 30),
        (timedelta(hours=5), OutcomeCode.VISITOR_CANCELLED, 0),
        (timedelta(hours=25), OutcomeCode.BATCH_CANCELLATION, 0),
    ],
)
async def test_a_lockdown_gives_the_credit_back_and_owes_the_minutes_at_short_notice(
    sqlite_world: World, ahead: timedelta, outcome: OutcomeCode, owed: int
) -> None:
    world = sqlite_world
    await world.grant(1)
    booking = await book(world)
    world.clock.now = booking.starts_at - ahead
    for _ in range(5):
        await world.booking.cancel_many(STAFF, [booking.id], "lockdown", outcome)
    view = await world.allowance.view(STAFF, PRISONER)
    assert (view.balance, view.minutes_owed) == (1, owed)


async def test_a_family_that_cancels_late_is_owed_nothing(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(1)
    booking = await book(world)
    world.clock.now = booking.starts_at - timedelta(hours=2)
    await world.booking.cancel(family(MOTHER), booking.id, reason="ill")
    view = await world.allowance.view(STAFF, PRISONER)
    assert (view.balance, view.minutes_owed) == (1, 0)


async def test_staff_give_for_a_reason_to_their_own_prisoners_and_nobody_takes_what_is_not_there(
    sqlite_world: World,
) -> None:
    world = sqlite_world
    give = world.allowance.grant
    with pytest.raises(Invalid, match="reason"):
        await give(STAFF, PRISONER, CreditType.COMPASSIONATE, " ", event_key="key-0001")
    with pytest.raises(Invalid, match="by hand"):
        await give(STAFF, PRISONER, CreditType.FLOOR, "a reason", event_key="key-0001")
    for actor in (STRANGER_STAFF, family(MOTHER), PRISONER_ACTOR):
        with pytest.raises(NotFound):
            await give(actor, PRISONER, CreditType.COMPASSIONATE, "a reason", event_key="key-0001")
    with pytest.raises(Conflict) as error:
        await world.allowance.take_away(STAFF, PRISONER, CreditType.STANDARD, "a reason", event_key="key-0002")
    assert error.value.code == "no_allowance"
    # One happening may concern two prisoners: each has a ledger of their own.
    assert await give(STAFF, PRISONER, CreditType.COMPASSIONATE, "a reason", event_key="key-0003") == 1
    assert await give(STAFF, OTHER_PRISONER, CreditType.COMPASSIONATE, "a reason", event_key="key-0003") == 1


async def test_a_visit_that_is_moved_counts_where_it_is_now(sqlite_world: World) -> None:
    world = sqlite_world
    await world.policies.set(STAFF, STAFF.prison_id, "floor.month_standard", 1, "the law")
    booking = await book(world, day=date(2026, 3, 29))
    with pytest.raises(DecisionRefused):
        await book(world, day=date(2026, 3, 28))
    world.clock.now += timedelta(days=10)
    await world.booking.change(family(MOTHER), booking.id, slot_key(date(2026, 4, 3), time(10, 10)))
    view = await world.allowance.view(STAFF, PRISONER)
    assert (view.balance, view.floor_left) == (0, 1)
    await book(world, day=date(2026, 3, 28))
