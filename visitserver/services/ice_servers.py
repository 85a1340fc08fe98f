"""Where a client may find a TURN relay, and time-limited credentials for it.

The scheme is the one that coturn calls `use-auth-secret` (draft-uberti-behave-turn-rest): the relay shares a secret
with us and checks a name that says until when it is good. Nothing is stored, and the relay learns nobody's name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from visitserver.domain.clock import Clock


@dataclass(frozen=True, slots=True)
class IceServer:
    """One entry of a browser's RTCConfiguration.iceServers; STUN servers have neither name nor credential."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    def as_json(self) -> dict[str, object]:
        """As the browser takes it."""
        entry: dict[str, object] = {"urls": list(self.urls)}
        if self.username is not None:
            entry |= {"username": self.username, "credential": self.credential}
        return entry


IceServerSource = Callable[[], Sequence[IceServer]]


def no_ice_servers() -> Sequence[IceServer]:
    """For installations without a TURN relay."""
    return ()


class TurnCredentials:
    """Gives each asking new credentials that are good for `lifetime`."""

    def __init__(self, urls: Sequence[str], secret: str, lifetime: timedelta, clock: Clock) -> None:
        """`urls` are turn:, turns:, stun: and stuns: addresses (RFC 7064, RFC 7065), `secret` is the relay's, too."""
        self._stun = tuple(url for url in urls if url.startswith("stun"))
        self._turn = tuple(url for url in urls if url.startswith("turn"))
        self._secret = secret.encode()
        self._lifetime = lifetime
        self._clock = clock

    def __call__(self) -> Sequence[IceServer]:
        """Credentials for one connection. The name is a time and chance: it says nothing of whoever uses it."""
        servers = [IceServer(self._stun)] if self._stun else []
        if self._turn:
            until = int((self._clock() + self._lifetime).timestamp())
            username = f"{until}:{secrets.token_hex(8)}"
            digest = hmac.new(self._secret, username.encode(), hashlib.sha1).digest()
            servers.append(IceServer(self._turn, username, base64.b64encode(digest).decode()))
        return tuple(servers)
