"""One process's media: its socket, its certificate, its rooms."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Callable
from typing import overload

import structlog

from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId
from signaling.media.answering import Transport
from signaling.media.candidates import Candidate, host_candidates
from signaling.media.dtls import Certificate
from signaling.media.endpoint import UdpEndpoint
from signaling.media.errors import RoomClosed
from signaling.media.rooms import OrdinaryMediaRoom, PrivilegedMediaRoom
from signaling.media.router import MediaRoom
from signaling.media.stats import NodeStats, RoomCounters
from signaling.media.wall import MediaWall

__all__ = ["DEFAULT_PORT", "MediaNode", "MediaRoom", "OrdinaryMediaRoom", "PrivilegedMediaRoom"]

log = structlog.get_logger(__name__)

DEFAULT_PORT = 8189
_ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - clients come from anywhere
_TICK = 0.02  # seconds: how exact repeated NACKs are

Room = OrdinaryMediaRoom | PrivilegedMediaRoom


class MediaNode:
    """The media plane of one process."""

    def __init__(
        self,
        host: str = _ALL_INTERFACES,
        port: int = DEFAULT_PORT,
        *,
        advertised: tuple[tuple[str, int], ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`host` and `port` (0: any free one) are bound; `advertised` are the IP addresses and ports given to clients.

        Without `advertised`, clients get the bound address, or for 0.0.0.0 the machine's own address. `clock` gives
        seconds of the monotonic clock by which `Leg.on_rtp` says when a packet came. Raises ValueError if an
        advertised address is not an IP address.
        """
        for address, _ in advertised:
            ipaddress.ip_address(address)
        self._host = host
        self._port = port
        self._advertised = advertised
        self._clock = clock
        self._endpoint = UdpEndpoint(clock)
        self._transport: Transport | None = None
        self._rooms: dict[CallId, Room] = {}
        self._closing: list[Room] = []
        self._walls: list[MediaWall] = []
        self._past = RoomCounters()
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Bind the socket and start the clockwork. Raises OSError; RuntimeError if it runs already."""
        if self._transport is not None:
            raise RuntimeError("the node runs already")
        self._endpoint.open(self._host, self._port)
        self._transport = Transport(
            endpoint=self._endpoint, certificate=Certificate(), candidates=self._candidates(), clock=self._clock
        )
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        log.info("media node started", port=self.address[1])

    async def stop(self) -> None:
        """Close every room and the socket, and wait for the last task."""
        if self._transport is None:
            return
        for call_id in list(self._rooms):
            self.close_room(call_id)
        if self._timer is not None:
            self._timer.cancel()
        for wall in self._walls:
            await wall.close()
        self._walls.clear()
        for room in self._closing:
            await room.wait_closed()
        self._closing.clear()
        self._endpoint.close()
        self._transport = None
        log.info("media node stopped")

    @property
    def address(self) -> tuple[str, int]:
        """The bound address. Raises RuntimeError before `start`."""
        return self._endpoint.address

    @overload
    def open_room(self, call_id: OrdinaryCallId) -> OrdinaryMediaRoom: ...

    @overload
    def open_room(self, call_id: PrivilegedCallId) -> PrivilegedMediaRoom: ...

    def open_room(self, call_id: OrdinaryCallId | PrivilegedCallId) -> Room:
        """The call's room, made at the first asking. The identifier's type decides what kind of room it is.

        Raises RoomClosed when the node is not running, TypeError for a bare CallId or one whose type and text disagree.
        """
        if self._transport is None:
            raise RoomClosed("the media node is not running")
        made: Room
        if isinstance(call_id, PrivilegedCallId):
            made = PrivilegedMediaRoom(call_id, self._transport)
        elif isinstance(call_id, OrdinaryCallId):
            made = OrdinaryMediaRoom(call_id, self._transport)
        else:
            raise TypeError("a call identifier is ordinary or privileged")
        return self._rooms.setdefault(call_id, made)

    def close_room(self, call_id: CallId) -> None:
        """End every session of the room and forget it; nothing happens if there is none."""
        room = self._rooms.pop(call_id, None)
        if room is None:
            return
        room.close()
        self._past.add(room.counters())
        self._closing = [other for other in self._closing if not other.ended]
        self._closing.append(room)

    def open_wall(self, owner_id: str, offer: str) -> MediaWall:
        """A connection in which an officer sees several calls; it watches none yet. Raises SdpError, RoomClosed."""
        if self._transport is None:
            raise RoomClosed("the media node is not running")
        wall = MediaWall(owner_id, self._transport, offer)
        self._walls = [other for other in self._walls if not other.ended]
        self._walls.append(wall)
        return wall

    def shut(self) -> None:
        """Forward nothing more, in any room, until its gate is set again. Safe at any moment, in a signal handler too:
        it sets one flag per room and does nothing else.
        """
        for room in tuple(self._rooms.values()):
            room.shut()

    def room_of_session(self, session_id: str) -> MediaRoom | None:
        """The room in which the session lives, for PATCH and DELETE; None for an unknown session."""
        for room in self._rooms.values():
            if session_id in room.session_ids:
                return room
        return None

    def stats(self) -> NodeStats:
        """A snapshot of the node's numbers."""
        total = self._past.snapshot()
        sessions = 0
        for room in self._rooms.values():
            total.add(room.live_counters)
            sessions += len(room.session_ids)
        sessions += sum(not wall.closed for wall in self._walls)
        return NodeStats(len(self._rooms), sessions, self._endpoint.counters.snapshot(), total)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        now = self._clock()
        for room in list(self._rooms.values()):
            try:
                room.tick(now)
            except Exception:  # one room's trouble is not the others'
                log.exception("tick failed", call_id=room.call_id)
        for wall in list(self._walls):
            try:
                wall.tick(now)
            except Exception:
                log.exception("tick failed", session_id=wall.session_id)

    def _candidates(self) -> tuple[Candidate, ...]:
        if self._advertised:
            return host_candidates(self._advertised, ["udp"])
        host, port = self._endpoint.address
        return host_candidates([(_own_address() if host == _ALL_INTERFACES else host, port)], ["udp"])


def _own_address() -> str:
    """The address of the interface that the default route goes over; loopback on a machine without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737): connecting a UDP socket sends nothing
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
