"""One participant is held in the relay, whatever any client does; the others go on. And five are a full call."""

from __future__ import annotations

import pytest

from signaling.media.errors import RoomFull
from signaling.media.leg import Side
from tests.fakes.media_client import PARTY
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call, ListeningLeg
from tests.integration.media.test_call import send

FIVE = (*PARTY, *[("audio", "recvonly"), ("video", "recvonly")] * 3, ("audio", "recvonly"))


async def test_a_held_participant_neither_gets_nor_gives_anything(call: Call) -> None:
    people = {
        "family": await call.join("family", Side.FAMILY, FIVE),
        "family2": await call.join("family2", Side.FAMILY, FIVE),
        "prisoner": await call.join("prisoner", Side.PRISONER, FIVE),
    }
    call.room.set_gate(True)
    leg = ListeningLeg("recorder")
    call.ordinary.add_leg(leg)
    officer = await call.watch("officer")
    for client in people.values():
        send(client, 0, 10, key_at=0)
    for client in people.values():
        await eventually(lambda client=client: len(client.received.rtp) == 40, "everybody gets both others")  # type: ignore[misc]

    shown = [slot.mid for slot in call.room.slots(call.sessions[officer]) if slot.participant_id == "family2"]

    def officer_has() -> int:
        return sum(packet.extensions.mid in shown for packet in officer.received.rtp)

    await eventually(lambda: officer_has() == 20, "the officer sees and hears her")
    call.room.set_held("family2", True)
    before = call.room.counters()
    for client in people.values():
        send(client, 10, 10, key_at=10)
    await call.received(before.received + 60)
    for name in ("family", "prisoner"):
        await eventually(lambda name=name: len(people[name].received.rtp) == 60, "the others go on")  # type: ignore[misc]
    await eventually(lambda: call.room.counters().dropped_muted == before.dropped_muted + 20, "his packets are dropped")
    assert len(people["family2"].received.rtp) == 40
    assert not [packet for track, packet, _ in leg.rtp[60:] if track.participant_id == "family2"]
    assert [slot.track_id for slot in call.room.slots(call.sessions[people["family2"]])] == [None] * 9

    await eventually(lambda: len(officer.received.rtp) >= 60, "the officer gets the one who is not held")
    assert officer_has() == 20, "nobody gets what is held, an officer neither"
    again = await call.join("family2", Side.FAMILY, FIVE)
    send(again, 0, 5, key_at=0)
    send(people["family"], 20, 5)
    await eventually(lambda: len(people["prisoner"].received.rtp) == 70, "the others go on")
    assert (len(again.received.rtp), call.room.gate_open) == (0, True), "a hold lasts through his rejoining"

    call.room.set_held("family2", False)
    send(people["family"], 25, 5, key_at=25)
    send(again, 5, 5, key_at=5)
    await eventually(lambda: len(again.received.of_kind("audio")) >= 5, "he hears again")
    await eventually(lambda: len(people["prisoner"].received.rtp) == 90, "he is heard again")


async def test_five_take_part_and_a_sixth_does_not(call: Call) -> None:
    names = ["family", "family2", "family3", "guest", "prisoner"]
    sides = [Side.FAMILY, Side.FAMILY, Side.FAMILY, Side.GUEST, Side.PRISONER]
    people = [await call.join(name, side, FIVE) for name, side in zip(names, sides, strict=True)]
    call.room.set_gate(True)
    for client in people:
        send(client, 0, 5, key_at=0)
    for client, name in zip(people, names, strict=True):
        await eventually(lambda client=client: len(client.received.rtp) == 40, "everybody gets four others")  # type: ignore[misc]
        shown = {slot.participant_id for slot in call.room.slots(call.sessions[client]) if slot.participant_id}
        assert shown == set(names) - {name}
        assert len({packet.ssrc for packet in client.received.rtp}) == 8
    sixth = call.client(FIVE)
    with pytest.raises(RoomFull):
        await call.room.publish("family6", Side.FAMILY, sixth.offer())


async def test_the_louder_one_who_goes_on_is_the_speaker(call: Call) -> None:
    family = await call.join("family", Side.FAMILY, FIVE)
    prisoner = await call.join("prisoner", Side.PRISONER, FIVE)
    call.room.set_gate(True)

    def voices() -> None:
        family.send_rtp("audio", b"opus", 0, level=127)
        prisoner.send_rtp("audio", b"opus", 0, level=25)

    def announced() -> bool:
        voices()
        return call.heard.speakers == ["prisoner"]

    await eventually(announced, "the speaker is announced")
    await call.room.close_session(call.sessions[prisoner])
    await eventually(lambda: call.heard.speakers == ["prisoner", None], "the speaker has gone")
