"""The lock of periodic jobs in Redis: a key with a life, taken by one, given back by whoever took it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from redis.asyncio import Redis

from signaling.redis_connection import REDIS_ERRORS

log: Final = structlog.get_logger(__name__)

MARGIN: Final = 30.0
"""Seconds that a lock outlives the run's own limit: the run has been ended before another can begin."""

_GIVE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisJobLock:
    """See `JobLock`. While Redis is away nobody has a lock: such jobs wait."""

    def __init__(self, redis: Redis, *, prefix: str = "visit:{jobs}:") -> None:
        self._redis = redis
        self._prefix = prefix
        self._give_back = redis.register_script(_GIVE_BACK)

    @asynccontextmanager
    async def held(self, name: str, seconds: float) -> AsyncIterator[bool]:
        """See `JobLock.held`."""
        key, mine = f"{self._prefix}{name}", secrets.token_hex(16)
        try:
            taken = bool(await self._redis.set(key, mine, nx=True, px=int((seconds + MARGIN) * 1000)))
        except REDIS_ERRORS as error:
            log.warning("job waits: Redis is away", job=name, error=type(error).__name__)
            taken = False
        try:
            yield taken
        finally:
            if taken:
                await self._return(key, mine, name)

    async def _return(self, key: str, mine: str, name: str) -> None:
        try:
            await self._give_back(keys=[key], args=[mine])
        except REDIS_ERRORS as error:
            log.warning("job's lock not given back: it expires", job=name, error=type(error).__name__)
