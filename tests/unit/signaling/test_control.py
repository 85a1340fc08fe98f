"""The application's side: commands over the bus, events back, a node's end and a call's move to another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from signaling.calls import Actor, ActorKind, CallEvent, EventType, Phase
from signaling.commands import CALL_EVENT_TOPIC, control_topic
from signaling.errors import (
    CharterConflict,
    InvalidRequest,
    NotChartered,
    PrivilegedCallError,
    RecorderUnavailable,
    TicketError,
    Unavailable,
    UnknownCall,
    WrongState,
)
from signaling.ids import new_call_id
from signaling.media.leg import Kind
from signaling.messages import Hello
from signaling.rooms import LINGER
from signaling.tickets import CallCharter, RecordingPolicy, RecordingWarrant
from tests.fakes.channel import FakeChannel
from tests.fixtures.waiting import eventually
from tests.unit.signaling.charters import charter
from tests.unit.signaling.stage import OFFICER, Stage, stage

REQUIRED = RecordingPolicy.REQUIRED


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def go_live(on: Stage, given: CallCharter) -> None:
    media = on.media.rooms[given.call_id]
    for who in ("family", "prisoner"):
        answer = await on.node.publish(on.ticket(given.call_id, who), given.call_id, "v=0\r\n")
        media.connect(answer.session_id)


async def test_every_command_reaches_the_room(on: Stage) -> None:
    given = charter(recording=REQUIRED)
    opened = await on.control.open(on.sign(given))
    assert (opened.phase, opened.node_id) == (Phase.LOBBY_OPEN, "node-1")
    await on.control.attach_recorder(on.recording(given.call_id))
    await go_live(on, given)
    assert (await on.control.snapshot(given.call_id)).phase is Phase.LIVE
    assert (await on.control.hold(given.call_id, OFFICER, "why", "words")).phase is Phase.HELD
    assert (await on.control.resume(given.call_id, OFFICER, "ok")).phase is Phase.LIVE
    muted = await on.control.mute(given.call_id, "family", Kind.AUDIO, True, OFFICER, "noise")
    assert {person.participant_id: person.muted for person in muted.participants}["family"] == (Kind.AUDIO,)
    await on.control.bookmark(given.call_id, OFFICER, "here")
    await on.control.say(given.call_id, OFFICER, "hello")
    assert (await on.control.terminate(given.call_id, OFFICER, "why", "words")).phase is Phase.ENDING
    await eventually(lambda: len(on.node.rooms) == 0, "the room is closed")
    events = await on.control.events(given.call_id)
    assert events[-1].type is EventType.TERMINATED
    assert await on.control.events(given.call_id, after=events[-2].sequence) == events[-1:]


async def test_every_event_is_published_in_order(on: Stage) -> None:
    subscription = await on.bus.subscribe(CALL_EVENT_TOPIC)
    given = charter()
    await on.open(given)
    await go_live(on, given)
    await on.control.terminate(given.call_id, OFFICER, "why", "")
    seen: list[CallEvent] = []
    async for message in subscription:
        seen.append(CallEvent.from_json(message.payload))
        if seen[-1].type is EventType.TERMINATED:
            break
    assert seen == await on.control.events(given.call_id)


async def test_opening_twice_is_opening_once_and_a_charter_is_fixed(on: Stage) -> None:
    given = charter()
    await on.open(given)
    assert (await on.control.open(on.sign(given))).call_id == given.call_id
    assert len(await on.control.snapshots()) == 1
    with pytest.raises(CharterConflict):
        await on.control.open(on.sign(charter(call_id=given.call_id, minutes=60)))
    with pytest.raises(TicketError):
        await on.control.open(on.ticket(given.call_id))


async def test_a_privileged_call_never_gets_a_recorder(on: Stage) -> None:
    given = charter(privileged=True)
    await on.open(given)
    with pytest.raises(PrivilegedCallError):
        on.recording(given.call_id)
    # A warrant for an ordinary call, and one whose signature is good but which names the privileged call.
    with pytest.raises(UnknownCall):
        await on.control.attach_recorder(on.recording(new_call_id(privileged=False)))
    forged = object.__new__(RecordingWarrant)
    for name, value in {
        "call_id": given.call_id,
        "recording_id": "r",
        "tracks": (Kind.AUDIO,),
        "policy_version": "1",
    }.items():
        object.__setattr__(forged, name, value)
    with pytest.raises(PrivilegedCallError):
        await on.control.attach_recorder(on.sign(forged))
    assert on.legs == []


async def test_a_recorder_is_not_made_for_a_call_that_may_not_be_recorded(on: Stage) -> None:
    given = charter()
    await on.open(given)
    with pytest.raises(NotChartered):
        await on.control.attach_recorder(on.recording(given.call_id))
    assert on.legs == []


async def test_a_recorder_that_cannot_be_made_is_said_to_be_unavailable(on: Stage) -> None:
    async def broken(warrant: RecordingWarrant) -> None:
        raise OSError("disk full")

    on.node.rooms._recorder_factory = broken  # type: ignore[assignment]
    given = charter(recording=REQUIRED)
    await on.open(given)
    with pytest.raises(RecorderUnavailable):
        await on.control.attach_recorder(on.recording(given.call_id))


async def test_interventions_need_a_member_of_staff_and_a_reason(on: Stage) -> None:
    given = charter()
    await on.open(given)
    await go_live(on, given)
    with pytest.raises(InvalidRequest):
        await on.control.hold(given.call_id, Actor(ActorKind.SYSTEM, "face_watch"), "absent")
    with pytest.raises(InvalidRequest):
        await on.control.terminate(given.call_id, OFFICER, "", "words")
    with pytest.raises(InvalidRequest):
        await on.control.terminate(given.call_id, OFFICER, " ", "words")
    with pytest.raises(WrongState):
        await on.control.resume(given.call_id, OFFICER, "why")
    assert (await on.control.snapshot(given.call_id)).phase is Phase.LIVE


async def test_unknown_calls_and_commands(on: Stage) -> None:
    with pytest.raises(UnknownCall):
        await on.control.snapshot(new_call_id(privileged=False))
    with pytest.raises(InvalidRequest):
        await on.bus.request(control_topic("node-1"), {"command": "dance"}, timeout=1)


async def test_what_is_over_can_be_asked_for_some_minutes_longer(on: Stage) -> None:
    given = charter()
    await on.open(given)
    await on.control.terminate(given.call_id, OFFICER, "why", "")
    await eventually(lambda: len(on.node.rooms) == 0, "the room is closed")
    assert given.call_id not in on.media.rooms
    with pytest.raises(WrongState):  # nobody who is behind with the events brings it back to life
        await on.control.open(on.sign(given))
    assert await on.control.events(given.call_id)
    on.clock.advance(LINGER.total_seconds())
    async with asyncio.timeout(30):
        while await on.directory.find(given.call_id) is not None:  # noqa: ASYNC110 (the directory tells nobody)
            await asyncio.sleep(0.01)
    with pytest.raises(UnknownCall):
        await on.control.events(given.call_id)


async def test_a_draining_node_takes_no_new_calls_and_waits_for_the_last(on: Stage) -> None:
    given, later = charter(), charter()
    await on.open(given)
    await on.open(later)
    channel = FakeChannel()
    on.node.attach(Hello(ticket=on.ticket(given.call_id, "family")), channel)
    await go_live(on, given)
    assert not await on.node.drain(0.05)
    assert channel.last("draining") == {"type": "draining", "seconds": 0.05}
    with pytest.raises(Unavailable):
        await on.open(charter())
    await on.control.terminate(given.call_id, OFFICER, "why", "")
    assert await on.node.drain(30)  # the one that has not begun keeps nobody waiting
    assert on.node.rooms.get(later.call_id).phase is Phase.LOBBY_OPEN


async def test_a_call_survives_its_node(on: Stage) -> None:
    subscription = await on.bus.subscribe(CALL_EVENT_TOPIC)
    given = charter(recording=REQUIRED)
    await on.open(given)
    await on.control.attach_recorder(on.recording(given.call_id))
    await go_live(on, given)
    await on.node.stop()
    history: list[CallEvent] = []
    while not history or history[-1].type is not EventType.RECORDER_SEALED:
        history.append(CallEvent.from_json((await anext(subscription)).payload))
    assert on.legs[0].sealed == ["call_over"]
    with pytest.raises(Unavailable):
        await on.control.open(on.sign(given), history)
    second = on.make_node("node-2")
    await second.start()
    try:
        reopened = await on.control.open(on.sign(given), history)
        assert (reopened.node_id, reopened.phase) == ("node-2", Phase.HELD)
        await on.control.attach_recorder(on.recording(given.call_id))
        media = on.media.rooms[given.call_id]
        for who in ("family", "prisoner"):
            answer = await second.publish(on.ticket(given.call_id, who), given.call_id, "v=0\r\n")
            media.connect(answer.session_id)
        assert (await on.control.snapshot(given.call_id)).phase is Phase.LIVE
        events = await on.control.events(given.call_id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    finally:
        await second.stop()


async def test_another_call_s_history_is_refused(on: Stage) -> None:
    first, second = charter(), charter()
    await on.open(first)
    history = await on.control.events(first.call_id)
    with pytest.raises(InvalidRequest):
        await on.control.open(on.sign(second), history)
    with pytest.raises(InvalidRequest):
        await on.control.open(on.sign(second), [CallEvent(second.call_id, 7, on.clock(), EventType.LIVE, OFFICER, "x")])
    assert second.call_id not in on.media.rooms
