"""Visits at random for as long as one likes, and then: is everything gone that they brought?

Several calls at a time, each one its own story: both sides join through the real endpoints (HTTP, ICE, DTLS, control
channels), officers come and go (for one call, and on walls of all), networks change (ICE restart), people leave by
DELETE, by closing the tab, or without a word, come back, push out an older connection of themselves; the call is held,
resumed, muted, and ended. Every second call is recorded.

    python -m tests.bench.soak [--minutes M] [--joins N] [--calls C] [--seed S]

It stops when both M minutes are over and N people have joined. After a warm-up and again at the end, when every call
is over and has been forgotten, it counts tasks, threads, descriptors, objects of our own and of the media libraries,
rooms, directory entries, and memory. What has grown is named; then the exit status is 1. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
import uvloop

from signaling.calls import Actor, ActorKind, Phase
from signaling.ids import OrdinaryCallId
from signaling.media.ice import CONSENT
from signaling.media.leg import Kind, Side
from signaling.rooms import LINGER
from tests.fakes.media_client import OFFICER as OFFICER_LINES
from tests.fakes.media_client import PARTY
from tests.fixtures.waiting import eventually
from tests.support.soak_house import House, Session, running

STAFF = Actor(ActorKind.STAFF, "stf_1")
WALL = (*[("video", "recvonly")] * 4, ("audio", "recvonly"), ("audio", "recvonly"))
OURS = ("signaling.", "recorder.", "aiortc.", "pylibsrtp", "OpenSSL.")
MEMORY = 0.05  # the part by which memory may have grown
SLACK = 8 << 20  # bytes of it that say nothing: the allocator keeps what it once had
SIDES = (Side.FAMILY, Side.PRISONER)
PER_CALL = timedelta(seconds=6)  # a hundred calls are remembered at a time: a node's full load of six-minute calls


@dataclass
class Census:
    """What there is at one moment."""

    tasks: int
    threads: int
    descriptors: int
    rooms: int
    remembered: int
    placements: int
    sessions: int
    memory: int
    objects: Counter[str] = field(default_factory=Counter)

    @classmethod
    def take(cls, house: House) -> Census:
        """Count, after a collection."""
        gc.collect()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        objects = Counter(
            f"{kind.__module__}.{kind.__qualname__}"
            for kind in map(type, gc.get_objects())
            if str(kind.__module__).startswith(OURS)
        )
        stats = house.media.stats()
        return cls(
            tasks=len(asyncio.all_tasks()),
            threads=threading.active_count(),
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
            rooms=len(house.node.rooms) + stats.rooms,
            remembered=len(house.node.rooms.known_calls()),
            placements=len(house.directory._entries),
            sessions=stats.sessions,
            memory=int(Path("/proc/self/statm").read_text().split()[1]) * 4096,
            objects=objects,
        )

    def grown(self, before: Census) -> dict[str, Any]:
        """What there is more of than `before`; empty if nothing stays."""
        found: dict[str, Any] = {}
        for name in ("tasks", "threads", "descriptors", "rooms", "remembered", "placements", "sessions"):
            now, then = getattr(self, name), getattr(before, name)
            if now > then:
                found[name] = [then, now]
        for name, count in self.objects.items():
            if count > before.objects[name]:
                found[name] = [before.objects[name], count]
        if self.memory > before.memory * (1 + MEMORY) + SLACK:
            found["memory"] = [before.memory, self.memory]
        return found


class Story:
    """One call from its opening to its end, as chance has it."""

    def __init__(self, house: House, chance: random.Random, done: Counter[str]) -> None:
        self.house = house
        self.chance = chance
        self.done = done
        self.people: dict[Side, Session] = {}
        self.officers: list[Session] = []
        self.call_id: OrdinaryCallId

    async def run(self, acts: int) -> None:
        """Open, let so many things happen, end."""
        recorded = self.chance.random() < 0.5
        self.call_id = await self.house.open(recorded=recorded)
        for side in SIDES:
            await self.join(side)
        await self.phase(Phase.LIVE)
        for _ in range(acts):
            act = self.chance.choice(ACTS)
            await getattr(self, act)()
            self.done[act] += 1
        await self.end()

    async def phase(self, wanted: Phase) -> None:
        """Wait for the call to be in this phase."""
        await eventually(lambda: self.house.node.rooms.get(self.call_id).phase is wanted, f"the call is {wanted.value}")

    async def join(self, side: Side) -> None:
        """Somebody joins with media and control channel, and sends something."""
        ticket = self.house.join_ticket(self.call_id, side)
        session = await self.house.connect(f"/media/whip/{self.call_id}", ticket, PARTY)
        await self.house.channel(session)
        session.send()
        self.people[side] = session

    async def leave_and_return(self) -> None:
        """Leave in one of three ways and join again; the call notices both."""
        side = self.chance.choice(SIDES)
        session = self.people.pop(side)
        await self.chance.choice((self.house.delete, self.house.close, self.house.vanish))(session)
        await self.join(side)
        await self.phase(Phase.LIVE)

    async def push_out(self) -> None:
        """Join a second time; the first connection is ended by the server."""
        side = self.chance.choice(SIDES)
        older = self.people[side]
        await self.join(side)
        await self.house.close(older)
        await self.phase(Phase.LIVE)

    async def restart_ice(self) -> None:
        """A change of network."""
        session = self.people[self.chance.choice(SIDES)]
        await self.house.restart_ice(session)
        session.send()

    async def hold_and_resume(self) -> None:
        """An officer pauses the call and lets it go on."""
        await self.house.control.hold(self.call_id, STAFF, "soak", "One moment")
        await self.house.control.resume(self.call_id, STAFF, "soak")
        await self.phase(Phase.LIVE)

    async def mute_and_unmute(self) -> None:
        """An officer silences one side for a moment."""
        side, kind = self.chance.choice(SIDES), self.chance.choice((Kind.AUDIO, Kind.VIDEO))
        for muted in (True, False):
            await self.house.control.mute(self.call_id, side.value, kind, muted, STAFF, "soak")
            self.people[side].send()

    async def officer_comes(self) -> None:
        """An officer watches this call."""
        warrant = self.house.warrant(self.call_id, officer=f"stf_{self.chance.randrange(1000)}")
        session = await self.house.connect(f"/media/whep/{self.call_id}", warrant, OFFICER_LINES)
        await self.house.channel(session, call_id=self.call_id)
        self.officers.append(session)

    async def officer_goes(self) -> None:
        """An officer leaves in one of three ways, if there is one."""
        if self.officers:
            session = self.officers.pop(self.chance.randrange(len(self.officers)))
            await self.chance.choice((self.house.delete, self.house.close, self.house.vanish))(session)

    async def wall(self) -> None:
        """An officer opens a wall, looks at this call, and goes."""
        warrant = self.house.warrant(self.call_id, officer=f"stf_{self.chance.randrange(1000)}")
        session = await self.house.connect("/media/whep", warrant, WALL)
        await self.house.channel(session, session=session.session_id)
        assert session.channel is not None
        for focus in (None, self.call_id):
            await session.channel.send_json({"type": "show", "tiles": [self.call_id], "focus": focus})
        await session.channel.send_json({"type": "ping", "t": 1})
        while (await session.channel.receive_json(timeout=60))["type"] != "pong":
            pass
        await self.chance.choice((self.house.delete, self.house.close))(session)

    async def talk(self) -> None:
        """Media, for a moment."""
        for session in self.people.values():
            session.send(20)
        await asyncio.sleep(0.05)

    async def end(self) -> None:
        """The call is ended, and everybody goes."""
        room = self.house.node.rooms.get(self.call_id)
        await self.house.control.terminate(self.call_id, STAFF, "soak", "This visit has been ended.")
        for session in (*self.people.values(), *self.officers):
            await self.house.close(session)
        async with asyncio.timeout(60):
            await room.over.wait()


ACTS = (
    *("leave_and_return", "push_out", "restart_ice", "hold_and_resume", "mute_and_unmute"),
    *("officer_comes", "officer_comes", "officer_goes", "wall", "talk"),
)


async def soak(
    minutes: float, joins: int, calls: int, seed: int, *, warm_up: int = 60, acts: int = 8, say: bool = True
) -> dict[str, Any]:
    """Run; see the module's text. `warm_up` is the number of joins before the first census."""
    began = time.monotonic()
    done: Counter[str] = Counter()
    failures: list[str] = []
    number = 0

    async def teller(house: House, until: int, deadline: float) -> None:
        nonlocal number
        while (house.joins < until or time.monotonic() < deadline) and not failures:
            number += 1
            chance = random.Random(f"{seed} {number}")
            try:
                await Story(house, chance, done).run(chance.randint(1, acts))
            except Exception as error:
                failures.append(f"call {number}: {type(error).__name__}: {error}")
            done["call"] += 1
            # A call that is over can be asked for during LINGER. Fifteen calls end here in a second, on no real node:
            # at that pace minutes of them would be remembered, and memory would say how fast the soak is.
            house.ahead += PER_CALL

    async def settled(house: House) -> Census:
        """The census when nothing is under way any more: sessions that vanished are lost, calls are forgotten."""
        if failures:  # something hangs: what is counted now would say nothing
            return Census.take(house)
        await house.close_all()
        await eventually(lambda: len(house.node.rooms) == 0, "every call is over", CONSENT + 60)
        house.ahead += LINGER + timedelta(minutes=1)
        await eventually(lambda: house.node.rooms.known_calls() == [], "every call is forgotten", CONSENT + 60)
        await eventually(lambda: house.media.stats().sessions == 0, "every session is over", CONSENT + 60)
        tasks = len(asyncio.all_tasks())
        for _ in range(100):  # tasks that are ending have ended when their number has stood still for a second
            await asyncio.sleep(1)
            tasks, before = len(asyncio.all_tasks()), tasks
            if tasks == before:
                break
        return Census.take(house)

    with tempfile.TemporaryDirectory(prefix="visit-soak-") as folder:
        async with running(Path(folder)) as house:
            progress = asyncio.create_task(_progress(house, done, began)) if say else None
            await asyncio.gather(*(teller(house, warm_up, 0) for _ in range(calls)))
            before = await settled(house)
            deadline = began + minutes * 60
            target = joins + house.joins
            await asyncio.gather(*(teller(house, target, deadline) for _ in range(calls)))
            after = await settled(house)
            joined = house.joins
            if progress is not None:
                progress.cancel()
    grown = after.grown(before)
    return {
        "bench": "soak",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
        "joins": joined,
        "done": dict(sorted(done.items())),
        "before": {name: getattr(before, name) for name in _NUMBERS},
        "after": {name: getattr(after, name) for name in _NUMBERS},
        "grown": grown,
        "failures": failures,
        "clean": not grown and not failures,
    }


_NUMBERS = ("tasks", "threads", "descriptors", "rooms", "remembered", "placements", "sessions", "memory")


async def _progress(house: House, done: Counter[str], began: float) -> None:
    while True:
        await asyncio.sleep(10)
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
        print(
            f"{time.monotonic() - began:6.0f} s  {house.joins:>6} joins  {done['call']:>5} calls over"
            f"  {len(asyncio.all_tasks()):>4} tasks  {threading.active_count():>3} threads  {memory >> 20} MB",
            flush=True,
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--joins", type=int, default=1000, help="at least so many after the warm-up")
    parser.add_argument("--calls", type=int, default=4, help="calls at a time")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    warm_up = max(60, options.joins // 5)
    report = uvloop.run(soak(options.minutes, options.joins, options.calls, options.seed, warm_up=warm_up))
    for name, (then, now) in report["grown"].items():
        print(f"stays: {name} {then} -> {now}")
    for failure in report["failures"]:
        print(f"failed: {failure}")
    print(json.dumps(report))
    sys.exit(0 if report["clean"] else 1)


if __name__ == "__main__":
    main()
