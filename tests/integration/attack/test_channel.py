"""Clients of the control channel and of HTTP that do not keep to any rule, while a call is live."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from signaling.media.leg import Side
from tests.fixtures.waiting import eventually
from tests.integration.attack.conftest import LiveCall
from tests.integration.interop.house import PATIENCE, SDP, MediaHouse


@asynccontextmanager
async def connected(house: MediaHouse, hello: dict[str, Any] | None) -> AsyncIterator[ClientWebSocketResponse]:
    """A channel; with `hello`, one that has been welcomed."""
    async with house.http.ws_connect(house.url + "/media/channel", max_msg_size=0) as channel:
        if hello is not None:
            await channel.send_json(hello)
            assert (await channel.receive_json(timeout=PATIENCE))["type"] == "welcome"
        yield channel


async def end_of(channel: ClientWebSocketResponse) -> tuple[int | None, list[dict[str, Any]]]:
    """Everything until the server closes, and its close code."""
    heard = []
    while True:
        message = await channel.receive(timeout=PATIENCE)
        if message.type is not WSMsgType.TEXT:
            return channel.close_code, heard
        heard.append(json.loads(message.data))


def hello(call: LiveCall, side: Side = Side.FAMILY, who: str | None = None) -> dict[str, Any]:
    return {"type": "hello", "ticket": call.house.join_ticket(call.call_id, side, who)}


BAD_FIRST: dict[str, str | bytes] = {
    "nothing": "",
    "no JSON": "hello",
    "a list": "[]",
    "a number": "1e999",
    "another message": '{"type":"ping","t":1}',
    "no ticket": '{"type":"hello"}',
    "a ticket that is a number": '{"type":"hello","ticket":5}',
    "a ticket that is none": '{"type":"hello","ticket":"a.b.c"}',
    "one field too many": '{"type":"hello","ticket":"a.b.c","role":"officer"}',
    "a long ticket": json.dumps({"type": "hello", "ticket": "x" * 9000}),
    "binary": b'{"type":"hello","ticket":"a.b.c"}',
    "depth": "[" * 16_000,
    "depth in objects": '{"a":' * 3_000,
    "a long number": "1" * 16_000,
    "half a surrogate": '{"type":"hello","ticket":"\\ud800"}',
    "a NUL": '{"type":"hello","ticket":"\\u0000"}',
    "not a call": '{"type":"hello","ticket":"a.b.c","call_id":"../../etc"}',
}


async def test_who_does_not_say_hello_properly_is_told_why_and_let_go(call: LiveCall, house: MediaHouse) -> None:
    for name, first in BAD_FIRST.items():
        async with connected(house, None) as channel:
            if isinstance(first, bytes):
                await channel.send_bytes(first)
            else:
                await channel.send_str(first)
            code, heard = await end_of(channel)
            assert code == 1008, name
            assert [message["type"] for message in heard] == ["error"], name
            assert "x" * 50 not in json.dumps(heard), "what was sent is not sent back"
    await call.goes_on()


BAD_LATER: dict[str, tuple[str | bytes, int]] = {
    "no JSON": ("nonsense", 1008),
    "binary": (b"\0\1\2", 1008),
    "hello again": ('{"type":"hello","ticket":"a.b.c"}', 1008),
    "an unknown type": ('{"type":"terminate","reason":"x"}', 1008),
    "an officer's command": ('{"type":"hold"}', 1008),
    "a device of another kind": ('{"type":"device","microphone":true,"camera":"on"}', 1008),
    "quality out of range": ('{"type":"quality","loss":2}', 1008),
    "quality without limit": ('{"type":"quality","kbit_in":1e308}', 1008),
    "depth": ("[" * 16_000, 1008),
    "more than 16 KiB": ("x" * 16_385, 1009),
    "much more": ("x" * 4_000_000, 1009),
}


async def test_who_breaks_the_rules_later_loses_the_channel_and_nobody_else_anything(
    call: LiveCall, house: MediaHouse
) -> None:
    async with connected(house, hello(call, Side.PRISONER)) as other:
        for name, (message, expected) in BAD_LATER.items():
            async with connected(house, hello(call)) as channel:
                try:
                    await (channel.send_bytes if isinstance(message, bytes) else channel.send_str)(message)  # type: ignore[arg-type,operator]
                except ConnectionError:
                    pass  # closed while we were still sending
                code, _ = await end_of(channel)
                # The close frame can be lost with what the server had not read.
                assert code == expected or (expected == 1009 and code == 1006), name
            await other.send_json({"type": "ping", "t": 4.5})
            while (await other.receive_json(timeout=PATIENCE))["type"] != "pong":
                pass
    await call.goes_on()


async def test_a_flood_of_messages_ends_its_own_channel_only(call: LiveCall, house: MediaHouse) -> None:
    async with connected(house, hello(call, Side.PRISONER)) as other, connected(house, hello(call)) as channel:
        try:
            for number in range(5000):
                await channel.send_json({"type": "ping", "t": number})
        except ConnectionError:
            pass
        code, heard = await end_of(channel)
        assert code in (1008, 1006)
        pongs = [message for message in heard if message["type"] == "pong"]
        assert len(pongs) < 500, "the rate is limited, and what is over it is not worked through"
        await other.send_json({"type": "ping", "t": 4.5})
        while (await other.receive_json(timeout=PATIENCE))["type"] != "pong":
            pass
    await call.goes_on()


async def test_a_hundred_silent_sockets_and_half_handshakes(call: LiveCall, house: MediaHouse) -> None:
    """They cost their descriptor until their time is over, and the call nothing."""
    host, port = house.url.removeprefix("http://").split(":")
    opened: list[socket.socket] = []
    try:
        for number in range(100):
            one = socket.create_connection((host, int(port)), timeout=10)
            opened.append(one)
            if number % 2:
                one.sendall(b"GET /media/channel HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
        await call.goes_on()
        async with connected(house, hello(call)) as channel:
            await channel.send_json({"type": "ping", "t": 1})
            while (await channel.receive_json(timeout=PATIENCE))["type"] != "pong":
                pass
    finally:
        for one in opened:
            one.close()


async def test_frames_that_are_none(call: LiveCall, house: MediaHouse) -> None:
    """Below the messages: reserved bits, unmasked frames, lengths that are never sent, text that is not UTF-8."""
    for frame in (
        b"\xf1\x85\0\0\0\0hello",  # reserved bits
        b"\x81\x05hello",  # not masked (RFC 6455 section 5.1)
        b"\x83\x80\0\0\0\0",  # an opcode that there is not
        b"\x81\xff" + struct.pack("!Q", 1 << 62) + b"\0\0\0\0",  # four exabytes to come
        b"\x89\xfe" + struct.pack("!H", 300) + b"\0\0\0\0" + bytes(300),  # a ping of more than 125 bytes
        b"\x81\x84\0\0\0\0\xff\xfe\xfd\xfc",  # not UTF-8
        b"\x01\x81\0\0\0\0x" * 20_000,  # a message in pieces without end
        b"\x80\x81\0\0\0\0x",  # going on with what was never begun
    ):
        reader, writer = await asyncio.open_connection(*_address(house))
        key = os.urandom(16).hex()[:22] + "=="
        writer.write(
            f"GET /media/channel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        assert b"101" in await asyncio.wait_for(reader.readline(), PATIENCE)
        try:
            writer.write(frame)
            await writer.drain()
            await asyncio.wait_for(_until_the_end(reader), PATIENCE)
        except ConnectionError:
            pass  # the server has had enough
        writer.close()
    await call.goes_on()


async def test_a_body_that_never_ends_is_not_waited_for(
    call: LiveCall, house: MediaHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signaling.http.BODY_TIMEOUT", 0.5)
    reader, writer = await asyncio.open_connection(*_address(house))
    token = house.join_ticket(call.call_id)
    writer.write(
        f"POST /media/whip/{call.call_id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {SDP}\r\nContent-Length: 4000\r\n\r\nv=0\r\n".encode()
    )
    status = await asyncio.wait_for(reader.readline(), PATIENCE)
    assert b" 408 " in status
    writer.close()
    await call.goes_on()


async def test_a_slow_reader_is_cut_off_and_keeps_nobody_waiting(call: LiveCall, house: MediaHouse) -> None:
    """A client that never reads: what is for it is kept up to a limit, and then it is let go."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(one, _address(house))
    _, writer = await asyncio.open_connection(sock=one, limit=4096)
    writer.write(
        b"GET /media/channel HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    first = json.dumps(hello(call)).encode()
    writer.write(b"\x81\xfe" + struct.pack("!H", len(first)) + b"\0\0\0\0" + first)
    seats = house.node.rooms.get(call.call_id)._seats
    await eventually(lambda: (seat := seats.get("family")) is not None and seat.channel is not None, "in", PATIENCE)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    seat = seats.get("family")
    assert seat is not None
    channel = seat.channel
    room = house.node.rooms.get(call.call_id)

    def talked() -> bool:
        for _ in range(200):
            room.talking("prisoner", 20)
        return getattr(channel, "_closing", None) is not None

    await eventually(talked, "the slow reader is let go", PATIENCE)
    writer.transport.abort()  # type: ignore[attr-defined]
    await eventually(lambda: seat.channel is None, "its place is free", PATIENCE)
    await call.goes_on()


def _address(house: MediaHouse) -> tuple[str, int]:
    host, port = house.url.removeprefix("http://").split(":")
    return host, int(port)


async def _until_the_end(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass
