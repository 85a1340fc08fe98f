"""Packets already sent, kept for those who say that they have not got them (RFC 4585 NACK)."""

from __future__ import annotations

_SIZE = 256  # a power of two; about four seconds of video at 60 packets/s


class SentPackets:
    """The last packets of one outgoing stream, as they went over the wire.

    They are kept encrypted: sending the very same bytes again can never use an AEAD nonce twice for two different
    packets (RFC 7714 section 8.4), which protecting a packet again with a newer abs-send-time would do.
    """

    __slots__ = ("_ring",)

    def __init__(self) -> None:
        self._ring: list[tuple[int, bytes] | None] = [None] * _SIZE

    def add(self, sequence: int, wire: bytes) -> None:
        """Keep one packet; it takes the place of the one 256 before it."""
        self._ring[sequence % _SIZE] = (sequence, wire)

    def find(self, sequence: int) -> bytes | None:
        """The packet with this sequence number, or None if it is no longer (or never was) here."""
        kept = self._ring[sequence % _SIZE]
        return kept[1] if kept is not None and kept[0] == sequence else None
