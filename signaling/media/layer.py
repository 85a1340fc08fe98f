"""One stream of a published track: the only one, or one of those that simulcast sends (RFC 8853)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from signaling.media.forwarder import Forwarder
from signaling.media.keyframes import KeyframeCache, KeyframeRequests
from signaling.media.nack import NackTracker
from signaling.media.reception import Reception
from signaling.media.retransmission import KEPT, PacketCache, unwrap
from signaling.media.rtp import MalformedPacket, RtpView, abs_send_time, parse
from signaling.media.step import forward_all
from signaling.media.stream import Stream
from signaling.media.vp8 import keyframe_size

if TYPE_CHECKING:
    from signaling.media.track import Track

_ACTIVE = 1.0  # seconds without a packet after which a track's only layer counts as not being sent
_ACTIVE_LAYER = 0.5  # and one of several: the others say that the camera is on
_MEASURED = 1.0  # seconds over which the bitrate is measured


class SenderClock(NamedTuple):
    """The publisher's last sender report: 64-bit NTP time, and the layer's RTP timestamp at that moment."""

    ntp: int
    timestamp: int


class Layer(Stream):
    """One SSRC of a track, from its first authenticated packet until its session or the source ends.

    `rid` is its name (RFC 8851), empty without simulcast. `height` are the pixels that its last keyframe states (0: not
    known), `bitrate` what has come of late in bit/s, `since` when it began to flow after its last silence.
    """

    def __init__(self, track: Track, ssrc: int, rid: str, *, nack: bool) -> None:
        """`nack`: the publisher answers NACKs for it."""
        super().__init__()
        self.track = track
        self.ssrc = ssrc
        self.rid = rid
        self.is_video = track.is_video
        self.reception = Reception(track.info.clock_rate)
        self.requests = KeyframeRequests(self._send_pli)
        self.cache = KeyframeCache() if self.is_video else None
        self.packets = PacketCache() if self.is_video else None
        self.clock: SenderClock | None = None
        self.height = 0
        self.bitrate = 0.0
        self.since = float("-inf")
        self._nack = NackTracker() if nack else None
        self._slots: tuple[Forwarder, ...] = ()
        self._waiting: tuple[Forwarder, ...] = ()
        self._measured = float("-inf")
        self._fresh_from = 0  # the first packet that belongs to the time since the gate last moved
        self.watch(
            track=track,
            gate=track.gate,
            payload_type=track.info.payload_type,
            is_video=self.is_video,
            tally=track.counters.tally,
            reception=self.reception,
            voice=track.voice,
            cache=self.cache,
            packets=self.packets,
        )

    # Who listens

    @property
    def is_open(self) -> bool:
        """Whether packets are passed on at all."""
        return self.track.is_open

    @property
    def highest(self) -> int:
        """The newest packet's index."""
        return self.reception.highest

    @property
    def slots(self) -> tuple[Forwarder, ...]:
        """The slots that show this layer."""
        return self._slots

    def add_slot(self, slot: Forwarder) -> None:
        """Pass packets on to a session's slot."""
        slot.rewriter.count_in(self.track.counters.tally)
        self._slots = (*self._slots, slot)
        self.steps = tuple(other.rewriter for other in self._slots)

    def remove_slot(self, slot: Forwarder) -> None:
        """Pass nothing more on to a slot."""
        self._slots = tuple(other for other in self._slots if other is not slot)
        self.steps = tuple(other.rewriter for other in self._slots)

    def add_waiting(self, slot: Forwarder) -> None:
        """Tell a slot of the next keyframe."""
        self._waiting = (*self._waiting, slot)

    def remove_waiting(self, slot: Forwarder) -> None:
        """Tell the slot nothing more."""
        self._waiting = tuple(other for other in self._waiting if other is not slot)

    def is_active(self, now: float) -> bool:
        """Whether it is being sent."""
        return now - self.last_arrival < (_ACTIVE_LAYER if self.rid else _ACTIVE)

    # The packet path

    def receive(self, packet: bytes, arrival: float) -> None:
        """One authenticated RTP packet of the publisher. Never raises."""
        try:
            view = parse(packet, self.track.extensions, arrival)
        except MalformedPacket:
            self.track.counters.dropped_malformed += 1
            return
        self.take(view)

    def receive_view(self, view: RtpView) -> None:
        """The same, once it is read, and if the quick way does not know what to do (stream.py)."""
        track = self.track
        counters = track.counters
        arrival = view.arrival
        if view.payload_type != track.info.payload_type:
            counters.dropped_unknown_track += 1
            return
        size = view.size
        counters.received += 1
        counters.received_bytes += size
        self.last_arrival = arrival
        reception = self.reception
        highest = reception.highest
        view.index = index = reception.add(view.sequence, view.timestamp, arrival)
        if index != highest + 1 and highest >= 0 and not self._out_of_turn(highest, index, arrival):
            counters.duplicates += 1
            return
        if index < self._fresh_from:
            counters.dropped_gate += 1
            return
        if self.is_video:
            self.octets += size
            view.keyframe = view.starts_keyframe()
            if view.keyframe:
                self._keyframe_came(view)
            if track.uplink is not None:
                track.uplink.add(view)
        else:
            view.keyframe = False
        self._pass_on(view)

    def receive_again(self, packet: bytes, arrival: float) -> None:
        """One authenticated RTX packet of the publisher (RFC 4588), who was asked or probes the bandwidth."""
        track = self.track
        counters = track.counters
        counters.rtx_received += 1
        if track.uplink is not None:
            track.uplink.count(len(packet))
        original = unwrap(packet, self.ssrc, track.info.payload_type)
        if original is None or self.reception.highest < 0:
            counters.rtx_unusable += 1
            return
        try:
            view = parse(original, track.extensions, arrival)
        except MalformedPacket:
            counters.dropped_malformed += 1
            return
        view.index = index = self.reception.place(view.sequence)
        if self._nack is None or not self._nack.arrived(index):  # there already, or never missed
            counters.rtx_unusable += 1
            return
        counters.received += 1
        counters.received_bytes += len(original)
        counters.repaired += 1
        view.keyframe = self.is_video and view.starts_keyframe()
        if view.keyframe:
            self._keyframe_came(view)
        self._pass_on(view)

    def _pass_on(self, view: RtpView) -> None:
        """Give an authentic packet that was not there before to everybody who is to get it."""
        track = self.track
        counters = track.counters
        if not track.gate.open:
            counters.dropped_gate += 1
            return
        if track.muted:
            counters.dropped_muted += 1
            return
        arrival = view.arrival
        view.departure = abs_send_time(arrival)
        if self.cache is not None and self.packets is not None:
            self.packets.add(view)
            if view.keyframe and view.index < self.reception.highest:
                self.cache.begin(self._since(view))
            else:
                self.cache.add(view)
            if view.keyframe:
                for slot in self._waiting:
                    slot.keyframe(self, view)
        elif view.level >= 0:
            track.voice.level(view.level, arrival)
        forward_all(self.steps, view)
        if track.outputs:
            track.give(self, view)

    def _out_of_turn(self, highest: int, index: int, now: float) -> bool:
        """A packet that is not the next; False if it was there before."""
        nack = self._nack
        if index > highest:
            if nack is not None:
                if nack.gap(highest, index, now):
                    self.track.incomplete.add(self)
                else:
                    self.request_keyframe(now)
            return True
        if nack is not None and nack.arrived(index):
            return True
        # SRTP lets no packet in twice, but one that was repaired by RTX may come late all the same.
        return self.packets is None or (index > highest - KEPT and self.packets.find(index) is None)

    def _keyframe_came(self, view: RtpView) -> None:
        self.requests.arrived()
        size = keyframe_size(view.payload)
        if size is not None:
            self.height = min(size)  # of a phone held upright, too

    def _since(self, first: RtpView) -> list[RtpView]:
        """`first` and what is kept of those after it."""
        packets = self.packets
        if packets is None:
            return [first]
        kept = (packets.find(index) for index in range(first.index + 1, self.reception.highest + 1))
        return [first, *(view for view in kept if view is not None)]

    # Feedback

    def sender_report(self, report: bytes, ntp: int, rtp_timestamp: int, now: float) -> None:
        """The publisher's sender report: `report` is the whole RTCP packet, `ntp` and `rtp_timestamp` its pair."""
        self.reception.sender_report(ntp, now)
        self.clock = SenderClock(ntp, rtp_timestamp)
        if not self.is_open:
            return
        for slot in self._slots:
            slot.pass_sender_report(ntp, rtp_timestamp, now)
        self.track.give_sender_report(self, report, now)

    def request_keyframe(self, now: float) -> None:
        """A participant's leg, or the relay itself, needs a keyframe."""
        if self.is_video and self.is_open:
            self.requests.request(now)

    def gate_changed(self, now: float) -> None:
        """The gate was opened or closed, or the track was muted or unmuted: everybody starts afresh.

        What was sent before is nobody's any more, however late it comes and whoever had asked for it: it may have been
        said during a hold.
        """
        self._fresh_from = self.reception.highest + 1
        if self._nack is not None:
            self._nack.clear()
        for slot in self._slots:
            slot.pause()
            slot.forget_sent()
        if self.cache is not None and self.packets is not None:
            self.cache.clear()
            self.packets.clear()
        if self.is_video:
            if self.is_open:
                self.requests.request(now)
            else:
                self.requests.cancel()

    def end(self) -> None:
        """Nothing more will come."""
        for slot in self._waiting:
            slot.give_up_waiting()
        self.requests.cancel()
        self.track.incomplete.discard(self)
        self._slots = self._waiting = self.steps = ()

    def ask_again(self, now: float) -> None:
        """Ask for missing packets whose time has come."""
        if self._nack is None or not len(self._nack):
            self.track.incomplete.discard(self)
        else:
            self._nack.patient = self.track.is_recorded(self)
            missing = self._nack.due(now, self.reception.highest, self.track.publisher.round_trip)
            if missing:
                self.track.counters.nack_sent += 1
                self.track.publisher.send_nack(self.ssrc, missing)

    def tick(self, now: float) -> None:
        """What time brings: repeated requests, missing packets, fresh keyframes."""
        self.ask_again(now)
        if not self.is_video:
            return
        if now - self._measured >= _MEASURED:
            self._measure(now)
        flows = self.is_active(now)
        if not flows:
            self.since = float("inf")
        elif self.since > now:
            self.since = now
        if (
            self.track.keep_fresh
            and flows
            and self.is_open
            and self.cache is not None
            and self.cache.needs_refresh(now)
        ):
            self.requests.request(now)
        if flows or not self.rid:  # a layer that is not being sent has no keyframe to give
            self.requests.tick(now)

    def _measure(self, now: float) -> None:
        elapsed = now - self._measured
        self._measured = now
        rate = self.octets * 8 / elapsed
        self.octets = 0
        self.bitrate = rate if not self.bitrate else 0.5 * (self.bitrate + rate)

    def _send_pli(self) -> None:
        self.track.counters.pli_sent += 1
        self.track.publisher.send_pli(self.ssrc)
