"""Something that is done again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)


class PeriodicTask:
    """Runs `work` at once and then every `seconds`, never twice at a time. A failure is logged and nothing more.

    `wait` takes seconds; tests give their own. What is due is decided by the work itself, by its own injected clock.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        work: Callable[[], Awaitable[object]],
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._work = work
        self._wait = wait
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. RuntimeError when it has begun already."""
        if self._task is not None:
            raise RuntimeError(f"{self._name} is running")
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Stop, also in the middle of the work: its transactions roll back."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._work()
            except Exception:
                log.exception("periodic work failed", task=self._name)
            await self._wait(self._seconds)
