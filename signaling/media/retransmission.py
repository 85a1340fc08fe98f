"""Packets kept for those who say that they have not got them, and RTX, the stream in which they are sent again.

RFC 4585 section 6.2.1 (NACK), RFC 4588 (RTX).
"""

from __future__ import annotations

from signaling.media.rtp import EXTENSION, HEADER, HEADER_LENGTH, MARKER, PADDING, VERSION, RtpView
from signaling.media.watched import WatchedRing

KEPT = 512  # packets, a power of two; about seven seconds of video at 75 packets/s
_SENT = 256
_REPAIRS = 0.5  # of the estimate
_FULL = 1100  # bytes of a full packet, by which each repair is counted
_LEAST_REPAIRS = 8.0  # a second
_MIN_RTX = 2  # bytes of the original sequence number that an RTX payload begins with


class PacketCache(WatchedRing):
    """The last packets of one source by index, plain: whoever sends one again protects it anew, under another number.

    One for all who are sent the source. Only RTX may be made of it (docs/decisions/0100).
    """

    __slots__ = ()

    def __init__(self) -> None:
        self._ring: list[RtpView | None] = [None] * KEPT

    def add(self, view: RtpView) -> None:
        """Keep one packet; it takes the place of the one 512 before it."""
        self._ring[view.index % KEPT] = view

    def find(self, index: int) -> RtpView | None:
        """The packet with this index, or None if it is no longer (or never was) here."""
        view = self._ring[index % KEPT]
        return view if view is not None and view.index == index else None

    def clear(self) -> None:
        """Keep nothing: what was said before a hold is not for those who come after it."""
        self._ring = [None] * KEPT


class SentPackets:
    """The last packets of one outgoing stream as they went over the wire, for a client that cannot do RTX.

    They are kept encrypted: sending the very same bytes again can never use an AEAD nonce twice for two different
    packets (RFC 7714 section 8.4), which protecting a packet again with a newer abs-send-time would do.
    """

    __slots__ = ("_ring",)

    def __init__(self) -> None:
        self._ring: list[tuple[int, bytes] | None] = [None] * _SENT

    def add(self, sequence: int, wire: bytes) -> None:
        """Keep one packet; it takes the place of the one 256 before it."""
        self._ring[sequence % _SENT] = (sequence, wire)

    def find(self, sequence: int) -> bytes | None:
        """The packet with this sequence number, or None if it is no longer (or never was) here."""
        kept = self._ring[sequence % _SENT]
        return kept[1] if kept is not None and kept[0] == sequence else None

    def clear(self) -> None:
        """Keep nothing: who is in the slot now, or may be heard now, is not who was."""
        self._ring = [None] * _SENT


class RepairBudget:
    """How many video packets a client may be sent again: part of what its line carries, or repairs would fill the queue
    whose overflow is what they repair. Times in seconds of one monotonic clock.
    """

    __slots__ = ("_last", "_tokens")

    def __init__(self, now: float) -> None:
        self._tokens = float(_LEAST_REPAIRS)
        self._last = now

    def take(self, estimate: int | None, now: float) -> bool:
        """Whether one more may be sent now. `estimate` is what the client can receive in bit/s; None: no limit here."""
        if estimate is None:
            return True
        rate = max(_REPAIRS * estimate / (8 * _FULL), _LEAST_REPAIRS)
        self._tokens = min(rate, self._tokens + (now - self._last) * rate)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def unwrap(packet: bytes, ssrc: int, payload_type: int) -> bytes | None:
    """The original packet out of an RTX packet (RFC 4588 section 4), with the original's SSRC and payload type.

    None for padding, which browsers send as RTX to probe the bandwidth, and for anything cut short or malformed.
    """
    size = len(packet)
    if size < HEADER_LENGTH:
        return None
    first, second, _, timestamp, _ = HEADER.unpack_from(packet)
    if first & 0xC0 != VERSION:
        return None
    start = HEADER_LENGTH + 4 * (first & 0x0F)
    if first & EXTENSION:
        if start + 4 > size:
            return None
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    end = size
    if first & PADDING:  # it belongs to the RTX packet, and the original's own is gone with it
        end -= packet[-1]
        if packet[-1] == 0:
            return None
    if end - start <= _MIN_RTX:
        return None
    sequence = packet[start] << 8 | packet[start + 1]
    header = HEADER.pack(first & ~PADDING, second & MARKER | payload_type, sequence, timestamp, ssrc)
    return header + packet[HEADER_LENGTH:start] + packet[start + 2 : end]
