"""What booking costs, and that nobody is ever in two places.

    python -m tests.bench.bench_booking [--short] [--database sqlite|postgresql] [--races N]

On SQLite and on PostgreSQL: the availability of a month for one contact with 100,000 bookings in the base, holds and
confirmations a second of many people at many times, 500 clients at one slot, and the races of tests/support/races
(50 clients, 10,000 operations, kills and pauses) with their control. The last line of the output is one JSON object.
Figures are of this machine at this moment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bench.booking_spread import WARM, of_processes, some_slot, spread
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.rights import World, family, relationship_id
from tests.fixtures.store import AUDIT_KEY, SettableClock
from tests.support.races.crowded_base import STATIONS_EACH, ZONE, furnish_base
from tests.support.races.race import Race, Verdict, control, run_race
from tests.support.races.scene import Size
from visitserver.domain.errors import Conflict, DecisionRefused, Unavailable
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import OPEN_STATES
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.store.engine import create_engine
from visitserver.store.tables import metadata
from visitserver.store.uow import SqlUnitOfWorkFactory

GOAL_PER_SECOND = 100
"""Bookings (a hold and its confirmation each) a second, spread, on PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of everything."""

    bookings: int = 100_000
    people: int = 2_000
    months: int = 10
    spread: int = 600
    warm: int = WARM
    processes: int = 2
    at_once: int = 16
    crowd: int = 500
    race: Race = field(default_factory=lambda: Race(seed=1))
    races: int = 1

    @classmethod
    def short(cls) -> Amounts:
        """Enough to see that it runs and adds up."""
        race = Race(seed=1, clients=6, processes=1, operations=40, fault_every=15, kills=0)
        return cls(bookings=1_500, people=120, months=1, spread=20, warm=4, processes=1, at_once=8, crowd=40, race=race)


CROWDED = Race(
    seed=1,
    clients=10,
    processes=1,
    operations=40,
    fault_every=1000,
    kills=0,
    speed=1.0,
    mix="hold",
    slots=2,
    cancelled=0,
    size=Size(prisoners=30, contacts=45, days=1),
)


@contextmanager
def databases(kinds: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Makers of fresh empty databases, by kind."""
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(10_000))
        makers: dict[str, Any] = {}
        server: PostgresServer | None = None
        if "sqlite" in kinds:
            makers["sqlite"] = lambda: f"sqlite+aiosqlite:///{folder}/bench{next(numbers)}.sqlite"
        try:
            if "postgresql" in kinds:
                server = PostgresServer()
                server.create()
                server.start()
                running = server
                makers["postgresql"] = lambda: running.url(running.create_database())
            yield makers
        finally:
            if server is not None:
                server.stop()
                server.remove()


@asynccontextmanager
async def fresh(url: str, pool: int = 20) -> AsyncIterator[AsyncEngine]:
    """An engine on a database with every table and no row."""
    engine = create_engine(url, pool_size=pool)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        yield engine
    finally:
        await engine.dispose()


async def availability(world: World, amounts: Amounts) -> dict[str, float]:
    """Milliseconds for the whole month's list of one contact, each time decided with its trace: in pages of 200, and at
    once; and for the first five times that can be booked. `…_cpu_ms` is this process's own time."""
    took, at_once, first, cpu, offers = [], [], [], [], 0
    for number in range(amounts.months):
        actor, link = family(f"con_b{number}"), relationship_id(f"con_b{number}", f"prs_b{number}")
        began, used = time.perf_counter(), time.process_time()
        cursor: str | None = None
        offers = 0
        while True:
            page = await world.slots.offers(actor, link, PageRequest(200, cursor))
            offers += len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                break
        took.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
        began = time.perf_counter()
        await world.slots.calendar(actor, link)
        at_once.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        await world.slots.next_free(actor, link)
        first.append((time.perf_counter() - began) * 1000)
    return {
        "times": offers,
        "month_ms_median": round(statistics.median(took), 1),
        "month_ms_max": round(max(took), 1),
        "month_cpu_ms_median": round(statistics.median(cpu), 1),
        "month_at_once_ms_median": round(statistics.median(at_once), 1),
        "next_free_ms": round(statistics.median(first), 1),
    }


async def spread_of(world: World, amounts: Amounts) -> dict[str, float]:
    """See booking_spread.spread. The first bookings, for which connections are made, are not measured."""
    warm = range(amounts.warm)
    await spread(world, people=warm, at_once=amounts.at_once, seed=2)
    people = (number % amounts.people for number in range(len(warm), len(warm) + amounts.spread))
    return await spread(world, people=people, at_once=amounts.at_once, seed=3)


async def crowd(world: World, amounts: Amounts) -> dict[str, int]:
    """So many clients at one empty slot in one moment: as many get a place as there are."""
    today = world.clock().astimezone(ZONE).date()
    rng = random.Random(0)
    key = some_slot(rng, today)
    gate = asyncio.Event()
    ended: Counter[str] = Counter()

    async def client(number: int) -> None:
        await gate.wait()
        contact = f"con_b{amounts.people - 1 - number}"
        try:
            hold = await world.booking.hold(
                family(contact), relationship_id(contact, f"prs_b{amounts.people - 1 - number}"), key
            )
            await world.booking.confirm(family(contact), hold.id)
        except (DecisionRefused, Conflict, Unavailable) as error:
            # SQLite has one writer: whoever has waited half a minute behind the others is told to try again.
            ended[error.code] += 1
        else:
            ended["ok"] += 1

    taken_before = await _on_slot(world, key)
    tasks = [asyncio.create_task(client(number)) for number in range(amounts.crowd)]
    began = time.perf_counter()
    gate.set()
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - began
    standing = await _on_slot(world, key)
    return {
        "clients": amounts.crowd,
        "places": STATIONS_EACH - taken_before,
        "succeeded": ended["ok"],
        "told_to_try_again": ended["database_busy"],
        "standing": standing,
        "capacity": STATIONS_EACH,
        "seconds": round(seconds, 1),  # type: ignore[dict-item]
    }


async def _on_slot(world: World, key: str) -> int:
    template = key.split("@")[0]
    count, cursor = 0, None
    async with world.uow(read_only=True) as u:
        while True:
            wanted = BookingFilter(template_id=template, states=OPEN_STATES)
            page = await u.scheduling.bookings(wanted, PageRequest(200, cursor))
            count += sum(each.slot_key == key for each in page.items)
            if (cursor := page.next_cursor) is None:
                return count


async def bench(
    amounts: Amounts, kinds: tuple[str, ...] = ("postgresql", "sqlite"), *, say: Any = lambda line: None
) -> dict[str, Any]:
    """All figures, by database; `violations` of the races and the crowd together, and those of the controls."""
    report: dict[str, Any] = {"bookings_in_base": amounts.bookings, "databases": {}}
    violations = control_violations = 0
    with databases(kinds) as makers, tempfile.TemporaryDirectory() as records:
        for kind, make in makers.items():
            figures: dict[str, Any] = {}
            url = make()
            async with fresh(url) as engine:
                clock = SettableClock()
                uow = SqlUnitOfWorkFactory(engine, clock=clock, audit_key=AUDIT_KEY)
                world = await furnish_base(engine, uow, clock, count=amounts.bookings, people=amounts.people)
                figures["availability"] = await availability(world, amounts)
                say(f"{kind}: {figures['availability']}")
                figures["spread"] = await spread_of(world, amounts)
                say(f"{kind}: {figures['spread']}")
                figures["crowd"] = await crowd(world, amounts)
                say(f"{kind}: {figures['crowd']}")
                if amounts.processes > 1 and kind == "postgresql":
                    figures["spread_of_processes"] = await of_processes(
                        url, amounts.processes, count=amounts.spread, people=amounts.people, at_once=amounts.at_once
                    )
                    say(f"{kind}: {figures['spread_of_processes']}")
                # A place that is held, because its client's confirmation was refused, is taken as well.
                violations += figures["crowd"]["standing"] != figures["crowd"]["capacity"]
            verdicts: list[Verdict] = []
            for number in range(amounts.races):
                verdicts.append(await _race(replace(amounts.race, seed=number + 1), make(), Path(records), kind))
                say(json.dumps(verdicts[-1].summary()))
            off = await _race(control(CROWDED, kind), make(), Path(records), f"{kind}-control")
            say(json.dumps(off.summary()))
            figures["races"] = [each.summary() for each in verdicts]
            figures["control"] = off.summary()
            violations += sum(len(each.violations) for each in verdicts)
            control_violations += len(off.violations)
            report["databases"][kind] = figures
    if "postgresql" in report["databases"]:
        rate = report["databases"]["postgresql"]["spread"]["bookings_per_second"]
        report["goal_met"] = {"postgresql_bookings_per_second": rate >= GOAL_PER_SECOND}
    return {
        **report,
        "load_before": round(os.getloadavg()[0], 1),
        "violations": violations,
        "control_violations": control_violations,
    }


async def _race(race: Race, url: str, records: Path, name: str) -> Verdict:
    async with fresh(url, pool=2):
        pass
    return await run_race(race, url, records / f"{name}-{race.seed}")


def main() -> int:
    parser = argparse.ArgumentParser(description="what booking costs, and that nobody is ever in two places")
    parser.add_argument("--short", action="store_true", help="a smoke run")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="only this one")
    parser.add_argument("--races", type=int, help="how many seeds are raced on each database")
    parser.add_argument("--operations", type=int, help="operations of each race")
    wanted = parser.parse_args()
    amounts = Amounts.short() if wanted.short else Amounts()
    if wanted.races is not None:
        amounts = replace(amounts, races=wanted.races)
    if wanted.operations is not None:
        amounts = replace(amounts, race=replace(amounts.race, operations=wanted.operations))
    kinds = (wanted.database,) if wanted.database else ("postgresql", "sqlite")
    # The server's own loop (visitserver/cli.py).
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(bench(amounts, kinds, say=lambda line: print(line, flush=True)))
    print(json.dumps(report))
    return 1 if report["violations"] or not report["control_violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
