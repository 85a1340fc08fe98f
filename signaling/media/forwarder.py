"""One outgoing stream of one session: a slot, and what is put into it.

The receiver sees one SSRC with sequence numbers, timestamps and picture IDs that never jump, whoever is in the slot and
whichever layer of him, through pauses, holds, rejoins and switches.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from signaling.media.leg import Kind
from signaling.media.retransmission import PacketCache, SentPackets
from signaling.media.rewrite import Rewriter
from signaling.media.rtcp import source_name
from signaling.media.rtp import ExtensionIds, RtpView, abs_send_time
from signaling.media.segments import Segment, Segments, Squeezed

if TYPE_CHECKING:
    from signaling.media.layer import Layer
    from signaling.media.track import Track

_CATCH_UP_PACKETS = 24  # per step of the start from the cache
_CATCH_UP_INTERVAL = 0.004  # seconds
_RESTART_INTERVAL = 0.5  # seconds
_CATCH_UP_FRAME = 0.001  # seconds of media time between two frames that are decoded only to catch up
_TRUSTED = 1.0  # seconds that a timestamp by the publisher's clock may differ from one by arrival
_PUSHED = 1500  # ticks: half of the time between two frames at 30 a second
_CHEAP = 150_000  # bytes that a participant's switch of layers may take out of the cache at once
_CHEAP_HIDDEN = 1 << 20  # and an officer's, who can ask for nothing else

_index = attrgetter("index")


class Outlet(Protocol):
    """Where a forwarder's packets go: the session's SRTP and its network path."""

    def send_rtp(self, packet: bytes) -> bytes | None:
        """Protect and send; the protected packet, or None if it could not be sent (counted there)."""
        ...

    @property
    def native(self) -> object | None:
        """The shorter way for the step in C (native.py), if there is one."""
        ...

    def transmit(self, datagram: bytes) -> None:
        """Send what is protected already."""
        ...

    def send_sender_report(self, forwarder: Forwarder, ntp: int, rtp_timestamp: int) -> None:
        """Send a sender report about this slot: 64-bit NTP time and the slot's RTP timestamp at that moment."""
        ...

    def starved(self, forwarder: Forwarder) -> None:
        """This video slot stands still, or keeps to a lesser layer, until a keyframe comes."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call back after `delay` seconds."""
        ...


@dataclass(slots=True)
class SlotReport:
    """What the receiver's last report said about a slot (RFC 3550 section 6.4.1)."""

    fraction_lost: float = 0.0
    jitter: int = 0
    round_trip: float | None = None


@dataclass(slots=True)
class RtxStream:
    """The stream in which a slot's packets are sent again (RFC 4588): its SSRC, payload type and next number."""

    ssrc: int
    payload_type: int
    sequence: int


class Forwarder:
    """A slot. It is in one of three states.

    *Waiting*: nothing is sent until a packet from which a receiver can start: any packet for audio, a keyframe's
    first for video. *Catching up*: the layer's cached packets since the last keyframe are sent, a few milliseconds
    apart, with timestamps squeezed together, so that the receiver shows the newest picture and is not late from then
    on. *Live*: each packet is sent when it comes, by `rewriter` alone.

    While it is live on one layer it may wait for another's keyframe (`next_layer`); with that it goes over.
    """

    def __init__(
        self,
        *,
        kind: Kind,
        mid: str,
        index: int,
        cname: str,
        ssrc: int,
        payload_type: int,
        clock_rate: int,
        extensions: ExtensionIds,
        outlet: Outlet,
        hidden: bool,
        first_sequence: int,
        first_timestamp: int,
        rtx: RtxStream | None = None,
        resends: bool = True,
    ) -> None:
        """`hidden`: it is an officer's. The two first numbers should be random (RFC 3550 section 5.1).

        `resends`: the receiver may ask for packets again; without `rtx` it then gets the very bytes that were sent.
        """
        self.kind = kind
        self.mid = mid
        self.index = index
        self.cname = cname
        self.name = source_name(ssrc, cname)
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.clock_rate = clock_rate
        self.hidden = hidden
        self.rtx = rtx
        self.track: Track | None = None
        self.layer: Layer | None = None
        self.next_layer: Layer | None = None
        self.participant_id: str | None = None
        self.wanted_height: int | None = None  # device pixels at the receiver; 0: not shown, None: never said
        self.suspended = False
        self.burst: int | None = None  # bytes that the receiver's line takes at once; None: not known
        self.retransmitted = 0
        self.skipped = 0
        self.report = SlotReport()
        self.rewriter = Rewriter(
            kind=kind,
            mid=mid,
            ssrc=ssrc,
            payload_type=payload_type,
            extensions=extensions,
            first_sequence=first_sequence,
            first_timestamp=first_timestamp,
        )
        self._outlet = outlet
        self._send_rtp = outlet.send_rtp
        self._sent_packets = SentPackets() if resends and rtx is None else None
        self.rewriter.connect(
            outlet=outlet.native,
            send=outlet.send_rtp,
            unstable=self._unstable,
            cut=self._cut_off,
            keep=self._sent_packets.add if self._sent_packets is not None else None,
            hidden=hidden,
        )
        self._segments = Segments()
        self._enabled = False
        self._live = False
        self._needs_keyframe = kind is Kind.VIDEO
        self._mapped: tuple[Layer, int] | None = None  # a layer of this track, and the timestamp offset it had
        self._catching_up = False
        self._catch_up_scheduled = False
        self._caught_up = 0
        self._epoch = -1
        self._kept_offset: int | None = None
        self._squeezed = Squeezed()
        self._last_squeezed = 0
        self._restarted = float("-inf")
        self._report_key = 0
        self._report_sent = 0.0

    @property
    def sent(self) -> int:
        """The packets sent."""
        return self.rewriter.packets

    @property
    def sent_bytes(self) -> int:
        """Their length in bytes, before they were protected."""
        return self.rewriter.octets

    # What the slot shows

    def attach(self, track: Track | None) -> None:
        """Show `track` from now on, or nothing. A video starts from the track's cache where that can serve."""
        if track is self.track:
            return
        self._leave()
        self.track = track
        self._mapped = None
        self.forget_sent()
        if track is not None:
            self._enter(track.first_layer(self))
            self._start()

    def switch(self, layer: Layer) -> None:
        """Show another layer of the same track: from its cache if that is cheap, or else from its next keyframe on.

        Until then the present layer goes on. A participant's slot asks for the keyframe, an officer's waits.
        """
        if layer is self.layer:
            self._wait_for(None)
            return
        if layer is self.next_layer:
            return
        self._wait_for(None)
        cache = layer.cache
        if not self._live or (cache is not None and cache.packets and cache.size <= self._cheap()):
            self._go_over(layer)
            self._start()
            return
        self._wait_for(layer)
        self._outlet.starved(self)

    def open(self) -> None:
        """The session is connected: send from now on."""
        self._enabled = True
        self._start()

    def suspend(self, suspended: bool) -> None:
        """Send nothing, or go on: the receiver does not show the slot, or its line cannot carry it."""
        if suspended == self.suspended:
            return
        self.suspended = suspended
        if suspended:
            self._wait_for(None)
            self.pause()
        else:
            self._start()

    def _start(self) -> None:
        """Start a video at once if that can be: from the cache, or else by asking for a keyframe."""
        may_start = self._enabled and not self.suspended and self._needs_keyframe and self.layer is not None
        if not may_start:
            return
        too_much = self.burst is not None and self._cached() > self._cheap()
        if too_much or not self._start_from_cache():
            self._outlet.starved(self)

    def _cached(self) -> int:
        """The bytes of a start from the cache."""
        return self.layer.cache.size if self.layer is not None and self.layer.cache is not None else 0

    def _cheap(self) -> int:
        """The bytes that may come out of the cache at once; an officer's slot cannot ask for a keyframe instead."""
        if self.hidden:
            return _CHEAP_HIDDEN
        return _CHEAP if self.burst is None else min(_CHEAP, self.burst)

    def pause(self) -> None:
        """Send nothing until the next packet from which a receiver can start."""
        self._settle()
        self._live = False
        self._catching_up = False

    def forget_sent(self) -> None:
        """Send nothing again of what was sent until now: somebody else is in the slot, or the gate has moved."""
        self._segments.clear()
        if self._sent_packets is not None:
            self._sent_packets.clear()

    def restart(self, now: float) -> bool:
        """Start again from the layer's cached keyframe; False if there is none (the slot then goes on as it is).

        Not more than twice a second: a receiver that keeps asking is not helped by more.
        """
        if now - self._restarted < _RESTART_INTERVAL or not self._enabled or not self._start_from_cache():
            return False
        self._restarted = now
        return True

    def _start_from_cache(self) -> bool:
        layer = self.layer
        if layer is None or layer.cache is None or not layer.is_open or not layer.cache.packets or self.suspended:
            return False
        self.pause()
        self._catching_up = True
        self._epoch = -1
        self._schedule_catch_up(0)
        return True

    def keyframe(self, layer: Layer, view: RtpView) -> None:
        """The layer that the slot waits for has a keyframe, which starts with `view`: go over."""
        self._wait_for(None)
        if self.suspended:
            return
        self._go_over(layer)
        if view.index < layer.highest:  # it came late, and what follows it is here already
            self._start_from_cache()

    def give_up_waiting(self) -> None:
        """The layer that the slot waits for is gone."""
        self._wait_for(None)

    def _go_over(self, layer: Layer) -> None:
        if layer is not self.layer:
            self._leave()
            self._enter(layer)

    def _enter(self, layer: Layer) -> None:
        self.layer = layer
        layer.add_slot(self)

    def _leave(self) -> None:
        self._wait_for(None)
        self.pause()
        if self.layer is not None:
            self.layer.remove_slot(self)
            self.layer = None

    def _wait_for(self, layer: Layer | None) -> None:
        if self.next_layer is not None:
            self.next_layer.remove_waiting(self)
        self.next_layer = layer
        if layer is not None:
            layer.add_waiting(self)

    # The packet path

    def forward(self, view: RtpView) -> int:
        """Pass one packet on; the bytes sent, 0 for none."""
        return self.rewriter.forward(view)

    def _unstable(self, view: RtpView) -> int:
        """A packet that offsets alone do not place: there is no stable state, or it is older than that."""
        if self._catching_up:  # the packet is in the cache and goes out with it
            return 0
        if self._live:
            return self._late(view)
        if not self._enabled or self.suspended or (self._needs_keyframe and not view.keyframe):
            self.skipped += 1
            return 0
        if self._needs_keyframe and self.layer is not None and view.index < self.layer.highest:
            self._start_from_cache()  # what follows the keyframe is here already
            return 0
        self._begin(view)
        return self.forward(view)

    def _late(self, view: RtpView) -> int:
        if view.index < self.rewriter.first_index:  # from before the start: its numbers have been given to others
            return 0
        # The rest of a frame that was sent to catch up belongs under that frame's timestamp.
        return self._send_at(view, self._squeezed.of(view))

    def _begin(self, view: RtpView) -> None:
        """Go live with this packet: the numbers continue, the timestamp moves on by the time that has passed."""
        rewriter = self.rewriter
        rewriter.start(view, self._timestamp_of_start(view), same_source=self._is_mapped())
        rewriter.stable_from = view.index
        self._squeezed = Squeezed()
        self._live = True

    def _send_at(self, view: RtpView, timestamp: int | None) -> int:
        """Send a packet outside the stable state, at `timestamp` or (None) by the present offset."""
        rewriter = self.rewriter
        return rewriter.put(view, rewriter.timestamp_offset if timestamp is None else timestamp - view.timestamp)

    def _cut_off(self) -> None:
        """A packet could not be sent.

        What the receiver never gets may not leave a hole that it would ask for: start again at a keyframe.
        """
        self.pause()
        if self._needs_keyframe:
            self._outlet.starved(self)

    def _settle(self) -> None:
        """The present relation to the source's numbers is over: remember it, for retransmissions and the next start."""
        rewriter, layer = self.rewriter, self.layer
        packets = layer.packets if layer is not None else None
        if self._live and layer is not None:
            self._mapped = (layer, rewriter.timestamp_offset)
        newest = rewriter.newest
        if packets is not None and newest is not None:
            if self.rtx is not None:
                self._segments.add(self._segment(packets))
            rewriter.settle(packets.find)
            squeezed = self._squeezed.of(newest)
            if squeezed is not None:  # nothing has come since it was sent to catch up
                rewriter.last_timestamp = squeezed & 0xFFFFFFFF
        else:
            rewriter.settle()

    def _segment(self, packets: PacketCache) -> Segment:
        rewriter = self.rewriter
        first = rewriter.first_index + rewriter.index_offset
        return Segment(first, rewriter.position, rewriter.offsets, packets, self._squeezed)

    # Timestamps

    def _timestamp_of_start(self, view: RtpView) -> int:
        """By the publisher's clock where it is known, so that lips and voice stay together; or else by arrival."""
        rewriter = self.rewriter
        last = rewriter.last_timestamp
        elapsed = view.arrival - rewriter.last_arrival
        ticks = round(elapsed * self.clock_rate) if elapsed < 86_400 else 0
        by_arrival = last + max(ticks, 1)
        offset = self._offset_kept(by_arrival - view.timestamp)
        return by_arrival if offset is None else _after(last, view.timestamp + offset)

    def _is_mapped(self) -> bool:
        """Whether the slot shows the layer that it showed last."""
        return self._mapped is not None and self._mapped[0] is self.layer

    def _offset_kept(self, by_arrival: int) -> int | None:
        """The timestamp offset with which the slot's clock goes on as it was, whatever layer it shows.

        None if it is not known, or differs too much from `by_arrival`: the publisher's clock jumped.
        """
        if self._mapped is None or self.layer is None:
            return None
        layer, offset = self._mapped
        if layer is not self.layer:
            before, after = layer.clock, self.layer.clock
            if before is None or after is None:
                return None
            ticks = round((before.ntp - after.ntp) * self.clock_rate / (1 << 32))
            offset += before.timestamp - ticks - after.timestamp
        return offset if abs(_signed(offset - by_arrival)) < _TRUSTED * self.clock_rate else None

    # Catching up

    def _schedule_catch_up(self, delay: float) -> None:
        if not self._catch_up_scheduled:
            self._catch_up_scheduled = True
            self._outlet.call_later(delay, self._catch_up)

    def _catch_up(self) -> None:
        self._catch_up_scheduled = False
        layer = self.layer
        if not self._catching_up or layer is None or layer.cache is None:
            return
        cache = layer.cache
        if not cache.packets or not layer.is_open:
            self.pause()
            return
        if cache.epoch != self._epoch:
            self._start_squeezing(cache.packets, cache.epoch)
        # By index, not by place: a packet that comes late may be put in before those that have been sent.
        place = bisect_right(cache.packets, self._caught_up, key=_index)
        for view in cache.packets[place : place + _CATCH_UP_PACKETS]:
            size = self._send_at(view, self._squeeze(view))
            if not size:
                return
        if self._caught_up < cache.packets[-1].index:
            self._schedule_catch_up(_CATCH_UP_INTERVAL)
            return
        self._catching_up = False
        self._live = True
        self._return_to_clock(cache.packets[-1])
        self.rewriter.stable_from = self._caught_up + 1

    def _return_to_clock(self, newest: RtpView) -> None:
        """Frames that were pushed a few ticks ahead so as not to fall together push no others."""
        rewriter, offset = self.rewriter, self._kept_offset
        if offset is not None and newest.marker and abs(_signed(rewriter.timestamp_offset - offset)) <= _PUSHED:
            rewriter.timestamp_offset = offset

    def _start_squeezing(self, packets: list[RtpView], epoch: int) -> None:
        self._settle()
        rewriter = self.rewriter
        self._epoch = epoch
        self._caught_up = packets[0].index
        self._squeezed = Squeezed()
        newest = packets[-1]
        # As if the newest packet were sent now: that one is to have the timestamp that it would have had live.
        elapsed = max(newest.arrival - rewriter.last_arrival, 0.0)
        ticks = round(elapsed * self.clock_rate) if elapsed < 86_400 else 0
        self._kept_offset = self._offset_kept(rewriter.last_timestamp + ticks - newest.timestamp)
        first = packets[0]
        self._last_squeezed = rewriter.last_timestamp
        if self._kept_offset is None:
            elapsed = first.arrival - rewriter.last_arrival
            self._last_squeezed += round(elapsed * self.clock_rate) if 0 < elapsed < 86_400 else 0
        rewriter.start(first, self._squeeze(first), same_source=self._is_mapped())
        self._caught_up = first.index - 1

    def _squeeze(self, view: RtpView) -> int:
        """The timestamp of a frame sent to catch up: just after that of the frame before it.

        Where the slot's clock goes on, frames newer than what was shown keep their own.
        """
        for index in range(self._caught_up + 1, view.index):
            self._last_squeezed += 1
            self._squeezed.reserve(index, self._last_squeezed)
        self._caught_up = view.index
        squeezed = self._squeezed.of(view)
        if squeezed is None:
            if self._kept_offset is None:
                squeezed = self._last_squeezed + round(self.clock_rate * _CATCH_UP_FRAME)
            else:
                squeezed = _after(self._last_squeezed, view.timestamp + self._kept_offset)
            self._last_squeezed = squeezed
            self._squeezed.give(view.timestamp, squeezed)
        return squeezed

    # What the receiver says

    def retransmit(self, sequence: int, now: float) -> bool:
        """Send a packet again that the receiver asks for; False if it is no longer kept.

        As RTX (RFC 4588) if the receiver can do that; or else the very bytes, since nothing else may be sent under
        the same sequence number (RFC 7714 section 8.4).
        """
        if self._sent_packets is not None:
            wire = self._sent_packets.find(sequence)
            if wire is None:
                return False
            self._outlet.transmit(wire)
        elif not self._retransmit_by_rtx(sequence, now):
            return False
        self.retransmitted += 1
        return True

    def _retransmit_by_rtx(self, sequence: int, now: float) -> bool:
        rtx, rewriter, layer = self.rtx, self.rewriter, self.layer
        if rtx is None:
            return False
        position = rewriter.position - 1
        position += _signed16(sequence - position)
        if rewriter.newest is not None and position >= rewriter.first_index + rewriter.index_offset:
            found = None
            if layer is not None and layer.packets is not None and position < rewriter.position:
                found = self._segment(layer.packets).find(position)
        else:
            found = self._segments.find(position)
        if found is None:
            return False
        view, offsets = found
        packet = rewriter.retransmission(
            view,
            offsets,
            ssrc=rtx.ssrc,
            payload_type=rtx.payload_type,
            sequence=rtx.sequence,
            departure=abs_send_time(now),
        )
        rtx.sequence = rtx.sequence + 1 & 0xFFFF
        return self._send_rtp(packet) is not None

    def pass_sender_report(self, ntp: int, rtp_timestamp: int, now: float) -> None:
        """Send the publisher's (NTP, RTP) pair in this slot's numbers, so that lips and voice stay together.

        Nothing is sent while the slot is not live: its timestamps have no fixed relation to the publisher's then.
        """
        if not self._live or not self.sent:
            return
        self._report_key = (ntp >> 16) & 0xFFFFFFFF
        self._report_sent = now
        timestamp = (rtp_timestamp + self.rewriter.timestamp_offset) & 0xFFFFFFFF
        self._outlet.send_sender_report(self, ntp, timestamp)

    def receiver_report(self, fraction_lost: int, jitter: int, lsr: int, dlsr: int, now: float) -> None:
        """Read one report block about this slot (RFC 3550 section 6.4.1)."""
        self.report.fraction_lost = fraction_lost / 256
        self.report.jitter = jitter
        if lsr and lsr == self._report_key:
            round_trip = now - self._report_sent - dlsr / 65536
            if 0 <= round_trip < 10:
                self.report.round_trip = round_trip


def _signed(difference: int) -> int:
    """A difference of two 32-bit timestamps, as the nearest whole number."""
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def _signed16(difference: int) -> int:
    return (difference + 0x8000 & 0xFFFF) - 0x8000


def _after(last: int, timestamp: int) -> int:
    """`timestamp`, counted on from `last`, or the first after `last` if it does not lie after that."""
    return last + max(_signed(timestamp - last), 1)
