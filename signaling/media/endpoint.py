"""One UDP socket: draining it, and telling apart what comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, Literal

from signaling.media import native
from signaling.media.demux import LARGEST, Demultiplexer
from signaling.media.pacing import LOOK, Beat, PacedReader
from signaling.media.path import Address

BUFFER = 4 << 20  # bytes of each kernel buffer; the kernel gives what it allows
_SNDBUFFORCE, _RCVBUFFORCE = 32, 33  # asm-generic/socket.h; not in Python's socket module
_MAX_DATAGRAM = 2048
_DRAIN = 256  # datagrams per wake-up, so that timers and HTTP get their turn under a flood


def ask_buffers(bound: socket.socket, size: int) -> None:
    """Ask the kernel for buffers of `size` bytes, with or without its limits' consent."""
    for option, forced in ((socket.SO_RCVBUF, _RCVBUFFORCE), (socket.SO_SNDBUF, _SNDBUFFORCE)):
        try:
            bound.setsockopt(socket.SOL_SOCKET, forced, size)
        except OSError:  # needs CAP_NET_ADMIN; the other way gives as much as net.core.rmem_max and wmem_max allow
            bound.setsockopt(socket.SOL_SOCKET, option, size)


def given_buffers(bound: socket.socket) -> tuple[int, int]:
    """The receive and the send buffer in bytes, as they were asked for: Linux doubles them for itself (socket(7))."""
    receive = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return receive // 2, bound.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2


class UdpEndpoint:
    """A bound, non-blocking socket whose datagrams go to `demux`. A `path.Path`, to every address there is."""

    protocol: Literal["udp"] = "udp"

    def __init__(self, demux: Demultiplexer, buffer: int = BUFFER, beat: Beat | None = None) -> None:
        """`buffer`: bytes asked of the kernel for each direction; `beat`: see PacedReader."""
        self._demux = demux
        self._buffer = buffer
        self._beat = beat
        self._socket: socket.socket | None = None
        self._reader: PacedReader | None = None
        self._ingress: Any = None
        self.outbox: Any = None

    def open(self, host: str, port: int) -> None:
        """Bind and start reading on the running loop. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            if family == socket.AF_INET6:  # IPv4 has a socket of its own, and addresses of its own kind
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            ask_buffers(bound, self._buffer)
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        self._socket = bound
        self.send_datagram: Callable[[bytes, Address], object] = bound.sendto
        loop = asyncio.get_running_loop()
        if native.module is None:
            self._reader = PacedReader(loop, bound, self._read, _DRAIN, beat=self._beat)
            return
        drain = self._open_native(native.module)
        metronome = partial(native.module.Metronome, self._ingress, _DRAIN, LOOK)
        self._reader = PacedReader(loop, bound, drain, _DRAIN, beat=self._beat, metronome=metronome)

    def _open_native(self, module: ModuleType) -> Callable[[], int]:
        """Read and send by the packet path in C; gives what drains the socket."""
        descriptor = self.fileno_for_native()
        self.outbox = module.Outbox(descriptor, self._demux.counters.tally)
        self._ingress = module.Ingress(
            descriptor,
            outbox=self.outbox,
            links=self._demux.links,
            tally=self._demux.counters.tally,
            clock=self._demux.clock,
            dispatch=self._dispatch,
        )
        return partial(self._ingress.drain, _DRAIN)

    def _dispatch(self, datagram: bytes, address: Address) -> None:
        self._demux.received(self, datagram, address)

    def close(self) -> None:
        """Stop reading and close the socket; nothing happens if it is not open."""
        if self._socket is None or self._reader is None:
            return
        self._reader.close()
        if self._ingress is not None:
            self._ingress.close()
            self.outbox.close()
        self._socket.close()
        self._socket = None

    @property
    def address(self) -> tuple[str, int]:
        """The bound address. Raises RuntimeError when the endpoint is not open."""
        if self._socket is None:
            raise RuntimeError("the endpoint is not open")
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def buffers(self) -> tuple[int, int]:
        """What the kernel gave to receive and to send, in bytes. Raises RuntimeError when the endpoint is not open."""
        if self._socket is None:
            raise RuntimeError("the endpoint is not open")
        return given_buffers(self._socket)

    def fileno_for_native(self) -> int | None:
        """See `path.Path`."""
        return None if self._socket is None else self._socket.fileno()

    def claimed(self, address: Address) -> None:
        """See `path.Path`: the socket is everybody's."""

    def released(self, address: Address) -> None:
        """See `path.Path`: the socket is everybody's."""

    # The packet path

    def _read(self) -> int:
        """What the packet path in C does, in Python; gives how many datagrams there were."""
        if self._socket is None:
            return 0
        receive = self._socket.recvfrom
        demux = self._demux
        counters = demux.counters
        owners = demux.owners
        clock = demux.clock
        for count in range(_DRAIN):
            try:
                datagram, address = receive(_MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return count
            except OSError:
                counters.receive_failed += 1
                return count
            counters.datagrams += 1
            size = len(datagram)
            if size == 0:
                counters.empty += 1
                continue
            if size > LARGEST:
                counters.oversized += 1
                continue
            first = datagram[0]
            owner = owners.get(address)
            if owner is None:
                if first > 3:  # a stranger's, and no check: it costs no more than this
                    counters.unknown_source += 1
                    continue
            elif 127 < first < 192:
                counters.media += 1
                owner.on_media(datagram, clock())
                continue
            demux.received(self, datagram, address)
            if self._socket is None:  # closed by what the datagram led to
                return count
        return _DRAIN

    def transmit(self, datagram: bytes, address: Address) -> bool:
        """Send one datagram that may be lost; False if the kernel would not take it."""
        try:
            self.send_datagram(datagram, address)
        except OSError:
            self._demux.counters.send_failed += 1
            return False
        return True
