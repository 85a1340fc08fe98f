"""The bus over Redis.

A topic is a stream of limited length, each entry with its number: who was away for a while reads on where it stopped,
and knows how many entries it was too late for. Requests go by publish/subscribe, so that nobody carries out an order of
ten minutes ago: an order that is not taken up within its asker's limit, by Redis's clock, is none any more.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, cast

import structlog
from redis.asyncio import Redis

from signaling.bus import BusMessage, Service, Subscription
from signaling.errors import BusTimeout, Unavailable
from signaling.ids import new_id
from signaling.redis_connection import REDIS_ERRORS, connect, redis_errors
from signaling.redis_inbox import Inbox
from signaling.served import FINISH_SECONDS, Handler, Payload, Served, finished, result_of

log = structlog.get_logger(__name__)

KEPT = 20_000  # entries of a topic, about: some hours of sixty calls' events
BLOCK_SECONDS = 5.0
AGAIN_SECONDS = 0.3  # between two tries while Redis is away

# An entry: `n` its number, `e` the age of the numbering (Redis may lose its data and begin again), `p` the payload.
_PUBLISH = """
local n = redis.call('INCR', KEYS[2])
local time = redis.call('TIME')
if n == 1 then redis.call('SET', KEYS[3], time[1] .. '.' .. time[2]) end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'n', n, 'e', redis.call('GET', KEYS[3]) or '', 'p', ARGV[1])
"""

# -1: too late already; otherwise how many listen. Whoever deletes the key first carries the request out.
_REQUEST = """
local time = redis.call('TIME')
local left = tonumber(ARGV[3]) - (time[1] * 1000 + math.floor(time[2] / 1000))
if left <= 0 then return -1 end
redis.call('SET', KEYS[1], '1', 'PX', left)
return redis.call('PUBLISH', ARGV[1], ARGV[2])
"""


_Entries = list[tuple[str, dict[str, str]]]


class RedisBus:
    """The bus between processes. `url` is Redis's; `keep` how many entries of a topic stay for who was away."""

    def __init__(self, url: str, *, keep: int = KEPT, prefix: str = "visit:{bus}:") -> None:
        self._url = url
        self._keep = keep
        self._prefix = prefix
        self._redis = connect(url)
        self._publish = self._redis.register_script(_PUBLISH)
        self._request = self._redis.register_script(_REQUEST)
        self._stack = AsyncExitStack()
        self._subscriptions: set[_StreamSubscription] = set()
        self._services: dict[str, _Service] = {}
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._replies: Inbox | None = None
        self._reply_channel = f"{prefix}reply:{new_id('bus')}"

    async def publish(self, topic: str, payload: Payload) -> None:
        """See `Bus.publish`. Unavailable when Redis does not answer: then it may be published or not."""
        text = json.dumps(payload, allow_nan=False)
        keys = [self._key(kind, topic) for kind in ("stream", "number", "age")]
        with redis_errors("the bus"):
            await self._publish(keys=keys, args=[text, str(self._keep)])

    async def subscribe(self, topic: str, *, limit: int = 1024) -> Subscription:
        """See `Bus.subscribe`."""
        if limit < 1:
            raise ValueError("a subscription holds at least one message")
        subscription = _StreamSubscription(
            topic, self._key("stream", topic), limit, connect(self._url, seconds=2 * BLOCK_SECONDS), self._subscriptions
        )
        with redis_errors("the bus"):
            await subscription.begin()
        self._subscriptions.add(subscription)
        return subscription

    async def request(self, topic: str, payload: Payload, *, timeout: float) -> Payload:
        """See `Bus.request`."""
        request_id = new_id("req")
        body = {"id": request_id, "reply": self._reply_channel, "payload": payload}
        text = json.dumps(body, allow_nan=False)
        answer = self._waiting[request_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._reply_inbox().subscribed.wait()
                with redis_errors("the bus"):
                    await self._send(topic, request_id, text, timeout)
                return result_of(await answer)
        except TimeoutError:
            raise BusTimeout("no answer in time") from None
        finally:
            del self._waiting[request_id]

    async def _send(self, topic: str, request_id: str, text: str, timeout: float) -> None:
        # Asked first: the limit is by Redis's clock, and a Redis that stands still never gets the request at all.
        seconds, microseconds = await self._redis.time()
        deadline = seconds * 1000 + microseconds // 1000 + int(timeout * 1000)
        keys = [self._key("request", request_id)]
        listeners = await self._request(keys=keys, args=[self._key("serve", topic), text, str(deadline)])
        if listeners == 0:
            raise Unavailable("nobody answers on this topic")

    async def serve(self, topic: str, handler: Handler) -> Service:
        """See `Bus.serve`. Unavailable when Redis does not answer."""
        if topic in self._services:
            raise ValueError(f"{topic} is already served")
        service = _Service(self._redis, self._prefix, handler, lambda: self._services.pop(topic, None))
        self._services[topic] = service
        service.inbox = Inbox(self._redis, self._key("serve", topic), service.take)
        try:
            async with asyncio.timeout(BLOCK_SECONDS):
                await service.inbox.subscribed.wait()
        except TimeoutError:
            await service.aclose()
            raise Unavailable("the bus does not answer") from None
        return service

    async def ping(self) -> None:
        """Unavailable when Redis does not answer."""
        with redis_errors("the bus"):
            await cast("Any", self._redis.ping())

    async def aclose(self) -> None:
        """End every subscription and service, and the connections."""
        for subscription in tuple(self._subscriptions):
            await subscription.aclose()
        for service in tuple(self._services.values()):
            await service.aclose()
        if self._replies is not None:
            await self._replies.aclose()
        await self._redis.aclose()

    def _reply_inbox(self) -> Inbox:
        if self._replies is None:
            self._replies = Inbox(self._redis, self._reply_channel, self._take_reply)
        return self._replies

    def _take_reply(self, text: str) -> None:
        reply = json.loads(text)
        answer = self._waiting.get(reply["id"])
        if answer is not None and not answer.done():
            answer.set_result(reply["text"])

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}:{name}"


class _Service:
    def __init__(self, redis: Redis, prefix: str, handler: Handler, forget: Any) -> None:
        self._redis = redis
        self._prefix = prefix
        self._served = Served(handler, forget)
        self._tasks: set[asyncio.Task[None]] = set()
        self.inbox: Inbox

    def take(self, text: str) -> None:
        task = asyncio.create_task(self._carry_out(json.loads(text)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, request: dict[str, Any]) -> None:
        try:
            if not await self._redis.delete(f"{self._prefix}request:{request['id']}"):
                log.info("request came too late", request_id=request["id"])
                return
            text = await self._served.start(json.dumps(request["payload"]))
            await self._redis.publish(request["reply"], json.dumps({"id": request["id"], "text": text}))
        except REDIS_ERRORS as error:
            log.warning("request not answered", request_id=request["id"], error=type(error).__name__)

    async def aclose(self) -> None:
        await self.inbox.aclose()
        await finished(self._tasks, FINISH_SECONDS)
        await self._served.aclose()


class _StreamSubscription:
    """Reads a stream when it is asked for more: what waits, waits in Redis, and at most `limit` of it are taken."""

    def __init__(self, topic: str, key: str, limit: int, redis: Redis, open: set[_StreamSubscription]) -> None:
        self.topic = topic
        self._key = key
        self._limit = limit
        self._redis = redis
        self._open = open
        self._batch: deque[tuple[int, str, str]] = deque()
        self._last = "0-0"
        self._number, self._age = 0, ""
        self._closing = asyncio.Event()

    async def begin(self) -> None:
        newest = cast("_Entries", await self._redis.xrevrange(self._key, count=1))
        if newest:
            self._last, fields = newest[0]
            self._number, self._age = int(fields["n"]), fields["e"]

    def __aiter__(self) -> _StreamSubscription:
        return self

    async def __anext__(self) -> BusMessage:
        closing = asyncio.create_task(self._closing.wait())
        try:
            while not self._batch and not self._closing.is_set():
                fetching = asyncio.create_task(self._fetch())
                try:
                    await asyncio.wait({fetching, closing}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    fetching.cancel()
                    await asyncio.gather(fetching, return_exceptions=True)
        finally:
            closing.cancel()
        if self._closing.is_set():
            raise StopAsyncIteration
        number, age, text = self._batch.popleft()
        # Another age: Redis has lost its data; how much of the old numbering was missed nobody knows, so at least one.
        lost = number - self._number - 1 if age == self._age else number - (0 if self._age else 1)
        self._number, self._age = number, age
        return BusMessage(self.topic, json.loads(text), lost)

    async def _fetch(self) -> None:
        try:
            newest = await self._redis.xrevrange(self._key, min=f"({self._last}", count=self._limit)
            entries = cast("_Entries", newest)
            if not entries:
                block = int(BLOCK_SECONDS * 1000)
                await self._redis.xread({self._key: self._last}, count=1, block=block)
                return
        except REDIS_ERRORS as error:
            log.warning("bus not reached", topic=self.topic, error=type(error).__name__)
            await asyncio.sleep(AGAIN_SECONDS)
            return
        self._last = entries[0][0]
        self._batch.extend((int(fields["n"]), fields["e"], fields["p"]) for _, fields in reversed(entries))

    async def aclose(self) -> None:
        if not self._closing.is_set():
            self._closing.set()
            self._open.discard(self)
            await self._redis.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
