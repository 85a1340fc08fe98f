"""Messages between the processes."""

from __future__ import annotations

import asyncio
import io
import struct

import pytest

from visitserver.identity import frames


async def arriving(data: bytes) -> tuple[dict[str, object], list[bytes]]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await frames.receive(reader)


async def test_a_message_arrives_whole_on_both_sides() -> None:
    message = frames.encode({"op": "compare", "n": [1, 2.5, None]}, [b"", b"\x00" * 1000])
    assert frames.read(io.BytesIO(message)) == ({"op": "compare", "n": [1, 2.5, None]}, [b"", b"\x00" * 1000])
    assert await arriving(message) == ({"op": "compare", "n": [1, 2.5, None]}, [b"", b"\x00" * 1000])


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", 1 << 30, 0),
        struct.pack(">II", 2, 1 << 20),
        struct.pack(">III", 2, 1, 1 << 31) + b"{}",
        struct.pack(">II", 2, 0) + b"[]",
        struct.pack(">II", 3, 0) + b"{x}",
    ],
)
async def test_what_is_no_message_is_refused_before_memory_is_taken(data: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.read(io.BytesIO(data))
    with pytest.raises(frames.FrameError):
        await arriving(data)


async def test_a_message_cut_off() -> None:
    message = frames.encode({"a": 1}, [b"12345"])
    with pytest.raises(frames.FrameError):
        frames.read(io.BytesIO(message[:-1]))
    with pytest.raises(asyncio.IncompleteReadError):
        await arriving(message[:-1])
    assert frames.read(io.BytesIO(b"")) is None
