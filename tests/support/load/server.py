"""A server under load: its process, what it costs, and how clients join its calls."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiortc.rtcdtlstransport import RTCCertificate

from tests.support.load.client import OFFICER, PARTY, LoadClient
from tests.support.load.network import Network, go_first, pinned
from tests.support.load.timetables import BITRATE

_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A process on one core. Subclasses say what it is and how a call of two parties and some officers is made."""

    name = "server"
    decodes = False  # whether it sends other packets than it gets
    remb = 2_500_000  # bit/s that each client says it can take: more than it is sent

    def __init__(self, network: Network, core: int | None) -> None:
        self.network = network
        self.clients: list[LoadClient] = []
        self._core = core
        self._certificate = RTCCertificate.generateCertificate()
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        raise NotImplementedError

    async def join(self, call: int, officers: int) -> list[LoadClient]:
        """Let two parties and officers join a call; gives the two connections that send."""
        raise NotImplementedError

    async def stop(self) -> None:
        """End it, and every client."""
        for client in self.clients:
            await client.close()
        self.clients.clear()
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 30)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()

    def client(self) -> LoadClient:
        """A client of this server that is not connected yet."""
        made = LoadClient(self.network.generator, self._certificate, self.remb)
        self.clients.append(made)
        return made

    async def spawn(self, command: Sequence[str], **options: Any) -> asyncio.subprocess.Process:
        """Start `command` in the server's network and on its core."""
        whole = (*self.network.prefix, *pinned(self._core), *command)
        self.process = await asyncio.create_subprocess_exec(*whole, limit=1 << 22, start_new_session=True, **options)
        if self._core is not None:
            go_first(self.process.pid)
        return self.process

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU that all threads of the process have used, in user space and in the kernel."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) / _TICKS, int(fields[12]) / _TICKS

    def core_busy(self) -> float:
        """Seconds that the server's core was not idle, whoever used it (or took it away: steal), since boot."""
        wanted = "cpu" if self._core is None else f"cpu{self._core}"
        for line in Path("/proc/stat").read_text().splitlines():
            name, *values = line.split()
            if name == wanted:
                idle = int(values[3]) + int(values[4])
                return (sum(map(int, values[:8])) - idle) / _TICKS
        return 0.0

    def memory(self) -> int:
        """Bytes that are the process's own (proportional set size)."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0

    async def counters(self) -> dict[str, Any]:
        """The server's own opinion, where it has one."""
        return {}


class PythonServer(Server):
    """One of our own processes: JSON commands on stdin, answers on stdout."""

    module = ""
    arguments: tuple[str, ...] = ()

    def __init__(self, network: Network, core: int | None) -> None:
        super().__init__(network, core)
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        command = (sys.executable, "-m", self.module, self.network.server, *self.arguments)
        pipe = asyncio.subprocess.PIPE
        await self.spawn(command, stdin=pipe, stdout=pipe)
        await self.ask(do="hello")

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Let the process do something. Raises RuntimeError if it has ended."""
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        async with self._turn:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        if not line:
            raise RuntimeError(f"the process of {self.name} has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def join(self, call: int, officers: int) -> list[LoadClient]:
        senders = []
        for who in ("family", "prisoner"):
            client = self.client()
            answer = await self.ask(do="publish", call=call, who=who, offer=client.offer(PARTY))
            await client.connect(answer["sdp"])
            senders.append(client)
        for number in range(officers):
            client = self.client()
            answer = await self.ask(do="watch", call=call, who=f"officer-{number}", offer=client.offer(OFFICER))
            await client.connect(answer["sdp"])
        return senders

    async def counters(self) -> dict[str, Any]:
        return await self.ask(do="sample")

    async def stop(self) -> None:
        if self.process is not None and self.process.stdin is not None and self.process.returncode is None:
            self.process.stdin.close()
            try:
                await asyncio.wait_for(self.process.wait(), 30)
            except TimeoutError:
                pass
        await super().stop()


class Relay(PythonServer):
    """This product's media plane; with `recordings`, a folder, each call is recorded to a folder in it, which stays."""

    module = "tests.support.load.relay_process"

    def __init__(self, network: Network, core: int | None, *, recordings: Path | None) -> None:
        super().__init__(network, core)
        self.name = "relay" if recordings is not None else "relay, unrecorded"
        self.arguments = (str(recordings),) if recordings is not None else ()


class Floor(PythonServer):
    """The least that could be called forwarding, in the same Python with the same libraries."""

    name = "floor"
    module = "tests.support.load.floor_process"


class Aiortc(PythonServer):
    """aiortc's own peer connections and MediaRelay: everything is decoded and encoded again."""

    name = "aiortc"
    decodes = True
    remb = BITRATE  # or it makes 1.5 Mbit/s, its most, of what it gets
    module = "tests.support.load.aiortc_process"
