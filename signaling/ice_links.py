"""STUN and TURN servers as Link header fields (RFC 9725 section 4.6), for clients that are no pages of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol


class IceServer(Protocol):
    """One entry of RTCConfiguration.iceServers. A STUN server has neither name nor credential."""

    @property
    def urls(self) -> Sequence[str]: ...
    @property
    def username(self) -> str | None: ...
    @property
    def credential(self) -> str | None: ...


IceServerSource = Callable[[], Iterable[IceServer]]


def ice_links(servers: Iterable[IceServer]) -> list[str]:
    """A Link value for each address, in order; the credential is a password."""
    made = []
    for server in servers:
        known = ""
        if server.username is not None and server.credential is not None:
            name, password = _quoted(server.username), _quoted(server.credential)
            known = f'; username={name}; credential={password}; credential-type="password"'
        made += [f'<{url}>; rel="ice-server"{known}' for url in server.urls]
    return made


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 section 5.6.4). ValueError for what cannot stand in a header field."""
    if any(character < " " or character > "~" for character in text):
        raise ValueError("not for a header field")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
