"""When each recording's writer does its rounds: several of them at the same moment, one after the other.

A thread that wakes up finds the processor's caches full of other things, and pays for it several times what its round
costs (docs/decisions/0117). Whoever comes right after another one finds everything there. Not all come at once, because
the packet path would have to wait for the interpreter's lock too long.
"""

from __future__ import annotations

import heapq
import threading

_TOGETHER = 10  # writers that have the same moment
_MOMENTS = 5  # in the time between two rounds of a writer


class _Seats:
    """Numbers from 0 on; who comes gets the lowest that is free."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._next = 0

    def take(self) -> int:
        with self._lock:
            if self._free:
                return heapq.heappop(self._free)
            self._next += 1
            return self._next - 1

    def give_back(self, number: int) -> None:
        with self._lock:
            heapq.heappush(self._free, number)


_seats = _Seats()


class Turns:
    """The moments of one writer, every `interval` seconds by the monotonic clock, for as long as it needs them."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._seat = _seats.take()
        self._phase = interval * (self._seat // _TOGETHER % _MOMENTS) / _MOMENTS

    def wait(self, now: float) -> float:
        """Seconds from `now` to the next moment; more than none, at most the interval."""
        return self._interval - (now - self._phase) % self._interval

    def end(self) -> None:
        """Somebody else may have its moments. Once."""
        _seats.give_back(self._seat)
