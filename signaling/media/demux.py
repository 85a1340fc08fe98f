"""Which session a datagram is for, whatever socket it came from; and the answers to connectivity checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from signaling.media import native
from signaling.media.ice import Credentials
from signaling.media.limit import SourceLimit
from signaling.media.path import Address, Path
from signaling.media.replay import SeenChecks
from signaling.media.stats import EndpointCounters
from signaling.media.stun import (
    MalformedStun,
    binding_error,
    binding_success,
    looks_like_request,
    parse_request,
    peek_username,
)

LARGEST = 1500  # what pylibsrtp takes, and what an Ethernet frame carries
_ERRORS_PER_SOURCE = 10.0  # a second
_ERRORS_PER_SECOND = 200.0


class Receiver(Protocol):
    """A session, as the demultiplexer sees it."""

    link: Any
    """The same for the packet path in C (native.module.Link), where that is in use."""

    def generation(self, username: bytes) -> Credentials | None:
        """The ICE credentials that a check with this USERNAME is verified with."""
        ...

    def on_check(self, path: Path, credentials: Credentials, address: Address, *, nominated: bool, now: float) -> None:
        """A check with good integrity."""
        ...

    def on_dtls(self, datagram: bytes, now: float) -> None:
        """A datagram of DTLS records from a checked address."""
        ...

    def on_media(self, datagram: bytes, now: float) -> None:
        """A datagram of SRTP or SRTCP from a checked address."""
        ...

    def on_path_closed(self, address: Address) -> None:
        """The connection from this checked address has ended."""
        ...

    def owns_alive(self, address: Address, now: float) -> bool:
        """Whether the session lives on this address, so that no other may take it."""
        ...


class Demultiplexer:
    """The tables by which datagrams find their session (RFC 7983), shared by all sockets of a node.

    Whatever comes from an address that no authenticated check has come from, and is not such a check itself, is
    counted and forgotten. `clock` gives seconds of a monotonic clock. `owners` is for the sockets' reading loops.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.counters = EndpointCounters()
        self.owners: dict[Address, Receiver] = {}
        self.links = native.module.Links() if native.module is not None else None  # `owners` for the way in C
        self._paths: dict[Address, Path] = {}
        self._by_ufrag: dict[bytes, Receiver] = {}
        self._seen: dict[bytes, SeenChecks] = {}
        self._errors = SourceLimit(_ERRORS_PER_SOURCE, _ERRORS_PER_SECOND, clock())

    # Sessions

    def register(self, ufrag: str, receiver: Receiver) -> None:
        """Checks whose USERNAME starts with this local user fragment are for `receiver`."""
        self._by_ufrag[ufrag.encode()] = receiver
        self._seen[ufrag.encode()] = SeenChecks()

    def unregister(self, ufrag: str) -> None:
        """Forget a user fragment."""
        self._by_ufrag.pop(ufrag.encode(), None)
        self._seen.pop(ufrag.encode(), None)

    def bind_address(self, address: Address, receiver: Receiver, path: Path) -> None:
        """Datagrams from `address` are `receiver`'s from now on."""
        self.owners[address] = receiver
        self._paths[address] = path
        if self.links is not None and path.protocol == "udp" and receiver.link is not None:
            self.links.bind(address, receiver.link)
        path.claimed(address)

    def release_address(self, address: Address, receiver: Receiver) -> None:
        """Forget an address, if it is this receiver's."""
        if self.owners.get(address) is receiver:
            del self.owners[address]
            path = self._paths.pop(address)
            if self.links is not None and path.protocol == "udp":
                self.links.release(address)
            path.released(address)

    def path_closed(self, address: Address) -> None:
        """The connection from `address` has ended."""
        self._paths.pop(address, None)
        owner = self.owners.pop(address, None)
        if owner is not None:
            owner.on_path_closed(address)

    @property
    def is_idle(self) -> bool:
        """Whether no session has anything here."""
        return not (self.owners or self._paths or self._by_ufrag)

    # The packet path

    def received(self, path: Path, datagram: bytes, address: Address) -> None:
        """Give one datagram, that is neither empty nor longer than LARGEST, to whom it is for."""
        counters = self.counters
        owner = self.owners.get(address)
        first = datagram[0]
        if first < 4:
            self._on_stun(path, datagram, address)
        elif owner is None:
            counters.unknown_source += 1
        elif 127 < first < 192:
            counters.media += 1
            owner.on_media(datagram, self.clock())
        elif 19 < first < 64:
            counters.dtls += 1
            owner.on_dtls(datagram, self.clock())
        else:
            counters.unknown_protocol += 1

    def _on_stun(self, path: Path, datagram: bytes, address: Address) -> None:
        if not looks_like_request(datagram):
            self.counters.stun_malformed += 1
            return
        now = self.clock()
        username = peek_username(datagram)
        receiver = self._by_ufrag.get(username.partition(b":")[0]) if username else None
        credentials = receiver.generation(username) if receiver is not None and username else None
        if receiver is None or credentials is None:
            self._answer_stranger(path, datagram, address, 401 if username else 400, now)
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
            self._answer_stranger(path, datagram, address, 401 if "MESSAGE-INTEGRITY" in attributes else 400, now)
            return
        if "ICE-CONTROLLED" in attributes:  # a lite agent cannot give way (RFC 8445 section 7.3.1.1)
            self.counters.stun_errors_sent += 1
            path.transmit(binding_error(request, 487, "Role Conflict", credentials.key), address)
            return
        owner = self.owners.get(address)
        if owner is not None and owner is not receiver and owner.owns_alive(address, now):
            # With a forged source address, somebody with a session of his own could take another's path away.
            self.counters.stun_address_conflict += 1
            return
        if self._seen[credentials.local_ufrag.encode()].is_copy(request.transaction_id, address):
            self.counters.stun_replayed += 1
            return
        self.counters.stun_checks += 1
        path.transmit(binding_success(request, (address[0], address[1]), credentials.key), address)
        receiver.on_check(path, credentials, address, nominated="USE-CANDIDATE" in attributes, now=now)

    def _answer_stranger(self, path: Path, datagram: bytes, address: Address, code: int, now: float) -> None:
        """RFC 8489 section 9.1.3 demands an error; nobody is sent more of them than can do no harm."""
        self.counters.stun_unauthenticated += 1
        if not self._errors.take(address[0], now):
            self.counters.stun_suppressed += 1
            return
        try:
            request = parse_request(datagram)
        except MalformedStun:
            return
        self.counters.stun_errors_sent += 1
        path.transmit(binding_error(request, code, "Unauthenticated" if code == 401 else "Bad Request"), address)
