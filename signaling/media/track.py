"""A published track: what arrives of it, and to whom it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from signaling.media.forwarder import Forwarder
from signaling.media.gate import Gate
from signaling.media.keyframes import KeyframeCache, KeyframeRequests
from signaling.media.leg import Kind, Leg, TrackInfo
from signaling.media.nack import NackTracker
from signaling.media.reception import Reception
from signaling.media.remb import UplinkEstimate
from signaling.media.rtp import ExtensionIds, MalformedPacket, abs_send_time, parse
from signaling.media.stats import RoomCounters
from signaling.media.talking import TalkingDetector
from signaling.media.vp8 import starts_keyframe

log = structlog.get_logger(__name__)

_MAX_LEG_FAILURES = 10  # within the window
_FAILURE_WINDOW = 10.0  # seconds


class Publisher(Protocol):
    """The session a track comes from, as its track sees it."""

    def send_pli(self, ssrc: int) -> None:
        """Ask the publisher for a keyframe."""
        ...

    def send_nack(self, ssrc: int, sequences: list[int]) -> None:
        """Ask the publisher for packets again."""
        ...

    @property
    def round_trip(self) -> float:
        """Round trip time to the publisher in seconds, or a guess."""
        ...


class LegOutput:
    """A leg in a room, and how often it has failed of late. One is shared by all tracks the leg listens to."""

    __slots__ = ("_since", "failures", "leg")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.failures = 0
        self._since = float("-inf")

    def failed(self, now: float) -> None:
        """It has raised an exception; `now` in seconds of a monotonic clock."""
        if now - self._since > _FAILURE_WINDOW:
            self._since = now
            self.failures = 0
        self.failures += 1

    @property
    def broken(self) -> bool:
        """It has failed so often that it will not be given anything more."""
        return self.failures >= _MAX_LEG_FAILURES


class Track:
    """One source of one participant, from its first authenticated packet until its session or the source ends.

    `talking(level)` is told about speech (audio only), `leg_failed(output)` about a leg that failed too often.
    """

    def __init__(
        self,
        info: TrackInfo,
        *,
        extensions: ExtensionIds,
        gate: Gate,
        counters: RoomCounters,
        publisher: Publisher,
        nack: bool,
        keep_fresh: bool,
        talking: Callable[[int], None],
        leg_failed: Callable[[LegOutput], None],
    ) -> None:
        """`nack`: the publisher answers NACKs for it; `keep_fresh`: keyframes come in a rhythm for later legs."""
        self.info = info
        self.reception = Reception(info.clock_rate)
        self.requests = KeyframeRequests(self._send_pli)
        self.is_video = info.kind is Kind.VIDEO
        self.cache = KeyframeCache() if self.is_video else None
        self.uplink = UplinkEstimate() if self.is_video else None
        self.last_arrival = float("-inf")
        self._extensions = extensions
        self._gate = gate
        self._counters = counters
        self._publisher = publisher
        self._nack = NackTracker() if nack else None
        self._keep_fresh = keep_fresh and self.is_video
        self._talking = TalkingDetector(talking)
        self._leg_failed = leg_failed
        self._muted = gate.is_muted(info.participant_id, info.kind)
        self._slots: tuple[Forwarder, ...] = ()
        self._outputs: tuple[LegOutput, ...] = ()

    # Who listens

    @property
    def is_open(self) -> bool:
        """Whether packets are passed on at all."""
        return self._gate.open and not self._muted

    def add_slot(self, slot: Forwarder) -> None:
        """Pass packets on to a session's slot."""
        self._slots = (*self._slots, slot)

    def remove_slot(self, slot: Forwarder) -> None:
        """Pass nothing more on to a slot."""
        self._slots = tuple(other for other in self._slots if other is not slot)

    def set_outputs(self, outputs: tuple[LegOutput, ...]) -> None:
        """Pass packets on to these legs, and to no others."""
        self._outputs = outputs

    @property
    def voice(self) -> TalkingDetector:
        """Whether and how loud the participant speaks (audio only)."""
        return self._talking

    def gate_changed(self, now: float) -> None:
        """The gate was opened or closed, or this track was muted or unmuted: everybody starts afresh."""
        self._muted = self._gate.is_muted(self.info.participant_id, self.info.kind)
        for slot in self._slots:
            slot.pause()
        self._talking.stop()
        if self.cache is not None:
            self.cache.clear()
        if self.is_video:
            if self.is_open:
                self.requests.request(now)
            else:
                self.requests.cancel()

    def end(self) -> None:
        """Nothing more will come."""
        self._talking.stop()
        for slot in self._slots:
            slot.attach(None)
        self.requests.cancel()
        self._slots = ()
        self._outputs = ()

    # The packet path

    def receive(self, packet: bytes, arrival: float) -> None:
        """One authenticated RTP packet of the publisher. Never raises."""
        counters = self._counters
        try:
            view = parse(packet, self._extensions, arrival)
        except MalformedPacket:
            counters.dropped_malformed += 1
            return
        if view.payload_type != self.info.payload_type:
            counters.dropped_unknown_track += 1
            return
        counters.received += 1
        counters.received_bytes += len(packet)
        self.last_arrival = arrival
        reception = self.reception
        highest = reception.highest
        view.index = index = reception.add(view.sequence, view.timestamp, arrival)
        if self._nack is not None and index != highest + 1 and highest >= 0:
            self._out_of_turn(self._nack, highest, index, arrival)
        if self.is_video:
            view.keyframe = starts_keyframe(view.payload)
            if view.keyframe:
                self.requests.arrived()
            if self.uplink is not None:
                self.uplink.add(view)
        else:
            view.keyframe = False
        if not self._gate.open:
            counters.dropped_gate += 1
            return
        if self._muted:
            counters.dropped_muted += 1
            return
        view.departure = abs_send_time(arrival)
        if self.cache is not None:
            self.cache.add(view)
        elif view.level >= 0:
            self._talking.level(view.level, arrival)
        packets = octets = officers = 0
        for slot in self._slots:
            size = slot.forward(view)
            if size:
                packets += 1
                octets += size
                officers += slot.hidden
        counters.forwarded += packets
        counters.forwarded_bytes += octets
        counters.forwarded_officers += officers
        counters.forwarded_participants += packets - officers
        for output in self._outputs:
            self._give(output, packet, arrival)

    def _out_of_turn(self, nack: NackTracker, highest: int, index: int, now: float) -> None:
        if index < highest:
            nack.arrived(index)
        elif not nack.gap(highest, index, now):
            self.request_keyframe(now)

    def count_forwarded(self, slot: Forwarder, size: int) -> None:
        """A slot has sent one packet of this track, of `size` bytes, outside `receive`."""
        counters = self._counters
        counters.forwarded += 1
        counters.forwarded_bytes += size
        if slot.hidden:
            counters.forwarded_officers += 1
        else:
            counters.forwarded_participants += 1

    def _give(self, output: LegOutput, packet: bytes, arrival: float) -> None:
        """Hand a packet to a leg; whatever it does, the publisher and the other legs do not feel it."""
        if output.broken:
            return
        try:
            output.leg.on_rtp(self.info, packet, arrival)
        except Exception as error:
            self._failed(output, error, arrival)
            return
        self._counters.forwarded += 1
        self._counters.forwarded_legs += 1
        self._counters.forwarded_bytes += len(packet)

    def _failed(self, output: LegOutput, error: Exception, now: float) -> None:
        output.failed(now)
        self._counters.leg_errors += 1
        if output.failures == 1 or output.broken:
            log.error(
                "leg failed",
                exc_info=error,
                call_id=self.info.call_id,
                track_id=self.info.track_id,
                leg_id=output.leg.leg_id,
                failures=output.failures,
            )
        if output.broken:
            self._leg_failed(output)

    # Feedback

    def sender_report(self, report: bytes, ntp: int, rtp_timestamp: int, now: float) -> None:
        """The publisher's sender report: `report` is the whole RTCP packet, `ntp` and `rtp_timestamp` its pair."""
        self.reception.sender_report(ntp, now)
        if not self.is_open:
            return
        for slot in self._slots:
            slot.pass_sender_report(ntp, rtp_timestamp, now)
        for output in self._outputs:
            if output.broken:
                continue
            try:
                output.leg.on_rtcp(self.info, report, now)
            except Exception as error:
                self._failed(output, error, now)

    def request_keyframe(self, now: float) -> None:
        """A participant's leg, or the relay itself, needs a keyframe."""
        if self.is_video and self.is_open:
            self.requests.request(now)

    def tick(self, now: float) -> None:
        """What time brings: repeated requests, missing packets, fresh keyframes, silence."""
        if self._nack is not None and len(self._nack):
            missing = self._nack.due(now, self.reception.highest, self._publisher.round_trip)
            if missing:
                self._counters.nack_sent += 1
                self._publisher.send_nack(self.info.ssrc, missing)
        if self.is_video:
            if self._keep_fresh and self.is_open and self._flows(now) and self.cache is not None:
                self._refresh(self.cache, now)
            self.requests.tick(now)
        else:
            self._talking.tick(now)

    def _refresh(self, cache: KeyframeCache, now: float) -> None:
        if cache.needs_refresh(now):
            self.requests.request(now)

    def _flows(self, now: float) -> bool:
        return now - self.last_arrival < 1.0

    def _send_pli(self) -> None:
        self._counters.pli_sent += 1
        self._publisher.send_pli(self.info.ssrc)
