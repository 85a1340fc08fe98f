"""Connections to Redis: short limits, one repeat where a pooled connection had died, errors in our own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from signaling.errors import Unavailable

COMMAND_SECONDS = 2.0
"""How long one command may take. Redis answers within a millisecond, or something is wrong with it."""

REDIS_ERRORS = (RedisError, OSError)


def connect(url: str, *, seconds: float = COMMAND_SECONDS) -> Redis:
    """A client that connects when it is first used. `seconds` limit each command, blocking ones included.

    A command is repeated once when its connection proves to be broken: a pooled one breaks when Redis is restarted. It
    may then have been done twice, which is no harm in any of our scripts. ValueError for a bad url.
    """
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=COMMAND_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )


@contextmanager
def redis_errors(what: str) -> Iterator[None]:
    """Redis's failures become Unavailable; `what` does not answer."""
    try:
        yield
    except REDIS_ERRORS as error:
        raise Unavailable(f"{what} does not answer") from error
