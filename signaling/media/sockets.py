"""All sockets of a node: UDP and TCP, IPv4 and IPv6, one port number."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from signaling.media.candidates import Transport, bindable
from signaling.media.demux import Demultiplexer
from signaling.media.endpoint import BUFFER, UdpEndpoint
from signaling.media.pacing import Beat
from signaling.media.tcp import TcpEndpoint, TcpLimits

log = structlog.get_logger(__name__)

ALL_IPV4 = "0.0.0.0"  # noqa: S104 - clients come from anywhere
ALL_IPV6 = "::"
_TRIES = 50  # free ports looked at until one is free for every host and transport
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class Sockets:
    """What a node listens on. Everything that comes is given to `demux`."""

    def __init__(
        self,
        demux: Demultiplexer,
        hosts: Sequence[str],
        transports: Sequence[Transport] = ("udp", "tcp"),
        *,
        buffer: int = BUFFER,
        tcp_limits: TcpLimits | None = None,
    ) -> None:
        """`hosts` are literal addresses; `buffer` is in bytes. BadAddress for a link-local or zoned address."""
        self.beat: Beat | None = None
        """What is called in the rhythm of a busy socket: to be set before `open`."""
        self.transports = tuple(dict.fromkeys(transports))
        self._demux = demux
        self._hosts = tuple(dict.fromkeys(bindable(host) for host in hosts))
        if not self._hosts or not self.transports:
            raise ValueError("nothing to listen on")
        self._buffer = buffer
        self._tcp_limits = tcp_limits
        self.udp: list[UdpEndpoint] = []
        self.tcp: list[TcpEndpoint] = []
        self.addresses: tuple[tuple[str, int], ...] = ()

    def open(self, port: int) -> None:
        """Listen on `port` (0: any that is free for all) on the running loop. Raises OSError; then nothing is open."""
        for left in reversed(range(_TRIES if port == 0 else 1)):
            try:
                self._open(port)
            except OSError as error:
                self.close()
                if error.errno != errno.EADDRINUSE or left == 0:
                    raise
            else:
                return

    def _open(self, port: int) -> None:
        found = []
        for host in self._hosts:
            try:
                port = self._open_host(host, port)
            except OSError as error:
                if host != ALL_IPV6 or error.errno not in _NO_IPV6 or len(self._hosts) == 1:
                    raise
                log.info("no IPv6 here")
            else:
                found.append((host, port))
        self.addresses = tuple(found)

    def _open_host(self, host: str, port: int) -> int:
        if "udp" in self.transports:
            datagrams = UdpEndpoint(self._demux, self._buffer, self.beat)
            datagrams.open(host, port)
            self.udp.append(datagrams)
            port = datagrams.address[1]
        if "tcp" in self.transports:
            connections = TcpEndpoint(self._demux, self._tcp_limits)
            connections.open(host, port)
            self.tcp.append(connections)
            port = connections.address[1]
        return port

    def close(self) -> None:
        """Close everything that is open."""
        for datagrams in self.udp:
            datagrams.close()
        for connections in self.tcp:
            connections.close()
        self.udp, self.tcp, self.addresses = [], [], ()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Collect what the packet path in C sends meanwhile over UDP, and send it together."""
        outboxes = [endpoint.outbox for endpoint in self.udp if endpoint.outbox is not None]
        for outbox in outboxes:
            outbox.hold()
        try:
            yield
        finally:
            for outbox in outboxes:
                outbox.release()

    def sweep(self, now: float) -> None:
        """Let time pass."""
        for endpoint in self.tcp:
            endpoint.sweep(now)

    @property
    def buffers(self) -> tuple[int, int]:
        """The smallest receive and send buffer the kernel gave a UDP socket, in bytes; zeros without UDP."""
        given = [endpoint.buffers for endpoint in self.udp]
        return (min(each[0] for each in given), min(each[1] for each in given)) if given else (0, 0)

    @property
    def connections(self) -> int:
        """The TCP connections there are now."""
        return sum(endpoint.connections for endpoint in self.tcp)
