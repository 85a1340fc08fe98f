"""What the quick way looks at for every packet (stream.py), where it finds it without asking an object's dictionary.

Nothing is copied: each is the base of the object that it is part of, so there is one gate, one mute and one cache,
whoever looks at them (docs/decisions/0014). With the packet path in C the attributes are fields of a C structure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from signaling.media import native

if TYPE_CHECKING:
    from collections.abc import Callable

    from signaling.media.leg import TrackInfo
    from signaling.media.merge import LayerMerge
    from signaling.media.remb import UplinkEstimate
    from signaling.media.rtp import RtpView
    from signaling.media.track import LegOutput


class PlainGate:
    """Of `gate.Gate`: whether anything goes through."""

    __slots__ = ("open",)

    open: bool


class PlainTrack:
    """Of `track.Track`."""

    info: TrackInfo
    muted: bool
    uplink: UplinkEstimate | None
    outputs: tuple[LegOutput, ...]
    _merge: LayerMerge | None


class PlainOutput:
    """Of `track.LegOutput`: what takes each packet; None once it is broken."""

    __slots__ = ("on_rtp",)

    on_rtp: Callable[[TrackInfo, bytes, float], None] | None


class PlainCache:
    """Of `keyframes.KeyframeCache`."""

    packets: list[RtpView]
    size: int


class PlainRing:
    """Of `retransmission.PacketCache`."""

    __slots__ = ("_ring",)

    _ring: list[RtpView | None]


def _choose(name: str, plain: Any) -> Any:
    return plain if native.module is None else getattr(native.module, name)


if TYPE_CHECKING:
    WatchedGate = PlainGate
    WatchedTrack = PlainTrack
    WatchedOutput = PlainOutput
    WatchedCache = PlainCache
    WatchedRing = PlainRing
else:
    WatchedGate = _choose("WatchedGate", PlainGate)
    WatchedTrack = _choose("WatchedTrack", PlainTrack)
    WatchedOutput = _choose("WatchedOutput", PlainOutput)
    WatchedCache = _choose("WatchedCache", PlainCache)
    WatchedRing = _choose("WatchedRing", PlainRing)
