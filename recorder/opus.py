"""Opus out of RTP (RFC 7587): a payload is an Opus packet (RFC 6716)."""

from __future__ import annotations

from collections.abc import Iterator

# Milliseconds of one frame by configuration number (RFC 6716 table 2).
_FRAME_MS = (
    *(10.0, 20.0, 40.0, 60.0) * 3,  # SILK
    *(10.0, 20.0) * 2,  # hybrid
    *(2.5, 5.0, 10.0, 20.0) * 4,  # CELT
)
SILENCE_MS = 20
LONG_SILENCE_MS = 120
# CELT, full band, 20 ms, mono, coding nothing; and six such frames in one packet (code 3, constant bit rate).
SILENCE = b"\xf8\xff\xfe"
LONG_SILENCE = b"\xfb\x06" + b"\xff\xfe" * 6


def duration_ms(packet: bytes) -> float:
    """How long an Opus packet sounds, 2.5 to 120 ms (RFC 6716 section 3.1); 0 for what is none."""
    if not packet:
        return 0.0
    frame = _FRAME_MS[packet[0] >> 3]
    code = packet[0] & 3
    if code < 3:
        return frame if code == 0 else 2 * frame
    if len(packet) < 2:
        return 0.0
    total = frame * (packet[1] & 0x3F)
    return total if total <= 120 else 0.0


def silence(milliseconds: float) -> Iterator[tuple[bytes, int]]:
    """Packets of digital silence, with their lengths in ms, that fill `milliseconds` up to less than one frame of 20
    ms.
    """
    left = milliseconds
    while left >= LONG_SILENCE_MS:
        yield LONG_SILENCE, LONG_SILENCE_MS
        left -= LONG_SILENCE_MS
    while left >= SILENCE_MS:
        yield SILENCE, SILENCE_MS
        left -= SILENCE_MS
