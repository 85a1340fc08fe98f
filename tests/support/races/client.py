"""A process with some clients in it: each does one random operation after another, and writes down how it went.

python -m tests.support.races.client '<JSON of Orders>'
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.fixtures.rights import PRISON, STAFF, SYSTEM_ACTOR, World, family, relationship_id
from tests.fixtures.store import AUDIT_KEY
from tests.support.races.naive import naive_booking
from tests.support.races.record import UNKNOWN, Recorder, facts_of
from tests.support.races.scene import FIRST_DAY, RaceClock, Size, open_world, templates
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import DomainError, Unavailable
from visitserver.domain.scheduling import Booking
from visitserver.domain.slots import slots_of
from visitserver.store.engine import create_engine
from visitserver.store.uow import SqlUnitOfWorkFactory

SUPERVISOR = Actor(ActorKind.STAFF, "stf_supervisor", PRISON, frozenset({"supervisor", "scheduler"}))
KEPT = 12
"""How many bookings a client remembers."""


@dataclass
class Orders:
    """What a client process is to do."""

    url: str
    name: str
    seed: int
    clients: int
    operations: int
    record: str
    started: float
    speed: float
    size: dict[str, int] = field(default_factory=lambda: asdict(Size()))
    cancelled: float = 0.04
    """The part of the operations that are cancelled somewhere on their way."""
    mix: str = "all"
    """"all", "hold" (nothing else), or "naive" (looks in one transaction and writes in another)."""
    slots: int | None = None
    pool: int = 10


class Client:
    """One of them."""

    def __init__(self, orders: Orders, world: World, recorder: Recorder, number: int, keys: list[str]) -> None:
        self._orders = orders
        self._world = world
        self._recorder = recorder
        self._rng = random.Random(f"{orders.seed}.{orders.name}.{number}")
        self._keys = keys
        self._size = Size(**orders.size)
        self._mine: list[Booking] = []

    async def step(self) -> None:
        """One operation, from the intention to the result."""
        name, args, work = self._choose()
        number = self._recorder.begin(time.monotonic(), name, args)
        booking: Booking | None = None
        try:
            if self._rng.random() < self._orders.cancelled:
                booking = await self._cut_short(work)
            else:
                booking = await work()
            result = "ok"
        except Unavailable:
            result = UNKNOWN  # the connection may have broken after the commit was sent
        except DomainError as error:
            result = error.code
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            result = UNKNOWN
        self._recorder.end(number, time.monotonic(), result, facts_of(booking) if booking is not None else None)
        if booking is not None:
            self._mine = [each for each in self._mine if each.id != booking.id][-KEPT:]
            if booking.open:
                self._mine.append(booking)

    async def _cut_short(self, work: Callable[[], Awaitable[Booking | None]]) -> Booking | None:
        """Cancel it after a random moment, wherever it has got to by then."""
        task = asyncio.ensure_future(work())
        await asyncio.wait([task], timeout=self._rng.uniform(0, 0.04))
        task.cancel()
        return await task

    def _choose(self) -> tuple[str, dict[str, Any], Callable[[], Awaitable[Booking | None]]]:
        if self._orders.mix == "naive":
            return self._naive()
        dice = self._rng.random()
        if self._orders.mix == "hold" or dice < 0.34 or not self._mine:
            return self._hold() if dice < 0.9 else self._book()
        if dice < 0.44:
            return self._book()
        if dice < 0.48:
            return self._offer()
        if dice < 0.51:
            return "expire", {}, self._expire
        mine = self._rng.choice(self._mine)
        lead = family(mine.contact_ids[0])
        actor = STAFF if self._rng.random() < 0.2 else lead
        booking = self._world.booking
        if dice < 0.72:
            return "confirm", {"booking": mine.id}, lambda: booking.confirm(lead, mine.id)
        if dice < 0.74:
            return "extend", {"booking": mine.id}, lambda: booking.extend(lead, mine.id)
        if dice < 0.88:
            key = self._rng.choice(self._keys)
            return (
                "change",
                {"booking": mine.id, "slot": key, "actor": actor.reference},
                lambda: booking.change(actor, mine.id, key, reason="another day suits better"),
            )
        return (
            "cancel",
            {"booking": mine.id, "actor": actor.reference},
            lambda: booking.cancel(actor, mine.id, reason="something came up"),
        )

    def _party(self) -> tuple[str, str, list[str]]:
        contact = self._rng.randrange(self._size.contacts)
        prisoner = self._rng.choice(self._size.linked(contact))
        others = [
            each for each in range(self._size.contacts) if each != contact and prisoner in self._size.linked(each)
        ]
        guests = [f"con_r{self._rng.choice(others)}"] if others and self._rng.random() < 0.25 else []
        return f"con_r{contact}", f"prs_r{prisoner}", guests

    def _hold(self) -> tuple[str, dict[str, Any], Callable[[], Awaitable[Booking | None]]]:
        contact, prisoner, guests = self._party()
        key = self._rng.choice(self._keys)

        async def work() -> Booking:
            links = [relationship_id(each, prisoner) for each in guests]
            hold = await self._world.booking.hold(
                family(contact), relationship_id(contact, prisoner), key, guests=links
            )
            return await self._world.bookings.get(STAFF, hold.id)

        return "hold", {"contact": contact, "prisoner": prisoner, "guests": guests, "slot": key}, work

    def _offer(self) -> tuple[str, dict[str, Any], Callable[[], Awaitable[Booking | None]]]:
        contact, prisoner, _ = self._party()
        key = self._rng.choice(self._keys)

        async def work() -> Booking:
            lasts = timedelta(minutes=20)
            link = relationship_id(contact, prisoner)
            hold = await self._world.booking.offer(SYSTEM_ACTOR, link, key, lasts=lasts)
            return await self._world.bookings.get(STAFF, hold.id)

        return "offer", {"contact": contact, "prisoner": prisoner, "slot": key}, work

    def _book(self) -> tuple[str, dict[str, Any], Callable[[], Awaitable[Booking | None]]]:
        contact, prisoner, guests = self._party()
        key = self._rng.choice(self._keys)
        overrides = {"allowance": "told by the governor"}
        if self._rng.random() < 0.3:
            overrides["free_place"] = "a birthday"

        async def work() -> Booking:
            return await self._world.booking.book(
                SUPERVISOR,
                relationship_id(contact, prisoner),
                key,
                guests=[relationship_id(each, prisoner) for each in guests],
                overrides=overrides,
            )

        args = {"contact": contact, "prisoner": prisoner, "guests": guests, "slot": key, "overrides": sorted(overrides)}
        return "book", args, work

    def _naive(self) -> tuple[str, dict[str, Any], Callable[[], Awaitable[Booking | None]]]:
        contact, prisoner, _ = self._party()
        key = self._rng.choice(self._keys)
        return (
            "naive",
            {"contact": contact, "prisoner": prisoner, "slot": key},
            lambda: naive_booking(self._world, contact, prisoner, key),
        )

    async def _expire(self) -> None:
        await self._world.booking.expire_holds()


def slot_keys(size: Size) -> list[str]:
    """Every slot of the race's days."""
    zone = ZoneInfo("Europe/Helsinki")
    last = FIRST_DAY + timedelta(days=size.days - 1)
    return [
        slot.key
        for template in templates()
        for slot in slots_of(template, zone, FIRST_DAY, last, buffer=timedelta(minutes=5))
    ]


async def run(orders: Orders) -> None:
    """Do what the orders say."""
    engine = create_engine(orders.url, pool_size=orders.pool)
    clock = RaceClock(orders.started, orders.speed)
    uow = SqlUnitOfWorkFactory(engine, clock=clock, audit_key=AUDIT_KEY)
    size = Size(**orders.size)
    world = open_world(uow, size, clock)
    recorder = Recorder(Path(orders.record), orders.name)
    keys = slot_keys(size)[: orders.slots]
    left = iter(range(orders.operations))

    async def work(number: int) -> None:
        client = Client(orders, world, recorder, number, keys)
        for _ in left:
            await client.step()

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(orders.clients):
                group.create_task(work(number))
    finally:
        recorder.close()
        await engine.dispose()


if __name__ == "__main__":
    asyncio.run(run(Orders(**json.loads(sys.argv[1]))))
