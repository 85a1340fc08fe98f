"""One race: client processes, faults at random moments, and the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import asyncpg

from tests.fixtures.requirements import REPOSITORY
from tests.fixtures.store import AUDIT_KEY
from tests.fixtures.waiting import eventually
from tests.support.races.checker import check_record, check_store, check_told
from tests.support.races.client import Orders
from tests.support.races.constraints import drop_constraints
from tests.support.races.record import UNKNOWN, read_records
from tests.support.races.scene import RaceClock, Size, furnish
from visitserver.store.engine import create_engine
from visitserver.store.uow import SqlUnitOfWorkFactory

LONGEST = 3600.0
"""Seconds after which a race that does not end has failed."""


@dataclass(frozen=True, slots=True)
class Race:
    """What is raced: `clients` in `processes`, `operations` together.

    `slots`: only the first so many. There is a fault (a pause of a process, a backend killed) every `fault_every`
    operations, and `kills` of a process.
    """

    seed: int
    clients: int = 50
    processes: int = 5
    operations: int = 10_000
    fault_every: int = 40
    kills: int = 6
    speed: float = 60.0
    mix: str = "all"
    constrained: bool = True
    slots: int | None = None
    cancelled: float = 0.04
    size: Size = field(default_factory=Size)


@dataclass
class Verdict:
    """How it went. `violations` are sentences; none is what is wanted of a race with the constraint on."""

    race: Race
    dialect: str
    seconds: float
    operations: int
    results: dict[str, int]
    faults: dict[str, int]
    bookings: int
    violations: list[str]

    def summary(self) -> dict[str, object]:
        return {
            "database": self.dialect,
            "seed": self.race.seed,
            "clients": self.race.clients,
            "operations": self.operations,
            "succeeded": self.results.get("ok", 0),
            "unknown": self.results.get(UNKNOWN, 0),
            "faults": self.faults,
            "bookings": self.bookings,
            "constrained": self.race.constrained,
            "seconds": round(self.seconds, 1),
            "violations": len(self.violations),
        }


class Driver:
    """Starts the clients of one race, troubles them, and waits for them."""

    def __init__(self, race: Race, url: str, folder: Path, started: float) -> None:
        self._race = race
        self._url = url
        self._folder = folder
        self._started = started
        self._rng = random.Random(race.seed)
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopped: set[str] = set()
        self._left: dict[str, int] = {}
        self._names = 0
        self._read: dict[Path, tuple[int, int]] = {}
        self.faults: Counter[str] = Counter()

    async def run(self) -> None:
        """Until every operation has been tried."""
        share = self._race.operations // self._race.processes
        for _ in range(self._race.processes):
            await self._start(share)
        trouble = asyncio.create_task(self._trouble())
        try:
            async with asyncio.timeout(LONGEST):
                while self._running:
                    ended = [each for each in self._running.items() if each[1].returncode is not None]
                    for name, process in ended:
                        del self._running[name]
                        await self._after(name, process.returncode or 0)
                    if not ended:
                        await self._one_ends()
        finally:
            trouble.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await trouble
            for process in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                await process.wait()

    async def _one_ends(self) -> None:
        waiting = [asyncio.ensure_future(each.wait()) for each in self._running.values()]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

    async def _after(self, name: str, code: int) -> None:
        if code == -signal.SIGKILL:
            # Whatever it had not begun yet another one does.
            if (rest := self._left[name] - self._done(name)) > 0:
                await self._start(rest)
        elif code != 0:
            raise RuntimeError(f"client process {name} ended with {code}: {self._said(name)}")

    async def _start(self, operations: int) -> None:
        self._names += 1
        name = f"p{self._names}"
        race = self._race
        orders = Orders(
            url=self._url,
            name=name,
            seed=race.seed,
            clients=race.clients // race.processes,
            operations=operations,
            record=str(self._folder / f"{name}.jsonl"),
            started=self._started,
            speed=race.speed,
            size=asdict(race.size),
            mix=race.mix,
            slots=race.slots,
            cancelled=race.cancelled,
        )
        self._left[name] = operations
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.support.races.client",
                json.dumps(asdict(orders)),
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            )

    def _done(self, name: str) -> int:
        path = self._folder / f"{name}.jsonl"
        return path.read_text("utf-8").count('"op"') if path.exists() else 0

    def _said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text("utf-8", errors="replace")[-2000:]

    async def _trouble(self) -> None:
        """Kill, pause, cut connections, whenever so many operations have been begun."""
        race, rng = self._race, self._rng
        marks = [(rng.randrange(race.operations), self._any) for _ in range(race.operations // race.fault_every)]
        # Not right at the end, when nobody would be left to notice.
        marks += [(rng.randrange(race.operations * 9 // 10), self._kill) for _ in range(race.kills)]
        for at, fault in sorted(marks, key=lambda mark: mark[0]):
            await eventually(lambda at=at: self._progress() >= at, f"operation {at}", LONGEST, 0.05)  # type: ignore[misc]
            await fault()

    def _progress(self) -> int:
        """How many operations have been begun."""
        for path in self._folder.glob("*.jsonl"):
            offset, count = self._read.get(path, (0, 0))
            with path.open("rb") as file:
                file.seek(offset)
                new = file.read()
            self._read[path] = (offset + len(new), count + new.count(b'"op"'))
        return sum(count for _, count in self._read.values())

    async def _any(self) -> None:
        cuts = [self._cut, self._cut] if self._url.startswith("postgresql") else []
        await self._rng.choice([self._pause, *cuts])()

    def _at_work(self) -> list[str]:
        return [name for name in self._running if name not in self._stopped and self._done(name) > 3]

    async def _kill(self) -> None:
        if names := self._at_work():
            with contextlib.suppress(ProcessLookupError):  # it may just have ended by itself
                self._running[self._rng.choice(names)].kill()
                self.faults["kill"] += 1

    async def _pause(self) -> None:
        if not (names := self._at_work()):
            return
        name = self._rng.choice(names)
        process = self._running[name]
        self._stopped.add(name)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGSTOP)
            self.faults["pause"] += 1
            await asyncio.sleep(self._rng.uniform(0.05, 0.5))
            process.send_signal(signal.SIGCONT)
        self._stopped.discard(name)

    async def _cut(self) -> None:
        """End one backend of this database, whatever it is doing."""
        connection = await asyncpg.connect(self._url.replace("postgresql+asyncpg", "postgresql"), timeout=30)
        try:
            ended = await connection.fetchval(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle' ORDER BY random() LIMIT 1"
            )
        finally:
            await connection.close()
        if ended:
            self.faults["backend"] += 1


async def run_race(race: Race, url: str, folder: Path) -> Verdict:
    """Furnish the empty tables at `url`, race, check. `folder` gets the clients' records."""
    folder.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    try:
        clock = RaceClock(time.monotonic(), race.speed)
        uow = SqlUnitOfWorkFactory(engine, clock=clock, audit_key=AUDIT_KEY)
        await furnish(uow, race.size, clock)
        if not race.constrained:
            await drop_constraints(engine)
        began = time.monotonic()
        clock = RaceClock(began, race.speed)
        driver = Driver(race, url, folder, began)
        await driver.run()
        seconds = time.monotonic() - began
        history = read_records(folder)
        stored, bookings = await check_store(engine, clock)
        violations = stored + check_record(history, clock) + check_told(history, bookings)
        return Verdict(
            race=race,
            dialect=engine.dialect.name,
            seconds=seconds,
            operations=len(history),
            results=dict(Counter(each.result for each in history)),
            faults=dict(driver.faults),
            bookings=len(bookings),
            violations=violations,
        )
    finally:
        await engine.dispose()


def control(race: Race, dialect: str) -> Race:
    """The same race with the constraint off.

    SQLite has one writer at a time, so the services cannot race there with or without it; its control is the client
    that looks in one transaction and writes in another, which the constraint stops, too.
    """
    return replace(race, constrained=False, mix="naive" if dialect == "sqlite" else race.mix)
