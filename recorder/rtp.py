"""As much of RTP and RTCP as reading a recording needs (RFC 3550, RFC 8285, RFC 6464)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from recorder.errors import RecordingDamaged

HEADER_BYTES = 12
_ONE_BYTE_PROFILE = 0xBEDE
_SENDER_REPORT = 200
_NTP_FRACTION = 1 / (1 << 32)
_HEAD = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
_REPORT = struct.Struct("!IIII")


class RtpPacket(NamedTuple):
    """What stands in a packet's header, and its payload without padding.

    `extension` is the RFC 8285 block, if it is one-byte.
    """

    marker: bool
    number: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension: bytes


class SenderReport(NamedTuple):
    """The publisher's pair of clocks: `ntp` in seconds (its own wall clock, any epoch), `timestamp` in RTP units."""

    ssrc: int
    ntp: float
    timestamp: int


def parse_rtp(packet: bytes) -> RtpPacket:
    """Read an RTP packet (RFC 3550 section 5.1). RecordingDamaged if it is none."""
    if len(packet) < HEADER_BYTES or packet[0] >> 6 != 2:
        raise RecordingDamaged("not an RTP packet")
    first, second, number, timestamp, ssrc = _HEAD.unpack_from(packet)
    start = HEADER_BYTES + 4 * (first & 0x0F)
    end = len(packet)
    extension = b""
    if first & 0x10:
        if start + 4 > end:
            raise RecordingDamaged("half a header extension")
        profile, words = _EXTENSION.unpack_from(packet, start)
        start += 4 + 4 * words
        if profile == _ONE_BYTE_PROFILE:
            extension = packet[start - 4 * words : start]
    if first & 0x20 and end > start:
        end -= packet[-1]
    if start > end:
        raise RecordingDamaged("an RTP packet shorter than its header says")
    return RtpPacket(second >= 0x80, number, timestamp, ssrc, packet[start:end], extension)


def media_of(packet: bytes) -> tuple[bool, int, bytes]:
    """(marker, timestamp, payload without padding) of an RTP packet: `parse_rtp` for those who read a million.

    RecordingDamaged if it is none.
    """
    first = packet[0] if len(packet) >= HEADER_BYTES else 0
    if first == 0x80:
        return packet[1] >= 0x80, int.from_bytes(packet[4:8], "big"), packet[HEADER_BYTES:]
    if first == 0x90 and len(packet) >= 16:
        start = 16 + 4 * (packet[14] << 8 | packet[15])
        if start <= len(packet):
            return packet[1] >= 0x80, int.from_bytes(packet[4:8], "big"), packet[start:]
    parsed = parse_rtp(packet)
    return parsed.marker, parsed.timestamp, parsed.payload


def one_byte_values(extension: bytes) -> list[tuple[int, int]]:
    """(identifier, value) of the header extension elements that are one byte long (RFC 8285 section 4.2), as audio
    levels are.
    """
    found: list[tuple[int, int]] = []
    at, end = 0, len(extension)
    while at < end:
        head = extension[at]
        if head == 0:  # padding
            at += 1
            continue
        identifier, length = head >> 4, (head & 0x0F) + 1
        if identifier == 15:
            break
        if length == 1 and at + 1 < end:
            found.append((identifier, extension[at + 1]))
        at += 1 + length
    return found


def sender_reports(compound: bytes) -> list[SenderReport]:
    """The sender reports of a compound RTCP packet (RFC 3550 section 6.4.1); what is not whole is passed over."""
    reports: list[SenderReport] = []
    at = 0
    while at + 4 <= len(compound):
        kind = compound[at + 1]
        size = 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
        if kind == _SENDER_REPORT and size >= 28 and at + 20 <= len(compound):
            ssrc, seconds, fraction, timestamp = _REPORT.unpack_from(compound, at + 4)
            reports.append(SenderReport(ssrc, seconds + fraction * _NTP_FRACTION, timestamp))
        at += size
    return reports
