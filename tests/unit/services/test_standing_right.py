"""A right that is lost after the booking is lost at the door of the call too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.fixtures.rights import MOTHER, PRISONER, PRISONER_ACTOR, STAFF, World, family, relationship_id
from tests.unit.services.calls_for_tests import DAY, Calls, calls_of
from visitserver.domain.errors import Conflict
from visitserver.domain.rights import RestrictionScope

Loss = Callable[[World], Awaitable[object]]


@pytest.fixture
async def calls(sqlite_world: World) -> AsyncIterator[Calls]:
    async with calls_of(sqlite_world) as made:
        yield made


def restriction(type_: str, scope: RestrictionScope, subject_id: str) -> Loss:
    return lambda world: world.restrictions.add(
        STAFF, scope=scope, subject_id=subject_id, type=type_, authority="court", starts_on=DAY
    )


LOSSES: dict[str, Loss] = {
    "approval taken back": lambda world: world.relationships.end(STAFF, relationship_id(MOTHER), "threats"),
    "prisoner says no": lambda world: world.relationships.answer(PRISONER_ACTOR, relationship_id(MOTHER), accept=False),
    "contact steps back": lambda world: world.relationships.withdraw(family(MOTHER), relationship_id(MOTHER)),
    "non-contact order": restriction("NON-CONTACT", RestrictionScope.RELATIONSHIP, relationship_id(MOTHER)),
    "ban": restriction("BAN", RestrictionScope.PERSON, MOTHER),
    "of a type nobody has described": restriction("NEW-CODE", RestrictionScope.PRISONER, PRISONER),
    "an officer must watch, and nobody was told to": restriction("CLOSED", RestrictionScope.PRISONER, PRISONER),
}


@pytest.mark.parametrize("how", LOSSES)
async def test_nobody_joins_on_a_right_that_was_lost_after_the_booking(calls: Calls, how: str) -> None:
    call = await calls.opened()
    await calls.check(await calls.booking(call))
    await calls.service.join_ticket(family(MOTHER), call.booking_id)
    calls.clock.advance(seconds=1)
    await LOSSES[how](calls.world)
    words = set()
    for actor, station_id in ((family(MOTHER), None), (PRISONER_ACTOR, "stn_1")):
        with pytest.raises(Conflict) as error:
            await calls.service.join_ticket(actor, call.booking_id, station_id=station_id)
        assert error.value.code == "right_lost"
        words.add(error.value.detail)
    assert words == {"This visit does not take place."}, "neither side learns whose no it was"


async def test_a_restriction_of_another_day_or_another_person_takes_nothing(calls: Calls) -> None:
    call = await calls.opened()
    await calls.check(await calls.booking(call))
    await calls.world.restrictions.add(
        STAFF,
        scope=RestrictionScope.RELATIONSHIP,
        subject_id=relationship_id("con_friend"),
        type="BAN",
        authority="court",
        starts_on=DAY,
    )
    await calls.world.restrictions.add(
        STAFF,
        scope=RestrictionScope.PERSON,
        subject_id=MOTHER,
        type="BAN",
        authority="court",
        starts_on=DAY.replace(day=DAY.day + 1),
    )
    await calls.service.join_ticket(family(MOTHER), call.booking_id)


async def test_what_a_person_had_seen_when_deciding_does_not_close_the_door(calls: Calls) -> None:
    await calls.world.restrictions.add(
        STAFF, scope=RestrictionScope.PRISONER, subject_id=PRISONER, type="CLOSED", authority="governor", starts_on=DAY
    )
    call = await calls.opened()
    assert call.supervision == "live"
    await calls.check(await calls.booking(call))
    await calls.service.join_ticket(family(MOTHER), call.booking_id)
