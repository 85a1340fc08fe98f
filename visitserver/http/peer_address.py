"""Who is at the other end of the connection, and whether it is encrypted, with trusted proxies in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp import web

from visitserver.config import Network

Address = IPv4Address | IPv6Address
UNKNOWN = IPv4Address(0)  # a connection that is gone already


@dataclass(frozen=True, slots=True)
class Peer:
    """The browser's address as far as it can be believed, and whether it speaks HTTPS."""

    address: Address
    secure: bool

    @property
    def bucket(self) -> str:
        """What rate limits count by: an IPv4 address, or the /64 network that an IPv6 customer has to themself."""
        if isinstance(self.address, IPv6Address):
            return str(IPv6Network((self.address, 64), strict=False).network_address)
        return str(self.address)


def peer_of(request: web.Request, trusted: Sequence[Network]) -> Peer:
    """Read X-Forwarded-For from the right, past every trusted proxy; from anybody else it is not looked at."""
    address = _transport(request)
    secure = request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
    if not is_in(address, trusted):
        return Peer(address, secure)
    if request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https":
        secure = True
    hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
    for hop in reversed(hops):
        found = _parse(hop.strip())
        if found is UNKNOWN:
            break
        address = found
        if not is_in(address, trusted):
            break
    return Peer(address, secure)


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks."""
    return any(address.version == network.version and address in network for network in networks)


def _transport(request: web.Request) -> Address:
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return _parse(name[0]) if isinstance(name, tuple) and name else UNKNOWN


def _parse(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
