"""How much a publisher may send: the receive-side estimate (draft-ietf-rmcat-gcc-02, draft-alvestrand-rmcat-remb-03).

aiortc has libwebrtc's older estimator in Python; it takes five times as long per frame (docs/decisions/0013).
A trend line over the growth of the one-way delay says whether a queue is filling somewhere, and the allowed bitrate
follows by multiplicative increase and decrease.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from signaling.media import native

if TYPE_CHECKING:
    from signaling.media.rtp import RtpView

FLOOR = 60_000
CEILING = 2_000_000
LAYERED_CEILING = 3_000_000  # three layers of simulcast: the highest alone takes two thirds

_TICKS_PER_SECOND = 1 << 18  # of abs-send-time
_WRAP = 1 << 24
_SAME_TIME = _TICKS_PER_SECOND // 200  # 5 ms
_AT_ONCE = 0.005  # seconds
_LONGEST_BURST = 0.1  # seconds
_QUEUE_GROUPS = 12
_DRIFT = 0.01  # milliseconds a group
_WINDOW = 20  # groups of frames in the trend line
_SMOOTHING = 0.9
_GAIN = 4.0
_MAX_FRAMES = 60
_OVERUSE_TIME = 0.010  # seconds
_THRESHOLD = (6.0, 12.5, 600.0)  # milliseconds: least, first, most
_ADAPT = (0.039, 0.0087)  # per millisecond: below and above the threshold
_DECREASE = 0.85
_INCREASE = 1.08  # per second
_FIRST_INCREASE = 1.35  # until there was a first queue: nothing is known of the line yet
_RATE_WINDOW = 0.5  # seconds over which the incoming bitrate is measured
_WARM_UP = 1.0  # seconds before the incoming bitrate says anything


class DelayTrend:
    """Whether the one-way delay grows (section 5.3 to 5.5 of the draft); fed once per frame."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._accumulated = 0.0
        self._smoothed = 0.0
        self._frames = 0
        self._threshold = _THRESHOLD[1]
        self._over_since: float | None = None
        self._previous_trend = 0.0

    def add(self, delay_growth: float, now: float) -> int:
        """Growth of the one-way delay since the frame before, in ms. 1: a queue fills; -1: it empties; 0: neither."""
        self._frames = min(self._frames + 1, _MAX_FRAMES)
        self._accumulated += delay_growth
        self._smoothed = _SMOOTHING * self._smoothed + (1 - _SMOOTHING) * self._accumulated
        self._points.append((now * 1000, self._smoothed))
        trend = self._slope() if len(self._points) == _WINDOW else 0.0
        modified = self._frames * trend * _GAIN
        state = self._compare(modified, trend, now)
        self._previous_trend = trend
        self._adapt(modified)
        return state

    def _slope(self) -> float:
        """Least squares: milliseconds of delay per millisecond."""
        origin = self._points[0][0]
        sum_x = sum_y = sum_xx = sum_xy = 0.0
        for at, y in self._points:
            x = at - origin
            sum_x += x
            sum_y += y
            sum_xx += x * x
            sum_xy += x * y
        below = _WINDOW * sum_xx - sum_x * sum_x
        return (_WINDOW * sum_xy - sum_x * sum_y) / below if below > 0 else 0.0

    def _compare(self, modified: float, trend: float, now: float) -> int:
        if modified > self._threshold:
            if self._over_since is None:
                self._over_since = now
                return 0
            if now - self._over_since >= _OVERUSE_TIME and trend >= self._previous_trend:
                self._over_since = None
                return 1
            return 0
        self._over_since = None
        return -1 if modified < -self._threshold else 0

    def _adapt(self, modified: float) -> None:
        """The threshold follows the usual wobble, so that it neither starves beside TCP nor sleeps (section 5.4)."""
        distance = abs(modified) - self._threshold
        if distance > 15:
            return  # a sudden peak, as at a change of route
        rate = _ADAPT[0] if distance < 0 else _ADAPT[1]
        least, _, most = _THRESHOLD
        self._threshold = min(max(self._threshold + rate * distance * 33, least), most)


class PlainUplink:
    """What a publisher's line carries: what is done per packet. `estimate` is in bit/s; None: not known yet."""

    def __init__(self) -> None:
        self.estimate: float | None = None
        self._trend = DelayTrend()
        self._bytes = 0
        self._group = (0, 0, 0.0)  # of frames: the first's send time, the last's, and its arrival
        self._before: tuple[int, float] | None = None  # the group before: its last send time and arrival
        self._delay = 0.0  # ms: the one-way delay, counted from that of the first group
        self._least = 0.0  # ms: the least that it has been; rises a little, as clocks drift
        self._queues: deque[float] = deque(maxlen=_QUEUE_GROUPS)
        self._window_start: float | None = None
        self._window_bytes = 0
        self._incoming: float | None = None
        self._first: float | None = None
        self._changed = 0.0
        self._increase = _FIRST_INCREASE

    def count(self, size: int) -> None:
        """Something else came from the publisher: it takes its part of the line, too."""
        self._bytes += size

    def take(self, size: int, is_last: bool, send_time: int | None, arrival: float) -> None:
        """One packet of `size` bytes; a frame is complete with its last.

        `send_time` in units of abs-send-time (24 bits, 1/2^18 s), `arrival` in seconds of a monotonic clock.
        """
        self._bytes += size
        if is_last and send_time is not None:
            self._frame(send_time, arrival)

    def _frame(self, send_time: int, now: float) -> None:
        self._measure(now)
        if self._first is None:
            self._first = self._changed = now
            self._group = (send_time, send_time, now)
            return
        first, last, arrival = self._group
        if (send_time - last) % _WRAP >= _WRAP // 2:  # a frame that was overtaken
            return
        if self._belongs(send_time, now):
            self._group = (first, send_time, now)
            return
        before, self._before = self._before, (last, arrival)
        self._group = (send_time, send_time, now)
        if before is not None:
            sent = (last - before[0]) % _WRAP * 1000 / _TICKS_PER_SECOND
            growth = (arrival - before[1]) * 1000 - sent
            self._delay += growth
            self._least = min(self._least + _DRIFT, self._delay)
            self._queues.append(self._delay - self._least)
            self._follow(self._trend.add(growth, arrival), now)

    @property
    def queue(self) -> float:
        """Seconds that everything has waited in a queue of late, at least: 0 if anything came straight through.

        A low estimate alone does not tell a narrow line from a picture of which there is little to send.
        """
        return min(self._queues) / 1000 if len(self._queues) == _QUEUE_GROUPS else 0.0

    def _belongs(self, send_time: int, now: float) -> bool:
        """Whether a frame goes with those before it: sent at the same time (the layers of one picture), or queued with
        them until they all came at once (a stop on the way or here, which is no filling queue).
        """
        first, last, arrival = self._group
        if (send_time - first) % _WRAP < _SAME_TIME:
            return True
        sent = (send_time - last) % _WRAP / _TICKS_PER_SECOND
        burst = (send_time - first) % _WRAP / _TICKS_PER_SECOND
        return now - arrival < min(_AT_ONCE, sent) and burst < _LONGEST_BURST

    def _measure(self, now: float) -> None:
        size, self._bytes = self._bytes, 0
        if self._window_start is None:
            self._window_start = now
            return
        self._window_bytes += size
        elapsed = now - self._window_start
        if elapsed >= _RATE_WINDOW:
            self._incoming = self._window_bytes * 8 / elapsed
            self._window_start, self._window_bytes = now, 0

    def _follow(self, state: int, now: float) -> None:
        """Section 6 of the draft: what the trend means for the bitrate."""
        incoming = self._incoming
        if incoming is None or self._first is None:
            return
        if state > 0:
            self._increase = _INCREASE
            self.estimate = min(_DECREASE * incoming, self.estimate or incoming)
        elif now - self._first < _WARM_UP:
            return
        elif self.estimate is None:
            self.estimate = incoming
        elif state == 0:
            grown = self.estimate * self._increase ** min(now - self._changed, 1.0)
            # No further than what is seen to come, or a pause would end in a flood; nor less than there was.
            self.estimate = max(self.estimate, min(grown, 1.5 * incoming + 10_000))
        self._changed = now


if TYPE_CHECKING:
    _Uplink = PlainUplink
else:
    _Uplink = native.module.Uplink if native.module is not None else PlainUplink


class UplinkEstimate(_Uplink):
    """A publisher's available bitrate in bit/s, from abs-send-time and the arrival of his video."""

    def __init__(self, *, ceiling: int = CEILING) -> None:
        super().__init__()
        self._ceiling = ceiling

    def add(self, view: RtpView) -> None:
        """Take in one packet."""
        self.take(len(view.packet), bool(view.marker), view.send_time, view.arrival)

    def bitrate(self, downlinks: list[int], *, layered: bool = False) -> int:
        """What to allow the publisher: his uplink's estimate, and no more than the slowest of `downlinks` takes.

        Between FLOOR and the ceiling; the ceiling while nothing is known.
        """
        limits = [float(LAYERED_CEILING if layered else self._ceiling), *downlinks]
        if self.estimate is not None:
            limits.append(self.estimate)
        return round(max(FLOOR, min(limits)))
