"""One outgoing stream of one session: a slot, and the rewriting of whatever is put into it.

The receiver sees one SSRC with sequence numbers and timestamps that never jump, whoever is in the slot, through pauses,
holds, rejoins and switches.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from signaling.media.leg import Kind
from signaling.media.retransmission import SentPackets
from signaling.media.rtp import EXTENSION, HEADER, NO_LEVEL, ONE_BYTE_PROFILE, VERSION, ExtensionIds, RtpView

if TYPE_CHECKING:
    from signaling.media.track import Track

_EXTENDED = VERSION | EXTENSION
_CATCH_UP_PACKETS = 24  # per step of the start from the cache
_CATCH_UP_INTERVAL = 0.004  # seconds
_RESTART_INTERVAL = 0.5  # seconds
_LATE = 512  # packets after which nothing older is repaired any more
_CATCH_UP_FRAME = 0.001  # seconds of media time between two frames that are decoded only to catch up


class Outlet(Protocol):
    """Where a forwarder's packets go: the session's SRTP and its network path."""

    def send_rtp(self, packet: bytes) -> bytes | None:
        """Protect and send; the protected packet, or None if it could not be sent (counted there)."""
        ...

    def send_sender_report(self, forwarder: Forwarder, ntp: int, rtp_timestamp: int) -> None:
        """Send a sender report about this slot: 64-bit NTP time and the slot's RTP timestamp at that moment."""
        ...

    def starved(self, forwarder: Forwarder) -> None:
        """This video slot stands still until a keyframe comes."""
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


class Forwarder:
    """A slot. It is in one of three states.

    *Waiting*: nothing is sent until a packet from which a receiver can start: any packet for audio, a keyframe's
    first for video. *Catching up*: the track's cached packets since the last keyframe are sent, a few milliseconds
    apart, with timestamps squeezed together, so that the receiver shows the newest picture and is not late from then
    on. *Live*: each packet is sent when it comes.
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
    ) -> None:
        """`hidden`: it is an officer's. The two first numbers should be random (RFC 3550 section 5.1)."""
        self.kind = kind
        self.mid = mid
        self.index = index
        self.cname = cname
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.clock_rate = clock_rate
        self.hidden = hidden
        self.track: Track | None = None
        self.participant_id: str | None = None
        self.wanted_height: int | None = None  # device pixels at the receiver; 0: not shown, None: never said
        self.sent = 0
        self.sent_bytes = 0
        self.retransmitted = 0
        self.skipped = 0
        self.report = SlotReport()
        self._outlet = outlet
        self._sent_packets = SentPackets() if kind is Kind.VIDEO else None
        self._enabled = False
        self._live = False
        self._needs_keyframe = kind is Kind.VIDEO
        self._first_index = 0
        self._index_offset = 0
        self._timestamp_offset = 0
        self._next_sequence = first_sequence
        self._last_timestamp = first_timestamp
        self._last_sent = float("-inf")
        self._catching_up = False
        self._catch_up_scheduled = False
        self._cursor = 0
        self._epoch = -1
        self._squeezed: dict[int, int] = {}
        self._live_index = 0
        self._restarted = float("-inf")
        self._report_key = 0
        self._report_sent = 0.0
        self._prepare_header(extensions)

    def _prepare_header(self, extensions: ExtensionIds) -> None:
        """Make the header's struct and its constant parts once: what differs per packet is seven numbers."""
        block = bytes([extensions.abs_send_time << 4 | 2]) if extensions.abs_send_time else b""
        self._time = 3 if extensions.abs_send_time else 0
        mid = b""
        if extensions.mid:
            name = self.mid.encode()
            mid = bytes([extensions.mid << 4 | len(name) - 1]) + name
        self._header, self._block, self._tail = _layout(block, self._time, mid)
        self._tails_by_level: list[bytes] = []
        if self.kind is Kind.AUDIO and extensions.audio_level:
            head = extensions.audio_level << 4
            layouts = [_layout(block, self._time, bytes([head, level]) + mid) for level in range(256)]
            self._header_level, self._block_level, _ = layouts[0]
            self._tails_by_level = [tail for _, _, tail in layouts]

    # What the slot shows

    def attach(self, track: Track | None) -> None:
        """Show `track` from now on, or nothing. A video starts from the track's cache where that can serve."""
        if track is self.track:
            return
        if self.track is not None:
            self.track.remove_slot(self)
        self.track = track
        self.pause()
        if track is not None:
            track.add_slot(self)
            self._start()

    def open(self) -> None:
        """The session is connected: send from now on."""
        self._enabled = True
        self._start()

    def _start(self) -> None:
        """Start a video at once if that can be: from the cache, or else by asking for a keyframe."""
        if self._enabled and self._needs_keyframe and self.track is not None and not self._start_from_cache():
            self._outlet.starved(self)

    def pause(self) -> None:
        """Send nothing until the next packet from which a receiver can start."""
        self._live = False
        self._catching_up = False

    def restart(self, now: float) -> bool:
        """Start again from the track's cached keyframe; False if there is none (the slot then goes on as it is).

        Not more than twice a second: a receiver that keeps asking is not helped by more.
        """
        if now - self._restarted < _RESTART_INTERVAL or not self._start_from_cache():
            return False
        self._restarted = now
        return True

    def _start_from_cache(self) -> bool:
        track = self.track
        if track is None or track.cache is None or not track.is_open or not track.cache.packets:
            return False
        self.pause()
        self._catching_up = True
        self._epoch = -1
        self._schedule_catch_up(0)
        return True

    # The packet path

    def forward(self, view: RtpView) -> int:
        """Pass one packet on; the bytes sent, 0 for none."""
        if not self._live:
            if self._catching_up:  # the packet is in the cache and goes out with it
                return 0
            if not self._enabled or (self._needs_keyframe and not view.keyframe):
                self.skipped += 1
                return 0
            self._begin(view)
        if view.index < self._first_index:  # from before the start: its numbers have been given to others
            return 0
        timestamp = (view.timestamp + self._timestamp_offset) & 0xFFFFFFFF
        if self._squeezed:
            # The rest of a frame that was sent to catch up belongs under that frame's timestamp.
            timestamp = self._squeezed.get(view.timestamp, timestamp)
            if view.index - self._live_index > _LATE:
                self._squeezed = {}
        return self._send(view, timestamp)

    def _begin(self, view: RtpView) -> None:
        """Go live with this packet: the numbers continue, the timestamp moves on by the time that has passed."""
        elapsed = view.arrival - self._last_sent
        ticks = round(elapsed * self.clock_rate) if elapsed < 86_400 else 0
        timestamp = self._last_timestamp + max(ticks, 1)
        self._first_index = view.index
        self._index_offset = self._next_sequence - view.index
        self._timestamp_offset = timestamp - view.timestamp
        self._squeezed = {}
        self._live = True

    def _send(self, view: RtpView, timestamp: int) -> int:
        position = view.index + self._index_offset
        sequence = position & 0xFFFF
        second = view.marker | self.payload_type
        if view.level != NO_LEVEL and self._tails_by_level:
            tail = self._tails_by_level[view.level]
            head = self._header_level.pack(
                _EXTENDED | view.padding,
                second,
                sequence,
                timestamp,
                self.ssrc,
                self._block_level,
                view.departure,
                tail,
            )
        elif self._block:
            head = self._header.pack(
                _EXTENDED | view.padding,
                second,
                sequence,
                timestamp,
                self.ssrc,
                self._block,
                view.departure,
                self._tail,
            )
        else:
            head = HEADER.pack(VERSION | view.padding, second, sequence, timestamp, self.ssrc)
        packet = head + view.payload
        wire = self._outlet.send_rtp(packet)
        if wire is None:
            # What the receiver never gets may not leave a hole that it would ask for: start again at a keyframe.
            self.pause()
            if self._needs_keyframe:
                self._outlet.starved(self)
            return 0
        if self._sent_packets is not None:
            self._sent_packets.add(sequence, wire)
        if position >= self._next_sequence:
            self._next_sequence = position + 1
            self._last_timestamp = timestamp
            self._last_sent = view.arrival
        size = len(packet)
        self.sent += 1
        self.sent_bytes += size
        return size

    def _schedule_catch_up(self, delay: float) -> None:
        if not self._catch_up_scheduled:
            self._catch_up_scheduled = True
            self._outlet.call_later(delay, self._catch_up)

    def _catch_up(self) -> None:
        self._catch_up_scheduled = False
        track = self.track
        if not self._catching_up or track is None or track.cache is None:
            return
        cache = track.cache
        if not cache.packets or not track.is_open:
            self.pause()
            return
        if cache.epoch != self._epoch:
            self._start_squeezing(cache.packets[0], cache.epoch)
        for view in cache.packets[self._cursor : self._cursor + _CATCH_UP_PACKETS]:
            self._cursor += 1
            size = self._send(view, self._squeeze(view.timestamp))
            if not size:
                return
            track.count_forwarded(self, size)
        if self._cursor < len(cache.packets):
            self._schedule_catch_up(_CATCH_UP_INTERVAL)
            return
        newest = max(cache.packets[-32:], key=lambda view: view.index)
        self._timestamp_offset = self._squeezed[newest.timestamp] - newest.timestamp
        self._last_sent = newest.arrival
        self._live_index = newest.index
        self._catching_up = False
        self._live = True

    def _start_squeezing(self, first: RtpView, epoch: int) -> None:
        self._epoch = epoch
        self._cursor = 0
        self._begin(first)
        self._live = False

    def _squeeze(self, timestamp: int) -> int:
        """The timestamp of a frame sent to catch up: one millisecond after that of the frame before it."""
        squeezed = self._squeezed.get(timestamp)
        if squeezed is None:
            step = round(self.clock_rate * _CATCH_UP_FRAME)
            squeezed = (self._last_timestamp + step) & 0xFFFFFFFF
            self._squeezed[timestamp] = squeezed
        return squeezed

    # What the receiver says

    def retransmit(self, sequence: int) -> bytes | None:
        """The packet a receiver asks for again, as it was sent; None if it is no longer kept."""
        if self._sent_packets is None:
            return None
        wire = self._sent_packets.find(sequence)
        if wire is not None:
            self.retransmitted += 1
        return wire

    def pass_sender_report(self, ntp: int, rtp_timestamp: int, now: float) -> None:
        """Send the publisher's (NTP, RTP) pair in this slot's numbers, so that lips and voice stay together.

        Nothing is sent while the slot is not live: its timestamps have no fixed relation to the publisher's then.
        """
        if not self._live or not self.sent:
            return
        self._report_key = (ntp >> 16) & 0xFFFFFFFF
        self._report_sent = now
        timestamp = (rtp_timestamp + self._timestamp_offset) & 0xFFFFFFFF
        self._outlet.send_sender_report(self, ntp, timestamp)

    def receiver_report(self, fraction_lost: int, jitter: int, lsr: int, dlsr: int, now: float) -> None:
        """Read one report block about this slot (RFC 3550 section 6.4.1)."""
        self.report.fraction_lost = fraction_lost / 256
        self.report.jitter = jitter
        if lsr and lsr == self._report_key:
            round_trip = now - self._report_sent - dlsr / 65536
            if 0 <= round_trip < 10:
                self.report.round_trip = round_trip


def _layout(block: bytes, time_length: int, tail: bytes) -> tuple[struct.Struct, bytes, bytes]:
    """A header's struct, its extensions up to abs-send-time's value, and what follows that (RFC 8285 section 4.2)."""
    length = len(block) + time_length + len(tail)
    if not length:
        return HEADER, b"", b""
    words = (length + 3) // 4
    block = struct.pack("!HH", ONE_BYTE_PROFILE, words) + block
    tail += bytes(words * 4 - length)
    return struct.Struct(f"!BBHLL{len(block)}s{time_length}s{len(tail)}s"), block, tail
