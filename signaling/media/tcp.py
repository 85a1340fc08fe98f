"""Media over TCP: passive candidates (RFC 6544), each datagram in a frame (RFC 4571).

For those whose network drops UDP. The same rules hold as over UDP: a connection is nobody's until an authenticated
connectivity check has come over it, and until then it may have little time, few bytes, and no state but its own.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import structlog

from signaling.media.demux import LARGEST, Demultiplexer
from signaling.media.framing import Deframer, FrameTooLong, framed
from signaling.media.limit import source_of
from signaling.media.path import Address
from signaling.media.rtcp import is_rtcp

log = structlog.get_logger(__name__)

_BACKLOG = 256
_ACCEPTS = 32  # connections per wake-up
_PAUSE = 1.0  # seconds without accepting, when the process has no descriptor left
_READ = 16384  # bytes per wake-up and connection
_SEND_BUFFER = 128 << 10  # bytes in the kernel: what is older than that is worth nothing any more
_MOST_PENDING = 16384  # bytes of RTCP and DTLS that wait for a slow reader


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """What connections may take. Strangers are connections over which no authenticated check has come yet."""

    connections: int = 4096
    strangers: int = 512
    strangers_per_source: int = 64
    """An IPv4 address or an IPv6 /64: a prison's terminals have one, and start their calls at the same minute."""
    patience: float = 10.0
    """Seconds until a stranger must have sent a good check."""
    stranger_bytes: int = 4096
    """Bytes a stranger may send until then."""


class TcpEndpoint:
    """A listening socket and its connections. Their datagrams go to `demux`."""

    def __init__(self, demux: Demultiplexer, limits: TcpLimits | None = None) -> None:
        self.limits = limits or TcpLimits()
        self._demux = demux
        self._numbers = itertools.count(1)
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._connections: set[TcpConnection] = set()
        self._strangers: dict[TcpConnection, float] = {}  # until when; the oldest first
        self._sources: Counter[str | bytes] = Counter()

    def open(self, host: str, port: int) -> None:
        """Listen on the running loop. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # connections inherit it
            bound.bind((host, port))
            bound.listen(_BACKLOG)
        except OSError:
            bound.close()
            raise
        self._socket = bound
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound, self._acceptable)

    def close(self) -> None:
        """Stop listening and close every connection; nothing happens if it is not open."""
        if self._socket is None or self._loop is None:
            return
        if self._resume is not None:
            self._resume.cancel()
            self._resume = None
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        for connection in list(self._connections):
            connection.close()

    @property
    def address(self) -> tuple[str, int]:
        """The bound address. Raises RuntimeError when the endpoint is not open."""
        if self._socket is None:
            raise RuntimeError("the endpoint is not open")
        host, port = self._socket.getsockname()[:2]
        return host, port

    def sweep(self, now: float) -> None:
        """Close the strangers whose time is over."""
        while self._strangers:
            connection, until = next(iter(self._strangers.items()))
            if now < until:
                return
            self._demux.counters.tcp_strangers_dropped += 1
            connection.close()

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    # What comes in

    def _acceptable(self) -> None:
        if self._socket is None or self._loop is None:
            return
        for _ in range(_ACCEPTS):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no descriptor left: the socket stays readable, so it is left alone for a while
                log.error("connections not accepted", error=error.errno)
                self._loop.remove_reader(self._socket)
                self._resume = self._loop.call_later(_PAUSE, self._accept_again)
                return
            self._take(accepted, address)

    def _accept_again(self) -> None:
        self._resume = None
        if self._socket is not None and self._loop is not None:
            self._loop.add_reader(self._socket, self._acceptable)

    def _take(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        counters, limits = self._demux.counters, self.limits
        source = source_of(address[0])
        if self._sources[source] >= limits.strangers_per_source or len(self._connections) >= limits.connections:
            counters.tcp_refused += 1
            accepted.close()
            return
        if len(self._strangers) >= limits.strangers:
            # Honest clients send their check at once: whoever has been silent longest is the likeliest not to be one.
            counters.tcp_strangers_dropped += 1
            next(iter(self._strangers)).close()
        try:
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # it is gone already
            accepted.close()
            return
        counters.tcp_accepted += 1
        connection = TcpConnection(self, self._demux, accepted, (address[0], address[1], next(self._numbers)), source)
        self._connections.add(connection)
        self.add_stranger(connection)

    # What connections say

    def add_stranger(self, connection: TcpConnection) -> None:
        """Nobody's, from now on."""
        self._strangers[connection] = self._demux.clock() + self.limits.patience
        self._sources[connection.source] += 1

    def remove_stranger(self, connection: TcpConnection) -> None:
        """Somebody's, or closed."""
        if self._strangers.pop(connection, None) is not None:
            self._sources[connection.source] -= 1
            if self._sources[connection.source] <= 0:
                del self._sources[connection.source]

    def forget(self, connection: TcpConnection) -> None:
        """Closed."""
        self.remove_stranger(connection)
        self._connections.discard(connection)


class TcpConnection:
    """One accepted connection: a `path.Path` to its other end and to nobody else.

    What cannot be sent at once is dropped if it is media, and waits if it is RTCP, DTLS or STUN, of which little comes.
    """

    protocol: Literal["tcp"] = "tcp"
    outbox = None  # see `path.Path`

    def __init__(
        self,
        listener: TcpEndpoint,
        demux: Demultiplexer,
        accepted: socket.socket,
        address: Address,
        source: str | bytes,
    ) -> None:
        self.address = address
        self.source = source
        self._listener = listener
        self._demux = demux
        self._socket = accepted
        self._closed = False
        self._claimed = False
        self._allowance = listener.limits.stranger_bytes
        self._frames = Deframer(LARGEST)
        self._pending = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(accepted, self._readable)

    def close(self) -> None:
        """End the connection; its session is told. Only the first call has an effect."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._pending.clear()
        self._listener.forget(self)
        self._demux.path_closed(self.address)

    # In

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        if not self._claimed:
            self._allowance -= len(data)
            if self._allowance < 0:
                self._drop_stranger()
                return
        try:
            datagrams = self._frames.feed(data)
        except FrameTooLong:
            self._demux.counters.oversized += 1
            self.close()
            return
        for datagram in datagrams:
            self._take(datagram)
            if self._closed:
                return

    def _take(self, datagram: bytes) -> None:
        counters = self._demux.counters
        counters.datagrams += 1
        if not datagram:
            counters.empty += 1
        elif not self._claimed and datagram[0] > 3:
            counters.unknown_source += 1
            self._drop_stranger()
        else:
            self._demux.received(self, datagram, self.address)

    def _drop_stranger(self) -> None:
        self._demux.counters.tcp_strangers_dropped += 1
        self.close()

    # Out

    def send_datagram(self, datagram: bytes, address: Address) -> None:
        """Send one datagram in a frame. Raises OSError where it cannot be taken; BlockingIOError for a slow reader."""
        if self._closed:
            raise ConnectionError("the connection is closed")
        frame = framed(datagram)
        if self._pending:
            self._wait(frame, datagram)
            return
        try:
            sent = self._socket.send(frame)
        except (BlockingIOError, InterruptedError):
            self._wait(frame, datagram)
            return
        except OSError:
            self._loop.call_soon(self.close)
            raise
        if sent < len(frame):
            self._pending += frame[sent:]
            self._loop.add_writer(self._socket, self._writable)

    def _wait(self, frame: bytes, datagram: bytes) -> None:
        is_media = 127 < datagram[0] < 192 and not is_rtcp(datagram)
        if is_media or len(self._pending) + len(frame) > _MOST_PENDING:
            self._demux.counters.tcp_unsent += 1
            raise BlockingIOError("the other side reads too slowly")
        if not self._pending:
            self._loop.add_writer(self._socket, self._writable)
        self._pending += frame

    def _writable(self) -> None:
        try:
            sent = self._socket.send(self._pending)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        del self._pending[:sent]
        if not self._pending:
            self._loop.remove_writer(self._socket)

    def transmit(self, datagram: bytes, address: Address) -> bool:
        """See `path.Path`."""
        try:
            self.send_datagram(datagram, address)
        except OSError:
            self._demux.counters.send_failed += 1
            return False
        return True

    # Whose it is

    def claimed(self, address: Address) -> None:
        """See `path.Path`."""
        self._claimed = True
        self._listener.remove_stranger(self)

    def released(self, address: Address) -> None:
        """See `path.Path`: it has a stranger's time left, in which the last alert goes out."""
        if not self._closed and self._claimed:
            self._claimed = False
            self._allowance = self._listener.limits.stranger_bytes
            self._listener.add_stranger(self)

    def fileno_for_native(self) -> int | None:
        """See `path.Path`: frames are written by `send_datagram` only."""
        return None
