"""A bad network in the test's own process: a UDP relay that loses, delays and squeezes what goes through it.

Clients are given the link's address instead of the server's (`redirect` changes an answer). Each client address gets a
socket of its own towards the server, which so sees as many clients as there are.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

Address = tuple[str, int]

_APART = 1e-6  # seconds between two packets, so that they stay in their order
_HEADERS = 28  # bytes of IPv4 and UDP, which a link's rate counts, too
_CANDIDATE = re.compile(
    r"^a=candidate:(\S+) (\d) (udp|tcp) (\d+) (\S+) (\d+) typ host.*\r\n", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """One direction. `loss` is the part of packets lost, in bursts of `burst` packets in the mean (1: each by itself).

    `delay` and `jitter` (its standard deviation) in seconds; no packet overtakes another. `rate` in bit/s (0: no
    limit), with a queue of `queue` seconds before packets are dropped.
    """

    loss: float = 0.0
    burst: float = 1.0
    delay: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    queue: float = 0.3


@dataclass
class Passed:
    """What one direction has done so far."""

    packets: int = 0
    octets: int = 0
    lost: int = 0
    overflowed: int = 0


@dataclass
class _Direction:
    conditions: Conditions
    chance: random.Random
    passed: Passed = field(default_factory=Passed)
    free_at: float = 0.0  # when the wire has sent everything that was accepted
    last_at: float = 0.0
    losing: bool = False

    def carry(self, size: int, now: float) -> float | None:
        """When a packet that is sent now arrives; None if it does not."""
        conditions = self.conditions
        if self._loses(conditions):
            self.passed.lost += 1
            return None
        at = now
        if conditions.rate:
            if self.free_at - now > conditions.queue:
                self.passed.overflowed += 1
                return None
            at = self.free_at = max(self.free_at, now) + (size + _HEADERS) * 8 / conditions.rate
        at += conditions.delay
        if conditions.jitter:
            at += abs(self.chance.gauss(0.0, conditions.jitter))
        # Timers of the same moment have no order among themselves.
        self.last_at = at = max(at, self.last_at + _APART)
        self.passed.packets += 1
        self.passed.octets += size
        return at

    def _loses(self, conditions: Conditions) -> bool:
        """Gilbert's model: a good and a bad state, everything is lost in the bad one."""
        if conditions.loss <= 0:
            return False
        if conditions.burst <= 1:
            return self.chance.random() < conditions.loss
        leave = 1 / conditions.burst
        enter = leave * conditions.loss / (1 - conditions.loss)
        self.losing = self.chance.random() >= leave if self.losing else self.chance.random() < enter
        return self.losing


class LossyLink:
    """Between clients and one server. The same `seed` and the same packets give the same losses."""

    def __init__(self, server: Address, up: Conditions, down: Conditions, seed: int = 1) -> None:
        self._server = server
        self._up = _Direction(up, random.Random(f"up {seed}"))
        self._down = _Direction(down, random.Random(f"down {seed}"))
        self._front: socket.socket | None = None
        self._back: dict[Address, socket.socket] = {}

    async def __aenter__(self) -> LossyLink:
        self._front = _socket()
        self._front.bind((self._server[0], 0))
        asyncio.get_running_loop().add_reader(self._front, self._from_client)
        return self

    async def __aexit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for each in (self._front, *self._back.values()):
            if each is not None:
                loop.remove_reader(each)
                each.close()
        self._front = None
        self._back.clear()

    @property
    def address(self) -> Address:
        """Where clients send to."""
        assert self._front is not None
        host, port = self._front.getsockname()
        return host, port

    @property
    def passed(self) -> tuple[Passed, Passed]:
        """What has gone towards the server, and towards the clients."""
        return self._up.passed, self._down.passed

    def change(self, up: Conditions, down: Conditions) -> None:
        """Another weather from now on."""
        self._up.conditions, self._down.conditions = up, down

    def redirect(self, answer: str) -> str:
        """An answer (or a fragment) whose only candidate is this link."""
        host, port = self.address
        own = f"a=candidate:1 1 udp 2130706431 {host} {port} typ host\r\n"
        # In each m-line's section there may be candidates of the server: ours takes the place of all of them.
        sections = re.split(r"(?m)^(?=m=)", answer)
        return "".join(
            _CANDIDATE.sub("", section[: found.start()]) + own + _CANDIDATE.sub("", section[found.start() :])
            if (found := _CANDIDATE.search(section))
            else section
            for section in sections
        )

    def _from_client(self) -> None:
        assert self._front is not None
        front = self._front
        for _ in range(256):
            try:
                data, client = front.recvfrom(2048)
            except OSError:
                return
            back = self._back.get(client)
            if back is None:
                back = self._back[client] = _socket()
                back.connect(self._server)
                asyncio.get_running_loop().add_reader(back, self._from_server, back, client)
            self._pass(self._up, data, lambda data, back=back: back.send(data))  # type: ignore[misc]

    def _from_server(self, back: socket.socket, client: Address) -> None:
        for _ in range(256):
            try:
                data = back.recv(2048)
            except OSError:
                return
            self._pass(self._down, data, lambda data: self._front.sendto(data, client) if self._front else 0)

    def _pass(self, direction: _Direction, data: bytes, send: Callable[[bytes], int]) -> None:
        loop = asyncio.get_running_loop()
        at = direction.carry(len(data), loop.time())
        if at is not None:
            loop.call_at(at, _try, send, data)


def _try(send: Callable[[bytes], int], data: bytes) -> None:
    try:
        send(data)
    except OSError:
        pass  # closed meanwhile, or the kernel's buffer is full: lost, as on any network


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        made.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    return made
