"""One process's media: its socket, its certificate, its rooms."""

from __future__ import annotations

from typing import overload

from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId
from signaling.media.router import MediaRoom, OrdinaryMediaRoom, PrivilegedMediaRoom
from signaling.media.stats import NodeStats

DEFAULT_PORT = 8189


class MediaNode:
    """The media plane of one process."""

    def __init__(
        self,
        host: str = "0.0.0.0",
        port: int = DEFAULT_PORT,
        *,
        advertised: tuple[tuple[str, int], ...] = (),
    ) -> None:
        """`host` and `port` (0: any free one) are bound; `advertised` are the addresses given to clients.

        Without `advertised`, clients get the bound address, or for 0.0.0.0 the machine's own address.
        """

    async def start(self) -> None:
        """Bind the socket. Raises OSError."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Close every room and the socket."""
        raise NotImplementedError

    @property
    def address(self) -> tuple[str, int]:
        """The bound address. Raises RuntimeError before `start`."""
        raise NotImplementedError

    @overload
    def open_room(self, call_id: OrdinaryCallId) -> OrdinaryMediaRoom: ...

    @overload
    def open_room(self, call_id: PrivilegedCallId) -> PrivilegedMediaRoom: ...

    def open_room(self, call_id: OrdinaryCallId | PrivilegedCallId) -> OrdinaryMediaRoom | PrivilegedMediaRoom:
        """The call's room, made at the first asking. The identifier's type decides what kind of room it is.

        Raises RoomClosed when the node is not running, TypeError for a bare CallId.
        """
        raise NotImplementedError

    def close_room(self, call_id: CallId) -> None:
        """End every session of the room and forget it; nothing happens if there is none."""
        raise NotImplementedError

    def room_of_session(self, session_id: str) -> MediaRoom | None:
        """The room in which the session lives, for PATCH and DELETE; None for an unknown session."""
        raise NotImplementedError

    def stats(self) -> NodeStats:
        """A snapshot of the node's numbers."""
        raise NotImplementedError
