"""The directory's contract, on each adapter: least loaded, sticky, only living nodes, and who has lost a call."""

from __future__ import annotations

import asyncio

import pytest

from signaling.directory import Directory, NodeInfo
from signaling.errors import Unavailable
from signaling.ids import new_call_id
from signaling.redis_connection import connect
from signaling.redis_directory import RedisDirectory
from tests.fixtures.cluster import DirectoryStage
from tests.fixtures.redis import RedisServer


def node(name: str, capacity: int = 10) -> NodeInfo:
    return NodeInfo(name, f"https://{name}.example", capacity)


@pytest.fixture
def directory(directory_stage: DirectoryStage) -> Directory:
    return directory_stage.directory


async def test_calls_go_to_the_least_loaded_node_and_stay_there(directory: Directory) -> None:
    await directory.register(node("a"), 3)
    await directory.register(node("b"), 1)
    first, second, third = (new_call_id(privileged=False) for _ in range(3))
    assert (await directory.place(first)).node_id == "b"
    assert (await directory.place(second)).node_id == "b"
    assert (await directory.place(third)).node_id == "a"  # b has 1 reported and 2 placed since
    assert (await directory.place(first)).node_id == "b"
    found = await directory.find(second)
    assert found is not None and found.url == "https://b.example"


async def test_load_is_weighed_by_capacity(directory: Directory) -> None:
    await directory.register(node("small", 4), 2)
    await directory.register(node("large", 40), 10)
    assert (await directory.place(new_call_id(privileged=False))).node_id == "large"


async def test_placements_at_the_same_time_are_spread_and_one_call_has_one_place(directory: Directory) -> None:
    for name in "abcd":
        await directory.register(node(name, 5), 0)
    calls = [new_call_id(privileged=False) for _ in range(20)]
    placed = await asyncio.gather(*(directory.place(call) for call in calls for _ in range(3)))
    by_call = {call: {(one.node_id, one.token) for one in placed[3 * at : 3 * at + 3]} for at, call in enumerate(calls)}
    assert all(len(places) == 1 for places in by_call.values())
    hosts = [next(iter(places))[0] for places in by_call.values()]
    assert {name: hosts.count(name) for name in "abcd"} == {"a": 5, "b": 5, "c": 5, "d": 5}
    with pytest.raises(Unavailable):
        await directory.place(new_call_id(privileged=False))


async def test_full_and_draining_nodes_take_nothing_but_keep_what_they_have(directory: Directory) -> None:
    await directory.register(node("a", 1), 0)
    call = new_call_id(privileged=True)
    await directory.place(call)
    with pytest.raises(Unavailable):
        await directory.place(new_call_id(privileged=False))
    await directory.register(node("a", 1), 1, accepting=False)
    assert (await directory.place(call)).node_id == "a"


async def test_a_silent_node_is_dead_and_its_calls_move_under_a_larger_token(directory_stage: DirectoryStage) -> None:
    directory = directory_stage.directory
    await directory.register(node("a"), 0)
    call = new_call_id(privileged=False)
    first = await directory.place(call)
    await directory.register(node("b"), 5)
    assert (await directory.place(call)) == first
    await directory_stage.lapse("a")
    assert await directory.find(call) is None
    assert [living.node_id for living in await directory.nodes()] == ["b"]
    second = await directory.place(call)
    assert second.node_id == "b" and second.token > first.token


async def test_a_node_that_comes_back_keeps_what_nobody_took_and_hears_what_it_lost(
    directory_stage: DirectoryStage,
) -> None:
    directory = directory_stage.directory
    await directory.register(node("a"), 0)
    kept, moved, over = (new_call_id(privileged=False) for _ in range(3))
    hosting = {call: (await directory.place(call)).token for call in (kept, moved, over)}
    assert await directory.register(node("a"), 3, hosting=hosting) == frozenset()
    await directory_stage.lapse("a")
    await directory.register(node("b"), 0)
    await directory.place(moved)
    await directory.release(over, (await directory.place(over)).token)
    assert await directory.register(node("a"), 3, hosting=hosting) == {moved, over}
    hosts = [await directory.find(call) for call in (kept, moved, over)]
    assert [host and host.node_id for host in hosts] == ["a", "b", None]


async def test_a_call_that_came_back_to_its_first_node_is_not_the_copy_that_this_still_has(
    directory_stage: DirectoryStage,
) -> None:
    directory = directory_stage.directory
    await directory.register(node("a"), 0)
    call = new_call_id(privileged=False)
    first = await directory.place(call)
    await directory_stage.lapse("a")
    await directory.register(node("b"), 0)
    await directory.place(call)
    await directory_stage.lapse("b")
    await directory.register(node("a"), 1)
    again = await directory.place(call)
    assert again.node_id == "a" and again.token > first.token
    assert await directory.register(node("a"), 1, hosting={call: first.token}) == {call}
    assert await directory.register(node("a"), 1, hosting={call: again.token}) == frozenset()


async def test_only_the_holder_releases_a_call(directory_stage: DirectoryStage) -> None:
    directory = directory_stage.directory
    await directory.register(node("a"), 0)
    call = new_call_id(privileged=False)
    first = await directory.place(call)
    await directory_stage.lapse("a")
    await directory.register(node("b"), 0)
    second = await directory.place(call)
    await directory.release(call, first.token)
    assert await directory.find(call) == second
    await directory.release(call, second.token)
    assert await directory.find(call) is None


async def test_unregistered_nodes_are_forgotten(directory: Directory) -> None:
    await directory.register(node("a"), 0)
    call = new_call_id(privileged=False)
    await directory.place(call)
    await directory.unregister("a")
    assert await directory.find(call) is None
    with pytest.raises(Unavailable):
        await directory.place(call)


async def test_a_call_that_the_directory_does_not_know_is_its_hosts(directory: Directory) -> None:
    call = new_call_id(privileged=False)
    assert await directory.register(node("a"), 1, hosting={call: 7}) == frozenset()
    found = await directory.find(call)
    assert found is not None and (found.node_id, found.token) == ("a", 7)


async def test_a_redis_that_was_away_gives_no_call_to_another_node_before_everybody_told_of_himself(
    redis_url: str, redis_server: RedisServer
) -> None:
    """The data is lost here, which is the worst of it: the calls' places, the nodes, the tokens."""
    redis = connect(redis_url)
    directory = RedisDirectory(redis, lease=3.0)
    call = new_call_id(privileged=False)

    async def placed() -> int:
        async with asyncio.timeout(60):
            while True:
                try:
                    return (await directory.place(call)).token
                except Unavailable:
                    await asyncio.sleep(0.05)
                    await directory.register(node("a"), 0)

    token = await placed()
    with redis_server.client() as client:
        client.flushall()
    # The first who speaks is another node, and everybody asks for the call at once.
    await directory.register(node("b"), 0)
    with pytest.raises(Unavailable):
        await directory.place(call)
    assert await directory.register(node("a"), 1, hosting={call: token}) == frozenset()
    found = await directory.place(call)
    assert (found.node_id, found.token) == ("a", token)
    # And a token that is made now is larger than any from before the loss.
    other = new_call_id(privileged=False)
    async with asyncio.timeout(60):
        while True:
            try:
                assert (await directory.place(other)).token > token
                break
            except Unavailable:
                await asyncio.sleep(0.05)
                await directory.register(node("b"), 0)
    await redis.aclose()


async def test_a_redis_that_stands_still_is_unavailable_and_no_more(redis_url: str, redis_server: RedisServer) -> None:
    import signal

    redis = connect(redis_url, seconds=0.2)
    directory = RedisDirectory(redis)
    await directory.register(node("a"), 0)
    redis_server.send(signal.SIGSTOP)
    try:
        for step in (
            directory.register(node("a"), 0),
            directory.place(new_call_id(privileged=False)),
            directory.find(new_call_id(privileged=False)),
            directory.nodes(),
            directory.unregister("a"),
        ):
            with pytest.raises(Unavailable):
                await step
    finally:
        redis_server.send(signal.SIGCONT)
    async with asyncio.timeout(60):
        while True:
            try:
                await directory.register(node("a"), 0)
                break
            except Unavailable:
                await asyncio.sleep(0.05)
    assert [living.node_id for living in await directory.nodes()] == ["a"]
    await redis.aclose()
