"""How a session's datagrams leave: a UDP socket, or one TCP connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

Address = tuple[str, int] | tuple[str, int, int] | tuple[str, int, int, int]
"""Who is at the other end of a path: (host, port) over UDP, with flow information and scope over UDP and IPv6, and
(host, port, number of the connection) over TCP: no address of one transport ever equals one of another."""


class Path(Protocol):
    """A local socket, as a session sends through it. Whatever is sent may be lost."""

    @property
    def protocol(self) -> Literal["udp", "tcp"]:
        """The transport."""
        ...

    @property
    def send_datagram(self) -> Callable[[bytes, Address], object]:
        """Sends one datagram to an address; raises OSError where it cannot be taken now."""
        ...

    def transmit(self, datagram: bytes, address: Address) -> bool:
        """Send one datagram; False where it was not taken."""
        ...

    def claimed(self, address: Address) -> None:
        """A session has proved that it is at `address`."""
        ...

    def released(self, address: Address) -> None:
        """No session is at `address` any more."""
        ...

    def fileno_for_native(self) -> int | None:
        """The descriptor of a socket to which sendmmsg may write; None where `send_datagram` is the only way."""
        ...

    @property
    def outbox(self) -> Any:
        """The queue by which the packet path in C sends (native.py); None where there is none."""
        ...
