"""A node that stood still, or cannot reach the directory: what it may go on with, and what it has lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from signaling.calls import CallEvent, EventType, Phase
from signaling.capabilities import CallCharter, RecordingPolicy
from signaling.commands import CALL_EVENT_TOPIC
from signaling.directory import NO_CALLS, InProcessDirectory, NodeInfo
from signaling.errors import Unavailable, UnknownCall
from signaling.node import SignalingNode
from signaling.tickets import TicketVerifier
from tests.fakes.channel import FakeChannel
from tests.fakes.media_room import FakeMediaNode, FakeMediaRoom
from tests.fixtures.waiting import eventually
from tests.unit.signaling.charters import charter
from tests.unit.signaling.stage import OFFICER, Stage, stage

REQUIRED = RecordingPolicy.REQUIRED
PATIENCE = 30


class Away(InProcessDirectory):
    """A directory that can be away for registering nodes."""

    away = False

    async def register(self, node, load, *, accepting=True, hosting=NO_CALLS):  # type: ignore[no-untyped-def]
        if self.away:
            raise Unavailable("away")
        return await super().register(node, load, accepting=accepting, hosting=hosting)


@pytest.fixture
async def on(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr("tests.unit.signaling.stage.InProcessDirectory", Away)
    async with stage() as made:
        yield made


async def live(on: Stage, node: SignalingNode, media: FakeMediaNode, given: CallCharter) -> FakeMediaRoom:
    room = media.rooms[given.call_id]
    for who in ("family", "prisoner"):
        answer = await node.publish(on.ticket(given.call_id, who), given.call_id, "v=0\r\n")
        room.connect(answer.session_id)
    return room


def other_node(on: Stage) -> tuple[SignalingNode, FakeMediaNode]:
    media = FakeMediaNode()
    node = SignalingNode(
        NodeInfo("node-2", "", 10),
        media,  # type: ignore[arg-type]
        on.bus,
        on.directory,
        TicketVerifier([on.key.public_key()], on.clock),
        clock=on.clock,
        monotonic=on.clock.monotonic,
        recorder_factory=on.make_recorder,
    )
    return node, media


async def test_a_node_that_stood_still_and_lost_its_call_lets_nothing_pass_and_gives_it_up(on: Stage) -> None:
    given = charter(recording=REQUIRED)
    await on.open(given)
    await on.control.attach_recorder(on.recording(given.call_id))
    old = await live(on, on.node, on.media, given)
    channel = FakeChannel()
    on.node.rooms.get(given.call_id).attach_channel(on.node._verifier.join(on.ticket(given.call_id)), channel)
    assert old.gate
    history = await on.control.events(given.call_id)
    follower = await on.bus.subscribe(CALL_EVENT_TOPIC)

    # It stands still: nothing of it runs while the time goes on, and another takes the call.
    on.clock.advance(20)
    on.node.pause_over()
    assert not old.gate  # before anything else happens
    node, media = other_node(on)
    await node.start()
    try:
        await on.control.open(on.sign(given), history)
        await on.control.attach_recorder(on.recording(given.call_id))
        new = await live(on, node, media, given)
        on.node.rooms.get(given.call_id).tick()  # whatever it makes up now is nobody's business
        await eventually(lambda: len(on.node.rooms) == 0, "the stale copy is given up", PATIENCE)
        assert on.legs[0].abandoned and not on.legs[0].sealed and not on.legs[1].abandoned
        assert channel.closed == (1012, "call moved")
        assert new.gate and node.rooms.get(given.call_id).phase is Phase.LIVE
        with pytest.raises(UnknownCall):
            await on.node.publish(on.ticket(given.call_id), given.call_id, "v=0\r\n")
        await on.control.terminate(given.call_id, OFFICER, "why", "")
        seen: list[CallEvent] = []
        async with asyncio.timeout(PATIENCE):
            while not seen or seen[-1].type is not EventType.TERMINATED:
                seen.append(CallEvent.from_json((await anext(follower)).payload))
        sequences = [event.sequence for event in seen]
        assert sequences == list(range(len(history) + 1, len(history) + 1 + len(seen)))  # one node's, and no other's
        assert seen[0].type is EventType.REOPENED
    finally:
        await node.stop()


async def test_a_node_that_stood_still_and_lost_nothing_goes_on(on: Stage) -> None:
    given = charter()
    await on.open(given)
    media = await live(on, on.node, on.media, given)
    on.clock.advance(20)
    on.node.pause_over()
    assert not media.gate
    await eventually(lambda: media.gate, "the gate is open again", PATIENCE)
    assert on.node.rooms.get(given.call_id).phase is Phase.LIVE


async def test_a_node_that_stood_still_waits_for_the_directory(on: Stage) -> None:
    given = charter()
    await on.open(given)
    media = await live(on, on.node, on.media, given)
    assert isinstance(on.directory, Away)
    on.directory.away = True
    on.clock.advance(20)
    on.node.pause_over()
    await eventually(lambda: not on.node._sure.is_set(), "it doubts", PATIENCE)
    await asyncio.sleep(0.6)  # two looks at the clock: the directory has not answered, so nothing may change
    assert not media.gate
    on.directory.away = False
    await eventually(lambda: media.gate, "the gate is open again", PATIENCE)


async def test_a_node_that_runs_goes_on_without_the_directory(on: Stage) -> None:
    given = charter()
    await on.open(given)
    media = await live(on, on.node, on.media, given)
    assert isinstance(on.directory, Away)
    on.directory.away = True
    for _ in range(20):  # far longer than the lease, but never standing still for long
        on.clock.advance(4)
        beat = on.node._beat
        await eventually(lambda beat=beat: on.node._beat > beat, "it runs", PATIENCE)  # type: ignore[misc]
        assert media.gate
    on.directory.away = False


async def test_an_order_of_a_newer_placement_replaces_a_stale_copy(on: Stage) -> None:
    given = charter()
    await on.open(given)
    stale = on.node.rooms.get(given.call_id)
    history = await on.control.events(given.call_id)
    token = on.node.rooms.token_of(given.call_id)
    assert token is not None
    room = on.node.rooms.open(on.sign(given), history, token + 1)
    assert room is not stale and stale.over.is_set()
    assert room.machine.events[-1].type is EventType.LOBBY_OPENED or room.machine.state.sequence > len(history)
    assert on.node.rooms.open(on.sign(given), (), token + 1) is room


async def test_a_recorder_that_was_replaced_puts_the_node_in_doubt(on: Stage) -> None:
    given = charter(recording=REQUIRED)
    await on.open(given)
    await on.control.attach_recorder(on.recording(given.call_id))
    media = await live(on, on.node, on.media, given)
    assert isinstance(on.directory, Away)
    on.directory.away = True
    on.legs[0].fail("fenced")
    assert not media.gate and on.node.rooms.get(given.call_id).phase is Phase.LIVE  # nothing is said of it yet
    on.directory.away = False  # the call is this node's after all: then it has lost its recorder
    await eventually(
        lambda: on.node.rooms.get(given.call_id).phase is Phase.HELD, "held for want of a recorder", PATIENCE
    )
    assert not media.gate
