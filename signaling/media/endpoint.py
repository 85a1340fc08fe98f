"""One UDP socket for all sessions: draining it, and telling apart what comes (RFC 7983)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol

import structlog

from signaling.media.ice import Address, Credentials
from signaling.media.limit import TokenBucket
from signaling.media.stats import EndpointCounters
from signaling.media.stun import (
    MalformedStun,
    binding_error,
    binding_success,
    looks_like_request,
    parse_request,
    peek_username,
)

log = structlog.get_logger(__name__)

_MAX_DATAGRAM = 2048
_LARGEST = 1500  # what pylibsrtp takes, and what an Ethernet frame carries
_DRAIN = 256  # datagrams per wake-up, so that timers and HTTP get their turn under a flood
_BUFFER = 4 << 20  # bytes; the kernel gives what it allows
_STRANGERS_PER_SECOND = 20.0


class Receiver(Protocol):
    """A session, as the endpoint sees it."""

    def generation(self, username: bytes) -> Credentials | None:
        """The ICE credentials that a check with this USERNAME is verified with."""
        ...

    def on_check(
        self, endpoint: UdpEndpoint, credentials: Credentials, address: Address, *, nominated: bool, now: float
    ) -> None:
        """A check with good integrity."""
        ...

    def on_dtls(self, datagram: bytes, now: float) -> None:
        """A datagram of DTLS records from a checked address."""
        ...

    def on_media(self, datagram: bytes, now: float) -> None:
        """A datagram of SRTP or SRTCP from a checked address."""
        ...

    def owns_alive(self, address: Address, now: float) -> bool:
        """Whether the session lives on this address, so that no other may take it."""
        ...


class UdpEndpoint:
    """A bound, non-blocking socket and the tables by which datagrams find their session.

    Whatever comes from an address that no authenticated check has come from, and is not such a check itself, is
    counted and forgotten. `clock` gives seconds of a monotonic clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.counters = EndpointCounters()
        self._clock = clock
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._by_address: dict[Address, Receiver] = {}
        self._by_ufrag: dict[bytes, Receiver] = {}
        self._strangers = TokenBucket(_STRANGERS_PER_SECOND, clock())

    def open(self, host: str, port: int) -> None:
        """Bind and start reading on the running loop. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                bound.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
            bound.bind((host, port))
        except OSError:
            bound.close()
            raise
        self._socket = bound
        self.send_datagram = bound.sendto
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(bound, self._readable)

    def close(self) -> None:
        """Stop reading and close the socket; nothing happens if it is not open."""
        if self._socket is None or self._loop is None:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket = None

    @property
    def address(self) -> Address:
        """The bound address. Raises RuntimeError when the endpoint is not open."""
        if self._socket is None:
            raise RuntimeError("the endpoint is not open")
        host, port = self._socket.getsockname()[:2]
        return host, port

    # Sessions

    def register(self, ufrag: str, receiver: Receiver) -> None:
        """Checks whose USERNAME starts with this local user fragment are for `receiver`."""
        self._by_ufrag[ufrag.encode()] = receiver

    def unregister(self, ufrag: str) -> None:
        """Forget a user fragment."""
        self._by_ufrag.pop(ufrag.encode(), None)

    def bind_address(self, address: Address, receiver: Receiver) -> None:
        """Datagrams from `address` are `receiver`'s from now on."""
        self._by_address[address] = receiver

    def release_address(self, address: Address, receiver: Receiver) -> None:
        """Forget an address, if it is this receiver's."""
        if self._by_address.get(address) is receiver:
            del self._by_address[address]

    # The packet path

    def _readable(self) -> None:
        if self._socket is None:
            return
        receive = self._socket.recvfrom
        counters = self.counters
        owners = self._by_address
        clock = self._clock
        for _ in range(_DRAIN):
            try:
                datagram, address = receive(_MAX_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                counters.receive_failed += 1
                return
            counters.datagrams += 1
            size = len(datagram)
            if size == 0:
                counters.empty += 1
                continue
            if size > _LARGEST:
                counters.oversized += 1
                continue
            first = datagram[0]
            owner = owners.get(address)
            if owner is not None:
                if 127 < first < 192:
                    counters.media += 1
                    owner.on_media(datagram, clock())
                    continue
                if 19 < first < 64:
                    counters.dtls += 1
                    owner.on_dtls(datagram, clock())
                    continue
            if first < 4:
                self._on_stun(datagram, address, clock())
            elif owner is None:
                counters.unknown_source += 1
            else:
                counters.unknown_protocol += 1
            if self._socket is None:  # closed by what the datagram led to
                return

    def _on_stun(self, datagram: bytes, address: Address, now: float) -> None:
        if not looks_like_request(datagram):
            self.counters.stun_malformed += 1
            return
        username = peek_username(datagram)
        receiver = self._by_ufrag.get(username.partition(b":")[0]) if username else None
        credentials = receiver.generation(username) if receiver is not None and username else None
        if receiver is None or credentials is None:
            self._answer_stranger(datagram, address, 401 if username else 400, now)
            return
        try:
            request = parse_request(datagram)
        except MalformedStun:
            self.counters.stun_malformed += 1
            return
        attributes = request.attributes
        if "FINGERPRINT" not in attributes:  # RFC 8445 section 7.1.1 demands it of every check
            self.counters.stun_malformed += 1
            return
        if not request.check_message_integrity(credentials.key):
            self._answer_stranger(datagram, address, 401 if "MESSAGE-INTEGRITY" in attributes else 400, now)
            return
        if "ICE-CONTROLLED" in attributes:  # a lite agent cannot give way (RFC 8445 section 7.3.1.1)
            self.counters.stun_errors_sent += 1
            self.transmit(binding_error(request, 487, "Role Conflict", credentials.key), address)
            return
        owner = self._by_address.get(address)
        if owner is not None and owner is not receiver and owner.owns_alive(address, now):
            # With a forged source address, somebody with a session of his own could take another's path away.
            self.counters.stun_address_conflict += 1
            return
        self.counters.stun_checks += 1
        self.transmit(binding_success(request, (address[0], address[1]), credentials.key), address)
        receiver.on_check(self, credentials, address, nominated="USE-CANDIDATE" in attributes, now=now)

    def _answer_stranger(self, datagram: bytes, address: Address, code: int, now: float) -> None:
        """RFC 8489 section 9.1.3 demands an error; no more of them are sent per second than can do no harm."""
        self.counters.stun_unauthenticated += 1
        if not self._strangers.take(now):
            self.counters.stun_suppressed += 1
            return
        try:
            request = parse_request(datagram)
        except MalformedStun:
            return
        self.counters.stun_errors_sent += 1
        self.transmit(binding_error(request, code, "Unauthenticated" if code == 401 else "Bad Request"), address)

    def transmit(self, datagram: bytes, address: Address) -> bool:
        """Send one datagram that may be lost; False if the kernel would not take it."""
        try:
            self.send_datagram(datagram, address)
        except OSError:
            self.counters.send_failed += 1
            return False
        return True
