"""A booking from the hold to its end, on both databases."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest

from tests.fixtures.rights import (
    CHILD,
    FRIEND,
    LAWYER,
    LEGAL,
    MOTHER,
    OTHER_PRISONER,
    PRISONER,
    PRISONER_ACTOR,
    SOCIAL,
    STAFF,
    STRANGER_STAFF,
    SYSTEM_ACTOR,
    World,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.errors import Conflict, DecisionRefused, Forbidden, Invalid, NotFound
from visitserver.domain.occupancy import Resource, ResourceKind, Span
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.scheduling import BookingState, SupervisionLevel
from visitserver.services.ports.audit import AuditFilter

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
NEXT_KEY = slot_key(DAY, time(9, 35))


async def book(world: World, contact: str = MOTHER, key: str = KEY, prisoner: str = PRISONER) -> str:
    hold = await world.booking.hold(family(contact), relationship_id(contact, prisoner), key)
    return (await world.booking.confirm(family(contact), hold.id)).id


async def balance(world: World) -> int:
    return (await world.allowance.view(STAFF, PRISONER)).balance


async def test_a_visit_is_held_confirmed_and_paid(world: World) -> None:
    await world.grant(2)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY, guests=[relationship_id(CHILD)])
    assert hold.expires_at == world.clock() + timedelta(minutes=10)
    assert await balance(world) == 2
    booking = await world.booking.confirm(family(MOTHER), hold.id, request_id="req_1")
    assert booking.state is BookingState.BOOKED
    assert booking.contact_ids == (MOTHER, CHILD)
    assert booking.station_id == "stn_1"
    assert await balance(world) == 1
    again = await world.booking.confirm(family(MOTHER), hold.id)
    assert again.id == booking.id
    assert await balance(world) == 1
    async with world.uow(read_only=True) as u:
        (message,) = (await u.outbox.messages(None, PageRequest())).items
        rows = (await u.audit.rows(AuditFilter(object_id=booking.id), PageRequest())).items
        kept = await u.rights.decisions_of_booking(booking.id)
    assert message.topic == "booking.confirmed"
    assert message.payload["booking_id"] == booking.id
    assert [row.action for row in rows] == ["booking.confirm", "booking.hold"]
    assert [record.purpose for record in kept] == ["hold", "confirm"]
    assert {row["key"] for row in kept[-1].trace} >= {"relationship", "restrictions", "window", "allowance"}


async def test_the_same_prisoner_is_not_booked_twice_at_a_time(world: World) -> None:
    await world.grant(5)
    await book(world)
    with pytest.raises(DecisionRefused) as refused:
        await book(world, FRIEND)
    assert refused.value.decision.safe_words == ["This visit is not possible at this time."]
    await book(world, FRIEND, NEXT_KEY)


async def test_the_same_contact_is_not_booked_twice_at_a_time(world: World) -> None:
    await world.grant(5)
    await world.grant(5, OTHER_PRISONER)
    await book(world)
    with pytest.raises(DecisionRefused) as refused:
        await book(world, MOTHER, KEY, OTHER_PRISONER)
    assert refused.value.decision.safe_words == ["Somebody on this booking has another visit at this time."]


async def test_without_a_credit_it_is_refused_with_the_day_of_the_next(world: World) -> None:
    await world.grant(1)
    await book(world)
    await world.policies.set(STAFF, STAFF.prison_id, "allowance.standard_per_accrual", 1, "normal again")
    assert await world.allowance.accrue() == 2
    assert await world.allowance.accrue() == 0
    await book(world, MOTHER, NEXT_KEY)
    with pytest.raises(DecisionRefused) as refused:
        await book(world, MOTHER, slot_key(DAY, time(10, 10)))
    decision = refused.value.decision
    assert decision.safe_words == ["There is no visit left in this period."]
    assert decision.what_would_change == ["The next credit comes on 13 March 2026."]


async def test_a_cancellation_gives_place_and_credit_back_once(world: World) -> None:
    await world.grant(1)
    booking_id = await book(world)
    assert await balance(world) == 0
    cancelled = await world.booking.cancel(family(MOTHER), booking_id)
    assert cancelled.state is BookingState.CANCELLED
    assert cancelled.outcome == OutcomeCode.VISITOR_CANCELLED
    assert await balance(world) == 1
    await world.booking.cancel(family(MOTHER), booking_id)
    assert not await world.allowance.refund_technical(SYSTEM_ACTOR, booking_id, "late news")
    assert await balance(world) == 1
    await book(world, FRIEND)


async def test_a_family_keeps_one_place_at_a_time(world: World) -> None:
    await world.grant(1)
    await world.grant(1, OTHER_PRISONER)
    first = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    friend_s = await world.booking.hold(family(FRIEND), relationship_id(FRIEND), slot_key(DAY, time(10, 10)))
    elsewhere = await world.booking.hold(family(MOTHER), relationship_id(MOTHER, OTHER_PRISONER), NEXT_KEY)
    again = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), NEXT_KEY)
    states = [(await world.bookings.get(STAFF, one.id)).state for one in (first, friend_s, elsewhere, again)]
    assert states == [BookingState.WITHDRAWN, BookingState.HELD, BookingState.WITHDRAWN, BookingState.HELD]
    with pytest.raises(Conflict):
        await world.booking.confirm(family(MOTHER), first.id)
    assert (await world.booking.confirm(family(MOTHER), again.id)).state is BookingState.BOOKED
    with pytest.raises(DecisionRefused):
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    assert (await world.bookings.get(STAFF, friend_s.id)).state is BookingState.HELD


async def test_a_late_cancellation_needs_a_reason(world: World) -> None:
    await world.grant(1)
    booking_id = await book(world)
    world.clock.now = (await world.bookings.get(STAFF, booking_id)).starts_at - timedelta(hours=24)
    with pytest.raises(Invalid, match="reason"):
        await world.booking.cancel(family(MOTHER), booking_id)
    await world.booking.cancel(family(MOTHER), booking_id, reason="ill")
    assert await balance(world) == 1


async def test_a_visit_that_has_begun_is_not_cancelled(world: World) -> None:
    await world.grant(1)
    booking_id = await book(world)
    world.clock.now = (await world.bookings.get(STAFF, booking_id)).starts_at
    with pytest.raises(Conflict):
        await world.booking.cancel(STAFF, booking_id, reason="too late")


async def test_a_technical_failure_refunds_once_however_often_it_is_told(world: World) -> None:
    await world.grant(1)
    booking_id = await book(world)
    given = [await world.allowance.refund_technical(SYSTEM_ACTOR, booking_id, "relay lost") for _ in range(3)]
    assert given == [True, False, False]
    assert await balance(world) == 1


async def test_closing_is_idempotent_and_refunds_our_fault(world: World) -> None:
    await world.grant(1)
    booking_id = await book(world)
    for _ in range(2):
        async with world.uow() as u:
            await world.booking.close_within(
                u,
                SYSTEM_ACTOR,
                booking_id,
                BookingState.FAILED,
                OutcomeCode.TECHNICAL_FAILURE,
                refund=True,
            )
            await u.commit()
    assert await balance(world) == 1
    assert (await world.bookings.get(STAFF, booking_id)).state is BookingState.FAILED


async def test_a_hold_counts_as_taken_until_it_lapses(world: World) -> None:
    await world.grant(1)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    with pytest.raises(DecisionRefused):
        await world.booking.hold(family(FRIEND), relationship_id(FRIEND), KEY)
    world.clock.advance(minutes=9)
    extended = await world.booking.extend(family(MOTHER), hold.id)
    assert extended.hold_expires_at == world.clock() + timedelta(minutes=10)
    with pytest.raises(Conflict):
        await world.booking.extend(family(MOTHER), hold.id)
    world.clock.advance(minutes=10)
    with pytest.raises(Conflict, match="over"):
        await world.booking.confirm(family(MOTHER), hold.id)
    await book(world, FRIEND)
    assert (await world.bookings.get(STAFF, hold.id)).state is BookingState.EXPIRED


async def test_the_minute_job_gives_lapsed_holds_back(world: World) -> None:
    await world.grant(1)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    assert await world.booking.expire_holds() == 0
    world.clock.advance(minutes=11)
    assert await world.booking.expire_holds() == 1
    async with world.uow(read_only=True) as u:
        span = Span.of_call(hold.slot.starts_at, hold.slot.ends_at, buffer=timedelta(minutes=5))
        for kind, name in ((ResourceKind.PRISONER, PRISONER), (ResourceKind.STATION, "stn_1")):
            assert await u.scheduling.holders(Resource(kind, name), span) == set()


async def test_everything_is_checked_again_at_confirmation(world: World) -> None:
    await world.grant(1)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.PERSON,
        subject_id=MOTHER,
        type="BAN",
        authority="Governor",
        starts_on=date(2026, 3, 1),
        ends_on=date(2026, 3, 6),
    )
    with pytest.raises(DecisionRefused) as refused:
        await world.booking.confirm(family(MOTHER), hold.id)
    assert refused.value.decision.safe_words == ["You cannot visit until 6 March 2026."]
    assert refused.value.decision.what_would_change == ["You can book visits for 7 March 2026 and later."]
    assert await balance(world) == 1
    async with world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(action="booking.refused"), PageRequest())).items
    assert rows[0].data["rules"] == ["restrictions"]


async def test_the_day_after_a_ban_can_be_booked(world: World) -> None:
    await world.grant(1)
    await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.PERSON,
        subject_id=MOTHER,
        type="BAN",
        authority="Governor",
        starts_on=date(2026, 3, 1),
        ends_on=date(2026, 3, 5),
    )
    with pytest.raises(DecisionRefused):
        await book(world, key=slot_key(date(2026, 3, 5), time(9)))
    await book(world)


async def test_closed_visits_take_an_officers_seat(world: World) -> None:
    await world.grant(3)
    await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.RELATIONSHIP,
        subject_id=relationship_id(MOTHER),
        type="CLOSED",
        authority="Governor",
        starts_on=date(2026, 3, 1),
    )
    booking = await world.bookings.get(STAFF, await book(world))
    assert booking.supervision is SupervisionLevel.LIVE
    async with world.uow(read_only=True) as u:
        seat = Resource(ResourceKind.SEAT, f"{booking.prison_id}#000")
        span = Span(booking.starts_at, booking.ends_at)
        assert await u.scheduling.holders(seat, span) == {booking.id}
    await world.policies.set(STAFF, STAFF.prison_id, "supervision.officers", 0, "nobody is here")
    with pytest.raises(DecisionRefused) as refused:
        await book(world, key=NEXT_KEY)
    assert refused.value.decision.deciding[0].staff_text == "No officer is free to watch."


async def test_a_restriction_that_asks_for_review_makes_a_request_that_a_person_decides(world: World) -> None:
    await world.grant(2)
    await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.PRISONER,
        subject_id=PRISONER,
        type="SOMETHING-NEW",
        authority="Import",
        starts_on=date(2026, 3, 1),
    )
    first = await world.bookings.get(STAFF, await book(world))
    second = await world.bookings.get(STAFF, await book(world, FRIEND, NEXT_KEY))
    assert {first.state, second.state} == {BookingState.REQUESTED}
    assert await balance(world) == 0
    queue = await world.bookings.requests(STAFF, PageRequest())
    assert [each.id for each in queue.items] == [first.id, second.id]
    approved = await world.booking.decide(STAFF, first.id, approve=True, reason="known here")
    rejected = await world.booking.decide(STAFF, second.id, approve=False, reason="not now")
    assert (approved.state, rejected.state) == (BookingState.BOOKED, BookingState.REJECTED)
    assert await balance(world) == 1


async def test_an_identity_source_that_fails_asks_for_review_and_never_allows(world: World) -> None:
    await world.grant(1)
    world.identity.failure = TimeoutError()
    booking = await world.bookings.get(STAFF, await book(world))
    assert booking.state is BookingState.REQUESTED


async def test_legal_visits_cost_nothing_and_touch_no_ledger(world: World) -> None:
    key = slot_key(date(2026, 3, 2), time(13, 5), LEGAL)
    hold = await world.booking.hold(family(LAWYER), relationship_id(LAWYER), key)
    booking = await world.booking.confirm(family(LAWYER), hold.id)
    assert booking.privileged
    assert booking.supervision is SupervisionLevel.NONE
    assert booking.credit_type is None
    await world.booking.cancel(family(LAWYER), booking.id, reason="moved")
    assert (await world.allowance.history(STAFF, PRISONER, PageRequest())).items == []


async def test_legal_visits_need_two_hours(world: World) -> None:
    soon = slot_key(date(2026, 3, 2), time(12, 30), LEGAL)  # it is 11:00
    with pytest.raises(DecisionRefused) as refused:
        await world.booking.hold(family(LAWYER), relationship_id(LAWYER), soon)
    assert refused.value.decision.deciding[0].key == "window"


async def test_a_social_right_opens_no_legal_session(world: World) -> None:
    await world.grant(1)
    with pytest.raises(DecisionRefused) as refused:
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(DAY, time(9), LEGAL))
    assert refused.value.decision.deciding[0].key == "slot_fit"


async def test_strangers_find_nothing(world: World) -> None:
    await world.grant(1)
    booking_id = await book(world)
    with pytest.raises(NotFound):
        await world.booking.hold(family(FRIEND), relationship_id(MOTHER), NEXT_KEY)
    for stranger in (family(FRIEND), STRANGER_STAFF):
        with pytest.raises(NotFound):
            await world.bookings.get(stranger, booking_id)
        with pytest.raises(NotFound):
            await world.booking.cancel(stranger, booking_id, reason="x")
    with pytest.raises(NotFound):
        await world.why.about(STRANGER_STAFF, relationship_id(MOTHER), KEY)
    with pytest.raises(Forbidden):
        await world.booking.hold(PRISONER_ACTOR, relationship_id(MOTHER), NEXT_KEY)


async def test_staff_book_with_rules_set_aside_and_the_debt_is_repaid(world: World) -> None:
    with pytest.raises(Invalid):
        await world.booking.book(STAFF, relationship_id(MOTHER), KEY, overrides={"restrictions": "no"})
    with pytest.raises(DecisionRefused):
        await world.booking.book(STAFF, relationship_id(MOTHER), KEY)
    booking = await world.booking.book(
        STAFF, relationship_id(MOTHER), KEY, overrides={"allowance": "a birth in the family"}
    )
    assert booking.state is BookingState.BOOKED
    assert await balance(world) == -1
    await world.grant(1)
    assert await balance(world) == 0
    kept = await world.why.kept(STAFF, booking.id)
    assert any("a birth in the family" in row["staff_text"] for row in kept[-1].trace)
    await world.booking.cancel(STAFF, booking.id, reason="lockdown")
    assert await balance(world) == 1


async def test_staff_cannot_set_aside_that_a_slot_has_begun(world: World) -> None:
    await world.grant(1)
    past = slot_key(date(2026, 3, 2), time(10, 45))  # it is 11:00
    with pytest.raises(DecisionRefused) as refused:
        await world.booking.book(STAFF, relationship_id(MOTHER), past, overrides={"window": "they came late"})
    assert [result.key for result in refused.value.decision.deciding] == ["begun"]
    with pytest.raises(Invalid):
        await world.booking.book(STAFF, relationship_id(MOTHER), past, overrides={"begun": "they came late"})


async def test_the_slot_that_runs_now_is_booked_where_policy_says_so(world: World) -> None:
    await world.grant(1)
    world.clock.advance(minutes=15)  # 11:15: the slot of 10:45 to 11:15 is over; 11:20 has not begun
    world.clock.advance(minutes=10)  # 11:25, within 11:20 to 11:50
    running = slot_key(date(2026, 3, 2), time(11, 20))
    with pytest.raises(DecisionRefused):
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER), running)
    await world.policies.set(STAFF, STAFF.prison_id, "booking.notice_days_min", 0, "demo")
    with pytest.raises(DecisionRefused):
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER), running)
    await world.policies.set(STAFF, STAFF.prison_id, "booking.late_start_minutes", 20, "demo")
    await book(world, key=running)


async def test_identity_that_ends_before_the_visit_is_not_enough(world: World) -> None:
    await world.grant(1)
    world.identity.expires_at = world.clock() + timedelta(days=1)
    with pytest.raises(DecisionRefused) as refused:
        await book(world)
    assert refused.value.decision.deciding[0].key == "identity"


async def test_times_beyond_the_calendar_are_a_mistake_and_never_a_failure(world: World) -> None:
    for day in (date.min, date(1999, 12, 31), date(2200, 1, 1), date.max):
        with pytest.raises(Invalid) as refused:
            await world.slots.offers(family(MOTHER), relationship_id(MOTHER), PageRequest(), first=day)
        assert refused.value.field == "first"
    for cursor in ("00010101T0000Z.x", "99991231T2359Z.x"):
        page = await world.slots.offers(family(MOTHER), relationship_id(MOTHER), PageRequest(5, cursor))
        assert len(page.items) == (5 if cursor.startswith("0") else 0)


async def test_the_list_of_slots_says_why_not(world: World) -> None:
    await world.grant(1)
    first = await world.slots.offers(family(MOTHER), relationship_id(MOTHER), PageRequest(limit=10))
    assert len(first.items) == 10
    assert first.items[0].slot.starts_at >= world.clock() - timedelta(minutes=30)
    assert not first.items[0].decision.allowed
    assert first.items[0].decision.safe_words == ["This time has passed."]
    assert first.items[1].decision.safe_words == ["This visit is too soon to book."]
    assert first.items[1].decision.what_would_change == ["Visits can be booked for 4 March 2026 and later."]
    second = await world.slots.offers(
        family(MOTHER), relationship_id(MOTHER), PageRequest(limit=10, cursor=first.next_cursor)
    )
    assert second.items[0].slot.starts_at > first.items[-1].slot.starts_at
    free = await world.slots.next_free(family(MOTHER), relationship_id(MOTHER), count=3)
    assert free[0].slot.key == slot_key(date(2026, 3, 4), time(9))
    assert all(offer.slot.template_id == SOCIAL for offer in free)


async def test_own_lists_are_ones_own(world: World) -> None:
    await world.grant(2)
    booking_id = await book(world)
    assert [each.id for each in (await world.bookings.mine(family(MOTHER), PageRequest())).items] == [booking_id]
    assert (await world.bookings.mine(family(FRIEND), PageRequest())).items == []
    assert [each.id for each in (await world.bookings.mine(PRISONER_ACTOR, PageRequest(), upcoming=True)).items] == [
        booking_id
    ]
    assert [each.id for each in (await world.bookings.day(STAFF, DAY, PageRequest())).items] == [booking_id]
    assert (await world.bookings.day(STAFF, DAY + timedelta(days=1), PageRequest())).items == []
