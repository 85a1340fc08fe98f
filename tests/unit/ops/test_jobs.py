"""Jobs run by themselves, never twice at once, and outlive their failures."""

import asyncio

from prometheus_client import CollectorRegistry

from visitserver.jobs import Job, JobRunner


async def test_a_failing_job_is_counted_and_runs_again() -> None:
    runs: list[int] = []
    again = asyncio.Event()

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise OSError("not now")
        again.set()

    registry = CollectorRegistry()
    runner = JobRunner([Job("fragile", 0.01, work)], registry)
    runner.start()
    async with asyncio.timeout(60):
        await again.wait()
    await runner.stop()
    assert registry.get_sample_value("visit_job_failures_total", {"job": "fragile"}) == 1
    assert registry.get_sample_value("visit_job_last_success_seconds", {"job": "fragile"})


async def test_a_run_that_hangs_is_ended_and_does_not_stop_the_others() -> None:
    hung = asyncio.Event()
    other = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            hung.set()

    async def work() -> None:
        other.set()

    registry = CollectorRegistry()
    runner = JobRunner([Job("hangs", 60, hang, limit=0.05), Job("other", 60, work)], registry)
    runner.start()
    async with asyncio.timeout(60):
        await hung.wait()
        await other.wait()
    await runner.stop()
    assert registry.get_sample_value("visit_job_failures_total", {"job": "hangs"}) == 1


async def test_after_stop_nothing_runs() -> None:
    started = asyncio.Event()
    cancelled = asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    runner = JobRunner([Job("long", 60, work)], CollectorRegistry())
    runner.start()
    async with asyncio.timeout(60):
        await started.wait()
    await runner.stop()
    assert cancelled.is_set()
