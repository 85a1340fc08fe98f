"""What joins the processes of a deployment: bus, directory, locks and limits, in this process or in Redis."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from signaling.bus import Bus, InProcessBus
from signaling.directory import Directory, InProcessDirectory
from signaling.errors import Unavailable
from signaling.node import LEASE
from signaling.redis_bus import RedisBus
from signaling.redis_connection import COMMAND_SECONDS, connect
from signaling.redis_directory import RedisDirectory
from visitserver.config import Settings
from visitserver.domain.errors import Invalid
from visitserver.domain.errors import Unavailable as Missing
from visitserver.http.ratelimit import InProcessRateLimiter, RateLimiter, Unlimited
from visitserver.joblock import JobLock, NoLock
from visitserver.redis_joblock import RedisJobLock
from visitserver.redis_ratelimit import RedisRateLimiter

log: Final = structlog.get_logger(__name__)

REDIS_SECONDS: Final = 30.0
"""How long a process that starts waits for Redis."""


class Links:
    """The links of one process. `alone` (role `all`): everything is here, and no Redis is looked for."""

    def __init__(self, settings: Settings) -> None:
        cluster = settings.cluster
        self.alone = cluster.role == "all"
        self.bus: Bus
        self.directory: Directory
        self.jobs: JobLock
        self.limiter: RateLimiter
        local = InProcessRateLimiter(time.monotonic) if settings.server.rate_limits else Unlimited()
        if self.alone:
            self._own = InProcessBus()
            self.lease = LEASE
            self.bus, self.directory = self._own, InProcessDirectory(time.monotonic, ttl=LEASE)
            self.jobs, self.limiter = NoLock(), local
            return
        if cluster.redis_url is None:
            raise Invalid(f"The role {cluster.role} needs cluster.redis_url.", field="cluster.redis_url")
        url = cluster.redis_url.get_secret_value()
        self.lease = cluster.lease_seconds
        self._redis_bus = self.bus = RedisBus(url)
        # A step that hangs must be over long before the lease is: then the node's next one is still in time.
        self._redis = connect(url, seconds=min(COMMAND_SECONDS, self.lease / 4))
        self.directory = RedisDirectory(self._redis, lease=self.lease)
        self.jobs = RedisJobLock(self._redis)
        self.limiter = RedisRateLimiter(self._redis, local) if settings.server.rate_limits else local

    async def start(self) -> None:
        """Wait until Redis answers. The domain's Unavailable after `REDIS_SECONDS`."""
        if self.alone:
            return
        deadline = time.monotonic() + REDIS_SECONDS
        while True:
            try:
                return await self.ping()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise Missing("Redis does not answer: look at cluster.redis_url.") from None
                log.warning("waiting for Redis")
                await asyncio.sleep(1.0)

    async def ping(self) -> None:
        """Unavailable when Redis does not answer; nothing for a process that needs none."""
        if not self.alone:
            await self._redis_bus.ping()

    async def media_lives(self) -> None:
        """Unavailable when no media node is registered."""
        if not await self.directory.nodes():
            raise Unavailable("no media node is registered")

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self.alone:
            await self._own.aclose()
        else:
            await self._redis_bus.aclose()
            await self._redis.aclose()
