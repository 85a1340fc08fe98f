"""The bad network itself: it loses, delays and squeezes as it is told, and the same way each time."""

from __future__ import annotations

import asyncio
import random
import socket
from itertools import pairwise

import pytest

from tests.fixtures.waiting import eventually
from tests.support.lossy_link import Conditions, LossyLink, _Direction


def _carried(conditions: Conditions, packets: int, *, size: int = 1000, every: float = 0.01) -> list[float | None]:
    direction = _Direction(conditions, random.Random("up 1"))
    return [direction.carry(size, number * every) for number in range(packets)]


@pytest.mark.parametrize("burst", [1.0, 3.0])
def test_as_many_are_lost_as_asked_for(burst: float) -> None:
    arrivals = _carried(Conditions(loss=0.1, burst=burst), 20_000)
    assert 0.08 < arrivals.count(None) / 20_000 < 0.12
    runs = "".join("x" if at is None else " " for at in arrivals).split()
    assert abs(sum(map(len, runs)) / len(runs) - (burst if burst > 1 else 1.11)) < 0.3
    assert arrivals == _carried(Conditions(loss=0.1, burst=burst), 20_000)


def test_nothing_overtakes() -> None:
    arrivals = [at for at in _carried(Conditions(delay=0.02, jitter=0.05), 1000) if at is not None]
    assert all(earlier < later for earlier, later in pairwise(arrivals))
    assert all(at >= number * 0.01 + 0.02 for number, at in enumerate(arrivals))


def test_no_more_than_the_rate_gets_through_and_the_queue_is_bounded() -> None:
    conditions = Conditions(rate=300_000, queue=0.3)
    arrivals = _carried(conditions, 1000)  # 800 kbit/s offered for ten seconds
    kept = [at for at in arrivals if at is not None]
    assert 0.9 < len(kept) * 1028 * 8 / 300_000 / 10 < 1.1
    assert all(at - number * 0.01 < 0.3 + 0.06 for number, at in enumerate(arrivals) if at is not None)


def test_an_answer_s_candidates_become_the_link() -> None:
    link = LossyLink(("127.0.0.1", 5000), Conditions(), Conditions())
    answer = "v=0\r\nm=audio 9\r\na=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\na=candidate:2 1 tcp 1 ::1 5000 typ"
    answer += " host tcptype passive\r\na=mid:0\r\nm=video 9\r\na=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\n"

    async def redirected() -> tuple[str, int]:
        async with link:
            return link.redirect(answer), link.address[1]

    changed, port = asyncio.run(redirected())
    assert changed.count("a=candidate") == 2
    assert changed.count(f" 127.0.0.1 {port} typ host") == 2
    assert changed.index("a=candidate") < changed.index("a=mid:0")


async def test_datagrams_go_both_ways_and_each_client_is_another() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        seen = set()
        async with LossyLink(server.getsockname(), Conditions(delay=0.01), Conditions(delay=0.01)) as link:
            for name in (b"one", b"two"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.setblocking(False)
                    client.sendto(name, link.address)
                    data, address = await asyncio.wait_for(loop.sock_recvfrom(server, 2048), 30)
                    assert data == name
                    seen.add(address)
                    await loop.sock_sendto(server, b"back to " + name, address)
                    assert await asyncio.wait_for(loop.sock_recv(client, 2048), 30) == b"back to " + name
            await eventually(lambda: link.passed[1].packets == 2, "both answers counted")
        assert len(seen) == 2


async def test_many_at_once_keep_their_order() -> None:
    jittery = Conditions(delay=0.01, jitter=0.02)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        received: list[int] = []

        def readable() -> None:
            while True:
                try:
                    received.append(int(server.recv(64)))
                except BlockingIOError:
                    return

        loop = asyncio.get_running_loop()
        loop.add_reader(server, readable)
        async with LossyLink(server.getsockname(), jittery, jittery) as link:
            for number in range(200):
                client.sendto(str(number).encode(), link.address)
            await eventually(lambda: len(received) == 200, "all of them")
        loop.remove_reader(server)
    assert received == list(range(200))
