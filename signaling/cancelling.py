"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN = 1.0  # seconds


async def cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel `tasks` and wait until they have ended, however they end.

    One cancellation is not enough: before Python 3.12, `asyncio.wait_for` swallows one that comes just when what it
    waits for is done, and clients of Redis use it for each command.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN)
