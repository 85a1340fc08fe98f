"""Rate limits: token buckets, by address and by account. The adapter here counts in this process."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Limit:
    """A bucket of `burst` tokens that refills at `per_second`; a request takes one."""

    burst: int
    per_second: float


LIMITS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        "request": Limit(600, 60.0),  # per address: behind one can be a whole office
        "signin": Limit(20, 1 / 6),  # per address
        "signin_account": Limit(8, 1 / 60),  # per sign-in name, wherever the tries come from
        "signup": Limit(10, 1 / 60),
        "enrol": Limit(6, 1 / 30),
        "upload": Limit(20, 1 / 4),
        "guest": Limit(10, 1 / 120),  # per account: nobody tries out who else may visit
        "call_action": Limit(60, 4.0),
        "client": Limit(300, 30.0),  # per machine client
        "client_upload": Limit(10, 1 / 10),
    }
)


class RateLimiter(Protocol):
    """Counts requests. One adapter counts in the process; with several API processes they share one."""

    async def take(self, limit: str, key: str) -> float:
        """Take one token of bucket `key`. 0.0 when there was one, else the seconds until there will be."""
        ...


class InProcessRateLimiter:
    """Buckets in memory, at most `max_keys` (the longest unused go first). `monotonic` gives seconds."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        limits: Mapping[str, Limit] = LIMITS,
        max_keys: int = 50_000,
    ) -> None:
        self._monotonic = monotonic
        self._limits = limits
        self._max_keys = max_keys
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    async def take(self, limit: str, key: str) -> float:
        """See `RateLimiter`. KeyError for a limit that is not defined."""
        rule, now = self._limits[limit], self._monotonic()
        tokens, then = self._buckets.get((limit, key), (float(rule.burst), now))
        tokens = min(float(rule.burst), tokens + (now - then) * rule.per_second)
        allowed = tokens >= 1.0
        self._buckets[(limit, key)] = (tokens - 1.0 if allowed else tokens, now)
        self._buckets.move_to_end((limit, key))
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - tokens) / rule.per_second


class Unlimited:
    """No limits, for load tests (server.rate_limits = false)."""

    async def take(self, limit: str, key: str) -> float:
        return 0.0


def retry_after(seconds: float) -> int:
    """Whole seconds for the Retry-After field (RFC 9110 section 10.2.3), at least one."""
    return max(1, math.ceil(seconds))
