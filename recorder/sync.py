"""From RTP timestamps to the recording's own time line, by the publisher's sender reports (RFC 3550 section 6.4.1).

A sender report ties a track's RTP clock to its publisher's wall clock, which all tracks of one publisher share: so
lips and voice stay together exactly. Publishers' wall clocks do not agree with each other: each is tied to the
recorder's monotonic clock by the reports that arrived with the least delay, and where the recording is long enough by
a line through them, which takes the clocks' drift out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

_WINDOW = 10.0  # seconds: one least-delayed report of each counts
_DRIFT_SPAN = 120.0  # seconds of reports before a drift is believed
_MAX_DRIFT = 1e-3
_MAX_RATE_ERROR = 0.05
_FOREVER = 1 << 62
_EARLY, _LATE = 1.0, 15.0  # a packet may arrive this much before or after its time (retransmissions come late)


class Report(NamedTuple):
    """A sender report as it arrived:

    `ntp` and `arrival` in seconds of two clocks, `timestamp` counted on past 32 bits.
    """

    ntp: float
    timestamp: int
    arrival: float


class SenderClock:
    """A publisher's wall clock against the recorder's: `arrival = ntp + offset + drift * (ntp - origin)`."""

    def __init__(self, reports: Sequence[Report]) -> None:
        least: dict[int, tuple[float, float]] = {}
        for report in reports:
            offset = report.arrival - report.ntp
            window = int(report.ntp // _WINDOW)
            if window not in least or offset < least[window][1]:
                least[window] = (report.ntp, offset)
        points = sorted(least.values())
        self._origin = points[0][0] if points else 0.0
        self._offset = min((offset for _, offset in points), default=0.0)
        self._drift = 0.0
        if len(points) >= 4 and points[-1][0] - points[0][0] >= _DRIFT_SPAN:
            self._fit(points)

    def to_arrival(self, ntp: float) -> float:
        """The recorder's monotonic time, in seconds, at which what the publisher captured at `ntp` could first
        arrive.
        """
        return ntp + self._offset + self._drift * (ntp - self._origin)

    def _fit(self, points: Sequence[tuple[float, float]]) -> None:
        count = len(points)
        mean_x = sum(x - self._origin for x, _ in points) / count
        mean_y = sum(y for _, y in points) / count
        spread = sum((x - self._origin - mean_x) ** 2 for x, _ in points)
        slope = sum((x - self._origin - mean_x) * (y - mean_y) for x, y in points) / spread
        if abs(slope) <= _MAX_DRIFT:
            self._drift = slope
            self._offset = mean_y - slope * mean_x


class TrackClock:
    """One track's RTP timestamps to seconds of the recorder's monotonic clock.

    `first_timestamp` and `first_arrival` are those of its first packet: without reports, time is counted from there.
    """

    def __init__(
        self,
        rate: int,
        first_timestamp: int,
        first_arrival: float,
        reports: Sequence[Report] = (),
        sender: SenderClock | None = None,
    ) -> None:
        self._rate = float(rate)
        self._last = first_timestamp  # counted on, of the latest packet
        self._reports = sorted(reports, key=lambda report: report.timestamp) if sender is not None else []
        self._stamps = [report.timestamp for report in self._reports]
        self._sender = sender
        self._anchor_timestamp, self._anchor_arrival = first_timestamp, first_arrival
        self._shift = 0.0
        # The line in use: valid for timestamps from `_from` up to `_until`.
        self._from = self._until = 0
        self._base = self._slope = 0.0
        self.synchronised = bool(self._reports)

    def time(self, timestamp: int, arrival: float) -> float:
        """The time of a packet with this 32-bit timestamp that came at `arrival`; both in seconds of the monotonic
        clock.
        """
        # Counted on from the latest packet: the same 32 bits, the nearest such number (RFC 3550 section 5.1).
        self._last += ((timestamp - self._last + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        last = self._last
        if not self._from <= last < self._until:
            self._choose_line(last)
        seconds = self._base + (last - self._from) * self._slope + self._shift
        if not -_EARLY < arrival - seconds < _LATE:
            # The publisher's clock jumped (another device, a restart): what arrives is believed.
            self._shift += arrival - seconds
            self.synchronised = False
            seconds = arrival
        return seconds

    def _choose_line(self, timestamp: int) -> None:
        """Between two reports the line through both; before the first and after the last one at the nominal rate."""
        if not self._reports or self._sender is None:
            self._from, self._until = min(timestamp, self._anchor_timestamp), _FOREVER
            self._slope = 1 / self._rate
            self._base = self._anchor_arrival + (self._from - self._anchor_timestamp) / self._rate
            return
        position = bisect_right(self._stamps, timestamp)
        before = self._reports[max(0, position - 1)]
        rate = self._rate
        self._from, self._until = before.timestamp, _FOREVER
        if position == 0:
            self._from, self._until = timestamp, before.timestamp
        elif position < len(self._reports):
            after = self._reports[position]
            self._until = after.timestamp
            real = after.ntp - before.ntp
            if real > 0 and abs((after.timestamp - before.timestamp) / rate / real - 1) < _MAX_RATE_ERROR:
                rate = (after.timestamp - before.timestamp) / real
        ntp = before.ntp + (self._from - before.timestamp) / rate
        self._base = self._sender.to_arrival(ntp)
        self._slope = (self._sender.to_arrival(ntp + 1) - self._base) / rate


def counted_on(timestamp: int, near: int) -> int:
    """The number with the same low 32 bits as `timestamp` that is nearest to `near`."""
    return near + ((timestamp - near + 0x80000000) & 0xFFFFFFFF) - 0x80000000
