"""Whole calls over the packet path in C: it is the one in use, and what the kernel refuses leaves no hole."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from signaling.media import native
from signaling.media.leg import Side
from tests.fakes.media_client import MediaClient, vp8
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call

pytestmark = pytest.mark.skipif(native.module is None, reason="the packet path in C is not there, or switched off")

NOWHERE = ("255.255.255.255", 9)  # EACCES without SO_BROADCAST


def peer_of(call: Call, client: MediaClient) -> Any:
    return call.room._peers[call.sessions[client]]


async def pair(call: Call) -> tuple[MediaClient, MediaClient]:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    return family, prisoner


def send(client: MediaClient, first: int, count: int, *, key_at: int = -1) -> None:
    for number in range(first, first + count):
        client.send_rtp("video", vp8(number, key=number == key_at), number * 3000)
        client.send_rtp("audio", bytes([number & 0xFF]), number * 960, level=20)


async def test_media_takes_the_quick_way(call: Call) -> None:
    family, prisoner = await pair(call)
    send(family, 0, 40, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 80, "everything")
    layers = peer_of(call, family).sources.layers.values()
    assert sum(layer.taken for layer in layers) > 60
    counters = call.room.counters()
    assert counters.forwarded == counters.forwarded_participants == 80
    assert call.room.counters().received == 80


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_every_transport_carries_the_departure_time(call: Call, transport: str) -> None:
    family = await call.join("family", Side.FAMILY, transport=transport)
    prisoner = await call.join("prisoner", Side.PRISONER, transport=transport)
    call.room.set_gate(True)
    send(family, 0, 20, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 40, "everything")
    assert all(packet.extensions.abs_send_time for packet in prisoner.received.rtp)


async def test_what_the_kernel_refuses_leaves_no_hole(call: Call) -> None:
    family, prisoner = await pair(call)
    send(family, 0, 10, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 20, "the first packets")
    outlet, peer = peer_of(call, prisoner).native, peer_of(call, prisoner)
    outlet.to(peer._path.outbox, NOWHERE)
    send(family, 10, 10)
    await eventually(lambda: call.room.counters().dropped_send >= 2, "refused packets")
    await call.received(40)
    outlet.to(peer._path.outbox, peer._address)
    send(family, 20, 10, key_at=20)
    await eventually(lambda: len(prisoner.received.of_kind("audio")) >= 20, "voice again")
    await eventually(lambda: len(prisoner.received.of_kind("video")) >= 20, "the picture again")
    for kind in ("audio", "video"):
        numbers = [packet.sequence_number for packet in prisoner.received.of_kind(kind)]
        assert all(later - earlier & 0xFFFF == 1 for earlier, later in pairwise(numbers))
