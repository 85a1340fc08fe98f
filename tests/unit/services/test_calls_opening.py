"""Calls opened in time, their events stored once, their ends accounted; on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from signaling.calls import CallEvent, Phase, Recorder, replay
from signaling.ids import new_call_id
from signaling.media.leg import Kind
from signaling.media.listener import PeerLost
from tests.fakes.media_room import OFFER
from tests.fixtures.rights import MOTHER, PRISONER, STAFF, World, family
from tests.fixtures.waiting import eventually
from tests.unit.services.calls_for_tests import DAY, OFFICER, Calls, calls_of
from visitserver.domain.calls import Call, CallPhase, OutcomeCode
from visitserver.domain.errors import Conflict
from visitserver.domain.identity import CheckState
from visitserver.domain.paging import PageRequest
from visitserver.domain.recordings import RecordingState
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.scheduling import BookingState
from visitserver.services.call_history import event_of
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.calls import CallFilter


@pytest.fixture
async def calls(world: World) -> AsyncIterator[Calls]:
    async with calls_of(world) as made:
        yield made


async def until(calls: Calls, call: Call, type: str) -> None:
    """Wait for an event of that type to be the last that is stored."""
    async with asyncio.timeout(60):
        while True:
            events = await calls.service.events(OFFICER, call.id)
            if events and events[-1].type == type:
                return
            await asyncio.sleep(0.02)


async def balance(calls: Calls) -> int:
    return (await calls.world.allowance.view(STAFF, PRISONER)).balance


async def recording_state(calls: Calls, recording_id: str | None) -> RecordingState:
    assert recording_id is not None
    async with calls.world.uow(read_only=True) as u:
        return (await u.recordings.get(recording_id)).state


async def test_a_call_is_opened_a_quarter_of_an_hour_before(calls: Calls) -> None:
    booking = await calls.book()
    await calls.at(-901)
    assert await calls.opener.run_once() == 0
    await calls.at(-900)
    assert await calls.opener.run_once() == 1
    call = await calls.of(booking)
    assert (call.recorded, call.supervision, call.starts_at) == (True, "sample", booking.starts_at)
    snapshot = await calls.control.snapshot(calls.id(call))
    assert (snapshot.phase, snapshot.recorder) == (Phase.LOBBY_OPEN, Recorder.ATTACHED)
    assert calls.legs[0].warrant.recording_id == call.recording_id
    assert await recording_state(calls, call.recording_id) is RecordingState.RECORDING
    assert await calls.opener.run_once() == 1
    assert (len(calls.legs), len(calls.node.rooms)) == (1, 1)


async def test_two_openers_make_one_call(calls: Calls) -> None:
    await calls.book()
    await calls.at(-900)
    await asyncio.gather(*(calls.opener.run_once() for _ in range(4)))
    async with calls.world.uow(read_only=True) as u:
        assert len((await u.calls.calls(CallFilter(), PageRequest())).items) == 1
    assert len(calls.node.rooms) == 1


async def test_the_prison_s_policies_make_the_charter(calls: Calls) -> None:
    await calls.world.policies.set(STAFF, STAFF.prison_id, "call.recording_required", False, "trial")
    await calls.world.policies.set(STAFF, STAFF.prison_id, "call.watch_banner", True, "trial")
    await calls.world.policies.set(STAFF, STAFF.prison_id, "call.lobby_minutes", 30, "trial")
    booking = await calls.book()
    await calls.at(-1800)
    assert await calls.opener.run_once() == 1
    call = await calls.of(booking)
    assert (call.recorded, call.recording_id, call.watch_banner) == (False, None, True)
    assert calls.legs == []


async def test_a_call_that_must_be_recorded_waits_for_its_recorder(calls: Calls) -> None:
    calls.storage_full = True
    call = await calls.opened()
    media = await calls.go_live(call)
    assert ((await calls.control.snapshot(calls.id(call))).phase, media.gate) == (Phase.LOBBY_OPEN, False)
    calls.storage_full = False
    await calls.opener.run_once()
    assert ((await calls.control.snapshot(calls.id(call))).phase, media.gate) == (Phase.LIVE, True)


async def test_a_recorder_that_fails_is_replaced_by_a_new_part(calls: Calls) -> None:
    call = await calls.opened()
    media = await calls.go_live(call)
    calls.legs[0].fail("storage")
    assert not media.gate
    await calls.opener.run_once()
    assert media.gate
    first, second = (leg.warrant.recording_id for leg in calls.legs)
    assert first != second
    assert (await calls.stored(call)).recording_id == second


async def test_a_call_from_opening_to_account(calls: Calls) -> None:
    call = await calls.opened()
    assert await balance(calls) == 0
    await calls.go_live(call)
    await calls.at(1800)
    over = await calls.over(call)
    assert (over.phase, over.outcome, over.cause) == (CallPhase.ENDED, OutcomeCode.COMPLETED_NORMALLY, "time_over")
    assert (over.connected_seconds, over.owed_seconds) == (1800, 0)
    assert (await calls.booking(call)).state is BookingState.COMPLETED
    assert await balance(calls) == 0
    assert await recording_state(calls, call.recording_id) is RecordingState.SEALED
    async with calls.world.uow(read_only=True) as u:
        events = [event_of(row) for row in await u.calls.events(call.id)]
    assert replay(events).phase is Phase.ENDED
    assert events == list(calls.node.rooms.events(calls.id(call)))


async def test_the_bus_alone_is_enough(calls: Calls) -> None:
    following = asyncio.create_task(calls.consumer.run())
    call = await calls.opened()
    await calls.go_live(call)
    await calls.service.terminate(OFFICER, call.id, "why", "words")

    await until(calls, call, "terminated")
    await calls.consumer.stop()
    await following
    assert (await calls.booking(call)).outcome == OutcomeCode.TERMINATED_BY_STAFF


async def test_a_consumer_that_stops_has_stored_what_the_node_said_last(calls: Calls) -> None:
    following = asyncio.create_task(calls.consumer.run())
    call = await calls.opened()
    await calls.go_live(call)
    await calls.node.stop()
    await calls.consumer.stop()
    await asyncio.wait_for(following, 60)
    events = await calls.service.events(OFFICER, call.id)
    assert events[-1].type == "recorder_sealed"
    await calls.consumer.stop()


async def test_events_that_come_twice_late_or_with_holes_are_stored_once_and_in_order(calls: Calls) -> None:
    call = await calls.opened()
    await calls.go_live(call)
    events = list(calls.node.rooms.events(calls.id(call)))
    await calls.consumer.take([events[0]])
    await calls.consumer.take([events[4]])  # a hole: the rest is asked for
    await calls.consumer.take(events[:3])
    await calls.consumer.take([events[-1]])
    await calls.consumer.take([events[-1]])
    async with calls.world.uow(read_only=True) as u:
        assert [event_of(row) for row in await u.calls.events(call.id)] == events
    assert (await calls.stored(call)).phase is CallPhase.LIVE


async def test_consumers_side_by_side_store_each_event_once(calls: Calls) -> None:
    call = await calls.opened()
    await calls.go_live(call)
    events = list(calls.node.rooms.events(calls.id(call)))
    await asyncio.gather(*(calls.consumer.take(events[: size + 1]) for size in range(len(events))))
    async with calls.world.uow(read_only=True) as u:
        assert [event_of(row) for row in await u.calls.events(call.id)] == events


async def test_events_of_unknown_calls_are_left_alone(calls: Calls) -> None:
    call = await calls.opened()
    event = calls.node.rooms.events(calls.id(call))[0]
    stranger = CallEvent.from_json({**event.to_json(), "call_id": new_call_id(privileged=False)})
    await calls.consumer.take([stranger])


async def test_stored_events_can_neither_be_changed_nor_deleted(calls: Calls) -> None:
    call = await calls.opened()
    await calls.consumer.catch_up()
    for statement in ("UPDATE call_events SET cause = 'x'", "DELETE FROM call_events"):
        with pytest.raises((Conflict, DBAPIError)) as refused:
            async with calls.world.uow() as u:
                await u.session.execute(text(statement))  # type: ignore[attr-defined]
        assert "only grows" in f"{refused.value} {refused.value.__cause__}"
    assert len(await calls.service.events(OFFICER, call.id)) > 0


async def test_nobody_came(calls: Calls) -> None:
    call = await calls.opened()
    await calls.at(1800)
    over = await calls.over(call)
    assert (over.phase, over.outcome) == (CallPhase.NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE)
    assert (await calls.booking(call)).state is BookingState.NO_SHOW
    # Nothing shows that the line was there to be used: not the caller's fault alone, so it costs nothing.
    assert (await balance(calls), over.owed_seconds) == (1, 0)


async def test_a_caller_who_does_not_come_to_a_prisoner_who_waits_pays(calls: Calls) -> None:
    call = await calls.opened()
    await calls.prisoner_waits(call)
    await calls.at(1800)
    over = await calls.over(call)
    assert (over.phase, over.outcome) == (CallPhase.NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE)
    assert (await balance(calls), over.owed_seconds) == (0, 0)


async def test_a_caller_who_waited_at_the_door_gets_the_credit_back(calls: Calls) -> None:
    call = await calls.opened()
    await calls.check(await calls.booking(call), CheckState.REVIEW)
    await calls.at(1800)
    over = await calls.over(call)
    assert over.outcome is OutcomeCode.ADMINISTRATIVE_ERROR
    assert await balance(calls) == 1
    await calls.consumer.catch_up()
    assert await balance(calls) == 1


async def test_who_was_turned_away_because_the_right_was_lost_gets_the_credit_back(calls: Calls) -> None:
    call = await calls.opened()
    await calls.check(await calls.booking(call))
    await calls.world.restrictions.add(
        STAFF, scope=RestrictionScope.PERSON, subject_id=MOTHER, type="BAN", authority="court", starts_on=DAY
    )
    for who in (family(MOTHER), family(MOTHER), OFFICER):
        with pytest.raises(Conflict) as refused:
            await calls.service.join_ticket(who, call.booking_id, request_id="req_1")
        assert refused.value.code == "right_lost"
    async with calls.world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(action="call.turned_away"), PageRequest())).items
    assert [(row.object_id, row.actor_id, row.prison_id) for row in rows] == [(call.id, MOTHER, call.prison_id)]
    await calls.at(1800)
    over = await calls.over(call)
    assert (over.phase, over.outcome) == (CallPhase.NO_SHOW, OutcomeCode.ADMINISTRATIVE_CANCELLATION)
    assert (await calls.booking(call)).state is BookingState.FAILED
    assert await balance(calls) == 1


async def test_a_prisoner_who_was_not_brought_costs_no_credit(calls: Calls) -> None:
    call = await calls.opened()
    await calls.check(await calls.booking(call))
    ticket = (await calls.service.join_ticket(family(MOTHER), call.booking_id)).ticket
    await calls.node.publish(ticket, calls.id(call), OFFER)
    await calls.at(1800)
    assert (await calls.over(call)).phase is CallPhase.NO_SHOW
    assert await balance(calls) == 1


async def test_a_call_that_breaks_early_costs_no_credit_and_one_that_is_left_does(calls: Calls) -> None:
    call = await calls.opened()
    media = await calls.go_live(call)
    session = next(name for name, one in media.sessions.items() if one.owner == MOTHER)
    await calls.at(300)
    media.lose(session, PeerLost.CONSENT_EXPIRED)
    await calls.at(420)
    over = await calls.over(call)
    assert (over.outcome, over.connected_seconds, over.owed_seconds) == (OutcomeCode.TECHNICAL_FAILURE, 300, 1500)
    assert (await calls.booking(call)).state is BookingState.FAILED
    assert await balance(calls) == 1


async def test_hanging_up_is_completing_early(calls: Calls) -> None:
    call = await calls.opened()
    media = await calls.go_live(call)
    session = next(name for name, one in media.sessions.items() if one.owner == MOTHER)
    await calls.at(300)
    await media.close_session(session)
    await calls.at(420)
    assert (await calls.over(call)).outcome is OutcomeCode.VISITOR_COMPLETED_EARLY
    assert await balance(calls) == 0


async def test_a_booking_that_nobody_opened_in_time_is_our_fault(calls: Calls) -> None:
    booking = await calls.book()
    await calls.at(3600)
    assert await calls.opener.run_once() == 0
    async with calls.world.uow(read_only=True) as u:
        closed = await u.scheduling.get_booking(booking.id)
    assert (closed.state, closed.outcome) == (BookingState.FAILED, OutcomeCode.TECHNICAL_FAILURE)
    assert await balance(calls) == 1


async def test_a_call_goes_on_after_its_node_was_restarted(calls: Calls) -> None:
    following = asyncio.create_task(calls.consumer.run())
    call = await calls.opened()
    await calls.go_live(call)
    await calls.service.mute(OFFICER, call.id, MOTHER, Kind.AUDIO, True, "noise")
    await calls.at(600)
    await calls.node.stop()
    await calls.directory.unregister("node-1")
    await until(calls, call, "recorder_sealed")
    calls.node = calls.make_node("node-2")
    await calls.node.start()
    await calls.at(630)
    await calls.opener.run_once()
    snapshot = await calls.control.snapshot(calls.id(call))
    assert (snapshot.node_id, snapshot.phase, snapshot.recorder) == ("node-2", Phase.RECONNECTING, Recorder.ATTACHED)
    await calls.at(660)
    media = await calls.go_live(call)
    assert media.gate
    await calls.at(1800)
    over = await calls.over(call)
    assert (over.outcome, over.connected_seconds) == (OutcomeCode.COMPLETED_NORMALLY, 600 + 1140)
    assert len({leg.warrant.recording_id for leg in calls.legs}) == 2
    await calls.consumer.stop()
    await following


async def test_a_call_that_is_over_is_not_opened_again_by_who_is_behind(calls: Calls) -> None:
    call = await calls.opened()
    await calls.go_live(call)
    await calls.service.terminate(OFFICER, call.id, "why", "")
    room = calls.node.rooms.get(calls.id(call))
    await asyncio.wait_for(room.over.wait(), 60)
    await eventually(lambda: len(calls.node.rooms) == 0, "the room is closed")
    await calls.opener.run_once()  # the store does not know yet
    assert len(calls.node.rooms) == 0
    await calls.consumer.catch_up()
    assert (await calls.stored(call)).phase is CallPhase.TERMINATED
