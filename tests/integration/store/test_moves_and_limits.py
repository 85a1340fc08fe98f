"""A visit that moves to another day counts like a new one there; one that stays counts as when it was made."""

from __future__ import annotations

from datetime import date, time

import pytest

from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    PRISON,
    STAFF,
    World,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.errors import DecisionRefused
from visitserver.domain.scheduling import Booking

FIRST_WEEK = slot_key(date(2026, 3, 6), time(9))
SECOND_WEEK = [slot_key(date(2026, 3, 9 + number), time(9)) for number in range(3)]


async def book(world: World, key: str) -> Booking:
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), key)
    world.clock.advance(minutes=1)
    return await world.booking.confirm(family(MOTHER), hold.id)


async def limited(world: World) -> tuple[Booking, Booking, Booking]:
    """Two visits a week; one in the first, then two in the second."""
    await world.policies.set(STAFF, PRISON, "limits.week_convicted", 2, "a full house")
    await world.grant(4)
    first = await book(world, FIRST_WEEK)
    return first, await book(world, SECOND_WEEK[0]), await book(world, SECOND_WEEK[1])


async def test_moving_into_a_full_week_is_refused(world: World) -> None:
    first, *_ = await limited(world)
    with pytest.raises(DecisionRefused) as refused:
        await world.booking.change(family(MOTHER), first.id, SECOND_WEEK[2])
    (objection,) = refused.value.decision.deciding
    assert (objection.key, objection.inputs["visits"]) == ("week_limit", 2)
    offered = await world.slots.alternatives(family(MOTHER), first.id, 20)
    assert {each.slot.day.isocalendar().week for each in offered} == {first.starts_at.isocalendar().week}


async def test_a_visit_that_moves_within_its_week_does_not_count_itself(sqlite_world: World) -> None:
    _, second, _ = await limited(sqlite_world)
    moved = await sqlite_world.booking.change(family(MOTHER), second.id, SECOND_WEEK[2])
    assert moved.slot_key == SECOND_WEEK[2]


async def test_a_visit_that_stays_on_its_day_is_not_pushed_out_by_those_made_after_it(sqlite_world: World) -> None:
    world = sqlite_world
    _, second, _ = await limited(world)
    await world.booking.book(STAFF, relationship_id(FRIEND), SECOND_WEEK[2], overrides={"week_limit": "a birthday"})
    later = slot_key(date(2026, 3, 9), time(10, 10))
    assert (await world.booking.change(family(MOTHER), second.id, later)).slot_key == later
