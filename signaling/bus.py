"""Messages between processes: topics that many may follow, and requests that one answers.

Payloads are JSON objects and are carried as text even inside one process: what works here works over Redis. Nobody
waits for a slow subscriber: it loses its oldest messages and is told how many. Over Redis a message may come twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from signaling.errors import BusTimeout, Unavailable
from signaling.served import Handler, Payload, Served, result_of

__all__ = ["Bus", "BusMessage", "Handler", "InProcessBus", "Payload", "Service", "Subscription"]


@dataclass(frozen=True, slots=True)
class BusMessage:
    """One message. `lost` messages before it were dropped because their subscriber was too slow."""

    topic: str
    payload: Payload
    lost: int = 0


class Subscription(Protocol):
    """An endless iterator of messages; it ends when it or the bus is closed."""

    def __aiter__(self) -> Subscription: ...

    async def __anext__(self) -> BusMessage: ...

    async def aclose(self) -> None:
        """Stop following. Messages not yet taken are dropped."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Service(Protocol):
    """A handler that is being served."""

    async def aclose(self) -> None:
        """Serve no more. Requests under way are finished."""
        ...


class Bus(Protocol):
    """The port. Adapters: `InProcessBus` here, `RedisBus` (redis_bus.py).

    The Redis adapter raises Unavailable where Redis does not answer; its subscriptions come back by themselves.
    """

    async def publish(self, topic: str, payload: Payload) -> None:
        """Give `payload` to everybody who follows `topic` now. ValueError if it is not JSON."""
        ...

    async def subscribe(self, topic: str, *, limit: int = 1024) -> Subscription:
        """Follow `topic` from now on, with at most `limit` messages waiting."""
        ...

    async def request(self, topic: str, payload: Payload, *, timeout: float) -> Payload:
        """The answer of whoever serves `topic`, within `timeout` seconds.

        Unavailable when nobody serves it, BusTimeout when no answer came, and the SignalingError the handler raised.
        """
        ...

    async def serve(self, topic: str, handler: Handler) -> Service:
        """Answer requests on `topic`, each in a task of its own. ValueError if the topic is taken."""
        ...


class InProcessBus:
    """The bus inside one process."""

    def __init__(self) -> None:
        self._followers: dict[str, set[_Queue]] = defaultdict(set)
        self._handlers: dict[str, Served] = {}

    async def publish(self, topic: str, payload: Payload) -> None:
        """See `Bus.publish`. Returns as soon as the message is in every follower's queue."""
        text = json.dumps(payload, allow_nan=False)
        for queue in tuple(self._followers.get(topic, ())):
            queue.put(text)

    async def subscribe(self, topic: str, *, limit: int = 1024) -> Subscription:
        """See `Bus.subscribe`."""
        if limit < 1:
            raise ValueError("a subscription holds at least one message")
        queue = _Queue(topic, limit, self._forget)
        self._followers[topic].add(queue)
        return queue

    async def request(self, topic: str, payload: Payload, *, timeout: float) -> Payload:
        """See `Bus.request`. The handler goes on after a timeout: whether it finishes is not known to the asker."""
        served = self._handlers.get(topic)
        if served is None:
            raise Unavailable("nobody answers on this topic")
        task = served.start(json.dumps(payload, allow_nan=False))
        done, _ = await asyncio.wait({task}, timeout=timeout)
        if not done:
            raise BusTimeout("no answer in time")
        return result_of(task.result())

    async def serve(self, topic: str, handler: Handler) -> Service:
        """See `Bus.serve`."""
        if topic in self._handlers:
            raise ValueError(f"{topic} is already served")
        served = Served(handler, lambda: self._handlers.pop(topic, None))
        self._handlers[topic] = served
        return served

    async def aclose(self) -> None:
        """End every subscription and service."""
        for queues in tuple(self._followers.values()):
            for queue in tuple(queues):
                await queue.aclose()
        for served in tuple(self._handlers.values()):
            await served.aclose()

    def _forget(self, queue: _Queue) -> None:
        self._followers[queue.topic].discard(queue)
        if not self._followers[queue.topic]:
            del self._followers[queue.topic]


class _Queue:
    def __init__(self, topic: str, limit: int, forget: Callable[[_Queue], None]) -> None:
        self.topic = topic
        self._waiting: deque[str] = deque()
        self._limit = limit
        self._lost = 0
        self._ready = asyncio.Event()
        self._closed = False
        self._forget = forget

    def put(self, text: str) -> None:
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(text)
        self._ready.set()

    def __aiter__(self) -> _Queue:
        return self

    async def __anext__(self) -> BusMessage:
        while not self._waiting and not self._closed:
            self._ready.clear()
            await self._ready.wait()
        if self._closed:
            raise StopAsyncIteration
        lost, self._lost = self._lost, 0
        return BusMessage(self.topic, json.loads(self._waiting.popleft()), lost)

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._ready.set()
            self._forget(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
