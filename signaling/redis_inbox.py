"""A Redis channel that is listened to until it is closed, whatever becomes of the connection meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio import Redis

from signaling.cancelling import cancelled
from signaling.redis_connection import REDIS_ERRORS

log = structlog.get_logger(__name__)

LISTEN_SECONDS = 5.0  # then the connection is asked whether it still is one
SILENT_ROUNDS = 3
AGAIN_SECONDS = 0.3
CLOSE_SECONDS = 2.0


class Inbox:
    """Gives every message of `channel` to `take`, which must not wait. `subscribed` says whether one would come."""

    def __init__(self, redis: Redis, channel: str, take: Callable[[str], None]) -> None:
        self.subscribed = asyncio.Event()
        self._redis = redis
        self._channel = channel
        self._take = take
        self._closing = False
        self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Listen no more."""
        self._closing = True
        await cancelled([self._task])

    async def _run(self) -> None:
        while not self._closing:
            pubsub = self._redis.pubsub()
            try:
                await pubsub.subscribe(self._channel)
                await self._listen(pubsub)
            except REDIS_ERRORS as error:
                log.warning("bus not reached", channel=self._channel, error=type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)
            finally:
                self.subscribed.clear()
                await _let_go(pubsub)

    async def _listen(self, pubsub: Any) -> None:
        silent = 0
        while not self._closing:
            message = await pubsub.get_message(timeout=LISTEN_SECONDS)
            if message is None:
                silent += 1
                if silent > SILENT_ROUNDS:
                    raise ConnectionError("the connection is dead")
                await pubsub.ping()
                continue
            silent = 0
            if message["type"] == "subscribe":
                self.subscribed.set()
            elif message["type"] == "message":
                try:
                    self._take(message["data"])
                except (ValueError, KeyError, TypeError):
                    log.exception("message not understood", channel=self._channel)


async def _let_go(pubsub: Any) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pubsub.aclose()
    except (*REDIS_ERRORS, TimeoutError):
        pass  # it was broken
