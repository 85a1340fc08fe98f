"""A privileged call has participants and nobody else, whatever is asked."""

from __future__ import annotations

import gc

import pytest

from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId, new_id
from signaling.media.leg import Side
from signaling.media.node import MediaNode
from signaling.media.rooms import OrdinaryMediaRoom, PrivilegedMediaRoom
from signaling.media.track import LegOutput
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call
from tests.integration.media.test_call import send


async def test_a_privileged_room_has_no_way_in_for_a_listener(privileged_call: Call) -> None:
    room = privileged_call.room
    assert isinstance(room, PrivilegedMediaRoom)
    assert not isinstance(room, OrdinaryMediaRoom)
    for name in ("subscribe", "add_leg", "remove_leg"):
        assert not hasattr(room, name)


def _leg_outputs() -> set[int]:
    return {id(item) for item in gc.get_objects() if isinstance(item, LegOutput)}


async def test_a_privileged_call_works_and_nothing_else_listens(privileged_call: Call) -> None:
    before = _leg_outputs()
    lawyer = await privileged_call.join("lawyer", Side.GUEST)
    prisoner = await privileged_call.join("prisoner", Side.PRISONER)
    privileged_call.room.set_gate(True)
    send(lawyer, 0, 20, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 40, "the call")
    counters = privileged_call.room.counters()
    assert counters.forwarded == counters.forwarded_participants == 40
    assert counters.forwarded_officers == counters.forwarded_legs == 0
    assert _leg_outputs() <= before


async def test_the_identifier_alone_decides_the_kind_of_room(node: MediaNode) -> None:
    assert isinstance(node.open_room(OrdinaryCallId(new_id("call"))), OrdinaryMediaRoom)
    privileged = PrivilegedCallId(new_id("priv"))
    room = node.open_room(privileged)
    assert isinstance(room, PrivilegedMediaRoom)
    assert node.open_room(privileged) is room
    with pytest.raises(TypeError):
        node.open_room(OrdinaryCallId(privileged))
    with pytest.raises(TypeError):
        node.open_room(CallId(new_id("call")))  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        OrdinaryMediaRoom(privileged, room._transport)  # type: ignore[arg-type]


async def test_a_privileged_text_dressed_as_an_ordinary_call_gets_no_ordinary_room(node: MediaNode) -> None:
    with pytest.raises(TypeError):
        node.open_room(OrdinaryCallId(new_id("priv")))
