"""The other end of server.PythonServer: a process that answers JSON lines."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any


async def answer_lines(do: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
    """Answer each line of stdin with one line on stdout until stdin ends."""
    reader = asyncio.StreamReader(limit=1 << 22)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        answer = await do(json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
