"""RTCP: taking compound packets apart and putting the relay's own together (RFC 3550 section 6, RFC 4585)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from aiortc.rtp import (
    RTCP_PSFB as RTCP_PSFB,
)
from aiortc.rtp import (
    RTCP_PSFB_APP as RTCP_PSFB_APP,
)
from aiortc.rtp import (
    RTCP_PSFB_FIR as RTCP_PSFB_FIR,
)
from aiortc.rtp import (
    RTCP_PSFB_PLI as RTCP_PSFB_PLI,
)
from aiortc.rtp import (
    RTCP_RR as RTCP_RR,
)
from aiortc.rtp import (
    RTCP_RTPFB as RTCP_RTPFB,
)
from aiortc.rtp import (
    RTCP_RTPFB_NACK as RTCP_RTPFB_NACK,
)
from aiortc.rtp import (
    RTCP_SR as RTCP_SR,
)
from aiortc.rtp import (
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSdesPacket,
    RtcpSourceInfo,
    pack_rtcp_packet,
)

_CNAME = 1  # RFC 3550 section 6.5.1
_BLOCK = struct.Struct("!LB3sLLLL")
_SENDER = struct.Struct("!LQL")
_SENDER_REPORT = struct.Struct("!BBHLQLLL")
_NACK = struct.Struct("!HH")
_FEEDBACK = struct.Struct("!LL")
_RECEIVER_REPORT = struct.Struct("!BBHL")
_REMB = struct.Struct("!BBHLL4sBBH")
_MOST_BLOCKS = 31  # what five bits count


class MalformedRtcp(ValueError):
    """The bytes are not a compound RTCP packet."""


def is_rtcp(datagram: bytes) -> bool:
    """Whether a datagram of the RTP range is RTCP (RFC 5761 section 4): its second byte is 192 to 223."""
    return len(datagram) >= 8 and 192 <= datagram[1] <= 223


@dataclass(slots=True)  # not frozen: it would take three times as long to make, and they are many
class RtcpPart:
    """One packet of a compound: `data` is the whole of it, header included."""

    packet_type: int
    count: int
    data: bytes

    @property
    def sender(self) -> int:
        """The SSRC of whoever sent it."""
        return int.from_bytes(self.data[4:8], "big")

    @property
    def media(self) -> int:
        """The SSRC that a feedback message is about (RFC 4585 section 6.1); 0 when it is too short to say."""
        return int.from_bytes(self.data[8:12], "big")

    def blocks(self) -> Iterator[ReportBlock]:
        """The report blocks of a sender or receiver report; those that are cut off are left out."""
        position = 28 if self.packet_type == RTCP_SR else 8
        for _ in range(self.count):
            if position + _BLOCK.size > len(self.data):
                return
            ssrc, fraction, _lost, _highest, jitter, lsr, dlsr = _BLOCK.unpack_from(self.data, position)
            yield ReportBlock(ssrc, fraction, jitter, lsr, dlsr)
            position += _BLOCK.size


@dataclass(slots=True)
class ReportBlock:
    """What a receiver says of one SSRC (RFC 3550 section 6.4.1): fraction in 1/256, dlsr in 1/65536 s."""

    ssrc: int
    fraction_lost: int
    jitter: int
    lsr: int
    dlsr: int


def split(compound: bytes) -> Iterator[RtcpPart]:
    """The packets of a compound, in order. Raises MalformedRtcp where one is not what its header says."""
    position = 0
    while position < len(compound):
        if position + 4 > len(compound) or compound[position] & 0xC0 != 0x80:
            raise MalformedRtcp("not an RTCP header")
        end = position + 4 + 4 * (compound[position + 2] << 8 | compound[position + 3])
        if end > len(compound) or end - position < 8:
            raise MalformedRtcp("length does not fit")
        yield RtcpPart(compound[position + 1], compound[position] & 0x1F, compound[position:end])
        position = end


def sender_info(part: RtcpPart) -> tuple[int, int, int]:
    """SSRC, 64-bit NTP time and RTP timestamp of a sender report. Raises MalformedRtcp."""
    if len(part.data) < 28:
        raise MalformedRtcp("sender report too short")
    ssrc, ntp, timestamp = _SENDER.unpack_from(part.data, 4)
    return ssrc, ntp, timestamp


def nack_sequences(part: RtcpPart) -> Iterator[int]:
    """The sequence numbers of a generic NACK (RFC 4585 section 6.2.1)."""
    for position in range(12, len(part.data) - 3, 4):
        first, following = _NACK.unpack_from(part.data, position)
        yield first
        for bit in range(16):
            if following >> bit & 1:
                yield first + bit + 1 & 0xFFFF


def fir_sources(part: RtcpPart) -> Iterator[int]:
    """The SSRCs that a full intra request names (RFC 5104 section 4.3.1.1)."""
    for position in range(12, len(part.data) - 7, 8):
        yield int.from_bytes(part.data[position : position + 4], "big")


def remb_bitrate(part: RtcpPart) -> int | None:
    """The bitrate of a REMB message in bit/s, or None if it is another application's message."""
    data = part.data
    if len(data) < 20 or data[12:16] != b"REMB" or len(data) < 20 + 4 * data[16]:
        return None
    return ((data[17] & 0x03) << 16 | data[18] << 8 | data[19]) << (data[17] >> 2)


class Reporter:
    """Puts together what the relay itself says to one session. `ssrc` is its own, `cname` its name (section 6.5.1)."""

    def __init__(self, ssrc: int, cname: str) -> None:
        self.ssrc = ssrc
        self._name = source_name(ssrc, cname)
        self._empty_report = bytes(RtcpRrPacket(ssrc=ssrc)) + self._name

    def receiver_report(self, blocks: list[RtcpReceiverInfo], remb: tuple[int, list[int]] | None) -> bytes:
        """A report about up to 31 sources, with a REMB (bitrate in bit/s, SSRCs) if there is one to give."""
        del blocks[_MOST_BLOCKS:]
        parts = [_RECEIVER_REPORT.pack(0x80 | len(blocks), RTCP_RR, 1 + 6 * len(blocks), self.ssrc)]
        for block in blocks:
            lost = block.packets_lost.to_bytes(3, "big", signed=True)
            numbers = block.highest_sequence, block.jitter, block.lsr, block.dlsr
            parts.append(_BLOCK.pack(block.ssrc, block.fraction_lost, lost, *numbers))
        parts.append(self._name)
        if remb is not None:
            parts.append(self._remb(*remb))
        return b"".join(parts)

    def _remb(self, bitrate: int, ssrcs: list[int]) -> bytes:
        """A receiver's estimate in bit/s (draft-alvestrand-rmcat-remb-03, section 2.2): 18 bits and an exponent."""
        exponent = max(0, bitrate.bit_length() - 18)
        mantissa = bitrate >> exponent
        head = (0x80 | RTCP_PSFB_APP, RTCP_PSFB, 4 + len(ssrcs), self.ssrc, 0, b"REMB", len(ssrcs))
        rate = (exponent << 2 | mantissa >> 16, mantissa & 0xFFFF)
        return _REMB.pack(*head, *rate) + b"".join(ssrc.to_bytes(4, "big") for ssrc in ssrcs)

    def pli(self, ssrc: int) -> bytes:
        """A picture loss indication (RFC 4585 section 6.3.1)."""
        return self._empty_report + bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=self.ssrc, media_ssrc=ssrc))

    def nack(self, ssrc: int, sequences: list[int]) -> bytes:
        """A generic NACK for these sequence numbers, in their order (RFC 4585 section 6.2.1); at least one.

        aiortc's own cannot write numbers that wrap around.
        """
        payload = _FEEDBACK.pack(self.ssrc, ssrc)
        first, following = sequences[0], 0
        for sequence in sequences[1:]:
            distance = (sequence - first - 1) & 0xFFFF
            if distance < 16:
                following |= 1 << distance
            else:
                payload += _NACK.pack(first, following)
                first, following = sequence, 0
        payload += _NACK.pack(first, following)
        return self._empty_report + pack_rtcp_packet(RTCP_RTPFB, RTCP_RTPFB_NACK, payload)


def sender_report(ssrc: int, name: bytes, ntp: int, timestamp: int, packets: int, octets: int) -> bytes:
    """A sender report of one outgoing stream (RFC 3550 section 6.4.1), with `name`, its `source_name`."""
    return _SENDER_REPORT.pack(0x80, RTCP_SR, 6, ssrc, ntp, timestamp, packets, octets) + name


def source_name(ssrc: int, cname: str) -> bytes:
    """The source description that names a stream (RFC 3550 section 6.5)."""
    return bytes(RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=ssrc, items=[(_CNAME, cname.encode())])]))
