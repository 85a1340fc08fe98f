"""What the server does by the clock: a task per job, one run at a time; a failure is logged and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from signaling.cancelling import cancelled
from visitserver.joblock import JobLock, NoLock

log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """`work` is done `every` seconds, counted from the end of one run to the start of the next.

    A run that takes longer than `limit` seconds is ended. `at_start`: the first run is at once, else after `every`.
    Of several processes one at a time runs it, unless it is `shared`: made to be done by any number at once.
    """

    name: str
    every: float
    work: Callable[[], Awaitable[object]]
    limit: float = 300.0
    at_start: bool = True
    shared: bool = False


class JobRunner:
    """Runs jobs between `start` and `stop`. Its metrics say when each succeeded last, and how often it failed."""

    def __init__(self, jobs: Sequence[Job], registry: CollectorRegistry, lock: JobLock | None = None) -> None:
        self._jobs = jobs
        self._lock = lock or NoLock()
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = Counter("visit_job_failures", "Runs of a job that failed", ["job"], registry=registry)
        self._succeeded = Gauge(
            "visit_job_last_success_seconds", "Unix time of a job's last good run", ["job"], registry=registry
        )

    def start(self) -> None:
        """Begin. Needs a running event loop."""
        self._tasks = [asyncio.create_task(self._repeat(job), name=f"job:{job.name}") for job in self._jobs]

    async def stop(self) -> None:
        """Cancel what runs (each run is a transaction, or safe to repeat) and wait for it."""
        await cancelled(self._tasks)
        self._tasks = []

    async def _repeat(self, job: Job) -> None:
        if not job.at_start:
            await asyncio.sleep(job.every)
        while True:
            await self._run_once(job)
            await asyncio.sleep(job.every)

    async def _work(self, job: Job) -> None:
        async with asyncio.timeout(job.limit):
            await job.work()

    async def _run_once(self, job: Job) -> None:
        try:
            if job.shared:
                await self._work(job)
            else:
                async with self._lock.held(job.name, job.limit) as ours:
                    if not ours:
                        return
                    await self._work(job)
        except Exception:
            self._failures.labels(job.name).inc()
            log.exception("job failed", job=job.name)
        else:
            self._succeeded.labels(job.name).set_to_current_time()
