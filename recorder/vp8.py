"""VP8 out of RTP (RFC 7741), whole frames only."""

from __future__ import annotations

from typing import NamedTuple


class Descriptor(NamedTuple):
    """The payload descriptor (RFC 7741 section 4.2): its length in bytes, and whether a frame's first partition
    begins here.
    """

    size: int
    begins_frame: bool


class Frame(NamedTuple):
    """One encoded frame. `width` and `height` in pixels are those of a key frame; 0 for others."""

    timestamp: int
    data: bytes
    keyframe: bool
    width: int
    height: int


def read_descriptor(payload: bytes) -> Descriptor | None:
    """The descriptor at the beginning of an RTP payload; None if it is not whole."""
    if not payload:
        return None
    first = payload[0]
    size = 1
    if first & 0x80:  # X: extension bits follow
        if len(payload) < 2:
            return None
        bits = payload[1]
        size = 2
        if bits & 0x80:  # I: picture identifier, 7 or 15 bits
            if len(payload) < 3:
                return None
            size += 2 if payload[2] & 0x80 else 1
        size += (bits >> 6 & 1) + (1 if bits & 0x30 else 0)  # L: TL0PICIDX; T or K: one shared byte
    if size >= len(payload):
        return None
    return Descriptor(size, first & 0x17 == 0x10)  # S set and partition 0


def key_frame_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) of a key frame (RFC 6386 section 9.1); None for any other frame."""
    if len(data) < 10 or data[0] & 1 or data[3:6] != b"\x9d\x01\x2a":
        return None
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


class FrameAssembler:
    """Frames from payloads in order of sequence.

    After a gap, frames that refer to what is missing would decode to pictures that nobody ever sent: they are left
    out up to the next key frame, and counted.
    """

    def __init__(self) -> None:
        self.left_out = 0
        self._parts: list[bytes] = []
        self._timestamp = -1
        self._broken = False  # the frame being collected lacks a part
        self._need_key = True

    def gap(self) -> None:
        """Packets are missing here."""
        if self._parts or self._broken:
            self.left_out += 1
        self._parts = []
        self._broken = False
        self._timestamp = -1
        self._need_key = True

    def push(self, timestamp: int, marker: bool, payload: bytes) -> Frame | None:
        """One packet's payload. Gives the frame that it completes."""
        if not payload:  # padding to probe the bandwidth
            return None
        descriptor = read_descriptor(payload)
        frame: Frame | None = None
        if timestamp != self._timestamp:
            frame = self._finish()  # a frame whose marker bit was not set
            self._timestamp = timestamp
            self._broken = descriptor is None or not descriptor.begins_frame
        if descriptor is None:
            self._broken = True
        elif not self._broken:
            self._parts.append(payload[descriptor.size :])
        if marker:
            # Two frames at once: only if an encoder leaves out the marker once and then sends a frame of one packet.
            frame = self._finish() or frame
        return frame

    def _finish(self) -> Frame | None:
        parts, broken, timestamp = self._parts, self._broken, self._timestamp
        self._parts, self._broken, self._timestamp = [], False, -1
        if broken:
            self.left_out += 1
            self._need_key = True
            return None
        if not parts:
            return None
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        size = None if data[0] & 1 else key_frame_size(data)
        if size is not None:
            self._need_key = False
            return Frame(timestamp, data, True, *size)
        if self._need_key:
            self.left_out += 1
            return None
        return Frame(timestamp, data, False, 0, 0)
