"""When a socket is read: at once while little comes, in a rhythm while much does.

A wake-up, a system call and the receivers' wake-ups cost more than a packet does. With thousands of datagrams a second
a relay that reads at each of them spends half its time on that; read every few milliseconds, they come in batches. It
is what network cards do with their interrupts. The mean delay that it adds is half the rhythm (docs/decisions/0110,
0113, 0116). What has to be done again and again besides is done in the same rhythm: see `Beat`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

RHYTHM = (0.003, 0.006)  # seconds: the least, and the most ...
_ENOUGH = 64  # ... while fewer datagrams than these come at a time: with more, a longer pause saves little
BUSY = 1000.0  # datagrams a second from which on the rhythm pays ...
_QUIET = 500.0  # ... and below which it does not any more
LOOK = 64  # datagrams, or turns of the rhythm, between two looks at the rate


class Beat:
    """Calls `run` every `interval` seconds: with the turns of a busy socket's reader if there is one, else by a timer.

    A process that is awake does a thing for a fraction of what it costs to wake up for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, run: Callable[[], None]) -> None:
        self.interval = interval
        self.run = run
        self._loop = loop
        self._carrier: object | None = None
        self._timer: asyncio.TimerHandle | None = loop.call_later(interval, self._by_timer)

    def close(self) -> None:
        """Call it no more by the timer, whoever puts it down."""
        self._carrier = self
        self._stop_timer()

    def take(self, carrier: object) -> bool:
        """Whether `carrier` is to call `run` from now on."""
        if self._carrier is not None:
            return False
        self._carrier = carrier
        self._stop_timer()
        return True

    def put_down(self, carrier: object) -> None:
        """`carrier`, if it was the one, calls it no more."""
        if self._carrier is carrier:
            self._carrier = None
            self._timer = self._loop.call_later(self.interval, self._by_timer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _by_timer(self) -> None:
        self._timer = self._loop.call_later(self.interval, self._by_timer)
        self.run()


class PacedReader:
    """Calls `drain`, which reads `source` until it is empty or `most` datagrams were read, and gives their number.

    `beat` is called with the rhythm. `metronome` makes a _native.Metronome, which does the rhythm's turns by itself.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: socket.socket,
        drain: Callable[[], int],
        most: int,
        *,
        beat: Beat | None = None,
        metronome: Callable[[Callable[[int, int, int], None]], Any] | None = None,
    ) -> None:
        self._loop = loop
        self._source = source
        self._drain = drain
        self._most = most
        self._beat = beat
        self._carries = False
        self._due = 0.0
        self._seen = 0
        self._turns = 0
        self._since = loop.time()
        self._pause = 0.0  # seconds between two turns; 0: not in the rhythm
        self._timer: asyncio.Handle | None = None
        self._metronome = metronome(self._heed) if metronome is not None else None
        self._closed = False
        loop.add_reader(source, self._readable)

    @property
    def is_paced(self) -> bool:
        """Whether it reads in the rhythm now."""
        return self._pause > 0

    def close(self) -> None:
        """Read nothing more. Before the socket is closed."""
        if self._closed:
            return
        self._closed = True
        if self.is_paced:
            self._leave()
        else:
            self._loop.remove_reader(self._source)
        if self._metronome is not None:
            self._metronome.close()

    def _readable(self) -> None:
        self._seen += self._drain()
        if self._seen >= LOOK and not self._closed and (rate := self._rate(self._seen)) > BUSY:
            self._loop.remove_reader(self._source)
            self._enter(rhythm(rate))

    # The rhythm

    def _enter(self, pause: float) -> None:
        self._pause = pause
        self._carries = self._beat is not None and self._beat.take(self)
        if self._metronome is None:
            self._due = self._loop.time() + (self._beat.interval if self._beat is not None else 0.0)
            self._next(pause)
            return
        if self._beat is not None and self._carries:
            self._metronome.carry(self._beat.run, self._beat.interval)
        self._metronome.pace(pause)
        self._loop.add_reader(self._metronome.fileno(), self._metronome.turn)

    def _leave(self) -> None:
        self._pause = 0.0
        if self._metronome is not None:
            self._loop.remove_reader(self._metronome.fileno())
            self._metronome.pace(0)
            self._metronome.carry(None, 0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._beat is not None and self._carries:
            self._beat.put_down(self)
            self._carries = False

    def _heed(self, count: int, seen: int, turns: int) -> None:
        """`count` datagrams were read in this turn, `seen` in `turns` since the last look."""
        if self._closed or not self.is_paced:
            return
        if turns >= LOOK:
            rate = self._rate(seen)
            if rate < _QUIET:
                self._leave()
                self._loop.add_reader(self._source, self._readable)
                return
            self._pause = rhythm(rate)
            if self._metronome is not None:
                self._metronome.pace(self._pause)
        if self._metronome is None:
            self._next(self._pause if count < self._most else 0)
        elif count >= self._most:
            self._loop.call_soon(self._metronome.turn)

    def _turn(self) -> None:
        """What a metronome does, in Python."""
        count = 0
        try:
            count = self._drain()
            if self._carries and self._beat is not None and self._loop.time() >= self._due:
                self._due = self._loop.time() + self._beat.interval
                self._beat.run()
        finally:  # whatever a datagram led to, the next ones are read
            self._seen += count
            self._turns += 1
            self._heed(count, self._seen, self._turns)

    def _next(self, delay: float) -> None:
        self._timer = self._loop.call_later(delay, self._turn) if delay else self._loop.call_soon(self._turn)

    def _rate(self, seen: int) -> float:
        """Datagrams a second since the last look."""
        now = self._loop.time()
        rate = seen / max(now - self._since, 1e-6)
        self._seen = self._turns = 0
        self._since = now
        return rate


def rhythm(rate: float) -> float:
    """Seconds between two readings of a socket to which so many datagrams come in a second (more than none)."""
    return min(max(_ENOUGH / rate, RHYTHM[0]), RHYTHM[1])
