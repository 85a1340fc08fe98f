"""The call machine, rule by rule."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from signaling.call_machine import CallMachine
from signaling.calls import (
    Actor,
    ActorKind,
    BrokenHistory,
    CallEvent,
    EventType,
    Phase,
    replay,
)
from signaling.errors import InvalidRequest, RecorderRequired, UnknownParticipant, WrongState
from signaling.media.leg import Kind, Side
from signaling.tickets import CallCharter, RecordingPolicy, Supervision
from tests.unit.signaling.charters import END, LOBBY, START, charter

OFFICER = Actor(ActorKind.STAFF, "stf_1")


def at(seconds: float) -> datetime:
    """Seconds after the scheduled start."""
    return START + timedelta(seconds=seconds)


def opened(given: CallCharter | None = None) -> CallMachine:
    machine = CallMachine(given or charter())
    machine.open(LOBBY)
    return machine


def come(machine: CallMachine, now: datetime, *people: str) -> None:
    for person in people:
        side = Side.FAMILY if person.startswith("family") else Side.PRISONER
        machine.joined(now, person, side, "idc_1")
        machine.connected(now, person)


def live(given: CallCharter | None = None) -> CallMachine:
    """A call that went live at its start with everybody it needs."""
    machine = opened(given)
    if machine.charter.recording is RecordingPolicy.REQUIRED:
        machine.recorder_attached(LOBBY, "rec_1", "1")
    if machine.charter.supervision is Supervision.LIVE:
        machine.monitor_joined(LOBBY, "mon_1", "stf_1", "policy")
    come(machine, at(0), "family", "prisoner")
    assert machine.state.phase is Phase.LIVE
    return machine


def types(events: list[CallEvent]) -> list[EventType]:
    return [event.type for event in events]


def test_before_the_lobby_the_call_is_scheduled() -> None:
    machine = CallMachine(charter())
    machine.open(LOBBY - timedelta(seconds=1))
    assert machine.state.phase is Phase.SCHEDULED
    assert types(machine.tick(LOBBY)) == [EventType.LOBBY_OPENED]


def test_ready_when_everybody_is_there_and_live_from_the_start() -> None:
    machine = opened()
    come(machine, at(-600), "family")
    assert machine.state.phase is Phase.LOBBY_OPEN
    come(machine, at(-300), "prisoner")
    assert machine.state.phase is Phase.READY
    assert machine.tick(at(-0.1)) == []
    assert types(machine.tick(at(0))) == [EventType.LIVE]


def test_whoever_leaves_before_the_start_takes_readiness_along() -> None:
    machine = opened()
    come(machine, at(-300), "family", "prisoner")
    events = machine.disconnected(at(-200), "family", "hung_up")
    assert types(events) == [EventType.DISCONNECTED, EventType.NOT_READY]
    assert machine.state.phase is Phase.LOBBY_OPEN


def test_coming_late_goes_live_at_once() -> None:
    machine = opened()
    come(machine, at(60), "family")
    machine.joined(at(90), "prisoner", Side.PRISONER, "idc_2")
    assert types(machine.connected(at(90), "prisoner")) == [EventType.CONNECTED, EventType.READY, EventType.LIVE]


def test_a_required_recorder_is_waited_for() -> None:
    machine = opened(charter(recording=RecordingPolicy.REQUIRED))
    come(machine, at(0), "family", "prisoner")
    assert machine.state.phase is Phase.LOBBY_OPEN
    machine.recorder_attached(at(1), "rec_1", "1")
    assert machine.state.phase is Phase.LIVE


def test_a_required_officer_is_waited_for() -> None:
    machine = opened(charter(supervision=Supervision.LIVE))
    come(machine, at(0), "family", "prisoner")
    assert machine.state.phase is Phase.LOBBY_OPEN
    machine.monitor_joined(at(1), "mon_1", "stf_1", "policy")
    assert machine.state.phase is Phase.LIVE


def test_sampled_supervision_waits_for_nobody() -> None:
    machine = opened(charter(supervision=Supervision.SAMPLE))
    come(machine, at(0), "family", "prisoner")
    assert machine.state.phase is Phase.LIVE


def test_guests_are_not_waited_for() -> None:
    machine = opened()
    machine.joined(at(-300), "guest", Side.GUEST, "idc_3")
    come(machine, at(0), "family", "prisoner")
    assert machine.state.phase is Phase.LIVE
    machine.connected(at(10), "guest")
    machine.disconnected(at(20), "guest", "hung_up")
    assert machine.state.phase is Phase.LIVE


def test_hold_and_resume() -> None:
    machine = live()
    held = machine.hold(at(10), OFFICER, "unclear", "Back in a moment")
    assert types(held) == [EventType.HOLD_PLACED, EventType.HELD]
    assert (held[1].actor, held[1].cause, held[1].data["words"]) == (OFFICER, "officer", "Back in a moment")
    assert machine.hold(at(11), OFFICER, "again") == []
    resumed = machine.resume(at(20), OFFICER, "clear")
    assert types(resumed) == [EventType.HOLD_LIFTED, EventType.LIVE]
    with pytest.raises(WrongState):
        machine.resume(at(21), OFFICER, "clear")


def test_nothing_is_held_before_it_is_live() -> None:
    machine = opened()
    with pytest.raises(WrongState):
        machine.hold(at(-100), OFFICER, "why")


def test_the_loss_of_a_required_recorder_holds_the_call_at_once() -> None:
    machine = live(charter(recording=RecordingPolicy.REQUIRED))
    events = machine.recorder_failed(at(10), "disk_full")
    assert types(events) == [EventType.RECORDER_FAILED, EventType.HELD]
    assert events[1].cause == "recorder_missing"
    with pytest.raises(RecorderRequired):
        machine.resume(at(11), OFFICER, "go on anyway")
    assert types(machine.recorder_attached(at(20), "rec_2", "1")) == [EventType.RECORDER_ATTACHED, EventType.LIVE]


def test_an_officer_s_hold_outlasts_the_recorder_s() -> None:
    machine = live(charter(recording=RecordingPolicy.REQUIRED))
    machine.recorder_failed(at(10), "disk_full")
    machine.hold(at(11), OFFICER, "unclear")
    machine.recorder_attached(at(12), "rec_2", "1")
    assert machine.state.phase is Phase.HELD
    machine.resume(at(13), OFFICER, "clear")
    assert machine.state.phase is Phase.LIVE


def test_a_required_officer_may_be_gone_for_fifteen_seconds() -> None:
    machine = live(charter(supervision=Supervision.LIVE))
    machine.monitor_left(at(100), "mon_1", "closed", gone_since=at(100))
    assert machine.tick(at(114.9)) == []
    assert types(machine.tick(at(115))) == [EventType.WAITING_MONITOR]
    events = machine.monitor_joined(at(130), "mon_2", "stf_2", "policy")
    assert types(events) == [EventType.MONITOR_JOINED, EventType.LIVE]


def test_silence_counts_from_when_it_began() -> None:
    machine = live(charter(supervision=Supervision.LIVE))
    machine.monitor_left(at(107.5), "mon_1", "consent_expired", gone_since=at(100))
    assert types(machine.tick(at(115))) == [EventType.WAITING_MONITOR]


def test_a_second_officer_is_enough() -> None:
    machine = live(charter(supervision=Supervision.LIVE))
    machine.monitor_joined(at(50), "mon_2", "stf_2", "policy")
    machine.monitor_left(at(60), "mon_1", "closed", gone_since=at(60))
    machine.tick(at(600))
    assert machine.state.phase is Phase.LIVE


def test_an_officer_back_within_the_grace_changes_nothing() -> None:
    machine = live(charter(supervision=Supervision.LIVE))
    machine.monitor_left(at(60), "mon_1", "closed", gone_since=at(60))
    machine.monitor_joined(at(70), "mon_2", "stf_1", "policy")
    machine.tick(at(100))
    assert machine.state.phase is Phase.LIVE
    machine.monitor_left(at(101), "mon_2", "closed", gone_since=at(101))
    machine.tick(at(115.9))
    assert machine.state.phase is Phase.LIVE  # the grace begins anew


def test_a_side_gone_stops_the_clock_and_ends_the_call_after_two_minutes() -> None:
    machine = live()
    events = machine.disconnected(at(60), "family", "consent_expired")
    assert types(events) == [EventType.DISCONNECTED, EventType.RECONNECTING]
    assert events[1].data["sides"] == ["family"]
    assert machine.tick(at(179.9)) == []
    ended = machine.tick(at(180))
    assert types(ended) == [EventType.ENDING]
    assert (ended[0].cause, ended[0].data["sides"]) == ("side_gone", ["family"])
    assert ended[0].data["connected_seconds"] == 60
    assert types(machine.finish(at(181))) == [EventType.ENDED]


def test_a_side_back_in_the_last_moment_is_back() -> None:
    machine = live()
    machine.disconnected(at(60), "family", "consent_expired")
    assert types(machine.connected(at(180.2), "family")) == [EventType.CONNECTED, EventType.LIVE]


def test_one_of_two_relatives_is_a_side() -> None:
    machine = live()
    come(machine, at(10), "family2")
    machine.disconnected(at(60), "family", "consent_expired")
    assert machine.state.phase is Phase.LIVE


def test_the_clock_counts_live_seconds_only() -> None:
    machine = live()
    machine.hold(at(100), OFFICER, "why")
    machine.resume(at(150), OFFICER, "ok")
    machine.disconnected(at(200), "prisoner", "consent_expired")
    machine.connected(at(260), "prisoner")
    assert machine.state.connected_seconds(at(300)) == 100 + 50 + 40


def test_notices_come_once_each_and_the_schedule_ends_the_call() -> None:
    machine = live()
    minutes: list[int] = []
    for second in range(1800):
        minutes += [event.data["minutes"] for event in machine.tick(at(second)) if event.type is EventType.NOTICE]
    assert minutes == [10, 5, 2, 1]
    ended = machine.tick(END)
    assert (types(ended), ended[0].cause) == ([EventType.ENDING], "time_over")
    assert ended[0].data == {"outcome": "ended", "connected_seconds": 1800.0}


def test_a_short_call_gets_only_the_notices_that_fit() -> None:
    machine = live(charter(minutes=5))
    events = [event for second in range(300) for event in machine.tick(at(second))]
    assert [event.data["minutes"] for event in events if event.type is EventType.NOTICE] == [2, 1]


def test_a_late_call_hears_only_the_nearest_notice() -> None:
    machine = opened()
    machine.joined(at(0), "family", Side.FAMILY, "idc_1")
    machine.joined(at(0), "prisoner", Side.PRISONER, "idc_1")
    machine.connected(END - timedelta(seconds=100), "family")
    events = machine.connected(END - timedelta(seconds=100), "prisoner")
    assert [event.data["minutes"] for event in events if event.type is EventType.NOTICE] == [2]


def test_the_schedule_ends_a_held_call_too() -> None:
    machine = live()
    machine.hold(at(10), OFFICER, "why")
    assert machine.tick(END)[-1].data["outcome"] == "ended"


@pytest.mark.parametrize("present", [[], ["family"], ["prisoner"]])
def test_nobody_came(present: list[str]) -> None:
    machine = opened()
    come(machine, at(0), *present)
    machine.tick(at(1799.9))
    assert machine.state.phase is Phase.LOBBY_OPEN
    ended = machine.tick(at(1800))
    absent = sorted({"family", "prisoner"} - set(present))
    assert (ended[-1].data["outcome"], ended[-1].data["sides"]) == ("no_show", absent)


def test_signed_in_without_a_connection_is_a_failure_and_no_no_show() -> None:
    machine = opened()
    machine.joined(at(0), "family", Side.FAMILY, "idc_1")
    come(machine, at(0), "prisoner")
    machine.tick(at(900))
    assert machine.state.phase is Phase.LOBBY_OPEN
    ended = machine.tick(END)
    assert (ended[-1].data["outcome"], ended[-1].cause) == ("failed", "family_missing")


def test_a_recorder_that_never_came_is_a_failure() -> None:
    machine = opened(charter(recording=RecordingPolicy.REQUIRED))
    come(machine, at(0), "family", "prisoner")
    machine.tick(at(900))
    ended = machine.tick(END)
    assert (ended[-1].data["outcome"], ended[-1].cause) == ("failed", "recorder_missing")


def test_termination_needs_a_person_and_a_reason() -> None:
    machine = live()
    for actor, reason in (
        (Actor(ActorKind.SYSTEM, "face_watch"), "absent"),
        (Actor(ActorKind.PARTICIPANT, "family"), "done"),
        (Actor(ActorKind.STAFF, ""), "why"),
        (OFFICER, "  "),
    ):
        with pytest.raises(InvalidRequest):
            machine.terminate(at(10), actor, reason, "words")
    assert machine.state.phase is Phase.LIVE
    events = machine.terminate(at(10), OFFICER, "contraband shown", "This visit has been ended.")
    assert (events[0].actor, events[0].data["outcome"]) == (OFFICER, "terminated")
    final = machine.finish(at(11))
    assert (types(final), final[0].actor) == ([EventType.TERMINATED], OFFICER)


def test_a_call_is_cancelled_only_before_it_was_live() -> None:
    machine = opened()
    events = machine.cancel(at(-100), "booking_cancelled")
    assert (events[0].cause, events[0].data["outcome"]) == ("booking_cancelled", "failed")
    with pytest.raises(WrongState):
        live().cancel(at(10), "booking_cancelled")


def test_nothing_happens_to_a_call_that_is_over() -> None:
    machine = live()
    machine.terminate(at(10), OFFICER, "why", "")
    for attempt in (
        lambda: machine.hold(at(11), OFFICER, "why"),
        lambda: machine.terminate(at(11), OFFICER, "why", ""),
        lambda: machine.say(at(11), OFFICER, "hello"),
        lambda: machine.joined(at(11), "guest", Side.GUEST, "idc_3"),
        lambda: machine.fail(at(11), "x"),
    ):
        with pytest.raises(WrongState):
            attempt()
    machine.finish(at(12))
    assert machine.tick(at(5000)) == []
    with pytest.raises(WrongState):
        machine.finish(at(13))


def test_mute_bookmark_and_say_are_recorded() -> None:
    machine = live()
    machine.mute(at(1), "family", Kind.AUDIO, True, OFFICER, "noise")
    assert machine.state.muted == {("family", Kind.AUDIO)}
    machine.mute(at(2), "family", Kind.AUDIO, False, OFFICER, "quiet")
    assert machine.state.muted == frozenset()
    with pytest.raises(UnknownParticipant):
        machine.mute(at(3), "nobody", Kind.AUDIO, True, OFFICER, "noise")
    machine.bookmark(at(4), OFFICER, "look here")
    machine.say(at(5), OFFICER, "Two more minutes")
    assert [event.type for event in machine.events[-2:]] == [EventType.BOOKMARK, EventType.SAID]


def test_events_come_back_from_json_and_give_the_state() -> None:
    machine = live(charter(recording=RecordingPolicy.REQUIRED, supervision=Supervision.LIVE))
    machine.mute(at(1), "family", Kind.AUDIO, True, OFFICER, "noise")
    machine.hold(at(2), OFFICER, "why", "words")
    machine.monitor_left(at(3), "mon_1", "closed", gone_since=at(3))
    events = [CallEvent.from_json(event.to_json()) for event in machine.events]
    assert events == machine.events
    assert replay(events) == machine.state


def test_a_history_with_a_hole_or_a_step_back_is_refused() -> None:
    events = live().events
    with pytest.raises(BrokenHistory):
        replay(events[:2] + events[3:])
    with pytest.raises(BrokenHistory):
        replay([*events, events[-1]])
    with pytest.raises(BrokenHistory):
        replay(events[1:])


def test_a_clock_that_is_set_back_does_not_break_the_order() -> None:
    machine = live()
    machine.bookmark(at(10), OFFICER, "a")
    machine.bookmark(at(5), OFFICER, "b")
    assert machine.events[-1].at == at(10)
    replay(machine.events)


def test_another_node_takes_the_call_up_where_it_was() -> None:
    first = live(charter(recording=RecordingPolicy.REQUIRED))
    first.bookmark(at(60), OFFICER, "the last that was heard of it")
    second = CallMachine(first.charter, history=first.events)
    events = second.open(at(90))
    # Nobody is connected there and no recorder; what was not witnessed does not count as connected.
    assert types(events) == [EventType.REOPENED, EventType.HELD]
    assert second.state.connected_seconds(at(90)) == 60
    second.recorder_attached(at(91), "rec_2", "1")
    assert second.state.phase is Phase.RECONNECTING
    come(second, at(95), "family", "prisoner")
    assert second.state.phase is Phase.LIVE
    assert second.state.sequence == len(second.events)
    replay(second.events)


def test_a_crash_loses_at_most_a_minute_of_the_clock() -> None:
    first = live()
    for second in range(0, 601, 7):
        first.tick(at(second))
    # Nothing was said after the last event: the process was killed.
    second_life = CallMachine(first.charter, history=first.events)
    second_life.open(at(650))
    assert 540 <= second_life.state.connected_seconds(at(650)) <= 600
    assert sum(event.type is EventType.CLOCK for event in first.events) <= 10


def test_a_call_taken_up_too_late_is_over_by_schedule() -> None:
    first = live()
    second = CallMachine(first.charter, history=first.events)
    assert types(second.open(END + timedelta(minutes=5)))[-1] is EventType.ENDING
    assert second.state.outcome is Phase.ENDED


def test_a_call_that_is_over_is_not_taken_up() -> None:
    first = live()
    first.terminate(at(10), OFFICER, "why", "")
    first.finish(at(11))
    with pytest.raises(WrongState):
        CallMachine(first.charter, history=first.events).open(at(20))
