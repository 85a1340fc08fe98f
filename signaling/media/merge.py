"""One continuous stream out of a simulcast track's layers, for legs that are no sessions: a recorder knows one SSRC."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from signaling.media.leg import TrackInfo
from signaling.media.rewrite import Offsets, Rewriter
from signaling.media.rtp import ExtensionIds, RtpView

if TYPE_CHECKING:
    from signaling.media.layer import Layer

_STEADY = 2.0  # seconds for which a better layer must have flowed before the stream goes over to it
_32_BITS = 0xFFFFFFFF
_TRUSTED = 1.0  # seconds
_SSRC = struct.Struct("!L")


class LayerMerge:
    """The best layer that is being sent, under the track's own SSRC; from one to another at a keyframe only.

    Late packets of the layer before, repaired after the stream has gone over, still take their own places.
    """

    def __init__(self, info: TrackInfo) -> None:
        self.layer: Layer | None = None
        self._info = info
        self._target: Layer | None = None
        self._before: tuple[Layer, int, int, Offsets] | None = None  # layer, first and last index, offsets
        self._paused = True
        self._rewriter = Rewriter(
            kind=info.kind,
            mid="",
            ssrc=info.ssrc,
            payload_type=info.payload_type,
            extensions=ExtensionIds(),
            first_sequence=secrets.randbits(15),
            first_timestamp=secrets.randbits(31),
        )

    def choose(self, layers: Sequence[Layer], now: float) -> None:
        """Look for the best layer; ask for its keyframe if it is another one. Seconds of a monotonic clock."""
        active = [layer for layer in layers if layer.is_active(now)]
        if not active:
            return
        present = self.layer if self.layer in active else None
        steady = [layer for layer in active if layer is present or present is None or now - layer.since >= _STEADY]
        best = max(steady, key=lambda layer: layer.height)
        if present is not None and best.height <= present.height:
            best = present
        self._target = best if best is not self.layer or self._paused else None
        if self._target is not None and self.layer is not None:
            self._target.request_keyframe(now)

    def packet(self, layer: Layer, view: RtpView) -> bytes | None:
        """The packet as part of the stream; None if it is of another layer."""
        is_chosen = layer is self.layer and not self._paused
        if view.keyframe and not is_chosen and (layer is self._target or self.layer is None):
            self._go_over(layer, view)
        elif not is_chosen or view.index < self._rewriter.first_index:
            return self._late(layer, view)
        self._rewriter.sent(view)
        return self._rewriter.packet(view)

    def pause(self) -> None:
        """Begin anew with the next keyframe: the gate was closed, or the track muted."""
        self._settle()
        self._paused = True

    def sender_report(self, layer: Layer, report: bytes) -> bytes | None:
        """The publisher's sender report about `layer` in the stream's numbers; None if it is about another layer.

        Report blocks and further packets of the compound are left as they are: the recorder reads the pair of times.
        """
        if layer is not self.layer or self._paused or len(report) < 20:
            return None
        timestamp = int.from_bytes(report[16:20], "big") + self._rewriter.timestamp_offset & _32_BITS
        return report[:4] + _SSRC.pack(self._info.ssrc) + report[8:16] + _SSRC.pack(timestamp) + report[20:]

    def _settle(self) -> None:
        rewriter = self._rewriter
        layer = self.layer
        if layer is None or rewriter.newest is None:
            return
        self._before = (layer, rewriter.first_index, rewriter.newest_index, rewriter.offsets)
        rewriter.settle(layer.packets.find if layer.packets is not None else None)

    def _go_over(self, layer: Layer, view: RtpView) -> None:
        self._settle()
        rewriter = self._rewriter
        elapsed = view.arrival - rewriter.last_arrival
        ticks = round(elapsed * self._info.clock_rate) if elapsed < 86_400 else 0
        by_arrival = rewriter.last_timestamp + max(ticks, 1)
        offset = self._offset_kept(layer)
        timestamp = by_arrival
        if offset is not None:
            exact = view.timestamp + offset - rewriter.last_timestamp
            exact = (exact + 0x80000000 & _32_BITS) - 0x80000000
            if abs(exact - max(ticks, 1)) < _TRUSTED * self._info.clock_rate:
                timestamp = rewriter.last_timestamp + max(exact, 1)
        same = self._before is not None and self._before[0] is layer
        rewriter.start(view, timestamp, same_source=same)
        self.layer, self._target, self._paused = layer, None, False

    def _offset_kept(self, layer: Layer) -> int | None:
        """The timestamp offset with which the stream's clock goes on in another layer, by both sender reports."""
        if self._before is None:
            return None
        before, _, _, offsets = self._before
        if before is layer:
            return offsets.timestamp
        if before.clock is None or layer.clock is None:
            return None
        ticks = round((before.clock.ntp - layer.clock.ntp) * self._info.clock_rate / (1 << 32))
        return offsets.timestamp + before.clock.timestamp - ticks - layer.clock.timestamp

    def _late(self, layer: Layer, view: RtpView) -> bytes | None:
        if self._before is None:
            return None
        before, first, last, offsets = self._before
        if layer is not before or not first <= view.index <= last:
            return None
        return self._rewriter.once(view, offsets)
