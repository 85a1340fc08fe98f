"""One process's media: its sockets, its certificate, its rooms."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from typing import overload

import structlog

from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId
from signaling.media import native
from signaling.media.answering import Transport
from signaling.media.candidates import Advertised, BadAddress, Candidate, host_candidates, offerable
from signaling.media.candidates import Transport as TransportName
from signaling.media.demux import Demultiplexer
from signaling.media.dtls import Certificate
from signaling.media.endpoint import BUFFER
from signaling.media.errors import RoomClosed
from signaling.media.pacing import Beat
from signaling.media.rooms import OrdinaryMediaRoom, PrivilegedMediaRoom
from signaling.media.router import MediaRoom
from signaling.media.sockets import ALL_IPV4, ALL_IPV6, Sockets
from signaling.media.stats import NodeStats, RoomCounters
from signaling.media.wall import MediaWall

__all__ = ["DEFAULT_PORT", "MediaNode", "MediaRoom", "OrdinaryMediaRoom", "PrivilegedMediaRoom"]

log = structlog.get_logger(__name__)

DEFAULT_PORT = 8189
_TICK = 0.02  # seconds: how exact repeated NACKs are
_TICKS = 5  # of them make a whole tick: how exact all other times are

Room = OrdinaryMediaRoom | PrivilegedMediaRoom


class MediaNode:
    """The media plane of one process."""

    def __init__(
        self,
        host: str | Sequence[str] = (ALL_IPV4, ALL_IPV6),
        port: int = DEFAULT_PORT,
        *,
        advertised: Sequence[str] = (),
        transports: Sequence[TransportName] = ("udp", "tcp"),
        buffer: int = BUFFER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Each `host` is listened on, at the same `port` (0: any free one) of each of the `transports`.

        `advertised` are the addresses given to clients, as `candidates.Advertised` reads them; names are looked up at
        the start. Without them, clients get the bound addresses, or the machine's own for 0.0.0.0 and ::. `buffer` is
        asked of the kernel for each UDP socket and direction, in bytes. `clock` gives seconds of the monotonic clock
        by which `Leg.on_rtp` says when a packet came. Raises ValueError for an address that makes no sense.
        """
        self._port = port
        self._advertised = [Advertised.parse(text) for text in advertised]
        self._clock = clock
        self._demux = Demultiplexer(clock)
        hosts = [host] if isinstance(host, str) else host
        self._sockets = Sockets(self._demux, hosts, transports, buffer=buffer)
        self._transport: Transport | None = None
        self._rooms: dict[CallId, Room] = {}
        self._closing: list[Room] = []
        self._walls: list[MediaWall] = []
        self._past = RoomCounters()
        self._beat: Beat | None = None
        self._turn = 0

    async def start(self) -> None:
        """Bind the sockets and start the clockwork.

        Raises OSError for a port that is taken or a name that is not found; RuntimeError if it runs already.
        """
        if self._transport is not None:
            raise RuntimeError("the node runs already")
        self._beat = self._sockets.beat = Beat(asyncio.get_running_loop(), _TICK, self._tick)
        try:
            self._sockets.open(self._port)
            candidates = await self._candidates()
        except OSError:
            self._beat.close()
            self._sockets.close()
            raise
        self._transport = Transport(
            demux=self._demux, certificate=Certificate(), candidates=candidates, clock=self._clock
        )
        lines = [item.line for item in candidates]
        log.info("media node started", port=self.address[1], candidates=lines, packet_path=native.describe())

    async def stop(self) -> None:
        """Close every room and the socket, and wait for the last task."""
        if self._transport is None:
            return
        for call_id in list(self._rooms):
            self.close_room(call_id)
        if self._beat is not None:
            self._beat.close()
        for wall in self._walls:
            await wall.close()
        self._walls.clear()
        for room in self._closing:
            await room.wait_closed()
        self._closing.clear()
        self._sockets.close()
        self._transport = None
        log.info("media node stopped")

    @property
    def address(self) -> tuple[str, int]:
        """The first bound address. Raises RuntimeError before `start`."""
        if not self._sockets.addresses:
            raise RuntimeError("the node is not running")
        return self._sockets.addresses[0]

    @property
    def buffers(self) -> tuple[int, int]:
        """What the kernel gave the UDP sockets to receive and to send, in bytes; the least of them."""
        return self._sockets.buffers

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
        return NodeStats(len(self._rooms), sessions, self._demux.counters.snapshot(), total, self._sockets.connections)

    def _tick(self) -> None:
        self._turn = (self._turn + 1) % _TICKS
        if not self._turn:
            with self._sockets.held():
                self._whole_tick(self._clock())
        elif incomplete := [room for room in self._rooms.values() if room.is_incomplete]:
            with self._sockets.held():  # only what cannot wait for the next whole tick
                for room in incomplete:
                    room.ask_again(self._clock())

    def _whole_tick(self, now: float) -> None:
        self._sockets.sweep(now)
        # What was a call's must not stay in memory until the next one ends: there are packets in the clear in it.
        if self._closing:
            self._closing = [room for room in self._closing if not room.ended]
        if self._walls:
            self._walls = [wall for wall in self._walls if not wall.ended]
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

    async def _candidates(self) -> tuple[Candidate, ...]:
        found: list[tuple[str, int]] = []
        port = self.address[1]
        for advertised in self._advertised:
            hosts = await _look_up(advertised.host) if advertised.is_name else [advertised.host]
            found += [(host, advertised.port or port) for host in hosts]
        if not self._advertised:
            for host, _ in self._sockets.addresses:
                own = _own_address(host)
                if own is not None:
                    found.append((own, port))
        return host_candidates(found or [("127.0.0.1", port)], self._sockets.transports)


async def _look_up(name: str) -> list[str]:
    """The addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    return [str(address[0]) for _, _, _, _, address in found]


def _own_address(bound: str) -> str | None:
    """The address itself, or for a wildcard that of the interface that the default route goes over, if there is one."""
    if bound not in (ALL_IPV4, ALL_IPV6):
        return bound
    family, elsewhere = (socket.AF_INET, "192.0.2.1") if bound == ALL_IPV4 else (socket.AF_INET6, "2001:db8::1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))  # documentation addresses (RFC 5737, RFC 3849): connecting sends nothing
        except OSError:
            return None
        found = str(probe.getsockname()[0])
    try:
        return offerable(found)
    except BadAddress:
        return None
