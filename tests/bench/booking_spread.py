"""Many people book at many times: bookings a second, from one process or from several on one database.

`python -m tests.bench.booking_spread URL PART PARTS COUNT PEOPLE AT_ONCE` is one of several: it says "ready", waits for
a line, books, and says what came of it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from datetime import time as wall
from typing import Any

import uvloop

from tests.fixtures.requirements import REPOSITORY
from tests.fixtures.rights import World, family, make_template, make_world, relationship_id
from tests.fixtures.store import AUDIT_KEY, SettableClock
from tests.support.races.crowded_base import TEMPLATES, ZONE
from visitserver.domain.errors import Conflict, DecisionRefused
from visitserver.domain.slots import slots_of
from visitserver.store.engine import create_engine
from visitserver.store.uow import SqlUnitOfWorkFactory

WARM = 48
"""So many bookings come before those that are measured: connections are made, statements prepared."""
TRIES = 6
"""So many times a client looks for another time, before it gives up."""


async def spread(world: World, *, people: Iterable[int], at_once: int, seed: int) -> dict[str, Any]:
    """Holds and confirmations of `at_once` clients, each for another of the prisoners at another time, at random.

    An attempt that is refused (the time was full, or another visit is near) costs as much as one that is not, and is
    counted. `cpu_ms` is this process's own time for a booking, refused attempts and all.
    """
    rng = random.Random(seed)
    today = world.clock().astimezone(ZONE).date()
    todo = iter(people)
    ended: Counter[str] = Counter()
    latencies: list[float] = []

    async def client() -> None:
        for number in todo:
            contact = f"con_b{number}"
            link = relationship_id(contact, f"prs_b{number}")
            for _ in range(TRIES):
                key = some_slot(rng, today)
                began = time.perf_counter()
                try:
                    hold = await world.booking.hold(family(contact), link, key)
                    await world.booking.confirm(family(contact), hold.id)
                except (DecisionRefused, Conflict) as error:
                    ended[error.code] += 1
                else:
                    ended["ok"] += 1
                    latencies.append((time.perf_counter() - began) * 1000)
                    break

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(at_once)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    booked, attempts = ended["ok"], ended.total()
    return {
        "booked": booked,
        "refused": attempts - booked,
        "seconds": round(seconds, 2),
        "bookings_per_second": round(booked / seconds, 1),
        "attempts_per_second": round(attempts / seconds, 1),
        "cpu_ms": round(cpu * 1000 / max(1, booked), 1),
        "hold_and_confirm_ms_median": round(statistics.median(latencies), 1) if latencies else 0,
    }


async def of_processes(url: str, parts: int, *, count: int, people: int, at_once: int) -> dict[str, Any]:
    """The same from `parts` processes, each with its own part of the prisoners, until the last one is through."""
    started = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.booking_spread", url),
            *map(str, (part, parts, count // parts, people, at_once // parts)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=REPOSITORY,
        )
        for part in range(parts)
    ]
    for each in started:
        assert each.stdout is not None
        await each.stdout.readline()
    began = time.perf_counter()
    await _go(started)
    results = [json.loads((await each.communicate())[0]) for each in started]
    seconds = time.perf_counter() - began
    booked = sum(each["booked"] for each in results)
    refused = sum(each["refused"] for each in results)
    return {
        "processes": parts,
        "booked": booked,
        "refused": refused,
        "bookings_per_second": round(booked / seconds, 1),
        "attempts_per_second": round((booked + refused) / seconds, 1),
    }


async def _go(started: list[asyncio.subprocess.Process]) -> None:
    """All begin together."""
    for each in started:
        assert each.stdin is not None
        each.stdin.write(b"go\n")
        await each.stdin.drain()


def some_slot(rng: random.Random, today: date) -> str:
    """The key of some time of the coming month."""
    template = rng.randrange(TEMPLATES)
    day = today + timedelta(days=rng.randrange(3, 28))
    key = (template, day)
    if key not in _SLOTS:
        made = make_template(
            f"tpl_b{template}", starts_at=wall(8, 5 * template), ends_at=wall(18), valid_from=date(2021, 1, 1)
        )
        _SLOTS[key] = [slot.key for slot in slots_of(made, ZONE, day, day, buffer=timedelta(minutes=5))]
    return rng.choice(_SLOTS[key])


_SLOTS: dict[Any, list[str]] = {}


async def _one_of_several(url: str, part: int, parts: int, count: int, people: int, at_once: int) -> None:
    engine = create_engine(url, pool_size=at_once)
    clock = SettableClock()
    world = make_world(SqlUnitOfWorkFactory(engine, clock=clock, audit_key=AUDIT_KEY), clock)
    world.identity.approved.update(f"con_b{number}" for number in range(people))
    mine = iter(range(part, people, parts))
    warm = [next(mine) for _ in range(WARM // parts)]
    await spread(world, people=warm, at_once=at_once, seed=100 + part)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    chosen = [number for number, _ in zip(mine, range(count), strict=False)]
    print(json.dumps(await spread(world, people=chosen, at_once=at_once, seed=200 + part)), flush=True)
    await engine.dispose()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_one_of_several(sys.argv[1], *map(int, sys.argv[2:7])))
