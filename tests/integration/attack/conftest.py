"""A live call of the tests' own clients, whom everything here is done to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from signaling.calls import Phase
from signaling.ids import CallId
from signaling.media.leg import Kind, Side
from signaling.media.stats import RoomCounters
from tests.fakes.media_client import MediaClient, vp8
from tests.fixtures.waiting import eventually
from tests.integration.interop.house import PATIENCE, MediaHouse, media_house
from tests.integration.media.conftest import ListeningLeg

STEP = 960  # an Opus frame of 20 ms


@dataclass
class LiveCall:
    """Two sides who talk, and a recorder; `said` is every payload that either of them has sent."""

    house: MediaHouse
    call_id: CallId
    family: MediaClient
    prisoner: MediaClient
    sessions: tuple[str, ...]
    recorder: ListeningLeg = field(default_factory=lambda: ListeningLeg("recorder"))
    said: dict[str, list[bytes]] = field(default_factory=lambda: {"family": [], "prisoner": []})
    number: int = 0

    @property
    def counters(self) -> RoomCounters:
        return self.house.counters(self.call_id)

    def talk(self) -> None:
        """One frame of sound and picture from each side."""
        number = self.number
        self.number += 1
        for name, client in (("family", self.family), ("prisoner", self.prisoner)):
            sound, picture = f"{name} {number}".encode(), vp8(number, key=number == 0)
            client.send_rtp("audio", sound, number * STEP)
            client.send_rtp("video", picture, number * 3000)
            self.said[name] += [sound, picture]

    def heard(self, listener: MediaClient) -> list[bytes]:
        """The sound that has reached one side."""
        return [packet.payload for packet in listener.received.of_kind("audio")]

    async def talk_for(self, frames: int, pause: float = 0.02) -> None:
        """Talk in the rhythm of real audio."""
        for _ in range(frames):
            self.talk()
            await asyncio.sleep(pause)

    async def goes_on(self) -> None:
        """The call is whole: everything that is said now arrives, on both sides and at the recorder."""
        before = len(self.heard(self.prisoner)), len(self.heard(self.family)), self.counters.received
        for _ in range(10):
            self.talk()
        await eventually(
            lambda: (
                len(self.heard(self.prisoner)) == before[0] + 10
                and len(self.heard(self.family)) == before[1] + 10
                and self.counters.received == before[2] + 40
            ),
            "the call goes on",
            PATIENCE,
        )
        assert self.house.phase(self.call_id) is Phase.LIVE
        assert self.house.room(self.call_id).session_ids == self.sessions

    def nothing_strange_came_through(self) -> None:
        """Nobody was given anything, live or recorded, that the two sides have not said themselves, or twice."""
        family, prisoner = self.said["family"], self.said["prisoner"]
        for listener, said in ((self.prisoner, family), (self.family, prisoner)):
            payloads = [packet.payload for packet in listener.received.rtp]
            assert set(payloads) <= set(said)
            sound = self.heard(listener)
            assert len(sound) == len(set(sound))
        recorded = self.recorder.of_kind(Kind.AUDIO)
        assert len(recorded) == len(set(recorded))
        assert all(any(packet.endswith(said) for said in family + prisoner) for packet in recorded)
        assert len(self.house.room(self.call_id).tracks()) == 4


async def live_call(house: MediaHouse) -> LiveCall:
    """A call that is live and has carried something."""
    call_id = await house.open()
    family, _ = await house.join(call_id, Side.FAMILY)
    prisoner, _ = await house.join(call_id, Side.PRISONER)
    await house.until_live(call_id)
    call = LiveCall(house, call_id, family, prisoner, tuple(house.room(call_id).session_ids))
    house.room(call_id).add_leg(call.recorder)
    await call.goes_on()
    return call


@pytest.fixture
async def house() -> AsyncIterator[MediaHouse]:
    """A running media node."""
    async with media_house() as made:
        yield made


@pytest.fixture
async def call(house: MediaHouse) -> LiveCall:
    """A live call."""
    return await live_call(house)
