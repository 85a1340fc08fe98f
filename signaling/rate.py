"""Limits on how often something may happen."""

from __future__ import annotations

from collections.abc import Callable


class TokenBucket:
    """At most `burst` at once and `rate` a second in the long run, by a monotonic clock in seconds."""

    def __init__(self, rate: float, burst: int, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._monotonic = monotonic
        self._tokens = float(burst)
        self._at = monotonic()

    def take(self) -> bool:
        """Whether one more may happen now; if so, it is counted."""
        now = self._monotonic()
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
