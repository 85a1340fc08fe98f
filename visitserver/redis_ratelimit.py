"""Rate limits that all API processes share: the token buckets of http/ratelimit.py, one script per request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog
from redis.asyncio import Redis

from signaling.redis_connection import REDIS_ERRORS
from visitserver.http.ratelimit import LIMITS, Limit, RateLimiter

log: Final = structlog.get_logger(__name__)

# KEYS[1] the bucket; ARGV burst, tokens per second. Gives the seconds to wait, as text (Lua numbers become integers).
_TAKE = """
local burst, rate = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'then')
local tokens = burst
if bucket[1] then tokens = math.min(burst, bucket[1] + math.max(0, now - bucket[2]) * rate) end
local wait = 0
if tokens >= 1 then tokens = tokens - 1 else wait = (1 - tokens) / rate end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'then', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate * 1000) + 1000)
return string.format('%.6f', wait)
"""

SHARED: Final = frozenset({"signin", "signin_account", "signup", "enrol", "upload", "call_action"})
"""Limits that protect a secret or cost a worker's time. `request`, on every request, is each process's own."""


class RedisRateLimiter:
    """See `RateLimiter`. What is not `SHARED` is `local`'s, and everything is while Redis is away: never no limit."""

    def __init__(
        self,
        redis: Redis,
        local: RateLimiter,
        limits: Mapping[str, Limit] = LIMITS,
        *,
        prefix: str = "visit:{limit}:",
    ) -> None:
        self._local = local
        self._limits = limits
        self._prefix = prefix
        self._take = redis.register_script(_TAKE)

    async def take(self, limit: str, key: str) -> float:
        """See `RateLimiter`. KeyError for a limit that is not defined."""
        rule = self._limits[limit]
        if limit not in SHARED:
            return await self._local.take(limit, key)
        try:
            keys = [f"{self._prefix}{limit}:{key}"]
            return float(await self._take(keys=keys, args=[str(rule.burst), str(rule.per_second)]))
        except REDIS_ERRORS as error:
            log.warning("limits are this process's own: Redis is away", error=type(error).__name__)
            return await self._local.take(limit, key)
