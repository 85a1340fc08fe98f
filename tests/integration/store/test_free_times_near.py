"""Free times that need no look by a person are offered however soon they are."""

from __future__ import annotations

from datetime import date, time

from tests.fixtures.rights import MOTHER, STAFF, World, family, relationship_id, slot_key
from visitserver.domain.paging import PageRequest


async def test_next_free_on_a_thursday_has_the_weekend(sqlite_world: World) -> None:
    """Nothing is for review; notice is two whole days: Saturday and Sunday can be booked."""
    world = sqlite_world
    world.clock.advance(days=3)  # Thursday 5 March
    await world.grant(3)
    listed = (await world.slots.offers(family(MOTHER), relationship_id(MOTHER), PageRequest(100))).items
    first = next(each for each in listed if each.decision.allowed)
    assert first.slot.day == date(2026, 3, 7)
    free = await world.slots.next_free(family(MOTHER), relationship_id(MOTHER), count=3)
    assert free[0].slot.key == first.slot.key


async def test_alternatives_on_a_thursday_have_the_weekend(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(3)
    booking = await world.booking.book(STAFF, relationship_id(MOTHER), slot_key(date(2026, 3, 7), time(9)))
    world.clock.advance(days=3)
    near = await world.slots.alternatives(family(MOTHER), booking.id)
    assert {each.slot.day for each in near} == {date(2026, 3, 7)}
