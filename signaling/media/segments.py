"""What a slot has sent of late, as stretches in which the offsets did not change: enough to send any of it again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from signaling.media.retransmission import PacketCache
from signaling.media.rewrite import Offsets
from signaling.media.rtp import RtpView

_STRETCHES = 8


class Squeezed:
    """The timestamps of frames that were sent to catch up, one close to the other, in the slot's clock.

    A packet that was missing then, and is repaired later, may be of a frame of its own: it has its place between those
    before and after it, by its index.
    """

    __slots__ = ("_by_frame", "_by_index")

    def __init__(self) -> None:
        self._by_frame: dict[int, int] = {}
        self._by_index: dict[int, int] = {}

    def give(self, frame: int, timestamp: int) -> None:
        """The frame with the source's timestamp `frame` goes out at `timestamp`."""
        self._by_frame[frame] = timestamp

    def reserve(self, index: int, timestamp: int) -> None:
        """The packet `index` is missing; if it is of a frame that is not known, that goes out at `timestamp`."""
        self._by_index[index] = timestamp

    def of(self, view: RtpView) -> int | None:
        """The timestamp of a packet; None if its frame was not sent to catch up."""
        timestamp = self._by_frame.get(view.timestamp)
        if timestamp is None and view.index in self._by_index:
            timestamp = self._by_frame[view.timestamp] = self._by_index[view.index]
        return timestamp


@dataclass(frozen=True, slots=True)
class Segment:
    """Positions `first` up to and without `end`, all of one source."""

    first: int
    end: int
    offsets: Offsets
    packets: PacketCache
    squeezed: Squeezed

    def find(self, position: int) -> tuple[RtpView, Offsets] | None:
        """The source's packet that went out at `position`, if it is still kept, and the offsets it went out by."""
        view = self.packets.find(position - self.offsets.index)
        if view is None:
            return None
        squeezed = self.squeezed.of(view)
        if squeezed is None:
            return view, self.offsets
        return view, replace(self.offsets, timestamp=squeezed - view.timestamp)


class Segments:
    """The last few stretches of one slot."""

    __slots__ = ("_past",)

    def __init__(self) -> None:
        self._past: deque[Segment] = deque(maxlen=_STRETCHES)

    def add(self, segment: Segment) -> None:
        """A stretch is over."""
        if segment.end > segment.first:
            self._past.append(segment)

    def find(self, position: int) -> tuple[RtpView, Offsets] | None:
        """See `Segment.find`."""
        for segment in self._past:
            if segment.first <= position < segment.end:
                return segment.find(position)
        return None

    def clear(self) -> None:
        """Forget everything: nothing of it may be sent again."""
        self._past.clear()
