"""RTP packets as bytes: a header is read once per packet, and no more of it than a relay needs (RFC 3550, RFC 8285)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from signaling.media import native
from signaling.media.vp8 import starts_keyframe

HEADER = struct.Struct("!BBHLL")
HEADER_LENGTH = HEADER.size
VERSION = 0x80
PADDING = 0x20
EXTENSION = 0x10
MARKER = 0x80
MAX_PACKET = 1500
ONE_BYTE_PROFILE = 0xBEDE

NO_LEVEL = -1


PROBLEMS = (  # in the order of _packet.h's rtp_problem
    "",
    "shorter than a header",
    "not version 2",
    "header extension cut off",
    "contributing sources cut off",
    "padding longer than the payload",
)


class MalformedPacket(ValueError):
    """The bytes are not an RTP packet (RFC 3550 section 5.1)."""


@dataclass(frozen=True, slots=True)
class ExtensionIds:
    """The identifiers (1 to 14, RFC 8285) that one m-line has negotiated; 0 where an extension was not."""

    mid: int = 0
    audio_level: int = 0
    abs_send_time: int = 0
    rid: int = 0
    repaired_rid: int = 0


class RtpView:
    """One received packet, parsed once and then read by every leg. Nobody changes it after `Track` has filled it in.

    `index` is the extended sequence number (RFC 3550 appendix A.1), which never wraps; `padding` is the header's
    padding bit; `level` is the audio level byte (RFC 6464) or NO_LEVEL; `send_time` the publisher's abs-send-time
    (24 bits, 6.18 seconds) or None; `keyframe` says that a VP8 keyframe starts here; `departure` is the abs-send-time
    that every leg's copy carries, made from `arrival` because a packet is passed on at once.
    """

    __slots__ = (
        "arrival",
        "departure",
        "index",
        "keyframe",
        "level",
        "marker",
        "packet",
        "padding",
        "payload",
        "payload_type",
        "send_time",
        "sequence",
        "ssrc",
        "timestamp",
    )

    packet: bytes
    payload: bytes
    arrival: float
    departure: bytes
    padding: int
    marker: int
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    level: int
    send_time: int | None
    keyframe: bool
    index: int

    @property
    def size(self) -> int:
        """The whole packet's length in bytes."""
        return len(self.packet)

    def starts_keyframe(self) -> bool:
        """Whether the payload, as VP8, starts a keyframe: see vp8.starts_keyframe."""
        return starts_keyframe(self.payload)


def parse_plain(packet: bytes, ids: ExtensionIds, arrival: float) -> RtpView:
    """What `parse` does, in Python."""
    size = len(packet)
    if size < HEADER_LENGTH:
        raise MalformedPacket(PROBLEMS[1])
    view = RtpView()
    first, second, view.sequence, view.timestamp, view.ssrc = HEADER.unpack_from(packet)
    if first & 0xC0 != VERSION:
        raise MalformedPacket(PROBLEMS[2])
    offset = HEADER_LENGTH + 4 * (first & 0x0F)
    view.level = NO_LEVEL
    view.send_time = None
    if first & EXTENSION:
        start = offset + 4
        if start > size:
            raise MalformedPacket(PROBLEMS[3])
        offset = start + 4 * (packet[offset + 2] << 8 | packet[offset + 3])
        if offset > size:
            raise MalformedPacket(PROBLEMS[3])
        if packet[start - 4] == 0xBE and packet[start - 3] == 0xDE:
            _read_one_byte_extensions(view, packet, start, offset, ids)
    if offset > size:
        raise MalformedPacket(PROBLEMS[4])
    view.padding = first & PADDING
    if view.padding and not 0 < packet[-1] <= size - offset:
        raise MalformedPacket(PROBLEMS[5])
    view.marker = second & MARKER
    view.payload_type = second & 0x7F
    view.packet = packet
    view.payload = packet[offset:]
    view.arrival = arrival
    return view


def _parse_native(packet: bytes, ids: ExtensionIds, arrival: float) -> RtpView:
    view = native.module.parse(packet, ids.audio_level, ids.abs_send_time, arrival)  # type: ignore[union-attr]
    if isinstance(view, int):
        raise MalformedPacket(PROBLEMS[view])
    return view  # type: ignore[no-any-return] # another type with the same attributes


def parse(packet: bytes, ids: ExtensionIds, arrival: float) -> RtpView:
    """Read `packet`; raises MalformedPacket. `index`, `keyframe` and `departure` are still to be filled in."""
    return _parse(packet, ids, arrival)


_parse = parse_plain if native.module is None else _parse_native


def _read_one_byte_extensions(view: RtpView, packet: bytes, position: int, end: int, ids: ExtensionIds) -> None:
    """RFC 8285 section 4.2. An element that runs over the block's end is ignored with all that follow."""
    level_id = ids.audio_level
    time_id = ids.abs_send_time
    while position < end:
        head = packet[position]
        if head == 0:
            position += 1
            continue
        identifier = head >> 4
        if identifier == 15:  # "stop processing", section 4.2
            return
        position += 1
        following = position + (head & 0x0F) + 1
        if following > end:
            return
        if identifier == time_id and following - position == 3:
            view.send_time = int.from_bytes(packet[position:following], "big")
        elif identifier == level_id and following - position == 1:
            view.level = packet[position]
        position = following


def abs_send_time(seconds: float) -> bytes:
    """`seconds` of any steady clock as abs-send-time: 24 bits, 6.18 fixed point, wrapping every 64 s."""
    return (int(seconds * 262144) & 0xFFFFFF).to_bytes(3, "big")


def element(packet: bytes, identifier: int) -> bytes | None:
    """The value of one header extension element (RFC 8285 section 4.2) of a packet that need not be whole.

    None where there is none, and for anything cut short. For the first packets of a source only: `parse` reads what
    every packet is asked for.
    """
    if not identifier or len(packet) < HEADER_LENGTH or not packet[0] & EXTENSION:
        return None
    offset = HEADER_LENGTH + 4 * (packet[0] & 0x0F)
    if packet[offset : offset + 2] != b"\xbe\xde" or len(packet) < offset + 4:
        return None
    end = min(offset + 4 + 4 * (packet[offset + 2] << 8 | packet[offset + 3]), len(packet))
    position = offset + 4
    while position < end:
        head = packet[position]
        position += 1
        if head == 0:
            continue
        following = position + (head & 0x0F) + 1
        if head >> 4 == 15 or following > end:
            return None
        if head >> 4 == identifier:
            return packet[position:following]
        position = following
    return None
