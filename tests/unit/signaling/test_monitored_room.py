"""Officers and the recorder: who may, what follows, and what participants can observe of it."""

from __future__ import annotations

import asyncio

import pytest

from signaling.calls import EventType, Phase, Recorder
from signaling.errors import NotChartered, TicketError, WrongState
from signaling.media.leg import Kind
from signaling.media.listener import PeerLost
from signaling.monitored_room import OrdinaryRoom
from signaling.room import PrivilegedRoom
from signaling.tickets import RecordingPolicy, RecordingWarrant, Supervision
from tests.fakes.channel import FakeChannel
from tests.fakes.media_room import OFFER
from tests.fakes.recorder_leg import FakeRecorderLeg
from tests.fixtures.waiting import eventually
from tests.unit.signaling.charters import END
from tests.unit.signaling.rooms_for_tests import OFFICER, Scene

REQUIRED = RecordingPolicy.REQUIRED


def observable(channel: FakeChannel) -> list[dict[str, object]]:
    return list(channel.messages)


@pytest.mark.parametrize("supervision", [Supervision.NONE, Supervision.SAMPLE])
async def test_an_officer_coming_and_going_changes_nothing_a_participant_can_observe(supervision: Supervision) -> None:
    watched, control = Scene(supervision=supervision), Scene(supervision=supervision)
    traffic = []
    for scene, officers in ((watched, True), (control, False)):
        channels = [scene.channel("family"), scene.channel("prisoner")]
        if officers:
            early = await scene.watch("stf_1")
        await scene.live()
        scene.wait(10)
        if officers:
            second = await scene.watch("stf_2")
            observer = FakeChannel()
            scene.room.attach_observer(scene.warrant("stf_2"), observer)  # type: ignore[attr-defined]
            scene.room.bookmark(OFFICER, "look")
            scene.media.lose(early, PeerLost.CONSENT_EXPIRED)
            await scene.room.close_session("stf_2", second)
            scene.room.detach_channel(observer, "closed")
        scene.wait(20)
        late = scene.channel("guest")
        scene.room.hold(OFFICER, "why", "words")
        traffic.append([channel.messages for channel in (*channels, late)])
    for with_officers, without in zip(*traffic, strict=True):
        assert [_without_call(message) for message in with_officers] == [_without_call(message) for message in without]


def _without_call(message: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in message.items() if name != "call_id"}


async def test_with_the_banner_participants_are_told_who_watches_and_no_more() -> None:
    scene = Scene(watch_banner=True)
    channel = scene.channel("family")
    assert channel.messages[0]["watching"] is False
    await scene.live()
    first = await scene.watch("stf_1")
    second = await scene.watch("stf_2")
    scene.media.lose(first, PeerLost.CLOSED)
    scene.media.lose(second, PeerLost.CLOSED)
    assert [message["watching"] for message in channel.messages if message["type"] == "watching"] == [True, False]
    assert "stf_" not in str(channel.messages)


async def test_an_officer_s_channel_hears_everything() -> None:
    scene = Scene()
    observer = FakeChannel()
    scene.room.attach_observer(scene.warrant(), observer)  # type: ignore[attr-defined]
    assert (observer.messages[0]["type"], observer.messages[0]["role"]) == ("welcome", "officer")
    await scene.live()
    scene.room.talking("family", 30)
    scene.room.hold(OFFICER, "the reason")
    events = [message["event"] for message in observer.messages if message["type"] == "event"]
    assert [event["type"] for event in events[-2:]] == ["hold_placed", "held"]
    assert events[-2]["data"]["reason"] == "the reason"
    assert observer.last("talking")["level"] == 30
    session = await scene.watch()
    scene.room.slots_changed(session, scene.media.slots(session))
    assert {slot["participant_id"] for slot in observer.last("slots")["slots"]} == {"family", "prisoner"}


async def test_a_warrant_for_another_call_opens_nothing() -> None:
    scene, other = Scene(), Scene()
    room = scene.room
    assert isinstance(room, OrdinaryRoom)
    with pytest.raises(TicketError) as refused:
        await room.add_monitor(other.warrant(), OFFER)
    assert refused.value.code == "wrong_call"
    with pytest.raises(TicketError):
        room.attach_observer(other.warrant(), FakeChannel())
    assert scene.media.sessions == {}


async def test_a_watch_ends_when_its_warrant_does() -> None:
    scene = Scene()
    await scene.live()
    session = await scene.watch("stf_1", hours=1 / 60)
    observer = FakeChannel()
    scene.room.attach_observer(scene.warrant("stf_1", hours=1 / 60), observer)  # type: ignore[attr-defined]
    scene.wait(59)
    await asyncio.sleep(0)
    assert session in scene.media.sessions
    scene.wait(1)
    await eventually(lambda: session not in scene.media.sessions, "the end of the watch")
    assert scene.events[-1].type is EventType.MONITOR_LEFT
    assert observer.closed == (4003, "warrant expired")


async def test_a_fresh_warrant_on_the_channel_lets_a_watch_go_on_without_a_break() -> None:
    scene = Scene()
    await scene.live()
    mine, another_s = await scene.watch("stf_1", hours=1 / 60), await scene.watch("stf_2", hours=1 / 60)
    scene.wait(30)
    scene.room.attach_observer(scene.warrant("stf_1", hours=2 / 60), FakeChannel())  # type: ignore[attr-defined]
    scene.room.attach_observer(scene.warrant("stf_1", hours=1 / 600), FakeChannel())  # type: ignore[attr-defined]
    scene.wait(30)
    await eventually(lambda: another_s not in scene.media.sessions, "the end of the watch that was not renewed")
    assert mine in scene.media.sessions
    scene.wait(89)
    assert mine in scene.media.sessions
    scene.wait(1)
    await eventually(lambda: mine not in scene.media.sessions, "the end of the watch")


async def test_a_required_officer_s_crash_closes_the_gate_fifteen_seconds_after_the_last_sign_of_life() -> None:
    scene = Scene(supervision=Supervision.LIVE)
    session = await scene.watch()
    await scene.live()
    assert scene.phase is Phase.LIVE
    scene.wait(60)
    # The officer's machine dies now; media notices 7.5 s later.
    scene.wait(7.5)
    scene.media.lose(session, PeerLost.CONSENT_EXPIRED)
    scene.wait(7.25)
    assert scene.media.gate
    scene.wait(0.25)
    assert (scene.phase, scene.media.gate) == (Phase.WAITING_MONITOR, False)
    await scene.watch("stf_2")
    assert (scene.phase, scene.media.gate) == (Phase.LIVE, True)


async def test_no_media_before_the_required_officer_watches() -> None:
    scene = Scene(supervision=Supervision.LIVE)
    channel = scene.channel("family")
    await scene.live()
    assert (scene.phase, scene.media.gate) == (Phase.LOBBY_OPEN, False)
    await scene.watch()
    assert (scene.phase, scene.media.gate) == (Phase.LIVE, True)
    assert channel.states() == ["ready", "live"]


async def test_the_recorder_hears_the_call_from_its_first_event_to_its_end() -> None:
    scene = Scene(recording=REQUIRED)
    scene.channel("family")
    leg = scene.record()
    await scene.live()
    assert scene.media.gate
    assert scene.media.legs == {"recorder": leg}  # type: ignore[attr-defined]
    scene.clock.now = END
    scene.room.tick()
    await asyncio.wait_for(scene.room.over.wait(), 60)
    assert leg.sealed == ["call_over"]
    assert leg.closed == ["call_over", "removed"]
    heard = [event.type for event in leg.events]
    assert heard[:3] == [EventType.OPENED, EventType.LOBBY_OPENED, EventType.JOINED]
    assert heard[-1] is EventType.ENDING
    assert scene.types()[-2:] == [EventType.RECORDER_SEALED, EventType.ENDED]
    assert scene.events[-2].data["recording_id"] == "rec_1"
    assert scene.room.machine.state.recorder is Recorder.SEALED


async def test_a_required_recorder_that_fails_holds_the_call_in_the_same_breath() -> None:
    scene = Scene(recording=REQUIRED)
    channel = scene.channel("family")
    leg = scene.record()
    await scene.live()
    leg.fail("disk_full")
    assert (scene.phase, scene.media.gate) == (Phase.HELD, False)
    assert scene.media.legs == {}  # type: ignore[attr-defined]
    assert channel.last("state")["cause"] == "recorder_missing"
    await eventually(lambda: bool(leg.sealed), "the seal")
    assert leg.sealed == ["recorder_failed"]  # what there is, is kept
    scene.record()
    assert (scene.phase, scene.media.gate) == (Phase.LIVE, True)


async def test_a_recorder_that_stalls_may_come_back_by_itself() -> None:
    scene = Scene(recording=REQUIRED)
    leg = scene.record()
    await scene.live()
    leg.fail("stalled")
    assert (scene.phase, scene.media.gate) == (Phase.HELD, False)
    assert leg.recovered is not None
    leg.recovered()
    assert (scene.phase, scene.media.gate) == (Phase.LIVE, True)
    assert leg.sealed == []
    assert scene.media.legs == {"recorder": leg}  # type: ignore[attr-defined]


async def test_a_recorder_that_stalls_for_good_can_be_replaced() -> None:
    scene = Scene(recording=REQUIRED)
    first = scene.record()
    await scene.live()
    first.fail("overflow")
    second = scene.record()
    assert (scene.phase, scene.media.gate) == (Phase.LIVE, True)
    assert scene.media.legs == {"recorder": second}  # type: ignore[attr-defined]
    await eventually(lambda: first.sealed == ["replaced"], "the first one's seal")
    assert first.recovered is not None and first.failed is not None
    first.failed("storage")  # it is nobody's recorder any more
    first.recovered()
    assert scene.phase is Phase.LIVE


async def test_a_recorder_that_raises_has_failed() -> None:
    scene = Scene(recording=REQUIRED)
    leg = scene.record()
    await scene.live()
    leg.raise_on_event = True
    scene.room.bookmark(OFFICER, "here")
    assert (scene.phase, scene.media.gate) == (Phase.HELD, False)
    assert scene.types()[-3:] == [EventType.BOOKMARK, EventType.RECORDER_FAILED, EventType.HELD]


async def test_a_recording_that_cannot_be_sealed_does_not_keep_the_call_from_ending() -> None:
    scene = Scene(recording=REQUIRED)
    leg = scene.record()
    leg.seal_error = OSError("no space")
    await scene.live()
    scene.room.terminate(OFFICER, "why", "")
    await asyncio.wait_for(scene.room.over.wait(), 60)
    assert scene.types()[-2:] == [EventType.RECORDER_FAILED, EventType.TERMINATED]
    assert scene.events[-2].cause == "seal_failed"


async def test_the_call_is_over_only_when_the_recording_is_sealed() -> None:
    scene = Scene(recording=REQUIRED)
    leg = scene.record()
    leg.may_seal.clear()
    await scene.live()
    scene.room.terminate(OFFICER, "why", "")
    for _ in range(20):
        await asyncio.sleep(0)
    assert (scene.phase, scene.room.over.is_set()) == (Phase.ENDING, False)
    leg.may_seal.set()
    await asyncio.wait_for(scene.room.over.wait(), 60)
    assert scene.phase is Phase.TERMINATED


async def test_a_recorder_needs_a_charter_that_provides_for_it() -> None:
    scene = Scene()
    with pytest.raises(NotChartered):
        scene.record()
    assert scene.media.legs == {}  # type: ignore[attr-defined]


async def test_there_is_one_recorder() -> None:
    scene = Scene(recording=REQUIRED)
    scene.record()
    with pytest.raises(WrongState) as refused:
        scene.record()
    assert refused.value.code == "recorder_attached"


async def test_two_recorders_asked_for_at_once_make_one() -> None:
    scene = Scene(recording=REQUIRED)
    room = scene.room
    assert isinstance(room, OrdinaryRoom)
    made: list[FakeRecorderLeg] = []
    may_go = asyncio.Event()

    async def factory(warrant: RecordingWarrant) -> FakeRecorderLeg:
        await may_go.wait()
        made.append(FakeRecorderLeg(warrant))
        return made[-1]

    warrant = scene.verified(RecordingWarrant(scene.charter.call_id, "rec_1", (Kind.AUDIO,), "1"))  # type: ignore[arg-type]
    first = asyncio.create_task(room.record(warrant, factory))
    await asyncio.sleep(0)
    with pytest.raises(WrongState):
        await room.record(warrant, factory)
    may_go.set()
    await first
    assert len(made) == 1


async def test_a_recorder_that_comes_after_the_end_is_sealed_and_turned_away() -> None:
    scene = Scene(recording=REQUIRED)
    room = scene.room
    assert isinstance(room, OrdinaryRoom)
    leg: list[FakeRecorderLeg] = []

    async def factory(warrant: RecordingWarrant) -> FakeRecorderLeg:
        room.terminate(OFFICER, "why", "")
        leg.append(FakeRecorderLeg(warrant))
        return leg[0]

    warrant = scene.verified(RecordingWarrant(scene.charter.call_id, "rec_1", (Kind.AUDIO,), "1"))  # type: ignore[arg-type]
    with pytest.raises(WrongState):
        await room.record(warrant, factory)
    assert leg[0].sealed == ["call_over"]
    assert scene.media.legs == {}  # type: ignore[attr-defined]


def test_a_privileged_room_has_no_way_to_take_an_officer_or_a_recorder() -> None:
    ways = {name for name in dir(OrdinaryRoom) if not name.startswith("__")} - set(dir(PrivilegedRoom))
    assert {"add_monitor", "attach_observer", "record", "add_recorder"} <= ways
    words = ("monitor", "record", "observ", "watch", "warrant", "subscribe", "leg")
    assert [name for name in dir(PrivilegedRoom) if any(word in name for word in words)] == []


def test_a_privileged_call_cannot_be_put_into_an_ordinary_room() -> None:
    scene, ordinary = Scene(privileged=True), Scene()
    with pytest.raises(TypeError):
        OrdinaryRoom(scene.charter, scene.media, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        PrivilegedRoom(ordinary.charter, ordinary.media, None)  # type: ignore[arg-type]


async def test_a_part_that_cannot_be_sealed_does_not_hold_a_call_that_is_recorded_again() -> None:
    scene = Scene(recording=REQUIRED)
    first = scene.record()
    await scene.live()
    first.seal_error = OSError("its disk is away")
    first.may_seal.clear()
    first.fail("storage")
    assert scene.room.phase is Phase.HELD
    scene.record()
    assert scene.room.phase is Phase.LIVE
    first.may_seal.set()
    await asyncio.wait(scene.room._sealing)  # type: ignore[attr-defined]
    assert (scene.room.phase, scene.room.machine.state.recorder) == (Phase.LIVE, Recorder.ATTACHED)
