"""PeriodicTask: again and again, also after a failure."""

from __future__ import annotations

import asyncio

import pytest

from visitserver.services.periodic import PeriodicTask


async def test_work_is_done_at_once_and_after_every_wait_and_failures_do_not_stop_it() -> None:
    done = 0
    waits: list[float] = []
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal done
        done += 1
        if done == 2:
            raise RuntimeError("once")

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            enough.set()
            await asyncio.Event().wait()

    task = PeriodicTask("test", 5.0, work, wait=wait)
    task.start()
    with pytest.raises(RuntimeError):
        task.start()
    await asyncio.wait_for(enough.wait(), 2)
    assert (done, waits) == (4, [5.0] * 4)
    await task.stop()
    await task.stop()
    assert done == 4
