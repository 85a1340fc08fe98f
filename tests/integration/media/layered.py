"""A client that does RTX and simulcast by hand: it keeps what it sends, loses what the test says, and answers NACKs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from aiortc.rtp import RtcpRrPacket, RtcpRtpfbPacket, RtcpSenderInfo, RtcpSrPacket, RtpPacket

from tests.fakes.media_client import MediaClient

RTX_PT = 97
RID_ID, REPAIRED_ID = 10, 11
SECOND = 1 << 32  # of NTP time


def with_repair(offer: str, rids: tuple[str, ...]) -> str:
    """The offer with RTX on every video line, and these layers on the first."""
    sections = offer.split("m=video ")
    for number in range(1, len(sections)):
        text = sections[number].replace("SAVPF 96\r\n", f"SAVPF 96 {RTX_PT}\r\n", 1)
        text += f"a=rtpmap:{RTX_PT} rtx/90000\r\na=fmtp:{RTX_PT} apt=96\r\n"
        if rids and number == 1:
            text += f"a=extmap:{RID_ID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
            text += f"a=extmap:{REPAIRED_ID} urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n"
            text += "".join(f"a=rid:{rid} send\r\n" for rid in rids)
            text += f"a=simulcast:send {';'.join(rids)}\r\n"
        sections[number] = text
    return "m=video ".join(sections)


def extended(packet: bytes, *elements: tuple[int, bytes]) -> bytes:
    """The bare packet with header extensions (RFC 8285 section 4.2)."""
    block = b"".join(bytes([number << 4 | len(value) - 1]) + value for number, value in elements)
    words = (len(block) + 3) // 4
    block = b"\xbe\xde" + words.to_bytes(2, "big") + block.ljust(4 * words, b"\0")
    return bytes([packet[0] | 0x10]) + packet[1:12] + block + packet[12:]


class LayeredClient(MediaClient):
    """Sends raw packets with `send_raw`; `loses(ssrc, sequence)` says which are lost on their first way."""

    def __init__(self, lines: Any, rids: tuple[str, ...] = ()) -> None:
        super().__init__(lines)
        self.rids = rids
        self.loses: Callable[[int, int], bool] = lambda ssrc, sequence: False
        self.lost: list[tuple[int, int]] = []
        self.raw: list[bytes] = []
        self._kept: dict[tuple[int, int], bytes] = {}
        self._rtx_sequence: dict[int, int] = {}
        self._answered = 0

    def offer(self, **changes: Any) -> str:
        return with_repair(super().offer(**changes), self.rids)

    def rtx_ssrc(self, ssrc: int) -> int:
        return ssrc + 1_000_000

    def send_raw(self, packet: bytes, rid: str = "") -> None:
        """Send one bare packet, or lose it."""
        ssrc, sequence = int.from_bytes(packet[8:12], "big"), int.from_bytes(packet[2:4], "big")
        self._kept[ssrc, sequence] = packet
        if self.loses(ssrc, sequence):
            self.lost.append((ssrc, sequence))
            return
        self.send_protected(extended(packet, (RID_ID, rid.encode())) if rid else packet)

    def answer_nacks(self) -> None:
        """Send what was asked for since the last time, as RTX (RFC 4588)."""
        asked, self._answered = self.received.rtcp[self._answered :], len(self.received.rtcp)
        for item in asked:
            if isinstance(item, RtcpRtpfbPacket) and item.fmt == 1:
                for sequence in item.lost:
                    self._send_rtx(item.media_ssrc, sequence)

    def _send_rtx(self, ssrc: int, sequence: int) -> None:
        packet = self._kept[ssrc, sequence]
        rtx = self.rtx_ssrc(ssrc)
        number = self._rtx_sequence[rtx] = self._rtx_sequence.get(rtx, 0) + 1
        head = bytes([packet[0], packet[1] & 0x80 | RTX_PT]) + number.to_bytes(2, "big") + packet[4:8]
        again = head + rtx.to_bytes(4, "big") + packet[2:4] + packet[12:]
        rid = self.rids[ssrc - 100] if self.rids else ""
        self.send_protected(extended(again, (REPAIRED_ID, rid.encode())) if rid else again)

    async def keep_answering(self) -> None:
        """Answer NACKs until cancelled."""
        while True:
            self.answer_nacks()
            await asyncio.sleep(0.01)

    def nack(self, ssrc: int, *sequences: int) -> None:
        """Ask the relay for packets again."""
        self.send_rtcp(RtcpRrPacket(1), RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=ssrc, lost=list(sequences)))

    def report(self, ssrc: int, seconds: float, timestamp: int) -> None:
        """A sender report: at `seconds` of this client's clock, the stream's time is `timestamp`."""
        info = RtcpSenderInfo(round(seconds * SECOND), timestamp & 0xFFFFFFFF, 1, 1)
        self.send_rtcp(RtcpSrPacket(ssrc=ssrc, sender_info=info))

    def videos(self) -> list[RtpPacket]:
        """The video packets that came, in the order of their sequence numbers, those that came as RTX among them."""
        packets = list(self.received.of_kind("video"))
        for packet in self.again():
            number, ssrc = int.from_bytes(packet.payload[:2], "big"), packets[0].ssrc
            packets.append(RtpPacket(96, packet.marker, number, packet.timestamp, ssrc, packet.payload[2:]))
        first = packets[0].sequence_number if packets else 0
        unique = {(packet.sequence_number - first + 0x8000) & 0xFFFF: packet for packet in packets}
        return [unique[number] for number in sorted(unique)]

    def ask_for_holes(self) -> None:
        """Ask for what is missing among the video packets."""
        packets = self.videos()
        holes = [
            earlier.sequence_number + number & 0xFFFF
            for earlier, later in pairwise(packets)
            for number in range(1, later.sequence_number - earlier.sequence_number & 0xFFFF)
        ]
        if holes:
            self.nack(packets[0].ssrc, *holes[:50])

    def again(self) -> list[RtpPacket]:
        """The RTX packets that came."""
        return [packet for packet in self.received.rtp if packet.payload_type == RTX_PT]
