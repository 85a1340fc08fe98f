"""Messages between the application and the identity process: a JSON header and some blobs, each with its length
before it.

No pickle: the process on the other side has looked at pictures from strangers, and what it says is only parsed.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

MAX_HEADER: Final = 1 << 20
MAX_BLOBS: Final = 64
MAX_TOTAL: Final = 256 << 20
_COUNTS: Final = struct.Struct(">II")
_LENGTH: Final = struct.Struct(">I")


class FrameError(Exception):
    """The bytes are no message: the connection cannot be used any more."""


def encode(header: dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """One message."""
    text = json.dumps(header, separators=(",", ":")).encode()
    lengths = b"".join(_LENGTH.pack(len(blob)) for blob in blobs)
    return b"".join([_COUNTS.pack(len(text), len(blobs)), lengths, text, *blobs])


def _sizes(counts: bytes) -> tuple[int, int]:
    length, number = _COUNTS.unpack(counts)
    if length > MAX_HEADER or number > MAX_BLOBS:
        raise FrameError("a message beyond all limits")
    return length, number


def _lengths(raw: bytes) -> list[int]:
    found = [_LENGTH.unpack_from(raw, place)[0] for place in range(0, len(raw), _LENGTH.size)]
    if sum(found) > MAX_TOTAL:
        raise FrameError("a message beyond all limits")
    return found


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError as error:
        raise FrameError("not JSON") from error
    if not isinstance(header, dict):
        raise FrameError("not an object")
    return header


async def receive(reader: asyncio.StreamReader) -> tuple[dict[str, Any], list[bytes]]:
    """The next message. Raises asyncio.IncompleteReadError at the end, FrameError for no message."""
    length, number = _sizes(await reader.readexactly(_COUNTS.size))
    lengths = _lengths(await reader.readexactly(number * _LENGTH.size))
    header = _header(await reader.readexactly(length))
    return header, [await reader.readexactly(size) for size in lengths]


def read(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next message of a blocking stream, None at its end. Raises FrameError for no message."""
    counts = stream.read(_COUNTS.size)
    if len(counts) < _COUNTS.size:
        return None
    length, number = _sizes(counts)
    lengths = _lengths(_exactly(stream, number * _LENGTH.size))
    header = _header(_exactly(stream, length))
    return header, [_exactly(stream, size) for size in lengths]


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise FrameError("cut off")
    return data
