"""VP8's RTP payload (RFC 7741), as far as a relay must look into it."""

from __future__ import annotations

from typing import NamedTuple

PICTURE_IDS = 1 << 15
TL0_INDICES = 1 << 8


class PictureNumbers(NamedTuple):
    """A payload's running numbers (RFC 7741 section 4.2): its picture ID (7 or 15 bits) and TL0PICIDX.

    `width` is the picture ID's length in bits, 0 where there is none; `tl0` is -1 where there is none.
    """

    picture: int
    width: int
    tl0: int


NO_NUMBERS = PictureNumbers(0, 0, -1)


def picture_numbers(payload: bytes) -> PictureNumbers:
    """The running numbers of an RTP payload; those that are missing or cut short count as not there."""
    if len(payload) < 3 or not payload[0] & 0x80:
        return NO_NUMBERS
    extended = payload[1]
    picture = width = 0
    offset = 2
    if extended & 0x80:
        picture, width, offset = payload[2], 7, 3
        if picture & 0x80:
            if len(payload) < 4:
                return NO_NUMBERS
            picture, width, offset = (picture & 0x7F) << 8 | payload[3], 15, 4
    tl0 = payload[offset] if extended & 0x40 and len(payload) > offset else -1
    return PictureNumbers(picture, width, tl0)


def shift_numbers(payload: bytes, picture_offset: int, tl0_offset: int) -> bytes:
    """The payload with its picture ID and TL0PICIDX moved on, modulo their own ranges; its length does not change.

    A receiver that is given another stream, or the same from an earlier point, sees numbers that go on (section 4.2:
    both grow with the stream). A payload without such numbers, or cut short, is given back as it is.
    """
    if len(payload) < 3 or not payload[0] & 0x80:
        return payload
    extended = payload[1]
    head = payload[:2]
    offset = 2
    if extended & 0x80:
        first = payload[2]
        if first & 0x80:
            if len(payload) < 4:
                return payload
            picture = ((first & 0x7F) << 8 | payload[3]) + picture_offset & 0x7FFF
            head += bytes((0x80 | picture >> 8, picture & 0xFF))
            offset = 4
        else:
            head += bytes((first + picture_offset & 0x7F,))
            offset = 3
    if extended & 0x40 and len(payload) > offset:
        head += bytes((payload[offset] + tl0_offset & 0xFF,))
        offset += 1
    return head + payload[offset:]


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
