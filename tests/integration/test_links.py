"""Locks of jobs and shared limits: the same contract in this process and over a real Redis."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from signaling.redis_connection import connect
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import eventually
from visitserver.http.ratelimit import InProcessRateLimiter, Limit, RateLimiter
from visitserver.joblock import InProcessJobLock, JobLock
from visitserver.jobs import Job, JobRunner
from visitserver.redis_joblock import RedisJobLock
from visitserver.redis_ratelimit import RedisRateLimiter

LIMITS = {"signin": Limit(3, 0.001), "request": Limit(2, 0.001)}


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    made = connect(redis_url)
    yield made
    await made.aclose()


@pytest.fixture(params=["in process", "redis"])
def locks(request: pytest.FixtureRequest) -> tuple[JobLock, JobLock]:
    """The lock as two runners see it."""
    if request.param == "in process":
        lock = InProcessJobLock()
        return lock, lock
    client = request.getfixturevalue("redis")
    return RedisJobLock(client), RedisJobLock(client)


async def test_a_job_is_one_runners_at_a_time(locks: tuple[JobLock, JobLock]) -> None:
    first, second = locks
    async with first.held("job", 60) as ours:
        assert ours
        async with second.held("job", 60) as theirs:
            assert not theirs
        async with second.held("other", 60) as theirs:
            assert theirs
    async with second.held("job", 60) as theirs:
        assert theirs


async def test_of_many_runners_one_gets_it_each_time(locks: tuple[JobLock, JobLock]) -> None:
    inside = most = runs = 0

    async def run(lock: JobLock) -> None:
        nonlocal inside, most, runs
        async with lock.held("job", 60) as ours:
            if not ours:
                return
            inside += 1
            most, runs = max(most, inside), runs + 1
            await asyncio.sleep(0.001)
            inside -= 1

    for _ in range(20):
        await asyncio.gather(*(run(lock) for lock in locks * 5))
    assert most == 1 and runs >= 20


async def test_a_run_that_fails_gives_the_lock_back(locks: tuple[JobLock, JobLock]) -> None:
    with pytest.raises(RuntimeError):
        async with locks[0].held("job", 60):
            raise RuntimeError
    async with locks[1].held("job", 60) as ours:
        assert ours


async def test_runners_of_two_processes_share_a_job_and_do_what_is_made_for_many_both(
    locks: tuple[JobLock, JobLock],
) -> None:
    inside = most = 0
    shared: list[int] = []

    async def exclusive() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            await asyncio.sleep(0.002)
        finally:  # the end of the test may come here
            inside -= 1

    async def by_both(number: int) -> None:
        shared.append(number)

    async with AsyncExitStack() as stack:
        for number, lock in enumerate(locks):
            jobs = [
                Job("exclusive", 0.001, exclusive),
                Job("shared", 0.001, lambda number=number: by_both(number), shared=True),
            ]
            runner = JobRunner(jobs, CollectorRegistry(), lock)
            runner.start()
            stack.push_async_callback(runner.stop)
        await eventually(lambda: shared.count(0) > 50 and shared.count(1) > 50, "both ran", 60)
    assert most == 1


async def test_a_lock_whose_holder_died_expires_and_is_not_given_back_by_who_lost_it(redis: Redis) -> None:
    dead, living = RedisJobLock(redis), RedisJobLock(redis)
    async with dead.held("job", 60) as ours:
        assert ours
        await redis.delete("visit:{jobs}:job")  # its life is over
        async with living.held("job", 60) as theirs:
            assert theirs
            held = await redis.get("visit:{jobs}:job")
            await dead._return("visit:{jobs}:job", "what the dead one held", "job")
            assert await redis.get("visit:{jobs}:job") == held


async def test_while_redis_is_away_nobody_has_a_lock_and_limits_are_the_processs_own(
    redis_url: str, redis_server: RedisServer
) -> None:
    client = connect(redis_url, seconds=0.2)
    limiter = RedisRateLimiter(client, InProcessRateLimiter(lambda: 0.0, LIMITS), LIMITS)
    redis_server.send(signal.SIGSTOP)
    try:
        async with RedisJobLock(client).held("job", 60) as ours:
            assert not ours
        assert [await limiter.take("signin", "a") == 0.0 for _ in range(4)] == [True, True, True, False]
    finally:
        redis_server.send(signal.SIGCONT)
    await client.aclose()


@pytest.fixture(params=["in process", "redis"])
def limiters(request: pytest.FixtureRequest) -> tuple[RateLimiter, RateLimiter]:
    """The limiter as two processes see it."""
    local = InProcessRateLimiter(lambda: 0.0, LIMITS)
    if request.param == "in process":
        return local, local
    client = request.getfixturevalue("redis")
    return RedisRateLimiter(client, local, LIMITS), RedisRateLimiter(client, local, LIMITS)


async def test_a_bucket_is_shared_and_says_how_long_to_wait(limiters: tuple[RateLimiter, RateLimiter]) -> None:
    first, second = limiters
    assert [await one.take("signin", "a") for one in (first, second, first)] == [0.0, 0.0, 0.0]
    for one in limiters:
        assert 0 < await one.take("signin", "a") <= 1000.0
        assert await one.take("signin", f"b{id(one)}") == 0.0
    with pytest.raises(KeyError):
        await first.take("unheard-of", "a")


async def test_a_bucket_refills(redis: Redis) -> None:
    quick = {"signin": Limit(1, 20.0)}
    limiter = RedisRateLimiter(redis, InProcessRateLimiter(lambda: 0.0, quick), quick)
    assert await limiter.take("signin", "a") == 0.0
    async with asyncio.timeout(60):
        while await limiter.take("signin", "a") > 0:  # noqa: ASYNC110 (Redis's clock is waited for)
            await asyncio.sleep(0.01)
