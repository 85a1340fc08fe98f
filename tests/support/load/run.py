"""One measurement: so many calls on one server for so many seconds."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.load.client import LoadClient
from tests.support.load.engine import Engine, Timetable
from tests.support.load.server import Server
from tests.support.load.timetables import per_second, picture, voice

OFFICERS = 2
COPIES = 1 + OFFICERS  # each packet goes to the other party and to the officers
WARM_UP = 2.0  # seconds
_SLICE = 0.01  # seconds of the core between two looks of Python at RTCP and ICE
_DRAIN = 0.3  # seconds for what is still under way
_JOINS = 8  # calls that join at once


@dataclass
class Load:
    """The clients of one server, with the core that sends and receives for them."""

    server: Server
    engine: Engine
    turn: int = 0

    async def join(self, calls: int) -> list[LoadClient]:
        """Everybody joins; gives who sends."""
        senders: list[LoadClient] = []
        for first in range(0, calls, _JOINS):
            some = range(first, min(calls, first + _JOINS))
            for pair in await asyncio.gather(*(self.server.join(call, OFFICERS) for call in some)):
                senders += pair
            now = time.monotonic()
            for client in self.server.clients:
                client.keep_alive(now)
        return senders

    def start(self, senders: list[LoadClient], audio: Timetable, video: Timetable, *, extended: bool = True) -> None:
        """Let them send, none in step with another."""
        for client in self.server.clients:
            client.hand_over(self.engine)
        for number, client in enumerate(senders):
            phase = number * 0.0037 % 0.0333
            for kind, timetable in (("audio", audio), ("video", video)):
                stream = client.add_stream(
                    self.engine, 2 * number + (kind == "video"), kind, timetable, extended=extended
                )
                self.engine.start(stream, 0.01 + phase)

    async def run(self, seconds: float, *, silent: bool = False) -> None:
        """Send and receive for so long; every client's RTCP once a second."""
        clients = self.server.clients
        began = time.monotonic()
        reported = 0
        while (elapsed := time.monotonic() - began) < seconds:
            self.engine.run(min(_SLICE, seconds - elapsed), silent=silent)
            now = time.monotonic()
            while reported < (now - began) * len(clients):
                reported += 1
                self.turn = (self.turn + 1) % len(clients)
                clients[self.turn].report(self.engine)
                clients[self.turn].keep_alive(now)
            await asyncio.sleep(0)


async def measure(server: Server, calls: int, seconds: float, profile: Path | None = None) -> dict[str, Any]:
    """Start the server, bring the calls in, measure, stop it.

    `profile` is a folder for what py-spy, which must be on the PATH, says of a further run of the same length.
    """
    engine = Engine()
    load = Load(server, engine)
    media = voice(stamped=not server.decodes), picture(stamped=not server.decodes)
    try:
        await server.start()
        empty = server.memory()
        senders = await load.join(calls)
        load.start(senders, *media)
        await load.run(WARM_UP)
        before, busy = await server.counters(), server.core_busy()
        spent, own, began = server.cpu(), time.process_time(), time.monotonic()
        engine.epoch()
        await load.run(seconds)
        elapsed, mine = time.monotonic() - began, time.process_time() - own
        user, system = (after - before for after, before in zip(server.cpu(), spent, strict=True))
        cpu = user + system
        others = max(0.0, server.core_busy() - busy - cpu)
        memory = server.memory()
        await load.run(_DRAIN, silent=True)
        totals, after = engine.totals(), await server.counters()
        p50, p95, p99 = engine.delays(0.5, 0.95, 0.99) or (None, None, None)
        if profile is not None:
            await asyncio.gather(_profile(server, calls, seconds, profile), load.run(seconds + 2))
    finally:
        await server.stop()
        engine.close()
    # What is encoded anew carries no stamps, and is other packets: voices and pictures are counted, and the cost is
    # that of each packet by which a relay would have brought them. What a server did not bring counts for none.
    expected: int | None = totals["sent"] * COPIES
    received, forwarded = totals["received"], float(totals["received"])
    brought: dict[str, float] = {}
    if server.decodes:
        received, forwarded, expected = totals["unstamped"], 0.0, None
        for kind, timetable in zip(("voices", "pictures"), media, strict=True):
            one = len(timetable.packets) / (timetable.pictures or len(timetable.packets))  # packets
            forwarded += totals[kind] * one
            brought[kind] = round(totals[kind] * one / (per_second(timetable) * elapsed * calls * 2 * COPIES), 3)
    return {
        "server": server.name,
        "calls": calls,
        "us_per_forwarded": round(cpu / max(1, forwarded) * 1e6, 2),
        "of_it_kernel_us": round(system / max(1, forwarded) * 1e6, 2),
        "forwarded_per_second": round(received / elapsed),
        "offered_per_second": round(totals["sent"] / elapsed),
        "load_reached": round(totals["sent"] / elapsed / (calls * 2 * per_second(*media)), 3),
        "brought": brought,
        "sent": totals["sent"],
        "expected": expected,
        "received": received,
        "lost": None if expected is None else expected - received,
        "cpu_share": round(cpu / elapsed, 3),
        "others_share": round(others / elapsed, 3),
        "delay_us": {"p50": p50, "p95": p95, "p99": p99},
        "memory_per_call_kb": round((memory - empty) / calls / 1024),
        "generator": {
            "cpu_share": round(mine / elapsed, 3),
            "late_mean_us": round(totals["late_total"] / max(1, totals["sent"]) / 1e3),
            "late_max_us": round(totals["late_max"] / 1e3),
            **{name: totals[name] for name in ("send_failed", "undecryptable", "duplicates", "repaired", "rtcp")},
        },
        "counters": {name: value - before.get(name, 0) for name, value in after.items()},
    }


async def _profile(server: Server, calls: int, seconds: float, folder: Path) -> None:
    """Samples of all threads as collapsed stacks, taken without stopping the server: a stop would lose packets."""
    assert server.process is not None
    output = folder / f"{server.name.replace(', ', '-').replace(' ', '-')}-{calls}.txt"
    options = ("--nonblocking", "--rate", "250", "--format", "raw", "--duration", str(round(seconds)))
    command = ("py-spy", "record", *options, "--output", str(output), "--pid", str(server.process.pid))
    quiet = asyncio.subprocess.DEVNULL
    profiler = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    await profiler.wait()
