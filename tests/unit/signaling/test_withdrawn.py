"""A right taken back ends the call by the person who took it; a right in question pauses it until an officer looks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from signaling.calls import RIGHT_WITHDRAWN, SYSTEM, Actor, ActorKind, EventType, Phase
from signaling.errors import InvalidRequest, WrongState
from signaling.messages import Hello
from signaling.tickets import CallCharter
from signaling.views import state_message
from tests.fakes.channel import FakeChannel
from tests.fixtures.waiting import eventually
from tests.unit.signaling.charters import charter
from tests.unit.signaling.stage import OFFICER, Stage, stage

PERSON = Actor(ActorKind.PARTICIPANT, "prisoner")


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def go_live(on: Stage, given: CallCharter) -> dict[str, FakeChannel]:
    """Both sides with media and a control channel."""
    media = await on.open(given)
    room = on.node.rooms.get(given.call_id)
    channels = {}
    for who in ("family", "prisoner"):
        ticket = on.ticket(given.call_id, who)
        media.connect((await on.node.publish(ticket, given.call_id, "v=0\r\n")).session_id)
        channels[who] = FakeChannel()
        on.node.attach(Hello(ticket=ticket), channels[who])
    assert room.phase is Phase.LIVE
    return channels


@pytest.mark.parametrize("person", [PERSON, OFFICER], ids=["of the call", "of the staff"])
async def test_both_sides_hear_the_same_and_not_who(on: Stage, person: Actor) -> None:
    given = charter()
    channels = await go_live(on, given)
    media = on.media.rooms[given.call_id]
    answer = await on.control.withdraw(given.call_id, person, "This visit has ended.")
    assert answer.phase is Phase.ENDING
    assert not media.gate, "nothing is forwarded from here on"
    told = [channel.last("ended") for channel in channels.values()]
    assert told[0] == told[1]
    assert (told[0]["cause"], told[0]["words"], told[0]["outcome"]) == ("called_off", "This visit has ended.", "ended")
    assert person.actor_id not in {str(value) for value in told[0].values()}
    await eventually(lambda: len(on.node.rooms) == 0, "the room is closed")
    ending, ended = (await on.control.events(given.call_id))[-2:]
    assert (ending.type, ended.type) == (EventType.ENDING, EventType.ENDED)
    assert ending.actor == ended.actor == person
    assert ending.cause == RIGHT_WITHDRAWN


async def test_the_state_of_an_ending_call_does_not_tell_it_either(on: Stage) -> None:
    given = charter()
    await go_live(on, given)
    room = on.node.rooms.get(given.call_id)
    room.withdraw(PERSON, "Words.")  # at once, before the room has had a moment to close
    state = state_message(room.machine, on.clock())
    assert (state.state, state.by, state.cause) == (Phase.ENDING, ActorKind.SYSTEM, "called_off")


async def test_no_program_takes_a_right_back(on: Stage) -> None:
    given = charter()
    await go_live(on, given)
    for actor in (SYSTEM, Actor(ActorKind.STAFF, "")):
        with pytest.raises(InvalidRequest):
            await on.control.withdraw(given.call_id, actor, "Words.")
    assert (await on.control.snapshot(given.call_id)).phase is Phase.LIVE


async def test_a_call_that_nobody_has_joined_ends_too(on: Stage) -> None:
    given = charter()
    await on.open(given)
    room = on.node.rooms.get(given.call_id)
    assert (await on.control.withdraw(given.call_id, PERSON, "Words.")).phase is Phase.ENDING
    with pytest.raises(WrongState):
        room.withdraw(PERSON, "Words.")


async def test_a_right_in_question_pauses_until_an_officer_resumes(on: Stage) -> None:
    given = charter()
    channels = await go_live(on, given)
    held = await on.control.question(given.call_id, "A member of staff looks at this.")
    assert (held.phase, held.held_by_officer) == (Phase.HELD, True)
    assert not on.media.rooms[given.call_id].gate
    assert {channel.last("state")["words"] for channel in channels.values()} == {"A member of staff looks at this."}
    assert (await on.control.question(given.call_id, "again")).last_sequence == held.last_sequence, "once is enough"
    placed = next(e for e in await on.control.events(given.call_id) if e.type is EventType.HOLD_PLACED)
    assert (placed.actor, placed.cause) == (SYSTEM, "right_in_question")
    assert (await on.control.resume(given.call_id, OFFICER, "looked at it")).phase is Phase.LIVE


async def test_what_has_not_begun_cannot_be_paused(on: Stage) -> None:
    given = charter()
    await on.open(given)
    with pytest.raises(WrongState):
        await on.control.question(given.call_id, "Words.")
