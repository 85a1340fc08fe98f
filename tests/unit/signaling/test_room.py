"""Rooms: the gate, the channels, interventions, the end."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from signaling.calls import EventType, Phase, replay
from signaling.errors import TicketError, UnknownSession, WrongState
from signaling.media.errors import SdpError
from signaling.media.leg import Kind
from signaling.media.listener import PeerLost
from signaling.messages import Device, Quality
from tests.fakes.media_room import OFFER
from tests.unit.signaling.charters import END, LOBBY
from tests.unit.signaling.rooms_for_tests import OFFICER, Scene


@pytest.mark.parametrize("privileged", [False, True])
async def test_the_gate_is_open_while_live_and_at_no_other_time(privileged: bool) -> None:
    scene = Scene(privileged=privileged)
    assert not scene.media.gate
    sessions = {who: await scene.join(who) for who in ("family", "prisoner")}
    assert scene.phase is Phase.READY
    assert scene.media.gates == []
    scene.start()
    assert scene.media.gate
    scene.room.hold(OFFICER, "why")
    assert not scene.media.gate
    scene.room.resume(OFFICER, "ok")
    assert scene.media.gate
    scene.media.lose(sessions["family"], PeerLost.CONSENT_EXPIRED)
    assert (scene.phase, scene.media.gate) == (Phase.RECONNECTING, False)
    await scene.join("family")
    assert (scene.phase, scene.media.gate) == (Phase.LIVE, True)
    scene.room.terminate(OFFICER, "why", "")
    assert not scene.media.gate
    await asyncio.wait_for(scene.room.over.wait(), 60)
    assert (scene.phase, scene.media.gate, scene.media.sessions) == (Phase.TERMINATED, False, {})


async def test_the_gate_opens_after_everybody_was_told_and_closes_before() -> None:
    scene = Scene()
    gate_when: dict[str, bool] = {}
    channel = scene.channel("family")
    send = channel.send
    channel.send = lambda message: (  # type: ignore[method-assign]
        gate_when.__setitem__(message.model_dump()["state"], scene.media.gate) if message.type == "state" else None,
        send(message),
    )[1]
    await scene.live()
    scene.room.hold(OFFICER, "why")
    assert gate_when == {"ready": False, "live": False, "held": False}
    assert scene.media.gates == [True, False]


async def test_every_event_is_published_once_and_replays_to_the_state() -> None:
    scene = Scene()
    await scene.live()
    scene.room.mute("family", Kind.AUDIO, True, OFFICER, "noise")
    scene.room.hold(OFFICER, "why", "words")
    scene.room.resume(OFFICER, "ok")
    scene.room.bookmark(OFFICER, "here")
    scene.wait(1260)
    scene.room.terminate(OFFICER, "why", "")
    await scene.room.over.wait()
    assert scene.events == scene.room.machine.events
    assert replay(scene.events) == scene.room.machine.state


async def test_welcome_says_everything_there_is_to_know() -> None:
    scene = Scene()
    await scene.live()
    scene.room.mute("prisoner", Kind.VIDEO, True, OFFICER, "why")
    scene.wait(60)
    channel = scene.channel("family")
    welcome = channel.messages[0]
    assert welcome["type"] == "welcome"
    assert (welcome["role"], welcome["participant_id"]) == ("participant", "family")
    assert (welcome["state"]["state"], welcome["state"]["connected_seconds"]) == ("live", 60.0)
    assert [(slot["participant_id"], slot["name"]) for slot in welcome["slots"]] == [("prisoner", "Prisoner")]
    assert {person["participant_id"] for person in welcome["participants"]} == {"family", "prisoner"}
    assert welcome["muted"] == [{"participant_id": "prisoner", "kind": "video"}]
    assert welcome["notices"] == [10, 5, 2, 1]
    assert welcome["watching"] is None


async def test_participants_hear_what_happens() -> None:
    scene = Scene()
    channel = scene.channel("family")
    await scene.live()
    scene.room.hold(OFFICER, "suspected third person", "One moment please")
    held = channel.last("state")
    assert (held["state"], held["by"], held["cause"], held["words"]) == (
        "held",
        "staff",
        "officer",
        "One moment please",
    )
    assert "third person" not in str(channel.messages), "an officer's reason is for the record"
    scene.room.resume(OFFICER, "clear")
    scene.room.say(OFFICER, "Ten more minutes")
    assert channel.last("message")["text"] == "Ten more minutes"
    scene.room.mute("prisoner", Kind.AUDIO, True, OFFICER, "why")
    assert channel.last("muted") == {"type": "muted", "participant_id": "prisoner", "kind": "audio", "muted": True}
    assert ("prisoner", Kind.AUDIO) in scene.media.muted
    scene.wait(20 * 60)
    assert channel.last("notice")["minutes"] == 10
    assert channel.states() == ["ready", "live", "held", "live"]


async def test_the_schedule_ends_the_call_and_says_so() -> None:
    scene = Scene()
    channel = scene.channel("family")
    await scene.live()
    scene.clock.now = END
    scene.room.tick()
    ended = channel.last("ended")
    assert (ended["outcome"], ended["cause"], ended["connected_seconds"]) == ("ended", "time_over", 1800.0)
    await asyncio.wait_for(scene.room.over.wait(), 60)
    assert scene.phase is Phase.ENDED
    assert channel.closed == (1000, "call over")


async def test_a_terminated_call_says_the_officer_s_words_and_not_his_reason() -> None:
    scene = Scene()
    channel = scene.channel("family")
    await scene.live()
    scene.room.terminate(OFFICER, "intelligence report 7", "This visit has been ended by an officer.")
    ended = channel.last("ended")
    assert (ended["outcome"], ended["words"]) == ("terminated", "This visit has been ended by an officer.")
    assert "report 7" not in str(channel.messages)
    await scene.room.over.wait()
    assert scene.events[-1].type is EventType.TERMINATED
    assert scene.events[-1].actor == OFFICER


async def test_a_second_channel_replaces_the_first_and_says_so() -> None:
    scene = Scene()
    first = scene.channel("family")
    second = scene.channel("family")
    assert first.messages[-1] == {"type": "replaced"}
    assert first.closed == (4001, "replaced")
    assert second.messages[0]["type"] == "welcome"
    assert scene.events[-1].type is EventType.REPLACED
    scene.room.detach_channel(first, "closed")  # the first one's end takes nobody away
    scene.room.say(OFFICER, "hello")
    assert second.last("message")["text"] == "hello"
    assert EventType.LEFT not in scene.types()
    scene.room.detach_channel(second, "lost")
    assert scene.events[-1].type is EventType.LEFT


async def test_a_second_media_session_replaces_the_first() -> None:
    scene = Scene()
    await scene.live()
    answer = await scene.room.publish(scene.ticket("family"), OFFER)
    assert scene.phase is Phase.RECONNECTING  # the old one is gone, the new one not yet there
    scene.media.connect(answer.session_id)
    assert scene.phase is Phase.LIVE
    assert len(scene.media.sessions) == 2


async def test_nobody_comes_in_before_the_lobby_opens() -> None:
    scene = Scene(opened_at=LOBBY - timedelta(minutes=1))
    with pytest.raises(WrongState) as refused:
        scene.channel("family")
    assert refused.value.code == "lobby_closed"
    with pytest.raises(WrongState):
        await scene.room.publish(scene.ticket("family"), OFFER)
    scene.wait(60)
    scene.channel("family")
    await scene.join("family")


async def test_nobody_comes_in_after_the_end() -> None:
    scene = Scene()
    await scene.live()
    scene.room.terminate(OFFICER, "why", "")
    with pytest.raises(WrongState):
        await scene.room.publish(scene.ticket("guest"), OFFER)
    with pytest.raises(WrongState):
        scene.channel("guest")


async def test_another_call_s_ticket_is_refused() -> None:
    scene, other = Scene(), Scene()
    with pytest.raises(TicketError) as refused:
        await scene.room.publish(other.ticket("family"), OFFER)
    assert refused.value.code == "wrong_call"


async def test_a_bad_offer_leaves_the_participant_in_the_lobby() -> None:
    scene = Scene()
    with pytest.raises(SdpError):
        await scene.room.publish(scene.ticket("family"), "nonsense")
    assert scene.phase is Phase.LOBBY_OPEN
    await scene.live()
    assert scene.phase is Phase.LIVE


async def test_sessions_belong_to_their_owner() -> None:
    scene = Scene()
    sessions = await scene.live()
    for owner in ("prisoner", "stf_1", ""):
        with pytest.raises(UnknownSession):
            await scene.room.patch_session(owner, sessions["family"], "ice-0", "")
        with pytest.raises(UnknownSession):
            await scene.room.close_session(owner, sessions["family"])
    assert scene.phase is Phase.LIVE
    await scene.room.close_session("family", sessions["family"])
    assert scene.phase is Phase.RECONNECTING
    disconnected = next(event for event in scene.events if event.type is EventType.DISCONNECTED)
    assert disconnected.cause == "hung_up"


async def test_a_device_report_is_told_to_everybody_and_quality_to_officers_only() -> None:
    scene = Scene()
    family, prisoner = scene.channel("family"), scene.channel("prisoner")
    before = len(prisoner.messages)
    scene.room.report(family, Device(microphone="off", camera="on"))
    people = {person["participant_id"]: person for person in prisoner.last("participants")["participants"]}
    assert (people["family"]["microphone"], people["family"]["camera"]) == ("off", "on")
    scene.room.report(family, Device(microphone="off", camera="on"))
    scene.room.report(family, Quality(rtt_ms=40, loss=0.01))
    assert len(prisoner.messages) == before + 1
    snapshot = scene.room.snapshot("node")
    quality = next(person.quality for person in snapshot.participants if person.participant_id == "family")
    assert quality is not None and quality.rtt_ms == 40


async def test_an_exchange_of_slots_is_told_to_its_viewer_alone() -> None:
    scene = Scene()
    family, prisoner = scene.channel("family"), scene.channel("prisoner")
    sessions = await scene.live()
    scene.room.slots_changed(sessions["family"], scene.media.slots(sessions["family"]))
    assert family.last("slots")["slots"][0]["side"] == "prisoner"
    assert "slots" not in prisoner.types()


async def test_a_room_taken_up_again_keeps_what_officers_did() -> None:
    first = Scene()
    await first.live()
    first.room.mute("family", Kind.AUDIO, True, OFFICER, "why")
    first.room.hold(OFFICER, "why")
    second = Scene(first.charter, history=list(first.events))
    assert second.phase is Phase.HELD
    assert second.media.muted == {("family", Kind.AUDIO)}
    assert not second.media.gate
    assert second.events[0].sequence == first.events[-1].sequence + 1
    await second.live()
    assert second.phase is Phase.HELD
    second.room.resume(OFFICER, "ok")
    assert second.media.gate


async def test_a_suspended_room_is_not_over() -> None:
    scene = Scene()
    channel = scene.channel("family")
    await scene.live()
    await scene.room.suspend()
    assert not scene.media.gate
    assert scene.media.sessions == {}
    assert channel.closed == (1012, "node stops")
    assert not scene.room.over.is_set()
    assert scene.room.machine.is_open
