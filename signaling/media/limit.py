"""A limit on how often something may happen."""

from __future__ import annotations


class TokenBucket:
    """At most `rate` times per second, and as many at once. `now` is in seconds of one monotonic clock."""

    __slots__ = ("_last", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._tokens = rate
        self._last = now

    def take(self, now: float) -> bool:
        """Whether it may happen once more now."""
        self._tokens = min(self._rate, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
