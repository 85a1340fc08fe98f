"""The in-process bus: order, limits, and telling who lost what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from signaling.bus import InProcessBus
from signaling.errors import (
    BusTimeout,
    LobbyClosed,
    PrivilegedCallError,
    SignalingError,
    TicketError,
    Unavailable,
    WrongState,
)


async def test_every_subscriber_gets_every_message_in_order() -> None:
    bus = InProcessBus()
    first, second = await bus.subscribe("t"), await bus.subscribe("t")
    other = await bus.subscribe("other")
    for number in range(5):
        await bus.publish("t", {"n": number})
    for subscription in (first, second):
        assert [(await anext(subscription)).payload["n"] for _ in range(5)] == [0, 1, 2, 3, 4]
    waiting = asyncio.ensure_future(anext(other))
    await asyncio.sleep(0)
    assert not waiting.done()
    await bus.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many() -> None:
    bus = InProcessBus()
    slow = await bus.subscribe("t", limit=3)
    for number in range(10):
        await bus.publish("t", {"n": number})
    first = await anext(slow)
    assert (first.payload["n"], first.lost) == (7, 7)
    second = await anext(slow)
    assert (second.payload["n"], second.lost) == (8, 0)


async def test_what_is_not_json_is_refused_at_once() -> None:
    bus = InProcessBus()
    await bus.subscribe("t")
    for payload in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises((TypeError, ValueError)):
            await bus.publish("t", payload)


async def test_messages_are_copies() -> None:
    bus = InProcessBus()
    subscription = await bus.subscribe("t")
    payload: dict[str, Any] = {"list": [1]}
    await bus.publish("t", payload)
    payload["list"].append(2)
    assert (await anext(subscription)).payload == {"list": [1]}


async def test_a_closed_subscription_gets_nothing() -> None:
    bus = InProcessBus()
    async with await bus.subscribe("t") as subscription:
        await bus.publish("t", {})
        await anext(subscription)
    await bus.publish("t", {})
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)


async def test_a_request_is_answered() -> None:
    bus = InProcessBus()

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
    raised: SignalingError, seen: type[SignalingError], code: str
) -> None:
    bus = InProcessBus()

    async def refuse(payload: dict[str, Any]) -> dict[str, Any]:
        raise raised

    await bus.serve("t", refuse)
    with pytest.raises(seen) as refused:
        await bus.request("t", {}, timeout=60)
    assert (refused.value.code, refused.value.status, refused.value.detail) == (code, raised.status, raised.detail)


async def test_a_bug_in_a_handler_tells_the_asker_nothing_about_the_inside() -> None:
    bus = InProcessBus()

    async def broken(payload: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("secret path /etc/x")

    await bus.serve("t", broken)
    with pytest.raises(SignalingError) as refused:
        await bus.request("t", {}, timeout=60)
    assert "secret" not in str(refused.value.to_payload())


async def test_a_request_has_a_limit_and_its_handler_finishes_anyway() -> None:
    bus = InProcessBus()
    may_answer, answered = asyncio.Event(), asyncio.Event()

    async def slow(payload: dict[str, Any]) -> dict[str, Any]:
        await may_answer.wait()
        answered.set()
        return {}

    await bus.serve("t", slow)
    with pytest.raises(BusTimeout):
        await bus.request("t", {}, timeout=0.01)
    may_answer.set()
    await asyncio.wait_for(answered.wait(), 60)
