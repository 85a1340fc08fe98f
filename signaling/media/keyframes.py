"""Keyframes of one video track: asking for them, and keeping the last one for those who come later."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from operator import attrgetter

from signaling.media.rtp import RtpView
from signaling.media.watched import WatchedCache

THROTTLE = 0.5  # seconds between two requests
_PATIENCE = 10  # requests at that pace; then the camera is likely off
_SLOW = 5.0

REFRESH = 10.0  # seconds: the rhythm in which a watched track gets a fresh keyframe
_MIN_REFRESH = 2.0
_MAX_PACKETS = 1000
_MAX_BYTES = 1 << 20
_NEARLY_FULL = 0.9
_index = attrgetter("index")


class KeyframeRequests:
    """Merges and throttles the requests of all legs into one stream of PLIs (RFC 4585 section 6.3.1).

    `send` sends one PLI to the publisher. A request is repeated until a keyframe comes: every 500 ms, later every 5 s.
    """

    def __init__(self, send: Callable[[], None]) -> None:
        self._send = send
        self._wanted = False
        self._last = float("-inf")
        self._tries = 0

    @property
    def wanted(self) -> bool:
        """Whether a keyframe is being waited for."""
        return self._wanted

    def request(self, now: float) -> None:
        """Somebody needs a keyframe."""
        if not self._wanted:
            self._wanted = True
            self._tries = 0
        self.tick(now)

    def tick(self, now: float) -> None:
        """Send the request again when its time has come."""
        if not self._wanted:
            return
        if now - self._last >= (THROTTLE if self._tries < _PATIENCE else _SLOW):
            self._last = now
            self._tries += 1
            self._send()

    def arrived(self) -> None:
        """A keyframe has started."""
        self._wanted = False

    def cancel(self) -> None:
        """Nobody waits any more: the gate closed or the track was muted."""
        self._wanted = False


class KeyframeCache(WatchedCache):
    """The last keyframe of a track and everything after it, so that a leg can start without a request.

    Bounded in packets and bytes: what does not fit is not kept, and `packets` is empty until the next keyframe.
    They are in the order of their indices, whenever they came. `size` is in bytes. `epoch` grows with each new start,
    so that a reader notices that the list is another one.
    """

    def __init__(self) -> None:
        self.packets: list[RtpView] = []
        self.epoch = 0
        self.size = 0
        self._started = float("-inf")
        self._refreshed = float("-inf")

    def add(self, view: RtpView) -> None:
        """Keep one packet of an open track, if it belongs to what is kept."""
        if view.keyframe:
            self.packets = [view]
            self.epoch += 1
            self.size = len(view.packet)
            self._started = view.arrival
            return
        packets = self.packets
        if not packets or view.index < packets[0].index:
            return
        if len(packets) >= _MAX_PACKETS or self.size >= _MAX_BYTES:
            self.clear()
            return
        if view.index > packets[-1].index:
            packets.append(view)
        else:
            insort(packets, view, key=_index)
        self.size += len(view.packet)

    def begin(self, packets: list[RtpView]) -> None:
        """Start anew with these, a keyframe's first and what came after it: a keyframe that was repaired late."""
        self.add(packets[0])
        for view in packets[1:]:
            self.add(view)

    def clear(self) -> None:
        """Keep nothing: what was said before a hold is not for those who come after it."""
        self.packets = []
        self.epoch += 1
        self.size = 0

    def needs_refresh(self, now: float) -> bool:
        """Whether the publisher should be asked for a fresh keyframe.

        The answer depends on time and size only, never on who is watching: that is what keeps an officer's coming
        and going unobservable.
        """
        if now - self._refreshed < _MIN_REFRESH:
            return False
        full = len(self.packets) > _MAX_PACKETS * _NEARLY_FULL or self.size > _MAX_BYTES * _NEARLY_FULL
        if full or not self.packets or now - self._started >= REFRESH:
            self._refreshed = now
            return True
        return False
