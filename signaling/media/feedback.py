"""RTCP of one session: what its client says about what it is sent, and what the relay says about what it sends."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from signaling.media import rtcp
from signaling.media.choice import LayerChoice
from signaling.media.leg import Kind
from signaling.media.limit import TokenBucket
from signaling.media.line import Uplink
from signaling.media.listener import Direction, LineState
from signaling.media.remb import FLOOR
from signaling.media.retransmission import RepairBudget

if TYPE_CHECKING:
    from signaling.media.forwarder import Forwarder
    from signaling.media.peer import Peer

_REPORT_INTERVAL = 0.5  # seconds between two reports to a publisher
_RETRANSMISSIONS_PER_SECOND = 200.0
_BURST = 0.3  # seconds for which what comes out of a cache at once may fill the client's line
_START_OVER = 2.0  # seconds between two keyframes instead of repairs
_LEAST_BURST = 12_000  # bytes
_DOWNLINK_LIFETIME = 5.0  # seconds that a client's REMB stays good
_DEFAULT_ROUND_TRIP = 0.1


class Feedback:
    """Reports end at the relay: a client's are read here, and the relay makes its own.

    A hidden session's (an officer's) requests are answered from what the relay keeps, and never lead to a message to
    a publisher. Times are seconds of one monotonic clock.
    """

    def __init__(self, peer: Peer, now: float) -> None:
        self._peer = peer
        self._reporter = rtcp.Reporter(secrets.randbits(32), secrets.token_hex(8))
        self._last_report = now
        self._retransmissions = TokenBucket(_RETRANSMISSIONS_PER_SECOND, now)
        self._repairs = RepairBudget(now)
        self._started_over = float("-inf")
        self._downlink: int | None = None
        self._downlink_at = float("-inf")
        self._choice = LayerChoice()
        self._uplink = Uplink()
        self._line: dict[Direction, LineState] = {"up": "good", "down": "good"}

    # What the client says

    def receive(self, compound: bytes, now: float) -> None:
        """One authenticated compound packet. Never raises."""
        counters = self._peer.counters
        counters.received_rtcp += 1
        try:
            for part in rtcp.split(compound):
                self._read(part, now)
        except rtcp.MalformedRtcp:
            counters.dropped_malformed += 1

    def _read(self, part: rtcp.RtcpPart, now: float) -> None:
        if part.packet_type == rtcp.RTCP_SR:
            ssrc, ntp, timestamp = rtcp.sender_info(part)
            layer = self._peer.sources.layers.get(ssrc)
            if layer is not None:
                layer.sender_report(part.data, ntp, timestamp, now)
        if part.packet_type in (rtcp.RTCP_SR, rtcp.RTCP_RR):
            for block in part.blocks():
                slot = self._slot(block.ssrc)
                if slot is not None:
                    slot.receiver_report(block.fraction_lost, block.jitter, block.lsr, block.dlsr, now)
        elif part.packet_type == rtcp.RTCP_RTPFB and part.count == rtcp.RTCP_RTPFB_NACK:
            self._read_nack(part, now)
        elif part.packet_type == rtcp.RTCP_PSFB:
            self._read_payload_feedback(part, now)

    def _read_nack(self, part: rtcp.RtcpPart, now: float) -> None:
        counters = self._peer.counters
        counters.nack_received += 1
        slot = self._slot(part.media)
        if slot is None or slot.track is None or not slot.track.is_open:
            return
        for sequence in rtcp.nack_sequences(part):
            if not self._retransmissions.take(now):
                return
            if slot.kind is Kind.VIDEO and not self._repairs.take(self._estimate(now), now):
                self._start_over(slot, now)
                return
            if slot.retransmit(sequence, now):
                counters.retransmitted += 1

    def _start_over(self, slot: Forwarder, now: float) -> None:
        """More is missing than the line carries again in time: a keyframe is cheaper, and ends the asking."""
        if not self._peer.hidden and slot.layer is not None and now - self._started_over >= _START_OVER:
            self._started_over = now
            slot.layer.request_keyframe(now)

    def _read_payload_feedback(self, part: rtcp.RtcpPart, now: float) -> None:
        if part.count == rtcp.RTCP_PSFB_PLI:
            self._keyframe_wanted(part.media, now)
        elif part.count == rtcp.RTCP_PSFB_FIR:
            for ssrc in rtcp.fir_sources(part):
                self._keyframe_wanted(ssrc, now)
        elif part.count == rtcp.RTCP_PSFB_APP:
            bitrate = rtcp.remb_bitrate(part)
            if bitrate is not None:
                self._downlink = bitrate
                self._downlink_at = now

    def _keyframe_wanted(self, ssrc: int, now: float) -> None:
        self._peer.counters.pli_received += 1
        slot = self._slot(ssrc)
        if slot is None or slot.track is None:
            return
        if self._peer.hidden:
            slot.restart(now)
        elif slot.layer is not None:
            slot.layer.request_keyframe(now)

    def _slot(self, ssrc: int) -> Forwarder | None:
        for slot in self._peer.slots:
            if slot.ssrc == ssrc:
                return slot
        return None

    def _estimate(self, now: float) -> int | None:
        return self._downlink if now - self._downlink_at <= _DOWNLINK_LIFETIME else None

    def downlink(self, now: float) -> int | None:
        """What the client can receive of each video it is sent, in bit/s; None if it has not said so lately."""
        if self._downlink is None or now - self._downlink_at > _DOWNLINK_LIFETIME:
            return None
        videos = sum(1 for slot in self._peer.slots if slot.kind is Kind.VIDEO and slot.track is not None)
        return self._downlink // max(videos, 1)

    @property
    def limit(self) -> int | None:
        """What of each video the client can take at most, if even the lowest layer is too much for it; bit/s."""
        return self._choice.limit

    # What the relay says

    @property
    def round_trip(self) -> float:
        """Round trip time in seconds by the client's reports about its slots, or a guess."""
        known = [slot.report.round_trip for slot in self._peer.slots if slot.report.round_trip is not None]
        return min(known) if known else _DEFAULT_ROUND_TRIP

    def send_pli(self, ssrc: int) -> None:
        """Ask the client for a keyframe."""
        self._peer.send_rtcp(self._reporter.pli(ssrc))

    def send_nack(self, ssrc: int, sequences: list[int]) -> None:
        """Ask the client for packets again."""
        self._peer.send_rtcp(self._reporter.nack(ssrc, sequences))

    def send_sender_report(self, slot: Forwarder, ntp: int, timestamp: int) -> None:
        """Report about a slot: 64-bit NTP time, and the slot's RTP timestamp at that moment."""
        self._peer.counters.sender_reports += 1
        octets = slot.sent_bytes & 0xFFFFFFFF
        packets = slot.sent & 0xFFFFFFFF
        self._peer.send_rtcp(rtcp.sender_report(slot.ssrc, slot.name, ntp, timestamp, packets, octets))

    def tick(self, now: float) -> None:
        """Twice a second: choose what is shown, look at the publisher's line, report to him."""
        if now - self._last_report < _REPORT_INTERVAL:
            return
        self._last_report = now
        peer = self._peer
        videos = [slot for slot in peer.slots if slot.kind is Kind.VIDEO]
        if videos:
            estimate = self._estimate(now)
            burst = None if estimate is None else max(_LEAST_BURST, round(estimate * _BURST / 8))
            for slot in videos:
                slot.burst = burst
            self._say_line("down", self._choice.tick(videos, estimate, now))
        video = peer.sources.tracks.get(Kind.VIDEO)
        if video is not None:
            self._say_line("up", self._uplink.tick(video, now))
        self._report(now)

    def _say_line(self, direction: Direction, state: LineState) -> None:
        if self._line[direction] != state:
            self._line[direction] = state
            self._peer.room.line_changed(self._peer, direction, state)

    def end(self) -> None:
        """The session is over: whatever was said of its line holds no more."""
        for direction in self._line:
            self._say_line(direction, "good")

    def _report(self, now: float) -> None:
        """Report to a publisher: without a REMB, a browser's bitrate sinks to a few hundred kbit/s."""
        peer = self._peer
        layers = peer.sources.layers
        if not layers:
            return
        blocks = [layer.reception.report(ssrc, now) for ssrc, layer in layers.items()]
        remb = None
        video = peer.sources.tracks.get(Kind.VIDEO)
        if video is not None and video.uplink is not None:
            limits = peer.room.downlinks(peer)
            bitrate = FLOOR if video.withheld else video.uplink.bitrate(limits, layered=video.is_layered)
            remb = (bitrate, [layer.ssrc for layer in video.layers])
            peer.counters.remb_sent += 1
        peer.counters.receiver_reports += 1
        peer.send_rtcp(self._reporter.receiver_report(blocks, remb))
