"""The bus's contract, on each adapter: order, limits, and telling who lost what; then what is Redis's own."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from signaling.bus import Bus
from signaling.errors import (
    BusTimeout,
    LobbyClosed,
    PrivilegedCallError,
    SignalingError,
    TicketError,
    Unavailable,
    WrongState,
)
from signaling.redis_bus import RedisBus
from tests.fixtures.redis import RedisServer
from tests.fixtures.waiting import eventually


async def test_every_subscriber_gets_every_message_in_order(bus: Bus) -> None:
    first, second = await bus.subscribe("t"), await bus.subscribe("t")
    other = await bus.subscribe("other")
    for number in range(5):
        await bus.publish("t", {"n": number})
    for subscription in (first, second):
        assert [(await anext(subscription)).payload["n"] for _ in range(5)] == [0, 1, 2, 3, 4]
    waiting = asyncio.ensure_future(anext(other))
    await asyncio.sleep(0)
    assert not waiting.done()
    await bus.aclose()  # type: ignore[attr-defined]
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many(bus: Bus) -> None:
    slow = await bus.subscribe("t", limit=3)
    for number in range(10):
        await bus.publish("t", {"n": number})
    first = await anext(slow)
    assert (first.payload["n"], first.lost) == (7, 7)
    second = await anext(slow)
    assert (second.payload["n"], second.lost) == (8, 0)


async def test_what_is_not_json_is_refused_at_once(bus: Bus) -> None:
    await bus.subscribe("t")
    for payload in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises((TypeError, ValueError)):
            await bus.publish("t", payload)


async def test_messages_are_copies(bus: Bus) -> None:
    subscription = await bus.subscribe("t")
    payload: dict[str, Any] = {"list": [1]}
    await bus.publish("t", payload)
    payload["list"].append(2)
    assert (await anext(subscription)).payload == {"list": [1]}


async def test_a_closed_subscription_gets_nothing(bus: Bus) -> None:
    async with await bus.subscribe("t") as subscription:
        await bus.publish("t", {})
        await anext(subscription)
    await bus.publish("t", {})
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)


async def test_a_request_is_answered(bus: Bus) -> None:

    async def double(payload: dict[str, Any]) -> dict[str, Any]:
        return {"n": payload["n"] * 2}

    service = await bus.serve("double", double)
    assert await bus.request("double", {"n": 21}, timeout=60) == {"n": 42}
    with pytest.raises(ValueError, match="served"):
        await bus.serve("double", double)
    await service.aclose()
    with pytest.raises(Unavailable):
        await bus.request("double", {"n": 1}, timeout=60)


@pytest.mark.parametrize(
    ("raised", "seen", "code"),
    [
        (WrongState("no"), WrongState, "wrong_state"),
        (LobbyClosed("no"), LobbyClosed, "lobby_closed"),
        (WrongState("no", code="new_code"), SignalingError, "new_code"),
        (TicketError("no", code="expired"), TicketError, "expired"),
        (PrivilegedCallError(), PrivilegedCallError, "privileged_call"),
    ],
)
async def test_an_error_crosses_the_bus_as_what_it_is(
    bus: Bus, raised: SignalingError, seen: type[SignalingError], code: str
) -> None:

    async def refuse(payload: dict[str, Any]) -> dict[str, Any]:
        raise raised

    await bus.serve("t", refuse)
    with pytest.raises(seen) as refused:
        await bus.request("t", {}, timeout=60)
    assert (refused.value.code, refused.value.status, refused.value.detail) == (code, raised.status, raised.detail)


async def test_a_bug_in_a_handler_tells_the_asker_nothing_about_the_inside(bus: Bus) -> None:

    async def broken(payload: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("secret path /etc/x")

    await bus.serve("t", broken)
    with pytest.raises(SignalingError) as refused:
        await bus.request("t", {}, timeout=60)
    assert "secret" not in str(refused.value.to_payload())


async def test_a_request_has_a_limit_and_its_handler_finishes_anyway(bus: Bus) -> None:
    begun, may_answer, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(payload: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        await may_answer.wait()
        answered.set()
        return {}

    await bus.serve("t", slow)
    for limit in (0.2, 1.0, 5.0, 25.0):  # on a slow machine the first of them are over before the handler has begun
        with pytest.raises(BusTimeout):
            await bus.request("t", {}, timeout=limit)
        if begun.is_set():
            break
    assert begun.is_set()
    may_answer.set()
    await asyncio.wait_for(answered.wait(), 60)


async def test_who_is_too_slow_for_what_redis_keeps_is_told_how_much_it_missed(redis_url: str) -> None:
    bus = RedisBus(redis_url, keep=100)
    subscription = await bus.subscribe("t", limit=1000)
    for number in range(500):
        await bus.publish("t", {"n": number})
    first = await anext(subscription)
    assert first.lost == first.payload["n"] > 0
    rest = [(await anext(subscription)) for _ in range(500 - first.payload["n"] - 1)]
    assert [message.payload["n"] for message in rest] == list(range(first.payload["n"] + 1, 500))
    assert {message.lost for message in rest} == {0}
    await bus.aclose()


async def test_a_bus_whose_redis_is_restarted_goes_on_and_says_that_something_may_be_missing(
    redis_url: str, redis_server: RedisServer
) -> None:
    publisher, follower = RedisBus(redis_url), RedisBus(redis_url)
    subscription = await follower.subscribe("t")

    async def answer(payload: dict[str, Any]) -> dict[str, Any]:
        return payload

    await follower.serve("echo", answer)
    await publisher.publish("t", {"n": 1})
    assert (await anext(subscription)).payload == {"n": 1}
    assert await publisher.request("echo", {"n": 2}, timeout=30) == {"n": 2}
    waiting = asyncio.ensure_future(anext(subscription))
    redis_server.stop()
    with pytest.raises(Unavailable):
        await publisher.publish("t", {"n": 3})
    with pytest.raises(Unavailable):
        await publisher.request("echo", {}, timeout=0.5)
    redis_server.start()
    await publisher.publish("t", {"n": 4})
    async with asyncio.timeout(60):
        message = await waiting
        assert message.payload == {"n": 4} and message.lost == 1
        while True:
            try:
                assert await publisher.request("echo", {"n": 5}, timeout=5) == {"n": 5}
                break
            except Unavailable:
                await asyncio.sleep(0.05)
    for one in (publisher, follower):
        await one.aclose()


async def test_a_redis_that_stood_still_delivers_what_was_published_and_no_order_of_before(
    redis_url: str, redis_server: RedisServer
) -> None:
    bus = RedisBus(redis_url)
    subscription = await bus.subscribe("t")
    done: list[int] = []

    async def order(payload: dict[str, Any]) -> dict[str, Any]:
        done.append(payload["n"])
        return {}

    await bus.serve("order", order)
    await bus.request("order", {"n": 1}, timeout=30)
    await bus.publish("t", {"n": 1})
    redis_server.send(signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            await bus.request("order", {"n": 2}, timeout=0.5)
    finally:
        redis_server.send(signal.SIGCONT)
    async with asyncio.timeout(60):
        while 3 not in done:
            try:
                await bus.request("order", {"n": 3}, timeout=30)
            except Unavailable:  # it stood still for longer than a connection bears
                await asyncio.sleep(0.05)
        await bus.publish("t", {"n": 2})
        assert [(await anext(subscription)).payload["n"] for _ in range(2)] == [1, 2]
    assert done == [1, 3]
    await bus.aclose()


async def test_an_order_that_nobody_took_up_in_time_is_none_any_more(redis_url: str, redis_server: RedisServer) -> None:
    """A node that was stopped finds the order in its socket when it goes on."""
    bus = RedisBus(redis_url)
    done: list[str] = []

    async def order(payload: dict[str, Any]) -> dict[str, Any]:
        done.append(payload["n"])
        return {}

    service = await bus.serve("order", order)
    with redis_server.client() as client:
        old = '{"id": "req_old", "reply": "nobody", "payload": {"n": "old"}}'
        assert client.publish("visit:{bus}:serve:order", old) == 1
    assert await bus.request("order", {"n": "new"}, timeout=30) == {}
    await service.aclose()
    await eventually(lambda: done == ["new"], "only the new one is carried out")
    await bus.aclose()
