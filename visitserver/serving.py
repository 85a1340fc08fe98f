"""What every role does with signals: the first asks it to end, the second not to wait."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from signaling.cancelling import cancelled


def stop_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Events that are set by the first and the second SIGTERM or SIGINT.

    The signals stay with the loop until it closes: one that comes while things are taken down must not leave half of
    them behind.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    return stop, hurry


async def wait_or_hurry(work: Coroutine[Any, Any, Any], hurry: asyncio.Event) -> None:
    """Wait for `work`, or until somebody is in a hurry; then it is cancelled."""
    working, impatient = asyncio.create_task(work), asyncio.create_task(hurry.wait())
    await asyncio.wait({working, impatient}, return_when=asyncio.FIRST_COMPLETED)
    await cancelled((working, impatient))
