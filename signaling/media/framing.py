"""Datagrams in a stream: each with two bytes of length before it (RFC 4571 section 2)."""

from __future__ import annotations


class FrameTooLong(ValueError):
    """A frame is longer than any that could be meant; where the next one begins is not worth knowing."""


class Deframer:
    """Puts the datagrams of one stream together, whatever pieces it comes in. Keeps less than one frame."""

    def __init__(self, largest: int) -> None:
        """`largest`: how many bytes a datagram may have, 65,535 at the most."""
        self._largest = largest
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that `data` completes, empty ones included. Raises FrameTooLong; then the stream is lost."""
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        position, end = 0, len(buffer)
        while end - position >= 2:
            size = buffer[position] << 8 | buffer[position + 1]
            if size > self._largest:
                raise FrameTooLong(f"{size} bytes")
            if end - position - 2 < size:
                break
            found.append(bytes(buffer[position + 2 : position + 2 + size]))
            position += 2 + size
        del buffer[:position]
        return found


def framed(datagram: bytes) -> bytes:
    """A datagram as it goes into a stream. OverflowError for more than 65,535 bytes."""
    return len(datagram).to_bytes(2, "big") + datagram
