"""The port by which a periodic job is one process's at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol


class JobLock(Protocol):
    """Adapters: `NoLock` for one process, `RedisJobLock` (redis_joblock.py)."""

    def held(self, name: str, seconds: float) -> AbstractAsyncContextManager[bool]:
        """Inside the block the job `name` is this process's, if True was given; at most `seconds` long.

        False when another process has it, or nobody can say. Whoever holds it is done within `seconds`, or has been
        stopped (SIGSTOP) and ends at its next step.
        """
        ...


class InProcessJobLock:
    """The lock among the runners of one process."""

    def __init__(self) -> None:
        self._held: set[str] = set()

    @asynccontextmanager
    async def held(self, name: str, seconds: float) -> AsyncIterator[bool]:
        """See `JobLock.held`."""
        if name in self._held:
            yield False
            return
        self._held.add(name)
        try:
            yield True
        finally:
            self._held.discard(name)


class NoLock(InProcessJobLock):
    """A process that is alone runs each job in one task anyway."""
