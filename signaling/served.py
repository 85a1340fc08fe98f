"""A handler that is being served on a bus, whichever bus it is: its answers as text, its tasks until they are done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import structlog

from signaling.cancelling import cancelled
from signaling.errors import SignalingError, error_from_payload

log = structlog.get_logger(__name__)

FINISH_SECONDS = 10.0  # for requests under way when nothing more is served

Payload = dict[str, Any]
Handler = Callable[[Payload], Awaitable[Payload]]


class Served:
    """Runs `handler` in a task of its own for each request; `forget` is called when it is served no more."""

    def __init__(self, handler: Handler, forget: Callable[[], object]) -> None:
        self._handler = handler
        self._forget = forget
        self._running: set[asyncio.Task[str]] = set()

    def start(self, text: str) -> asyncio.Task[str]:
        """Begin one request; the task gives the answer's text and never raises."""
        task = asyncio.create_task(self._answer(text))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _answer(self, text: str) -> str:
        try:
            return json.dumps({"result": await self._handler(json.loads(text))}, allow_nan=False)
        except SignalingError as error:
            return json.dumps({"error": error.to_payload()})
        except Exception:
            # The asker learns nothing about the inside; the operator finds all of it here.
            log.exception("bus handler failed")
            return json.dumps({"error": SignalingError("the request failed").to_payload()})

    async def aclose(self) -> None:
        """Serve no more. Requests under way are finished, or cut off after `FINISH_SECONDS`."""
        self._forget()
        await finished(self._running, FINISH_SECONDS)


async def finished(tasks: Collection[asyncio.Task[Any]], seconds: float) -> None:
    """Wait until `tasks` have ended, at most so long; then cancel those that have not."""
    if not tasks:
        return
    _, late = await asyncio.wait(tuple(tasks), timeout=seconds)
    if late:
        log.warning("requests cut off", number=len(late))
        await cancelled(late)


def result_of(text: str) -> Payload:
    """What the handler gave, from an answer's text; raises the SignalingError that it raised."""
    answer: Payload = json.loads(text)
    if "error" in answer:
        raise error_from_payload(answer["error"])
    result: Payload = answer["result"]
    return result
