"""A right that is lost after the booking is lost at the door of the call too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.fixtures.rights import LAWYER, MOTHER, PRISONER, PRISONER_ACTOR, STAFF, World, family, relationship_id
from tests.unit.services.calls_for_tests import DAY, PRISON, Calls, calls_of
from tests.unit.services.flags_for_tests import make_flagged
from visitserver.domain.errors import Conflict, Unavailable
from visitserver.domain.rights import RestrictionEffect, RestrictionScope
from visitserver.store.repositories.facts import SqlDaysRows

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


def own_block(type_: str = "PRISON-BLOCK") -> Loss:
    """What the prison, and no court, lays on the prisoner."""
    return lambda world: world.restrictions.add(
        STAFF,
        scope=RestrictionScope.PRISONER,
        subject_id=PRISONER,
        type=type_,
        authority="governor",
        starts_on=DAY,
        effect=RestrictionEffect.BLOCK,
    )


async def floor(calls: Calls, visits: int) -> None:
    await calls.world.policies.set(STAFF, PRISON, "floor.month_standard", visits, "test")


async def joins(calls: Calls, contact: str, booking_id: str) -> bool:
    try:
        await calls.service.join_ticket(family(contact), booking_id)
    except Conflict as error:
        assert error.code == "right_lost"
        return False
    return True


@pytest.mark.parametrize("type_", ["CELLULAR-CONFINEMENT", "LOSS-OF-VISITS"])
async def test_a_punishment_takes_no_lawyer_away(calls: Calls, type_: str) -> None:
    call = await calls.opened(legal=True, contact=LAWYER)
    await calls.check(await calls.booking(call), contact=LAWYER)
    calls.clock.advance(seconds=1)
    await own_block(type_)(calls.world)
    assert await joins(calls, LAWYER, call.booking_id)
    await calls.service.join_ticket(PRISONER_ACTOR, call.booking_id, station_id="stn_1")


async def test_a_punishment_stops_at_the_floor_at_the_door_too(calls: Calls) -> None:
    await floor(calls, 2)
    call = await calls.opened()
    await calls.check(await calls.booking(call))
    calls.clock.advance(seconds=1)
    await own_block("DISCIPLINE")(calls.world)
    assert await joins(calls, MOTHER, call.booking_id)
    calls.clock.advance(seconds=1)
    await floor(calls, 0)
    assert not await joins(calls, MOTHER, call.booking_id), "beyond the floor it is what it says"


async def test_whoever_books_within_the_floor_of_a_punishment_gets_in(calls: Calls) -> None:
    await floor(calls, 2)
    await own_block("DISCIPLINE")(calls.world)
    call = await calls.opened()
    await calls.check(await calls.booking(call))
    assert await joins(calls, MOTHER, call.booking_id)


async def test_what_the_prison_lays_on_the_prisoner_asks_a_person_about_a_lawyer(calls: Calls) -> None:
    flagged = make_flagged(calls.world)
    call = await calls.opened(legal=True, contact=LAWYER)
    booking = await calls.booking(call)
    await calls.check(booking, contact=LAWYER)
    calls.clock.advance(seconds=1)
    await own_block()(calls.world)
    assert not await joins(calls, LAWYER, booking.id), "nobody has looked at it yet"
    (flag,) = [each for each in await flagged.of(booking) if each.open]
    await flagged.flags.keep(STAFF, flag.id, "the defence has a right to it")
    assert await joins(calls, LAWYER, booking.id)


@pytest.mark.parametrize("type_", ["COURT-ORDER", "NON-CONTACT"])
async def test_a_courts_order_closes_the_door_to_anybody(calls: Calls, type_: str) -> None:
    call = await calls.opened(legal=True, contact=LAWYER)
    await calls.check(await calls.booking(call), contact=LAWYER)
    calls.clock.advance(seconds=1)
    await own_block(type_)(calls.world)
    assert not await joins(calls, LAWYER, call.booking_id)


async def test_nobody_joins_while_the_restrictions_cannot_be_read(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = await calls.opened()
    await calls.check(await calls.booking(call))

    def away(*_: object) -> list[object]:
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(SqlDaysRows, "restrictions", away)
        with pytest.raises(Unavailable):
            await calls.service.join_ticket(family(MOTHER), call.booking_id)
    assert await joins(calls, MOTHER, call.booking_id)
