"""VP8's RTP payload (RFC 7741), as far as a relay must look into it."""

from __future__ import annotations


def starts_keyframe(payload: bytes) -> bool:
    """Whether a keyframe starts with this RTP payload; False for anything cut short.

    The payload must start partition 0 (section 4.2: S set, PID 0) and the frame's first byte, after the payload
    descriptor, must have its P bit clear (section 4.3).
    """
    if not payload:
        return False
    first = payload[0]
    if first & 0x17 != 0x10:  # S set, PID 0
        return False
    offset = 1
    if first & 0x80:
        if len(payload) < 2:
            return False
        extended = payload[1]
        offset = 2
        if extended & 0x80:  # I: picture ID of 7 or 15 bits
            if len(payload) <= offset:
                return False
            offset += 2 if payload[offset] & 0x80 else 1
        if extended & 0x40:  # L: TL0PICIDX
            offset += 1
        if extended & 0x30:  # T or K: one byte for both
            offset += 1
    return len(payload) > offset and not payload[offset] & 0x01


def keyframe_size(payload: bytes) -> tuple[int, int] | None:
    """Width and height in pixels that a keyframe's first payload states (RFC 6386 section 9.1); None if it has none."""
    if not starts_keyframe(payload):
        return None
    start = payload.find(b"\x9d\x01\x2a", 0, 16)
    if start < 0 or len(payload) < start + 7:
        return None
    width = int.from_bytes(payload[start + 3 : start + 5], "little") & 0x3FFF
    height = int.from_bytes(payload[start + 5 : start + 7], "little") & 0x3FFF
    return width, height
