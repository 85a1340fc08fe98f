"""Whether a publisher's line carries a picture beside the voice."""

from __future__ import annotations

from signaling.media.listener import LineState
from signaling.media.track import Track

_LEAST = 50_000  # bit/s: less is no picture, and takes from the voice
_POOR = 130_000  # bit/s
_QUEUED = 0.15  # seconds: longer than a busy machine's pauses, and for every packet
_LOST = 0.45  # of the packets: with this, no repair keeps up
_LOSSY = 0.10
_STARVES = 5.0  # seconds of it before the picture is given up
_POOR_AFTER = 4.0
_GOOD_AFTER = 8.0
_PAUSE = (15.0, 120.0)  # seconds without the picture: at first, at most
_RELAPSE = 20.0  # seconds: a picture given up again so soon stays away for longer
_INTERVAL_PACKETS = 10  # fewer say nothing about loss


class Uplink:
    """One publisher's line, by the estimate of his video's bitrate and the loss before any repair.

    `tick` is called about twice a second, in seconds of a monotonic clock. While the line is `voice_only` the track
    is withheld from every session's slots, and the publisher is allowed next to nothing for it; how the line would
    do otherwise cannot be seen then, so the picture is tried again after a while.
    """

    def __init__(self) -> None:
        self.state: LineState = "good"
        self._expected = self._received = 0
        self._bad_since: float | None = None
        self._poor_since: float | None = None
        self._good_since: float | None = None
        self._pause = _PAUSE[0]
        self._again_at = 0.0
        self._back_at = float("-inf")

    def tick(self, track: Track, now: float) -> LineState:
        """Look at the publisher's video `track`; gives what is to be said of the line from him."""
        loss = self._loss(track)
        if self.state == "voice_only":
            if now >= self._again_at:
                track.withhold(False, now)
                self._back_at = now
                self._bad_since = self._poor_since = None
                self.state = "good"
            return self.state
        flows = any(layer.is_active(now) for layer in track.layers)
        lossy = loss if flows else 0.0
        narrow = self._narrow(track) if flows else None
        is_bad = lossy > _LOST or (narrow is not None and narrow < _LEAST)
        is_poor = is_bad or lossy > _LOSSY or (narrow is not None and narrow < _POOR)
        self._bad_since = _since(self._bad_since, is_bad, now)
        self._poor_since = _since(self._poor_since, is_poor, now)
        self._good_since = _since(self._good_since, not is_poor, now)
        if self._bad_since is not None and now - self._bad_since >= _STARVES:
            self._pause = min(2 * self._pause, _PAUSE[1]) if now - self._back_at < _RELAPSE else _PAUSE[0]
            self._again_at = now + self._pause
            track.withhold(True, now)
            self.state = "voice_only"
        elif self._poor_since is not None and now - self._poor_since >= _POOR_AFTER:
            self.state = "poor"
        elif self._good_since is not None and now - self._good_since >= _GOOD_AFTER:
            self.state = "good"
        return self.state

    def _narrow(self, track: Track) -> float | None:
        """What the line carries, in bit/s, if it has shown that it carries no more: everything waits in a queue."""
        uplink = track.uplink
        return uplink.estimate if uplink is not None and uplink.queue > _QUEUED else None

    def _loss(self, track: Track) -> float:
        """The fraction lost since the last time, over all layers."""
        expected = sum(layer.reception.expected for layer in track.layers)
        received = sum(layer.reception.received for layer in track.layers)
        due, came = expected - self._expected, received - self._received
        self._expected, self._received = expected, received
        return max(0.0, 1 - came / due) if due >= _INTERVAL_PACKETS else 0.0


def _since(since: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if since is None else since
