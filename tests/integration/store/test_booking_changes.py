"""A booking that moves, places that are offered, overbooking, many cancellations at once, requests that lapse."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from tests.fixtures.rights import (
    CHILD,
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    SOCIAL,
    STAFF,
    STRANGER_STAFF,
    SYSTEM_ACTOR,
    World,
    family,
    make_template,
    relationship_id,
    slot_key,
)
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.errors import Conflict, DecisionRefused, Forbidden, Invalid, NotFound
from visitserver.domain.occupancy import Resource, ResourceKind, Span
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.ports.scheduling import BookingFilter

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
NEXT_KEY = slot_key(DAY, time(9, 35))
SUPERVISOR = Actor(ActorKind.STAFF, "stf_supervisor", PRISON, frozenset({"supervisor"}))


async def book(world: World, contact: str = MOTHER, key: str = KEY, prisoner: str = PRISONER) -> Booking:
    hold = await world.booking.hold(family(contact), relationship_id(contact, prisoner), key)
    return await world.booking.confirm(family(contact), hold.id)


async def balance(world: World) -> int:
    return (await world.allowance.view(STAFF, PRISONER)).balance


async def told(world: World, topic: str) -> list[dict[str, object]]:
    """The payloads of the outbox's messages of one topic, oldest first."""
    async with world.uow(read_only=True) as u:
        found = (await u.outbox.messages(None, PageRequest(200))).items
    return [dict(each.payload) for each in reversed(found) if each.topic == topic]


async def busy(world: World, starts_at: datetime) -> bool:
    """Whether the prisoner is taken then."""
    async with world.uow(read_only=True) as u:
        span = Span(starts_at, starts_at + timedelta(minutes=5))
        return bool(await u.scheduling.taken([Resource(ResourceKind.PRISONER, PRISONER)], span))


async def must_be_looked_at(world: World, starts_on: date) -> None:
    """From that day on a person decides about the prisoner's visits."""
    await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.PRISONER,
        subject_id=PRISONER,
        type="PRE-INFORM",
        authority="the governor",
        starts_on=starts_on,
    )


async def test_a_booking_moves_with_its_credit_and_keeps_its_name(world: World) -> None:
    await world.grant(1)
    before = await book(world)
    old_start = before.starts_at
    moved = await world.booking.change(family(MOTHER), before.id, NEXT_KEY)
    assert (moved.id, moved.state, moved.slot_key) == (before.id, BookingState.BOOKED, NEXT_KEY)
    assert moved.revision == 1
    assert await balance(world) == 0
    assert not await busy(world, old_start)
    assert await busy(world, moved.starts_at)
    async with world.uow(read_only=True) as u:
        (change,) = await u.scheduling.changes_of([moved.id])
        kept = await u.rights.decisions_of_booking(moved.id)
    assert (change.from_slot_key, change.to_slot_key, change.revision) == (KEY, NEXT_KEY, 1)
    assert change.outcome == OutcomeCode.SUPERSEDED
    assert [record.purpose for record in kept] == ["hold", "confirm", "change"]
    assert [(each["booking_id"], each["revision"]) for each in await told(world, "booking.changed")] == [(moved.id, 1)]
    assert [each["slot_key"] for each in await told(world, "place.freed")] == [KEY]
    # Told twice it moves once; the place it left is somebody else's now.
    assert (await world.booking.change(family(MOTHER), before.id, NEXT_KEY)).revision == 1
    await world.grant(1)
    await book(world, FRIEND, KEY)
    cancelled = await world.booking.cancel(family(MOTHER), moved.id)
    assert cancelled.state is BookingState.CANCELLED
    assert await balance(world) == 1


async def test_a_move_that_is_refused_changes_nothing(world: World) -> None:
    await world.grant(1)
    await world.grant(1, OTHER_PRISONER)
    mine = await book(world)
    await book(world, FRIEND, NEXT_KEY, OTHER_PRISONER)
    with pytest.raises(DecisionRefused) as refused:
        # The friend, a guest, is at another visit then.
        await world.booking.change(family(MOTHER), mine.id, NEXT_KEY, guests=[relationship_id(FRIEND)])
    assert refused.value.decision.result("one_at_a_time").safe_text
    for key, error in ((slot_key(date(2026, 3, 3), time(9)), DecisionRefused), (slot_key(DAY, time(9, 5)), Conflict)):
        with pytest.raises(error):
            await world.booking.change(family(MOTHER), mine.id, key)
    with pytest.raises(NotFound):
        await world.booking.change(family(FRIEND), mine.id, NEXT_KEY)
    with pytest.raises(NotFound):
        await world.booking.change(STRANGER_STAFF, mine.id, NEXT_KEY, reason="ours")
    with pytest.raises(Conflict, match="meanwhile"):
        await world.booking.change(STAFF, mine.id, slot_key(DAY, time(10, 10)), revision=7, reason="wrong page")
    with pytest.raises(Invalid, match="reason"):
        await world.booking.change(STAFF, mine.id, slot_key(DAY, time(10, 10)))
    now = await world.bookings.get(STAFF, mine.id)
    assert (now.slot_key, now.state, now.revision) == (KEY, BookingState.BOOKED, 0)
    assert await busy(world, now.starts_at)
    assert await balance(world) == 0
    world.clock.now = now.starts_at
    with pytest.raises(Conflict):
        await world.booking.change(family(MOTHER), mine.id, slot_key(DAY, time(15, 25)))


async def test_guests_and_station_change_at_the_same_time_too(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(1)
    mine = await book(world)
    assert mine.station_id == "stn_1"
    with_child = await world.booking.change(family(MOTHER), mine.id, KEY, guests=[relationship_id(CHILD)])
    assert with_child.contact_ids == (MOTHER, CHILD)
    elsewhere = await world.booking.change(STAFF, mine.id, KEY, station_id="stn_2", reason="a broken screen")
    assert (elsewhere.station_id, elsewhere.contact_ids, elsewhere.revision) == ("stn_2", (MOTHER, CHILD), 2)
    async with world.uow(read_only=True) as u:
        outcomes = [each.outcome for each in await u.scheduling.changes_of([mine.id])]
    assert outcomes == [OutcomeCode.DETAILS_CHANGED] * 2
    assert await told(world, "place.freed") == []
    with pytest.raises(Invalid):
        await world.booking.change(STAFF, mine.id, KEY, station_id="stn_9", reason="none such")


async def test_a_move_to_a_time_that_costs_something_else_is_not_made(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(1)
    async with world.uow() as u:
        u.scheduling.add(make_template("tpl_free", credit_type=None, starts_at=time(18), ends_at=time(20)))
        await u.commit()
    mine = await book(world)
    with pytest.raises(Conflict) as refused:
        await world.booking.change(family(MOTHER), mine.id, slot_key(DAY, time(18), "tpl_free"))
    assert refused.value.code == "other_credit"
    # The other way round it is charged when it moves.
    free = await book(world, FRIEND, slot_key(DAY, time(18), "tpl_free"))
    assert await balance(world) == 0
    await world.grant(1)
    await world.booking.change(family(FRIEND), free.id, slot_key(DAY, time(11, 20)))
    assert await balance(world) == 0


async def test_a_booking_that_moves_under_a_new_restriction_waits_for_a_person(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(1)
    mine = await book(world)
    await must_be_looked_at(world, date(2026, 3, 9))
    moved = await world.booking.change(family(MOTHER), mine.id, slot_key(date(2026, 3, 10), time(9)))
    assert moved.state is BookingState.REQUESTED
    approved = await world.booking.decide(STAFF, mine.id, approve=True, reason="looked at")
    assert approved.state is BookingState.BOOKED
    assert await balance(world) == 0


async def test_the_nearest_times_that_the_same_people_could_have(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(1)
    mine = await book(world, key=slot_key(DAY, time(11, 55)))
    await world.grant(1, OTHER_PRISONER)
    await book(world, FRIEND, slot_key(DAY, time(11, 55)), OTHER_PRISONER)
    keys = [offer.slot.key for offer in await world.slots.alternatives(family(MOTHER), mine.id)]
    assert keys == [slot_key(DAY, at) for at in (time(10, 45), time(11, 20), time(12, 30))]
    assert [offer.slot.key for offer in await world.slots.alternatives(SYSTEM_ACTOR, mine.id)] == keys
    moved = await world.booking.change(family(MOTHER), mine.id, keys[0])
    assert moved.slot_key == keys[0]
    with pytest.raises(NotFound):
        await world.slots.alternatives(STRANGER_STAFF, mine.id)
    with pytest.raises(Invalid):
        await world.slots.alternatives(STAFF, mine.id, 0)


async def test_an_offered_place_is_kept_for_two_hours_and_then_goes_on(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(2)
    offered = await world.booking.offer(SYSTEM_ACTOR, relationship_id(MOTHER), KEY)
    assert offered.expires_at == world.clock() + timedelta(hours=2)
    with pytest.raises(Conflict):
        await world.booking.extend(family(MOTHER), offered.id)
    with pytest.raises(Forbidden):
        await world.booking.offer(family(MOTHER), relationship_id(MOTHER), NEXT_KEY)
    other = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), NEXT_KEY)
    assert (await world.bookings.get(STAFF, offered.id)).state is BookingState.HELD  # another hold leaves it alone
    await world.booking.cancel(family(MOTHER), other.id)
    world.clock.advance(minutes=119)
    assert await world.booking.expire_holds() == 0
    booked = await world.booking.confirm(family(MOTHER), offered.id)
    assert (booked.state, booked.hold_kind) == (BookingState.BOOKED, None)
    lapsing = await world.booking.offer(SYSTEM_ACTOR, relationship_id(FRIEND), NEXT_KEY)
    world.clock.advance(hours=2)
    assert await world.booking.expire_holds() == 1
    with pytest.raises(Conflict):
        await world.booking.confirm(family(FRIEND), lapsing.id)
    assert [each["slot_key"] for each in await told(world, "place.freed")] == [NEXT_KEY, NEXT_KEY]


async def test_whoever_may_overbooks_with_a_reason_and_only_the_capacity(world: World) -> None:
    async with world.uow() as u:
        u.scheduling.add(make_template("tpl_one", capacity=1, starts_at=time(18), ends_at=time(20)))
        await u.commit()
    await world.grant(2)
    await world.grant(2, OTHER_PRISONER)
    key = slot_key(DAY, time(18), "tpl_one")
    await book(world, key=key)
    other = relationship_id(FRIEND, OTHER_PRISONER)
    with pytest.raises(DecisionRefused):
        await world.booking.book(SUPERVISOR, other, key)
    with pytest.raises(Forbidden):
        await world.booking.book(STAFF, other, key, overrides={"free_place": "a birthday"})
    with pytest.raises(Invalid, match="reason"):
        await world.booking.book(SUPERVISOR, other, key, overrides={"free_place": " "})
    beyond = await world.booking.book(SUPERVISOR, other, key, overrides={"free_place": "a birthday"})
    assert (beyond.overbook_reason, beyond.station_id) == ("a birthday", "stn_2")
    within = await world.booking.book(
        SUPERVISOR, other, slot_key(DAY, time(18, 35), "tpl_one"), overrides={"free_place": "to be sure"}
    )
    assert within.overbook_reason is None
    async with world.uow(read_only=True) as u:
        today = world.clock()
        wanted = BookingFilter(
            prison_id=PRISON, overbooked=True, created_from=today, created_before=today + timedelta(days=1)
        )
        page = await u.scheduling.bookings(wanted, PageRequest())
    assert [each.id for each in page.items] == [beyond.id]
    # A third person: the place could be had, a station cannot.
    with pytest.raises(DecisionRefused):
        await world.booking.book(
            SUPERVISOR, relationship_id(CHILD, OTHER_PRISONER), key, overrides={"free_place": "one more"}
        )


async def test_many_are_cancelled_with_one_reason(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(2)
    first, second = await book(world), await book(world, FRIEND, NEXT_KEY)
    with pytest.raises(Forbidden):
        await world.booking.cancel_many(family(MOTHER), [first.id], "no")
    with pytest.raises(Invalid):
        await world.booking.cancel_many(STAFF, [first.id], " ")
    wrong = await world.booking.cancel_many(STAFF, [first.id], "wrong", OutcomeCode.SUPERSEDED)
    assert wrong.refused == {first.id: "outcome"}
    report = await world.booking.cancel_many(STAFF, [first.id, "bkg_none", second.id, first.id], "a burst pipe")
    assert report.cancelled == (first.id, second.id)
    assert report.refused == {"bkg_none": "not_found"}
    again = await world.booking.cancel_many(STAFF, [first.id, second.id], "a burst pipe")
    assert again.cancelled == (first.id, second.id)
    assert await balance(world) == 2
    assert len(await told(world, "booking.cancelled")) == 2
    assert (await world.bookings.get(STAFF, first.id)).outcome == OutcomeCode.BATCH_CANCELLATION


async def request(world: World, key: str) -> Booking:
    """A booking that a person has to decide."""
    await world.grant(1)
    await must_be_looked_at(world, date(2026, 3, 1))
    asked = await book(world, key=key)
    assert asked.state is BookingState.REQUESTED
    return asked


async def test_a_request_that_nobody_decides_is_escalated_and_rejected_at_eight(world: World) -> None:
    """Monday, for Friday: it comes within the notice of two days on Wednesday. 20:00 in Helsinki is 18:00 UTC."""
    asked = await request(world, KEY)
    lapses = datetime(2026, 3, 4, 18, tzinfo=UTC)
    for moment, done, state in (
        (lapses - timedelta(hours=24, minutes=1), 0, BookingState.REQUESTED),
        (lapses - timedelta(hours=24), 1, BookingState.REQUESTED),
        (lapses - timedelta(minutes=1), 0, BookingState.REQUESTED),
        (lapses, 1, BookingState.AUTO_REJECTED),
        (lapses + timedelta(minutes=1), 0, BookingState.AUTO_REJECTED),
    ):
        world.clock.now = moment
        assert await world.booking.lapse_requests() == done, moment
        assert (await world.bookings.get(STAFF, asked.id)).state is state
    assert await balance(world) == 1
    assert not await busy(world, asked.starts_at)
    for topic in ("booking.escalated", "booking.auto_rejected", "place.freed"):
        assert len(await told(world, topic)) == 1
    with pytest.raises(Conflict):
        await world.booking.decide(STAFF, asked.id, approve=True, reason="too late")
    async with world.uow(read_only=True) as u:
        kept = await u.rights.decisions_of_booking(asked.id)
    assert kept[-1].purpose == "auto_reject"


async def test_a_request_that_is_decided_in_time_is_let_be(sqlite_world: World) -> None:
    world = sqlite_world
    asked = await request(world, KEY)
    world.clock.now = datetime(2026, 3, 4, 17, 59, tzinfo=UTC)
    assert await world.booking.lapse_requests() == 1  # the escalation
    await world.booking.decide(STAFF, asked.id, approve=True, reason="in time")
    world.clock.advance(hours=1)
    assert await world.booking.lapse_requests() == 0
    assert (await world.bookings.get(STAFF, asked.id)).state is BookingState.BOOKED


async def test_what_is_over_takes_up_nobody(sqlite_world: World) -> None:
    world = sqlite_world
    await world.grant(1)
    mine = await book(world)
    async with world.uow() as u:
        await world.booking.close_within(
            u, SYSTEM_ACTOR, mine.id, BookingState.COMPLETED, OutcomeCode.COMPLETED_NORMALLY, refund=False
        )
        await u.commit()
    assert not await busy(world, mine.starts_at)
    assert SOCIAL in mine.slot_key
