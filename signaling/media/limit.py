"""Limits on how often something may happen."""

from __future__ import annotations

import socket


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


class SourceLimit:
    """At most `rate` times per second for each source, and `total` times for all of them together.

    What one source is refused costs the others nothing. At most `most` sources are remembered, the oldest is
    forgotten first: who can send from so many is bounded by `total` alone.
    """

    def __init__(self, rate: float, total: float, now: float, most: int = 4096) -> None:
        self._rate = rate
        self._most = most
        self._all = TokenBucket(total, now)
        self._sources: dict[str | bytes, TokenBucket] = {}

    def take(self, host: str, now: float) -> bool:
        """Whether it may happen once more now for the source at this address."""
        source = source_of(host)
        bucket = self._sources.get(source)
        if bucket is None:
            if len(self._sources) >= self._most:
                del self._sources[next(iter(self._sources))]
            bucket = self._sources[source] = TokenBucket(self._rate, now)
        return bucket.take(now) and self._all.take(now)


def source_of(host: str) -> str | bytes:
    """What stands for whoever is at this literal address: an IPv4 address, or the /64 of an IPv6 one (RFC 4291)."""
    if ":" not in host:
        return host
    return socket.inet_pton(socket.AF_INET6, host.partition("%")[0])[:8]
