"""What a slot has sent of late, as stretches in which the offsets did not change: enough to send any of it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from signaling.media.retransmission import PacketCache
from signaling.media.rewrite import Offsets
from signaling.media.rtp import RtpView

_STRETCHES = 8


@dataclass(frozen=True, slots=True)
class Segment:
    """Positions `first` up to and without `end`, all of one source. `squeezed`: timestamps that were given by frame."""

    first: int
    end: int
    offsets: Offsets
    packets: PacketCache
    squeezed: Mapping[int, int]

    def find(self, position: int) -> tuple[RtpView, Offsets] | None:
        """The source's packet that went out at `position`, if it is still kept, and the offsets it went out by."""
        view = self.packets.find(position - self.offsets.index)
        if view is None:
            return None
        squeezed = self.squeezed.get(view.timestamp)
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
