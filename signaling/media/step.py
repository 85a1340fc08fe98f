"""What forwarding does with each packet of a slot while nothing changes: header, protection, sending, counting.

`Step` is the one in C where it can be (native.py), else `PlainStep`, which does the same in Python: the text to read
first, and what tests/unit/media/test_native.py compares the other with, byte by byte.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from signaling.media import native
from signaling.media.rtp import EXTENSION, HEADER, NO_LEVEL, VERSION, RtpView
from signaling.media.vp8 import shift_numbers

NEVER = 1 << 62  # an index that no packet has
_EXTENDED = VERSION | EXTENSION
_32_BITS = 0xFFFFFFFF

Template = tuple[bytes, int, int]
"""A header extension block from its profile on (a multiple of four bytes, or empty), where the value of abs-send-time
stands in it, and where the audio level (-1: nowhere). The level must come after the time."""


class Tally(Protocol):
    """What a step counts in; see stats.RoomCounters."""

    forwarded: int
    forwarded_bytes: int
    forwarded_officers: int
    forwarded_participants: int


class PlainStep:
    """One slot's numbers, and where its packets go.

    `forward` takes a packet of the source. One with an index below `stable_from` is given to `unstable`; any other is
    written with the offsets that stand here, sent, counted, and remembered as `newest` if it is. If it cannot be sent,
    nothing has changed and `cut` is called. `put` does the same without asking whether the numbers are stable, with
    a timestamp offset of its own, which stays if the packet is the newest or the same.
    """

    __slots__ = (
        "_cut",
        "_head",
        "_head_level",
        "_hidden",
        "_keep",
        "_prefix",
        "_prefix_level",
        "_send",
        "_tail",
        "_tails_by_level",
        "_tally",
        "_unstable",
        "first_index",
        "index_offset",
        "newest",
        "newest_index",
        "octets",
        "packets",
        "payload_type",
        "picture_offset",
        "ssrc",
        "stable_from",
        "timestamp_offset",
        "tl0_offset",
    )

    def __init__(self) -> None:
        self.ssrc = self.payload_type = 0
        self.first_index = self.index_offset = self.timestamp_offset = self.picture_offset = self.tl0_offset = 0
        self.stable_from = NEVER
        self.newest: RtpView | None = None
        self.newest_index = -1
        self.packets = self.octets = 0
        self._tally: Tally | None = None
        self._send: Callable[[bytes], bytes | None] | None = None
        self._unstable: Callable[[RtpView], int] | None = None
        self._cut: Callable[[], None] | None = None
        self._keep: Callable[[int, bytes], None] | None = None
        self._hidden = False
        self.shape((b"", -1, -1), None)

    def shape(self, plain: Template, level: Template | None) -> None:
        """Take the header extension blocks of packets without and with an audio level. Raises ValueError."""
        self._head, self._prefix, self._tail = _split(plain)
        self._head_level, self._prefix_level = self._head, self._prefix
        self._tails_by_level: list[bytes] = []
        if level is not None:
            self._head_level, self._prefix_level, tail = _split(level)
            place = level[2] - (len(level[0]) - len(tail))
            self._tails_by_level = [tail[:place] + bytes([value]) + tail[place + 1 :] for value in range(256)]

    def connect(
        self,
        *,
        outlet: object | None,
        send: Callable[[bytes], bytes | None],
        unstable: Callable[[RtpView], int],
        cut: Callable[[], None],
        keep: Callable[[int, bytes], None] | None,
        hidden: bool,
    ) -> None:
        """Say where packets go.

        `send` protects and sends a packet and gives what went out, or None if nothing did; `outlet` is the shorter way
        of the step in C. `keep` takes each sequence number and what went out under it.
        """
        self._send, self._unstable, self._cut, self._keep, self._hidden = send, unstable, cut, keep, hidden

    def count_in(self, tally: Tally) -> None:
        """Count what is sent here from now on."""
        self._tally = tally

    def packet(self, view: RtpView) -> bytes:
        """The packet as it goes out, before it is protected."""
        return self._write(view, self.timestamp_offset)

    def _write(self, view: RtpView, timestamp_offset: int) -> bytes:
        sequence = view.index + self.index_offset & 0xFFFF
        timestamp = view.timestamp + timestamp_offset & _32_BITS
        second = view.marker | self.payload_type
        if view.level != NO_LEVEL and self._tails_by_level:
            tail = self._tails_by_level[view.level]
            head = self._head_level.pack(
                _EXTENDED | view.padding,
                second,
                sequence,
                timestamp,
                self.ssrc,
                self._prefix_level,
                view.departure,
                tail,
            )
        elif self._head is not HEADER:
            head = self._head.pack(
                _EXTENDED | view.padding,
                second,
                sequence,
                timestamp,
                self.ssrc,
                self._prefix,
                view.departure,
                self._tail,
            )
        else:
            head = HEADER.pack(VERSION | view.padding, second, sequence, timestamp, self.ssrc)
        if self.picture_offset or self.tl0_offset:
            return head + shift_numbers(view.payload, self.picture_offset, self.tl0_offset)
        return head + view.payload

    def forward(self, view: RtpView) -> int:
        """One packet of the source; the bytes sent, 0 for none."""
        if view.index < self.stable_from:
            return self._unstable(view) if self._unstable is not None else 0
        return self.put(view, self.timestamp_offset)

    def put(self, view: RtpView, timestamp_offset: int) -> int:
        """Send a packet, whatever the state; the bytes sent, 0 for none."""
        packet = self._write(view, timestamp_offset)
        wire = self._send(packet) if self._send is not None else None
        if wire is None:
            if self._cut is not None:
                self._cut()
            return 0
        size = len(packet)
        index = view.index
        self.packets += 1
        self.octets += size
        tally = self._tally
        if tally is not None:
            tally.forwarded += 1
            tally.forwarded_bytes += size
            if self._hidden:
                tally.forwarded_officers += 1
            else:
                tally.forwarded_participants += 1
        if index >= self.newest_index:
            self.timestamp_offset = timestamp_offset
            self.newest_index = index
            self.newest = view
        if self._keep is not None:
            self._keep(index + self.index_offset & 0xFFFF, wire)
        return size

    def sent(self, view: RtpView) -> None:
        """Remember that `view` was sent."""
        if view.index > self.newest_index:
            self.newest_index = view.index
            self.newest = view


def _split(template: Template) -> tuple[struct.Struct, bytes, bytes]:
    """A header's struct, its extensions up to abs-send-time's value, and what follows that."""
    block, time_at, level_at = template
    if len(block) % 4 or (time_at >= 0 and time_at + 3 > len(block)) or level_at >= len(block):
        raise ValueError("not a header extension")
    if not block:
        return HEADER, b"", b""
    time = 3 if time_at >= 0 else 0
    prefix = block[: max(time_at, 0)]
    tail = block[len(prefix) + time :]
    return struct.Struct(f"!BBHLL{len(prefix)}s{time}s{len(tail)}s"), prefix, tail


def _plain_forward_all(steps: tuple[PlainStep, ...], view: RtpView) -> None:
    for step in steps:
        step.forward(view)


if TYPE_CHECKING:
    Step = PlainStep
    forward_all = _plain_forward_all
else:
    Step: Any = native.module.Step if native.module is not None else PlainStep
    forward_all = native.module.forward_all if native.module is not None else _plain_forward_all
