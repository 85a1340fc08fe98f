"""The walls of one node: opened under a warrant, found by their session, forgotten when that is over."""

from __future__ import annotations

from datetime import timedelta

import structlog

from signaling.errors import UnknownSession
from signaling.media.node import MediaNode
from signaling.media.session import Answer, PatchAnswer
from signaling.messages import Hello, Report
from signaling.rooms import Rooms
from signaling.seats import Channel
from signaling.tickets import Clock, TicketVerifier
from signaling.wall import Wall
from signaling.wall_messages import WallRequest

log = structlog.get_logger(__name__)

MOST = 4  # of one officer at a time: a wall for each screen
IDLE = timedelta(minutes=1)  # how long a wall that watches nothing is kept


class Walls:
    """All methods are called on the event loop's thread."""

    def __init__(self, media: MediaNode, rooms: Rooms, verifier: TicketVerifier, clock: Clock) -> None:
        self._media = media
        self._rooms = rooms
        self._verifier = verifier
        self._clock = clock
        self._walls: dict[str, Wall] = {}

    def open(self, token: str, offer: str) -> Answer:
        """Answer an officer's offer for a wall, and watch the calls that the MonitorWarrant names.

        TicketError, PrivilegedCallError, SdpError, Unavailable. A call of the warrant that cannot be watched here is
        told on the channel, once there is one.
        """
        warrant = self._verifier.monitor(token)
        media = self._media.open_wall(warrant.body.officer_id, offer)
        wall = Wall(warrant.body.officer_id, media, self._rooms, self._verifier, self._clock)
        self._walls[wall.session_id] = wall
        wall.watch(warrant)
        self._end_oldest(wall.officer_id)
        return media.answer

    def _end_oldest(self, officer_id: str) -> None:
        """A browser that opens one wall after the other has no use for the first any more."""
        own = [wall for wall in self._walls.values() if wall.officer_id == officer_id and not wall.media.closed]
        for wall in own[:-MOST]:
            log.info("wall ended: the officer has opened others", session_id=wall.session_id)
            wall.media.end()

    def has(self, session_id: str) -> bool:
        """Whether this is a wall's session."""
        return session_id in self._walls

    async def patch(self, token: str, session_id: str, etag: str | None, fragment: str) -> PatchAnswer:
        """Trickle or ICE restart on the officer's own wall. UnknownSession for anybody else's."""
        return await self._own(token, session_id).media.patch(etag, fragment)

    async def close(self, token: str, session_id: str) -> None:
        """End the officer's own wall. UnknownSession for anybody else's."""
        wall = self._own(token, session_id)
        await wall.media.close()
        self._walls.pop(session_id, None)

    def attach(self, hello: Hello, channel: Channel) -> WallAttachment:
        """Take a wall's channel. UnknownSession if the session is not the officer's, or is over."""
        wall = self._own(hello.ticket, hello.session or "")
        wall.attach_channel(channel)
        return WallAttachment(wall, channel)

    def revoke(self, officer_id: str) -> None:
        """End the officer's walls."""
        for wall in tuple(self._walls.values()):
            if wall.officer_id == officer_id:
                wall.media.end()

    def tick(self) -> None:
        """Forget walls whose session is over; end those that have watched nothing for `IDLE`."""
        now = self._clock()
        for session_id, wall in tuple(self._walls.items()):
            if wall.media.closed:
                del self._walls[session_id]
            elif wall.empty_since is not None and now - wall.empty_since >= IDLE:
                log.info("wall ended: it watches nothing", session_id=session_id)
                wall.media.end()

    def __len__(self) -> int:
        return len(self._walls)

    def _own(self, token: str, session_id: str) -> Wall:
        officer_id = self._verifier.monitor(token).body.officer_id
        wall = self._walls.get(session_id)
        if wall is None or wall.officer_id != officer_id or wall.media.closed:
            raise UnknownSession("no such session")
        return wall


class WallAttachment:
    """A channel's place at a wall (a `channel.Attachment`)."""

    def __init__(self, wall: Wall, channel: Channel) -> None:
        self._wall = wall
        self._channel = channel

    def report(self, report: Report) -> None:
        """A wall's client has nothing to say of itself."""

    def ask(self, request: WallRequest) -> None:
        """Carry a request out, or say why not."""
        self._wall.ask(request)

    def detach(self, cause: str) -> None:
        """The connection is gone."""
        self._wall.detach_channel(self._channel)
