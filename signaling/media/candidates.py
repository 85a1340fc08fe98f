"""Our ICE candidates: host addresses over UDP (RFC 8445) and passive TCP (RFC 6544), as lines of SDP (RFC 8839).

A lite agent has host candidates only (RFC 8445 section 5.2). An address in front of a one-to-one NAT is given as one,
too: the agent neither knows nor needs the base behind it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Transport = Literal["udp", "tcp"]

# Type preferences (RFC 8445 section 5.1.2.2: 126 for host candidates). Those of TCP are below every kind of UDP
# candidate but relayed ones: RFC 6544 section 4.2 leaves it to the agent, and media is better off over UDP.
_TYPE_PREFERENCE: dict[Transport, int] = {"udp": 126, "tcp": 90}
_PASSIVE = 4  # direction preference of a passive host candidate, RFC 6544 section 4.2
_COMPONENT = 1  # RTP and RTCP share it (RFC 5761)
_MOST_OTHER = (1 << 13) - 1
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.?)+\Z")


class BadAddress(ValueError):
    """An address that cannot be offered to anybody, or cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host candidate. `host` is a literal address, `priority` and `foundation` are as in RFC 8445 section 5.1."""

    host: str
    port: int
    transport: Transport
    priority: int
    foundation: str

    @property
    def line(self) -> str:
        """The a= line (RFC 8839 section 5.1; RFC 6544 section 4.5 for `tcptype`), without line end."""
        text = f"a=candidate:{self.foundation} {_COMPONENT} {self.transport} {self.priority}"
        text = f"{text} {self.host} {self.port} typ host"
        return f"{text} tcptype passive" if self.transport == "tcp" else text


def host_candidates(
    addresses: Iterable[tuple[str, int]], transports: Sequence[Transport] = ("udp", "tcp")
) -> tuple[Candidate, ...]:
    """Candidates for these literal addresses and ports, the first the most preferred; all of UDP before those of TCP.

    Raises BadAddress for an address that nobody could send to, and ValueError for more addresses than there are
    preferences (8,191).
    """
    unique = list(dict.fromkeys((offerable(host), port) for host, port in addresses))
    if len(unique) > _MOST_OTHER:
        raise ValueError("too many addresses")
    made: list[Candidate] = []
    foundations: dict[tuple[Transport, str], str] = {}
    for transport in ("udp", "tcp"):
        if transport not in transports:
            continue
        for number, (host, port) in enumerate(unique):
            # One foundation per base address and transport (RFC 8445 section 5.1.1.3).
            foundation = foundations.setdefault((transport, host), str(len(foundations) + 1))
            made.append(Candidate(host, port, transport, priority(transport, number), foundation))
    return tuple(made)


def priority(transport: Transport, rank: int) -> int:
    """The priority of the `rank`-th best address (from 0) of its transport; RFC 8445 section 5.1.2.1, RFC 6544 4.2."""
    local = 65535 - rank if transport == "udp" else (_PASSIVE << 13) + _MOST_OTHER - rank
    return _TYPE_PREFERENCE[transport] << 24 | local << 8 | 256 - _COMPONENT


def offerable(host: str) -> str:
    """The address in its shortest form, if others can be told to send there; raises BadAddress."""
    address = _literal(host)
    if address.is_unspecified or address.is_multicast:
        raise BadAddress(f"{host} is nobody's address: it cannot be offered")
    return str(address)


def bindable(host: str) -> str:
    """The address in its shortest form, if it can be listened on and then offered; raises BadAddress."""
    address = _literal(host)
    if address.is_multicast:
        raise BadAddress(f"{host} is a multicast address: media cannot be received there")
    return str(address)


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        raise BadAddress(f"{host} is not an IP address") from None
    if "%" in host:
        raise BadAddress(f"{host} has a zone, which means nothing on another machine: give a global address")
    if address.is_link_local:
        raise BadAddress(f"{host} is a link-local address, which ends at the next router: give a global one")
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise BadAddress(f"{host} is an IPv4 address in disguise: give {address.ipv4_mapped}")
    return address


@dataclass(frozen=True, slots=True)
class Advertised:
    """An address in front of a NAT, as configured: a literal one or a name, and a port or None for the bound one."""

    host: str
    port: int | None = None

    @property
    def is_name(self) -> bool:
        """Whether `host` has to be resolved first."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False

    @classmethod
    def parse(cls, text: str) -> Advertised:
        """Read `192.0.2.7`, `192.0.2.7:8189`, `2001:db8::7`, `[2001:db8::7]:8189`, `media.example.org` or with port.

        Raises BadAddress.
        """
        host, port = text.strip(), ""
        if host.endswith(":") and not host.endswith("::"):
            raise BadAddress(f"{text}: a port is missing")
        if host.startswith("["):
            host, closed, rest = host[1:].partition("]")
            if not closed or (rest and not rest.startswith(":")):
                raise BadAddress(f"{text}: an IPv6 address with a port is written [2001:db8::7]:8189")
            port = rest[1:]
        elif host.count(":") == 1:
            host, _, port = host.partition(":")
        if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise BadAddress(f"{text}: not a port number")
        made = cls(host, int(port) if port else None)
        if "%" in host or not made.is_name:
            offerable(host)
        elif not _HOST_NAME.match(host) or host.replace(".", "").isdecimal():
            raise BadAddress(f"{text} is neither an IP address nor a host name")
        return made


def candidate_lines(candidates: Sequence[Candidate]) -> list[str]:
    """All candidates' lines and the end of them (RFC 8839 section 5.1, RFC 8838 section 8.2)."""
    return [*(candidate.line for candidate in candidates), "a=end-of-candidates"]
