"""Requests that a person decides: what staff had set aside stays so, and one that cannot be read stops no other."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    STAFF,
    World,
    family,
    make_template,
    relationship_id,
    slot_key,
)
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Conflict, DecisionRefused
from visitserver.domain.occupancy import Span, watched_places
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.scheduling import Booking, BookingState, SupervisionLevel
from visitserver.services.partly_failed import PartlyFailed
from visitserver.services.placing import Locked, Placing
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.settling import Settling

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
NEXT_KEY = slot_key(DAY, time(9, 35))
ONE = "tpl_one"
SUPERVISOR = Actor(ActorKind.STAFF, "stf_supervisor", PRISON, frozenset({"supervisor"}))


async def restrict(world: World, type_: str, contact: str = MOTHER, prisoner: str = PRISONER) -> None:
    """From 1 March on, on one relationship."""
    await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.RELATIONSHIP,
        subject_id=relationship_id(contact, prisoner),
        type=type_,
        authority="the governor",
        starts_on=date(2026, 3, 1),
    )


async def book(world: World, contact: str, key: str, prisoner: str = PRISONER) -> Booking:
    hold = await world.booking.hold(family(contact), relationship_id(contact, prisoner), key)
    return await world.booking.confirm(family(contact), hold.id)


async def state(world: World, booking: Booking) -> BookingState:
    return (await world.bookings.get(STAFF, booking.id)).state


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_one_request_that_fails_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.grant(2)
    await restrict(world, "PRE-INFORM")
    bad, good = await book(world, MOTHER, KEY), await book(world, MOTHER, NEXT_KEY)
    give_back = Settling.give_back

    async def cannot_be_read(
        self: Settling, u: UnitOfWork, actor: Actor, booking: Booking, cause: str, request_id: str | None
    ) -> None:
        if booking.id == bad.id:
            raise ValueError("an event of the ledger that nobody understands")
        await give_back(self, u, actor, booking, cause, request_id)

    monkeypatch.setattr(Settling, "give_back", cannot_be_read)
    world.clock.now = datetime(2026, 3, 4, 18, tzinfo=UTC)
    with pytest.raises(PartlyFailed) as partly:
        await world.booking.lapse_requests()
    assert (partly.value.failed, partly.value.done) == (1, 1)
    assert [await state(world, each) for each in (bad, good)] == [BookingState.REQUESTED, BookingState.AUTO_REJECTED]
    monkeypatch.undo()
    assert await world.booking.lapse_requests() == 1
    assert await state(world, bad) is BookingState.AUTO_REJECTED


async def test_what_staff_set_aside_stays_so_when_the_request_is_approved(world: World) -> None:
    async with world.uow() as u:
        u.scheduling.add(make_template(ONE, capacity=1, starts_at=time(18), ends_at=time(20)))
        await u.commit()
    await world.policies.set(STAFF, PRISON, "limits.week_convicted", 1, "a full house")
    await world.grant(2)
    await world.grant(1, OTHER_PRISONER)
    key = slot_key(DAY, time(18), ONE)
    await book(world, FRIEND, key, OTHER_PRISONER)
    await book(world, FRIEND, KEY)
    await restrict(world, "PRE-INFORM")
    wished = {"free_place": "a birthday", "week_limit": "a birthday"}
    asked = await world.booking.book(SUPERVISOR, relationship_id(MOTHER), key, overrides=wished)
    assert asked.state is BookingState.REQUESTED
    approved = await world.booking.decide(STAFF, asked.id, approve=True, reason="looked at")
    assert (approved.state, approved.overbook_reason) == (BookingState.BOOKED, "a birthday")
    async with world.uow(read_only=True) as u:
        kept = (await u.rights.decisions_of_booking(asked.id))[-1]
    assert kept.purpose == "approve"
    assert {row["key"]: row["set_aside"] for row in kept.trace if row["set_aside"]} == wished


async def test_a_request_that_was_asked_for_in_time_sets_no_rule_aside(sqlite_world: World) -> None:
    """What is kept of its approval names no reason that nobody gave; staff's own reason stands where they gave one."""
    world = sqlite_world
    await world.grant(2)
    await restrict(world, "PRE-INFORM")
    in_time = await book(world, MOTHER, KEY)
    world.clock.now = datetime(2026, 3, 5, 8, tzinfo=UTC)
    late = await world.booking.book(STAFF, relationship_id(MOTHER), NEXT_KEY, overrides={"window": "a birthday"})
    for asked, kept_text, reason in ((in_time, "It was asked for in time.", None), (late, "", "a birthday")):
        approved = await world.booking.decide(STAFF, asked.id, approve=True, reason="looked at")
        assert approved.state is BookingState.BOOKED
        async with world.uow(read_only=True) as u:
            (row,) = [
                each for each in (await u.rights.decisions_of_booking(asked.id))[-1].trace if each["key"] == "window"
            ]
        assert row["set_aside"] == reason
        assert kept_text in row["staff_text"]


async def test_what_nobody_set_aside_still_refuses_an_approval(world: World) -> None:
    """What came after the request: a ban."""
    await world.grant(1)
    await restrict(world, "PRE-INFORM")
    asked = await world.booking.book(STAFF, relationship_id(MOTHER), KEY)
    await restrict(world, "BAN")
    for _ in range(2):  # the refusal that is kept of the first takes nothing away, and gives nothing
        with pytest.raises(DecisionRefused):
            await world.booking.decide(STAFF, asked.id, approve=True, reason="looked at")
    assert await state(world, asked) is BookingState.REQUESTED


async def test_a_visit_that_comes_to_be_watched_is_one_of_the_sessions_watched_calls(world: World) -> None:
    async with world.uow() as u:
        u.scheduling.add(make_template(ONE, capacity_supervised=1, starts_at=time(18), ends_at=time(20)))
        await u.commit()
    await world.grant(1)
    await world.grant(1, OTHER_PRISONER)
    key = slot_key(DAY, time(18), ONE)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), key)
    await restrict(world, "CLOSED")
    await restrict(world, "CLOSED", FRIEND, OTHER_PRISONER)
    first = await world.booking.confirm(family(MOTHER), hold.id)
    assert first.supervision is SupervisionLevel.LIVE
    async with world.uow(read_only=True) as u:
        (watched,) = watched_places(key, 1)
        assert await u.scheduling.holders(watched, Span(first.starts_at, first.ends_at)) == {first.id}
    with pytest.raises(DecisionRefused) as refused:
        await book(world, FRIEND, key, OTHER_PRISONER)
    assert refused.value.decision.deciding[0].staff_text == "The session has no watched call left."


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_a_request_that_is_moved_while_it_is_decided_is_not_approved_as_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.grant(2)
    await restrict(world, "PRE-INFORM")
    request = await book(world, MOTHER, KEY)
    lock = Placing.links_of

    async def moved_first(self: Placing, u: UnitOfWork, booking: Booking, slot_key: str | None = None) -> Locked:
        monkeypatch.setattr(Placing, "links_of", lock)
        await world.booking.change(family(MOTHER), booking.id, NEXT_KEY)
        return await lock(self, u, booking, slot_key)

    monkeypatch.setattr(Placing, "links_of", moved_first)
    with pytest.raises(Conflict) as refused:
        await world.booking.decide(SUPERVISOR, request.id, approve=True, reason="seen")
    assert refused.value.code == "changed_meanwhile"
    assert await state(world, request) is BookingState.REQUESTED
    approved = await world.booking.decide(SUPERVISOR, request.id, approve=True, reason="seen")
    assert (approved.state, approved.slot_key) == (BookingState.BOOKED, NEXT_KEY)
