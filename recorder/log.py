"""The packet log's records: what arrived, when, on which track; in the plaintext of a segment's chunks.

A record is 23 bytes of header (big-endian: kind u8, track u16, payload length u32, monotonic time u64 ns, wall time
u64 ns since 1970) and its payload. A chunk holds whole records. docs/recording-format.md describes the kinds.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from recorder.errors import RecordingDamaged

HEADER = struct.Struct("!BHIQQ")
NO_TRACK = 0xFFFF
MAX_PAYLOAD = 1 << 20


class RecordKind(IntEnum):
    """What a record's payload is."""

    RTP = 1  # one whole RTP packet (RFC 3550)
    RTCP = 2  # one compound RTCP packet with the publisher's sender report
    EVENT = 3  # JSON: a CallEvent
    GAP = 4  # JSON: a change in what is missing of a track (recorder/gaps.py)
    TRACK = 5  # JSON: a TrackInfo; the record's track number stands for it from here on
    TRACK_END = 6  # JSON: the track is over
    NOTE = 7  # JSON: the recorder's own remark: dropped, cut, clock


_KINDS = frozenset(int(kind) for kind in RecordKind)


class Record(NamedTuple):
    """One record. Times in nanoseconds: `mono_ns` of the recorder's monotonic clock, `wall_ns` since 1970-01-01 UTC."""

    kind: int
    track: int
    mono_ns: int
    wall_ns: int
    payload: bytes

    def json(self) -> dict[str, Any]:
        """The payload of a record that holds JSON. RecordingDamaged if it does not."""
        try:
            value = json.loads(self.payload)
        except (ValueError, RecursionError) as error:
            raise RecordingDamaged("a record's payload is not JSON") from error
        if not isinstance(value, dict):
            raise RecordingDamaged("a record's payload is not a JSON object")
        return value


def frame(kind: int, track: int, mono_ns: int, wall_ns: int, payload: bytes) -> bytes:
    """One record's bytes."""
    return HEADER.pack(kind, track, len(payload), mono_ns, wall_ns) + payload


def scan(plain: bytes) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(kind, track, mono_ns, wall_ns, payload start, payload end) of every record of a chunk; the quick way for whole
    recordings.

    RecordingDamaged, with the offset, where the bytes are not records.
    """
    unpack = HEADER.unpack_from
    kinds = _KINDS
    size = HEADER.size
    at, total = 0, len(plain)
    while at < total:
        if total - at < size:
            raise RecordingDamaged(f"half a record header at byte {at}")
        kind, track, length, mono_ns, wall_ns = unpack(plain, at)
        start = at + size
        at = start + length
        if kind not in kinds or at > total:
            raise RecordingDamaged(f"not a record at byte {start - size}")
        yield kind, track, mono_ns, wall_ns, start, at


def read_records(plain: bytes) -> Iterator[Record]:
    """The records of a chunk. RecordingDamaged where the bytes are not records."""
    for kind, track, mono_ns, wall_ns, start, end in scan(plain):
        yield Record(kind, track, mono_ns, wall_ns, plain[start:end])
