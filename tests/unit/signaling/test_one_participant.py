"""What an officer does to one participant: hold, let go on, remove. The others go on."""

from __future__ import annotations

import pytest

from signaling.calls import CallEvent, EventType, Phase, replay
from signaling.errors import InvalidRequest, ParticipantRemoved, UnknownParticipant, WrongState
from signaling.media.leg import Side
from signaling.messages import View
from tests.fakes.clock import FakeClock
from tests.fakes.media_room import OFFER
from tests.unit.signaling.rooms_for_tests import OFFICER, Scene
from tests.unit.signaling.test_call_machine import at, come, live, types


async def three() -> Scene:
    """A live call of two family members and the prisoner."""
    scene = Scene()
    for who in ("family", "family2", "prisoner"):
        await scene.join(who)
    scene.start()
    assert scene.phase is Phase.LIVE
    return scene


async def test_one_is_held_and_the_others_go_on() -> None:
    scene = await three()
    mine, other = scene.channel("family2"), scene.channel("family")
    scene.room.hold_participant("family2", OFFICER, "not approved clothes", "Please put on a shirt.")
    assert (scene.phase, scene.media.gate, scene.media.held) == (Phase.LIVE, True, {"family2"})
    assert mine.last("held") == {
        "type": "held",
        "participant_id": "family2",
        "held": True,
        "words": "Please put on a shirt.",
    }
    assert "held" not in other.types(), "the words are for the one whom they concern"
    shown = {each["participant_id"]: each["held"] for each in other.last("participants")["participants"]}
    assert shown == {"family": False, "family2": True, "prisoner": False}
    assert "shirt" not in str(other.messages)
    assert "not approved clothes" not in str(mine.messages)

    again = scene.channel("family2")
    assert again.last("held")["words"] == "Please put on a shirt.", "who comes back is told again"
    scene.room.resume_participant("family2", OFFICER, "dressed")
    assert scene.media.held == set()
    assert again.last("held")["held"] is False
    assert [event.type for event in scene.events if "participant" in event.type] == [
        EventType.PARTICIPANT_HELD,
        EventType.PARTICIPANT_RESUMED,
    ]
    assert replay(CallEvent.from_json(event.to_json()) for event in scene.events) == scene.room.machine.state


async def test_a_hold_outlives_the_node() -> None:
    scene = await three()
    scene.room.hold_participant("family2", OFFICER, "why", "words")
    moved = Scene(scene.charter, history=scene.room.machine.events, opened_at=scene.clock())
    assert moved.media.held == {"family2"}
    assert moved.channel("family2").last("held")["words"] == "words"


def test_when_a_whole_side_is_held_the_call_is_held_and_its_minutes_do_not_run() -> None:
    machine = live()
    events = machine.hold_participant(at(10), "family", OFFICER, "why", "words")
    assert types(events) == [EventType.PARTICIPANT_HELD, EventType.HELD]
    assert (events[1].cause, events[1].data) == ("side_held", {"sides": ["family"]})
    with pytest.raises(WrongState):
        machine.resume(at(11), OFFICER, "the wrong pause")
    assert machine.hold_participant(at(12), "family", OFFICER, "again") == []
    come(machine, at(20), "family2")
    assert machine.state.phase is Phase.LIVE, "somebody of the side takes part again"
    assert machine.state.connected_seconds(at(30)) == 20
    machine.disconnected(at(30), "family2", "hung_up")
    assert machine.state.phase is Phase.HELD
    machine.resume_participant(at(40), "family", OFFICER, "ok")
    assert machine.state.phase is Phase.LIVE
    with pytest.raises(WrongState):
        machine.resume_participant(at(41), "family", OFFICER, "twice")


async def test_whoever_is_removed_is_told_and_stays_out() -> None:
    scene = await three()
    mine, other = scene.channel("family2"), scene.channel("family")
    session = next(iter(scene.media.sessions.values())).session_id
    scene.room.remove_participant("family2", OFFICER, "not the person", "Please call the prison.")
    assert mine.messages[-1] == {"type": "removed", "words": "Please call the prison."}
    assert mine.closed == (4004, "removed")
    assert scene.media.held == {"family2"}, "nothing of hers flows while her session is being closed"
    for task in tuple(scene.room._tasks):
        await task
    assert {each.owner for each in scene.media.sessions.values()} == {"family", "prisoner"}
    assert session in scene.media.sessions
    assert [each["participant_id"] for each in other.last("participants")["participants"]] == ["family", "prisoner"]
    assert "removed" not in other.types()
    assert "Please call" not in str(other.messages)
    assert scene.phase is Phase.LIVE
    with pytest.raises(ParticipantRemoved):
        scene.channel("family2")
    with pytest.raises(ParticipantRemoved):
        await scene.room.publish(scene.ticket("family2"), OFFER)
    with pytest.raises(UnknownParticipant):
        scene.room.resume_participant("family2", OFFICER, "second thoughts")
    assert replay(scene.events) == scene.room.machine.state


async def test_a_session_that_is_being_answered_while_its_owner_is_removed_is_closed() -> None:
    scene = await three()
    publish = scene.media.publish

    async def removed_meanwhile(participant_id: str, side: Side, offer: str) -> object:
        answer = await publish(participant_id, side, offer)
        scene.room.remove_participant("family2", OFFICER, "why", "")
        return answer

    scene.media.publish = removed_meanwhile  # type: ignore[assignment, method-assign]
    with pytest.raises(ParticipantRemoved):
        await scene.room.publish(scene.ticket("family2"), OFFER)
    assert {each.owner for each in scene.media.sessions.values()} == {"family", "prisoner"}


def test_interventions_name_a_person_of_staff_a_reason_and_a_participant() -> None:
    machine = live()
    for act in (machine.hold_participant, machine.resume_participant):
        with pytest.raises(InvalidRequest):
            act(at(1), "family", OFFICER, " ")
        with pytest.raises(UnknownParticipant):
            act(at(1), "stranger", OFFICER, "why")
    with pytest.raises(InvalidRequest):
        machine.remove_participant(at(1), "family", OFFICER, "", "words")


async def test_the_speaker_is_told_to_all_and_to_whoever_comes_later() -> None:
    scene = await three()
    channel = scene.channel("family")
    assert channel.messages[0]["speaker"] is None
    scene.room.speaker("prisoner")
    assert channel.last("speaker") == {"type": "speaker", "participant_id": "prisoner"}
    assert scene.channel("family2").messages[0]["speaker"] == "prisoner"


async def test_a_poor_line_is_told_to_everybody() -> None:
    scene = await three()
    channels = [scene.channel(who) for who in ("family", "prisoner")]
    scene.room.line_changed("family2", "up", "voice_only")
    for channel in channels:
        assert channel.last("line") == {
            "type": "line",
            "participant_id": "family2",
            "direction": "up",
            "line": "voice_only",
        }


async def test_the_view_reaches_the_media_session() -> None:
    scene = await three()
    channel = scene.channel("family")
    session = next(each.session_id for each in scene.media.sessions.values() if each.owner == "family")
    scene.room.report(channel, View(slots={"1": 720, "3": 180}))
    assert scene.media.views == {session: {"1": 720, "3": 180}}
    scene.room.report(scene.channel("guest"), View(slots={"1": 720}))
    assert list(scene.media.views) == [session], "who has no media has nothing to show"


async def test_control_reaches_one_participant() -> None:
    from tests.unit.signaling.charters import charter
    from tests.unit.signaling.stage import stage

    async with stage() as made:
        given = charter()
        media = await made.open(given)
        for who in ("family", "family2", "prisoner"):
            answer = await made.node.publish(made.ticket(given.call_id, who), given.call_id, OFFER)
            media.connect(answer.session_id)
        held = await made.control.hold(given.call_id, OFFICER, "why", "words", participant_id="family2")
        assert (held.phase, media.held) == (Phase.LIVE, {"family2"})
        assert {each.participant_id for each in held.participants if each.held} == {"family2"}
        resumed = await made.control.resume(given.call_id, OFFICER, "ok", participant_id="family2")
        assert not any(each.held for each in resumed.participants)
        left = await made.control.remove(given.call_id, "family2", OFFICER, "why", "words")
        assert {each.participant_id for each in left.participants} == {"family", "prisoner"}
        reply = await made.post(f"/media/whip/{given.call_id}", made.ticket(given.call_id, "family2"))
        assert (reply.status, '"removed"' in reply.text) == (403, True)
        with pytest.raises(UnknownParticipant):
            await made.control.hold(given.call_id, OFFICER, "why", participant_id="family2")
        assert isinstance(made.clock, FakeClock)
