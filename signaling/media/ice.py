"""ICE-lite (RFC 8445 section 2.5): one session's credentials, and the addresses its checks have proved."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass

from signaling.media.path import Address

CONSENT = 7.5  # seconds; browsers check every 5 s ± 20 % at the latest (RFC 7675 section 5.1)
_ICE_CHARS = string.ascii_letters + string.digits
_MAX_ADDRESSES = 8


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ICE_CHARS) for _ in range(length))


@dataclass(frozen=True, slots=True)
class Credentials:
    """One ICE generation's four texts (RFC 8445 section 5.3): ours, and the other side's user fragment."""

    local_ufrag: str
    local_pwd: str
    remote_ufrag: str
    remote_pwd: str

    @classmethod
    def for_remote(cls, ufrag: str, pwd: str) -> Credentials:
        """New local credentials for this remote: 48 and 142 bits of randomness (24 and 128 are asked for)."""
        return cls(_random_text(8), _random_text(24), ufrag, pwd)

    @property
    def username(self) -> bytes:
        """The USERNAME of a check that is meant for us (RFC 8445 section 7.2.2)."""
        return f"{self.local_ufrag}:{self.remote_ufrag}".encode()

    @property
    def key(self) -> bytes:
        """The key of MESSAGE-INTEGRITY in the other side's checks and our responses (section 7.2.2)."""
        return self.local_pwd.encode()


class IceLite:
    """The controlled, lite side of one session. Times are seconds of one monotonic clock.

    `last_seen` is when something authenticated last came, a check or a packet. `current` is the newest generation of
    credentials. After a restart the one before stays good until the new one nominates an address, for media goes on
    over the old path until then (RFC 8445 section 9).
    """

    def __init__(self, credentials: Credentials, now: float) -> None:
        self.current = credentials
        self.previous: Credentials | None = None
        self.selected: Address | None = None
        self.addresses: dict[Address, None] = {}
        self.last_seen = now

    def restart(self, remote_ufrag: str, remote_pwd: str) -> Credentials:
        """Start a new generation with new credentials on both sides; what was selected stays selected."""
        self.previous = self.current
        self.current = Credentials.for_remote(remote_ufrag, remote_pwd)
        return self.current

    def generation(self, username: bytes) -> Credentials | None:
        """The credentials that a check with this USERNAME is to be verified with."""
        if username == self.current.username:
            return self.current
        if self.previous is not None and username == self.previous.username:
            return self.previous
        return None

    def checked(self, credentials: Credentials, address: Address, *, nominated: bool, now: float) -> list[Address]:
        """A check with good integrity came from `address`; gives the addresses that are no longer this session's.

        The address is used for sending if it is nominated or the first there is; a check of the generation before
        changes nothing once the new one has nominated.
        """
        self.last_seen = now
        forgotten: list[Address] = []
        self.addresses.pop(address, None)
        self.addresses[address] = None
        if credentials is self.current and nominated:
            self.previous = None
            self.selected = address
        elif self.selected is None or (nominated and self.previous is not None):
            self.selected = address
        while len(self.addresses) > _MAX_ADDRESSES:
            oldest = next(other for other in self.addresses if other != self.selected)
            del self.addresses[oldest]
            forgotten.append(oldest)
        return forgotten

    def lost(self, address: Address) -> None:
        """The connection from this address has ended; the next check says where to send from now on."""
        self.addresses.pop(address, None)
        if self.selected == address:
            self.selected = None

    def is_alive(self, now: float) -> bool:
        """Whether the other side still consents to being sent to (RFC 7675).

        A lite agent sends no checks of its own. It takes the other side's authenticated checks and packets for
        consent, and stops much earlier than the 30 s that the RFC allows.
        """
        return now - self.last_seen < CONSENT
