"""When a socket is read: at once while little comes, in a rhythm while much does.

A wake-up, a system call and the receivers' wake-ups cost more than a packet does. With thousands of datagrams a second
a relay that reads at each of them spends half its time on that; read every few milliseconds, they come in batches. It
is what network cards do with their interrupts. The mean delay that it adds is half the rhythm (docs/decisions/0110,
0113).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

RHYTHM = (0.002, 0.004)  # seconds: the least, and the most ...
_ENOUGH = 32  # ... while fewer datagrams than these come at a time: with more, a longer pause saves little
BUSY = 1000.0  # datagrams a second from which on the rhythm pays ...
_QUIET = 500.0  # ... and below which it does not any more
_LOOK = 64  # datagrams, or turns of the rhythm, between two looks at the rate


class PacedReader:
    """Calls `drain`, which reads `source` until it is empty or `most` datagrams were read, and gives their number."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, source: socket.socket, drain: Callable[[], int], most: int
    ) -> None:
        self._loop = loop
        self._source = source
        self._drain = drain
        self._most = most
        self._seen = 0
        self._turns = 0
        self._since = loop.time()
        self._pause = RHYTHM[0]
        self._timer: asyncio.Handle | None = None
        self._closed = False
        loop.add_reader(source, self._readable)

    @property
    def is_paced(self) -> bool:
        """Whether it reads in the rhythm now."""
        return self._timer is not None

    def close(self) -> None:
        """Read nothing more. Before the socket is closed."""
        if self._closed:
            return
        self._closed = True
        if self._timer is None:
            self._loop.remove_reader(self._source)
        else:
            self._timer.cancel()

    def _readable(self) -> None:
        self._seen += self._drain()
        if self._seen >= _LOOK and not self._closed and (rate := self._rate()) > BUSY:
            self._loop.remove_reader(self._source)
            self._pause = rhythm(rate)
            self._next(self._pause)

    def _turn(self) -> None:
        count = 0
        try:
            count = self._drain()
        finally:  # whatever a datagram led to, the next ones are read
            self._go_on(count)

    def _go_on(self, count: int) -> None:
        if self._closed:
            return
        self._seen += count
        self._turns += 1
        if self._turns >= _LOOK:
            rate = self._rate()
            if rate < _QUIET:
                self._timer = None
                self._loop.add_reader(self._source, self._readable)
                return
            self._pause = rhythm(rate)
        self._next(self._pause if count < self._most else 0)

    def _next(self, delay: float) -> None:
        self._timer = self._loop.call_later(delay, self._turn) if delay else self._loop.call_soon(self._turn)

    def _rate(self) -> float:
        """Datagrams a second since the last look."""
        now = self._loop.time()
        rate = self._seen / max(now - self._since, 1e-6)
        self._seen = self._turns = 0
        self._since = now
        return rate


def rhythm(rate: float) -> float:
    """Seconds between two readings of a socket to which so many datagrams come in a second (more than none)."""
    return min(max(_ENOUGH / rate, RHYTHM[0]), RHYTHM[1])
