"""The in-process directory: least loaded, sticky, and only living nodes."""

from __future__ import annotations

import pytest

from signaling.directory import InProcessDirectory, NodeInfo
from signaling.errors import Unavailable
from signaling.ids import new_call_id
from tests.fakes.clock import FakeClock


def node(name: str, capacity: int = 10) -> NodeInfo:
    return NodeInfo(name, f"https://{name}.example", capacity)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def directory(clock: FakeClock) -> InProcessDirectory:
    return InProcessDirectory(clock.monotonic, ttl=15)


async def test_calls_go_to_the_least_loaded_node_and_stay_there(directory: InProcessDirectory) -> None:
    await directory.register(node("a"), 3)
    await directory.register(node("b"), 1)
    first, second, third = (new_call_id(privileged=False) for _ in range(3))
    assert (await directory.place(first)).node_id == "b"
    assert (await directory.place(second)).node_id == "b"
    assert (await directory.place(third)).node_id == "a"  # b has 1 reported and 2 placed since
    assert (await directory.place(first)).node_id == "b"
    found = await directory.find(second)
    assert found is not None and found.url == "https://b.example"


async def test_load_is_weighed_by_capacity(directory: InProcessDirectory) -> None:
    await directory.register(node("small", 4), 2)
    await directory.register(node("large", 40), 10)
    assert (await directory.place(new_call_id(privileged=False))).node_id == "large"


async def test_full_and_draining_nodes_take_nothing_but_keep_what_they_have(directory: InProcessDirectory) -> None:
    await directory.register(node("a", 1), 0)
    call = new_call_id(privileged=True)
    await directory.place(call)
    with pytest.raises(Unavailable):
        await directory.place(new_call_id(privileged=False))
    await directory.register(node("a", 1), 1, accepting=False)
    assert (await directory.place(call)).node_id == "a"


async def test_a_silent_node_is_dead_and_its_calls_move(directory: InProcessDirectory, clock: FakeClock) -> None:
    await directory.register(node("a"), 0)
    call = new_call_id(privileged=False)
    await directory.place(call)
    clock.advance(14)
    await directory.register(node("b"), 5)
    assert (await directory.place(call)).node_id == "a"
    clock.advance(1)
    assert await directory.find(call) is None
    assert [living.node_id for living in await directory.nodes()] == ["b"]
    assert (await directory.place(call)).node_id == "b"


async def test_a_node_that_comes_back_from_the_dead_gets_back_what_nobody_else_took(
    directory: InProcessDirectory, clock: FakeClock
) -> None:
    await directory.register(node("a"), 0)
    kept, moved, lost = (new_call_id(privileged=False) for _ in range(3))
    for call in (kept, moved, lost):
        await directory.place(call)
    clock.advance(20)
    await directory.register(node("b"), 0)
    await directory.place(moved)
    await directory.register(node("a"), 2, hosting=[kept, moved])
    hosts = [await directory.find(call) for call in (kept, moved, lost)]
    assert [host and host.node_id for host in hosts] == ["a", "b", None]


async def test_released_calls_and_unregistered_nodes_are_forgotten(directory: InProcessDirectory) -> None:
    await directory.register(node("a"), 0)
    call = new_call_id(privileged=False)
    await directory.place(call)
    await directory.release(call)
    assert await directory.find(call) is None
    await directory.place(call)
    await directory.unregister("a")
    assert await directory.find(call) is None
    with pytest.raises(Unavailable):
        await directory.place(call)
