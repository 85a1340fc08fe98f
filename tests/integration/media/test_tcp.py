"""Media over TCP: calls as over UDP, and strangers who get nothing for their connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from signaling.media.demux import Demultiplexer
from signaling.media.leg import Side
from signaling.media.listener import PeerLost
from signaling.media.node import MediaNode
from signaling.media.tcp import TcpEndpoint, TcpLimits
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call
from tests.integration.media.test_call import gapless, send


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_call_over_tcp_only(both_call: Call, both: MediaNode, host: str) -> None:
    call = both_call
    family = await call.join("family", Side.FAMILY, host=host, transport="tcp")
    prisoner = await call.join("prisoner", Side.PRISONER, host=host, transport="tcp")
    assert both.stats().tcp_connections == 2
    call.room.set_gate(True)
    send(family, 0, 20, key_at=0)
    send(prisoner, 0, 20, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == len(family.received.rtp) == 40, "the call", 30)
    assert gapless([packet.sequence_number for packet in family.received.of_kind("video")])
    await family.close()
    await eventually(lambda: bool(call.heard.lost), "the alert", 30)
    assert call.heard.lost[0][2] is PeerLost.DTLS_CLOSED


async def test_one_over_tcp_and_one_over_udp(both_call: Call) -> None:
    family = await both_call.join("family", Side.FAMILY, transport="tcp")
    prisoner = await both_call.join("prisoner", Side.PRISONER, host="::1")
    both_call.room.set_gate(True)
    send(family, 0, 10, key_at=0)
    send(prisoner, 0, 10, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == len(family.received.rtp) == 20, "the call", 30)


async def test_a_connection_that_breaks_is_followed_by_another_without_a_new_session(both_call: Call) -> None:
    call = both_call
    family = await call.join("family", Side.FAMILY, transport="tcp")
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(prisoner, 0, 5, key_at=0)
    await eventually(lambda: len(family.received.rtp) == 10, "the call", 30)
    family.move()
    await family.check(nominate=True, timeout=30)
    send(prisoner, 5, 5)
    await eventually(lambda: len(family.received.rtp) == 20, "the call over the new connection", 30)
    assert gapless([packet.sequence_number for packet in family.received.of_kind("video")])
    assert call.heard.lost == []


async def test_a_slow_reader_loses_media_and_costs_no_memory(both_call: Call, both: MediaNode) -> None:
    call = both_call
    slow = await call.join("family", Side.FAMILY, transport="tcp")
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    asyncio.get_running_loop().remove_reader(slow.socket)
    sent = 0
    async with asyncio.timeout(60):
        while both.stats().endpoint.tcp_unsent < 50:
            for _ in range(20):
                prisoner.send_rtp("audio", bytes(1000), sent * 960)
                sent += 1
            await asyncio.sleep(0.005)
    connection = next(iter(both._sockets.tcp[0]._connections))
    assert len(connection._pending) <= 20_000
    before = len(slow.received.rtp)
    asyncio.get_running_loop().add_reader(slow.socket, slow._readable, slow.socket)
    await eventually(lambda: len(slow.received.rtp) > before, "what the kernel held", 30)
    counters = call.room.counters()
    assert counters.dropped_send >= 50
    await eventually(lambda: not connection._pending, "nothing waits", 30)
    prisoner.send_rtp("audio", b"after", sent * 960)
    await eventually(lambda: any(packet.payload == b"after" for packet in slow.received.rtp), "the call goes on", 30)
    assert call.heard.lost == []


# Strangers


def connected(node: MediaNode, host: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(30)
    made.bind((host, 0))
    made.connect(("127.0.0.1", node.address[1]))
    return made


async def hung_up(stranger: socket.socket) -> bool:
    """Whether the other side has closed."""

    def look() -> bool:
        try:
            return stranger.recv(4096) == b""
        except ConnectionError:
            return True

    return await asyncio.to_thread(look)


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nHost: media\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(40),
        b"\x00\x04\x16\xfe\xfd\x00",  # a DTLS record in a frame
        b"\x00\x10" + b"\x80" + bytes(15),  # RTP
        b"\xff\xff",
        b"\x00\x00" * 4000,  # nothing but empty frames
        b"\x00\x14" + b"\x00" * 20 + b"\x00\x14" + b"\x16" * 20,
    ],
)
async def test_what_is_no_check_ends_a_strangers_connection(both: MediaNode, junk: bytes) -> None:
    with connected(both) as stranger:
        stranger.sendall(junk)
        assert await hung_up(stranger)
    await eventually(lambda: both.stats().tcp_connections == 0, "nothing left", 30)
    assert both.stats().endpoint.tcp_accepted == 1


@pytest.fixture
async def guarded() -> AsyncIterator[TcpEndpoint]:
    """An endpoint that lets strangers have very little."""
    now = [0.0]
    endpoint = TcpEndpoint(Demultiplexer(lambda: now[0]), TcpLimits(strangers=4, strangers_per_source=3))
    endpoint.now = now  # type: ignore[attr-defined]
    endpoint.open("127.0.0.1", 0)
    yield endpoint
    endpoint.close()


async def test_strangers_are_bounded_in_number_and_in_time(guarded: TcpEndpoint) -> None:
    def connect(host: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(30)
        made.bind((host, 0))
        made.connect(guarded.address)
        return made

    counters = guarded._demux.counters
    first = [connect("127.0.0.2") for _ in range(5)]
    await eventually(lambda: counters.tcp_refused == 2, "no more than three of one source", 30)
    second = [connect(f"127.0.0.{number}") for number in (3, 4)]
    await eventually(lambda: counters.tcp_accepted == 5, "others are let in", 30)
    assert counters.tcp_strangers_dropped == 1  # who was silent longest made room
    assert guarded.connections == 4
    guarded.sweep(9.0)
    assert guarded.connections == 4
    guarded.sweep(10.0)
    assert guarded.connections == 0
    for stranger in (*first, *second):
        assert await hung_up(stranger)
        stranger.close()
