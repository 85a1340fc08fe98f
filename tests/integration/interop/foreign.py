"""Foreign stacks as child processes (client.mjs), and what they say of themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fixtures.requirements import REPOSITORY, missing, program
from tests.fixtures.waiting import eventually
from tests.integration.interop.house import PATIENCE

CLIENT = Path(__file__).parent / "client.mjs"


class Foreigner:
    """A running client. `seen` is its newest report: {state, sent, slots: [{kind, packets, ssrcs, payloads}]}."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.seen: dict[str, Any] = {"state": "starting", "sent": 0, "slots": []}
        self._process = process
        self._complaints = bytearray()
        self._reading = [asyncio.create_task(self._read()), asyncio.create_task(self._complain())]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b"{"):
                self.seen = json.loads(line)

    async def _complain(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._complaints += line

    async def until(self, condition: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Wait for a report of which `condition` is true; AssertionError with its complaints when the client ends."""

        def there() -> bool:
            assert self._process.returncode is None, self._complaints.decode(errors="replace")
            return bool(condition(self.seen))

        try:
            await eventually(there, what, PATIENCE)
        except TimeoutError as error:
            raise AssertionError(f"{what}: {self.seen} {self._complaints.decode(errors='replace')}") from error

    async def leave(self) -> int:
        """Have it leave in its own way; its exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await asyncio.wait_for(self._process.wait(), PATIENCE)

    async def end(self) -> None:
        """Whatever state it is in."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await asyncio.gather(*self._reading, return_exceptions=True)


@asynccontextmanager
async def foreigner(
    stack: str, url: str, ticket: str, lines: Sequence[tuple[str, str]], footage: Path | None
) -> AsyncIterator[Foreigner]:
    """A client on `stack` (werift or node-datachannel) that has sent its offer to `url`."""
    node = program("node", "nodejs")
    if not (REPOSITORY / "node_modules" / stack).is_dir():
        missing(f"no {stack}: npm ci --ignore-scripts (make venv)")
    spec = {"stack": stack, "url": url, "ticket": ticket, "lines": lines, "footage": str(footage) if footage else None}
    process = await asyncio.create_subprocess_exec(
        str(node),
        str(CLIENT),
        json.dumps(spec),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    made = Foreigner(process)
    try:
        yield made
    finally:
        await made.end()
