"""A node with a bus that takes nothing: it neither waits for ever nor keeps events without limit."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.bus import InProcessBus, Payload
from signaling.calls import Actor, ActorKind
from signaling.commands import CALL_EVENT_TOPIC
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.node import SignalingNode
from signaling.tickets import TicketIssuer, TicketVerifier
from tests.fakes.clock import FakeClock
from tests.fakes.media_room import FakeMediaNode
from tests.unit.signaling.charters import END, LOBBY, charter

OFFICER = Actor(ActorKind.STAFF, "stf_1")


class StuckBus(InProcessBus):
    """Serves commands, and never comes back from publishing an event."""

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[Payload] = []

    async def publish(self, topic: str, payload: Payload) -> None:
        if topic == CALL_EVENT_TOPIC:
            self.tried.append(payload)
            await asyncio.Event().wait()
        await super().publish(topic, payload)


async def test_events_that_the_bus_does_not_take_hold_up_no_end_and_fill_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("signaling.node.PUBLISH_TIMEOUT", 0.05)
    monkeypatch.setattr("signaling.node.MOST_UNPUBLISHED", 3)
    key, clock, bus = Ed25519PrivateKey.generate(), FakeClock(LOBBY), StuckBus()
    node = SignalingNode(
        NodeInfo("node-1", "", 5),
        FakeMediaNode(),  # type: ignore[arg-type]
        bus,
        InProcessDirectory(time.monotonic),
        TicketVerifier([key.public_key()], clock),
        clock=clock,
        monotonic=time.monotonic,
    )
    await node.start()
    given = charter()
    room = node.rooms.open(TicketIssuer(key, clock).issue(given, expires_at=END + timedelta(hours=1)))
    for _ in range(20):
        room.bookmark(OFFICER, "")
    await asyncio.wait_for(node.stop(), 60)
    assert len(bus.tried) == 1
    assert node._unpublished.qsize() <= 3
    assert len(node.rooms.events(given.call_id)) > 20, "whoever missed them asks the room"
