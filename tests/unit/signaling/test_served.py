"""What is served on a bus ends in time, whatever its handler does."""

from __future__ import annotations

import asyncio

import pytest

from signaling import served
from signaling.served import Payload, Served, finished, result_of


async def test_requests_under_way_are_finished() -> None:
    go_on = asyncio.Event()

    async def handler(request: Payload) -> Payload:
        await go_on.wait()
        return {"said": request["say"]}

    gone: list[bool] = []
    one = Served(handler, lambda: gone.append(True))
    answer = one.start('{"say": 5}')
    closing = asyncio.create_task(one.aclose())
    await asyncio.sleep(0)
    assert gone and not closing.done()
    go_on.set()
    await closing
    assert result_of(answer.result()) == {"said": 5}


async def test_a_request_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "FINISH_SECONDS", 0.05)

    async def handler(request: Payload) -> Payload:
        await asyncio.Event().wait()
        return {}

    one = Served(handler, lambda: None)
    answer = one.start("{}")
    async with asyncio.timeout(30):
        await one.aclose()
    assert answer.cancelled()
    await one.aclose()
    await finished(set(), 5)
