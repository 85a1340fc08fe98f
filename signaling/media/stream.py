"""What a source's next packet leads to, while all is as it should be.

`Stream` is the base of `layer.Layer`. The one in C (native.py) does by itself what `Layer.receive_view` would do with a
packet that is the next in order, of an open and unmuted track, and no keyframe; with any other it calls that. So
everything that may lead to a decision is in `receive_view` alone, and `PlainStream` always calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from signaling.media import native
from signaling.media.rtp import RtpView
from signaling.media.step import Step


class PlainStream:
    """A source's packets. `steps` are those of the slots that show it, `octets` the bytes of its video."""

    def __init__(self) -> None:
        self.last_arrival = float("-inf")
        self.octets = 0
        self.steps: tuple[Step, ...] = ()

    def watch(self, **parts: Any) -> None:
        """Say what the quick way looks at and keeps up: see `Layer.__init__`."""

    def take(self, view: RtpView) -> None:
        """One authentic packet, parsed."""
        self.receive_view(view)

    def receive_view(self, view: RtpView) -> None:
        """The long way."""
        raise NotImplementedError


if TYPE_CHECKING:
    Stream = PlainStream
else:
    Stream = native.module.Stream if native.module is not None else PlainStream
