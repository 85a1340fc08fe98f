"""What participants are told on their channels is the same, word for word, whether officers are there or not."""

from __future__ import annotations

from typing import Any

import pytest

from signaling.ids import OrdinaryCallId
from signaling.media.listener import PeerLost
from signaling.messages import Device
from signaling.monitored_room import OrdinaryRoom
from tests.fakes.channel import FakeChannel
from tests.unit.signaling.charters import charter
from tests.unit.signaling.rooms_for_tests import OFFICER, Scene

CALL = OrdinaryCallId("call_" + "a" * 26)


async def story(officers: bool, *, watch_banner: bool) -> list[list[dict[str, Any]]]:
    """A call with comings, goings, pauses and talk; with `officers` somebody watches most of it, twice over."""
    scene = Scene(charter(call_id=CALL, watch_banner=watch_banner))
    assert isinstance(scene.room, OrdinaryRoom)
    watches: list[str] = []
    observers = [FakeChannel(), FakeChannel()]
    if officers:
        watches.append(await scene.watch("stf_1"))
        scene.room.attach_observer(scene.warrant("stf_1"), observers[0])
    channels = [scene.channel(who) for who in ("family", "family2", "prisoner")]
    for who in ("family", "family2", "prisoner"):
        await scene.join(who)
    scene.start()
    if officers:
        watches.append(await scene.watch("stf_2"))
        scene.room.bookmark(OFFICER, "a look at the clock")
    scene.room.report(channels[0], Device(microphone="on", camera="off"))
    scene.room.talking("prisoner", 30)
    scene.room.speaker("prisoner")
    scene.wait(10)
    scene.room.hold(OFFICER, "why", "words")
    if officers:
        scene.media.lose(watches.pop(), PeerLost.CONSENT_EXPIRED)
        scene.room.attach_observer(scene.warrant("stf_2", hours=0.01), observers[1])
    scene.wait(10)
    scene.room.resume(OFFICER, "ok")
    scene.room.hold_participant("family2", OFFICER, "why", "for you")
    scene.wait(60)
    if officers:
        scene.room.detach_channel(observers[0], "closed")
        scene.media.lose(watches.pop(), PeerLost.CLOSED)
    channels.append(scene.channel("family"))
    scene.wait(1100)
    scene.room.terminate(OFFICER, "why", "over")
    await scene.room.over.wait()
    if officers:
        assert any(message["type"] == "event" for message in observers[0].messages), "the officers were there"
    return [channel.messages for channel in channels]


async def test_without_the_banner_there_is_no_difference_at_all() -> None:
    assert await story(True, watch_banner=False) == await story(False, watch_banner=False)


async def test_with_the_banner_it_is_the_only_difference() -> None:
    with_officers, without = await story(True, watch_banner=True), await story(False, watch_banner=True)
    assert with_officers != without
    for told, otherwise in zip(with_officers, without, strict=True):
        banner = [message for message in told if message["type"] == "watching"]
        rest = [{**message, "watching": None} for message in told if message["type"] != "watching"]
        assert rest == [{**message, "watching": None} for message in otherwise]
        assert all(set(message) == {"type", "watching"} for message in banner), "how many watch is not told, nor who"


@pytest.mark.parametrize("word", ["stf_1", "stf_2", "policy", "a look at the clock"])
async def test_no_officer_no_ground_and_no_note_is_in_any_message(word: str) -> None:
    for banner in (True, False):
        assert word not in str(await story(True, watch_banner=banner))
