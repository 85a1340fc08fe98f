"""A published track: what arrives of it, and to whom it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from signaling.media.forwarder import Forwarder
from signaling.media.gate import Gate
from signaling.media.layer import Layer
from signaling.media.leg import Kind, Leg, TrackInfo
from signaling.media.merge import LayerMerge
from signaling.media.remb import UplinkEstimate
from signaling.media.rtp import ExtensionIds, RtpView
from signaling.media.stats import RoomCounters
from signaling.media.talking import TalkingDetector
from signaling.media.watched import WatchedOutput, WatchedTrack

log = structlog.get_logger(__name__)

_MAX_LEG_FAILURES = 10  # within the window
_STALL = 2.5  # seconds of silence, beyond those after which a layer is not sent, before a higher one takes its place
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


class LegOutput(WatchedOutput):
    """A leg in a room, and how often it has failed of late. One is shared by all tracks the leg listens to."""

    __slots__ = ("_since", "failures", "leg")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.on_rtp = leg.on_rtp
        self.failures = 0
        self._since = float("-inf")

    def failed(self, now: float) -> None:
        """It has raised an exception; `now` in seconds of a monotonic clock."""
        if now - self._since > _FAILURE_WINDOW:
            self._since = now
            self.failures = 0
        self.failures += 1
        if self.broken:
            self.on_rtp = None

    @property
    def broken(self) -> bool:
        """It has failed so often that it will not be given anything more."""
        return self.failures >= _MAX_LEG_FAILURES


class Track(WatchedTrack):
    """What a participant publishes on one m-line, from its first authenticated packet until its session or the source
    ends.

    It has one layer, or with simulcast one for each `rid` that has come. `talking(level)` is told about speech (audio
    only), `leg_failed(output)` about a leg that failed too often.
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
        incomplete: set[Layer] | None = None,
    ) -> None:
        """`nack`: the publisher answers NACKs for it; `keep_fresh`: keyframes come in a rhythm for later legs."""
        self.info = info
        self.is_video = info.kind is Kind.VIDEO
        self.uplink = UplinkEstimate() if self.is_video else None
        self.extensions = extensions
        self.gate = gate
        self.counters = counters
        self.publisher = publisher
        self.keep_fresh = keep_fresh and self.is_video
        self.muted = gate.is_muted(info.participant_id, info.kind)
        self.withheld = False
        """The publisher's line does not carry it: no session's slot shows it."""
        self.outputs: tuple[LegOutput, ...] = ()
        self.voice = TalkingDetector(talking)
        """Whether and how loud the participant speaks (audio only)."""
        self._nacks = nack
        self._leg_failed = leg_failed
        self._merge: LayerMerge | None = None
        self.incomplete: set[Layer] = set() if incomplete is None else incomplete
        """The layers that miss packets; may be shared by all tracks of a room."""
        self.layers: tuple[Layer, ...] = (Layer(self, info.ssrc, "", nack=nack),)

    # Layers

    def name_layer(self, rid: str) -> None:
        """The track's first source is a layer of simulcast, which has a name: others may come."""
        self.layers[0].rid = rid
        self._merge = LayerMerge(self.info)

    @property
    def is_layered(self) -> bool:
        """Whether the publisher sends, or may send, more than one layer."""
        return self._merge is not None

    def add_layer(self, ssrc: int, rid: str, now: float) -> Layer:
        """Another layer, or another source of one that was there: that one's slots go over to it."""
        layer = Layer(self, ssrc, rid, nack=self._nacks)
        older = next((other for other in self.layers if other.rid == rid), None)
        self.layers = (*(other for other in self.layers if other is not older), layer)
        if older is not None:
            for slot in older.slots:
                slot.switch(layer)
            older.end()
        layer.request_keyframe(now)
        return layer

    def first_layer(self, slot: Forwarder) -> Layer:
        """With which layer a slot begins: one that it can begin with at once, if there is such a one."""
        ready = [layer for layer in self.layers if layer.cache is not None and layer.cache.packets]
        return min(ready or self.layers, key=lambda layer: layer.height)

    # Who listens

    @property
    def is_open(self) -> bool:
        """Whether packets are passed on at all."""
        return self.gate.open and not self.muted

    def set_outputs(self, outputs: tuple[LegOutput, ...]) -> None:
        """Pass packets on to these legs, and to no others."""
        self.outputs = outputs

    def gate_changed(self, now: float) -> None:
        """The gate was opened or closed, or this track was muted or unmuted: everybody starts afresh."""
        self.muted = self.gate.is_muted(self.info.participant_id, self.info.kind)
        self.voice.stop()
        if self._merge is not None:
            self._merge.pause()
        for layer in self.layers:
            layer.gate_changed(now)

    def withhold(self, withheld: bool, now: float) -> None:
        """Show it in no session's slot, because the publisher's line does not carry it; or again."""
        self.withheld = withheld
        if self.is_video:
            self.uplink = UplinkEstimate()  # what was measured says nothing about a line with another load
            if not withheld:
                self.request_keyframe(now)

    def end(self) -> None:
        """Nothing more will come."""
        self.voice.stop()
        for layer in self.layers:
            for slot in layer.slots:
                slot.attach(None)
            layer.end()
        self.outputs = ()

    # The packet path: see `Layer.receive`

    def receive(self, packet: bytes, arrival: float) -> None:
        """One authenticated RTP packet of a track without simulcast. Never raises."""
        self.layers[0].receive(packet, arrival)

    def give(self, layer: Layer, view: RtpView) -> None:
        """Hand a packet to the legs that are no sessions: as it came, or as part of one stream out of all layers."""
        packet = view.packet
        if self._merge is not None:
            merged = self._merge.packet(layer, view)
            if merged is None:
                return
            packet = merged
        for output in self.outputs:
            self._give(output, packet, view.arrival)

    def is_recorded(self, layer: Layer) -> bool:
        """Whether a leg that is no session gets this layer."""
        return bool(self.outputs) and (self._merge is None or self._merge.layer is layer)

    def _give(self, output: LegOutput, packet: bytes, arrival: float) -> None:
        """Hand a packet to a leg; whatever it does, the publisher and the other legs do not feel it."""
        on_rtp = output.on_rtp
        if on_rtp is None:
            return
        try:
            on_rtp(self.info, packet, arrival)
        except Exception as error:
            self.leg_raised(output, error, arrival)
            return
        tally = self.counters.tally
        tally.forwarded += 1
        tally.forwarded_legs += 1
        tally.forwarded_bytes += len(packet)

    def leg_raised(self, output: LegOutput, error: Exception, now: float) -> None:
        """A leg has raised `error`; seconds of a monotonic clock."""
        output.failed(now)
        self.counters.leg_errors += 1
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

    def give_sender_report(self, layer: Layer, report: bytes, now: float) -> None:
        """Hand the publisher's sender report about a layer to the legs that are no sessions."""
        if self._merge is not None:
            merged = self._merge.sender_report(layer, report)
            if merged is None:
                return
            report = merged
        for output in self.outputs:
            if output.broken:
                continue
            try:
                output.leg.on_rtcp(self.info, report, now)
            except Exception as error:
                self.leg_raised(output, error, now)

    def request_keyframe(self, now: float) -> None:
        """A participant's leg, or the relay itself, needs a keyframe of every layer."""
        for layer in self.layers:
            layer.request_keyframe(now)

    def tick(self, now: float) -> None:
        """What time brings: see `Layer.tick`; silence; another layer for the legs that are no sessions."""
        for layer in self.layers:
            layer.tick(now)
        if not self.is_video:
            self.voice.tick(now)
        elif self._merge is not None:
            self._rescue(now)
            if self.outputs:
                self._merge.choose(self.layers, now)

    def _rescue(self, now: float) -> None:
        """The publisher has stopped a layer for want of bitrate: whoever was shown it gets the best of the others."""
        for layer in self.layers:
            if not layer.slots or layer.is_active(now):
                continue
            others = [other for other in self.layers if other.is_active(now)]
            for slot in layer.slots if others else ():
                if slot.next_layer in others:
                    continue
                lower = [other for other in others if other.height < layer.height]
                if lower:
                    slot.switch(max(lower, key=lambda other: other.height))
                elif not layer.is_active(now - _STALL):  # browsers leave out the highest layers, not the lowest
                    slot.switch(min(others, key=lambda other: other.height))
