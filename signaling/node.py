"""A media node: media, rooms, bus and directory put together, with a beginning and an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from signaling.bus import Bus, Service
from signaling.call_rules import CallRules
from signaling.calls import CallEvent
from signaling.cancelling import cancelled
from signaling.channel import Attachment
from signaling.command_server import CommandServer
from signaling.commands import CALL_EVENT_TOPIC, control_topic
from signaling.directory import Directory, NodeInfo
from signaling.errors import InvalidRequest, TicketError, Unavailable, UnknownCall, UnknownSession
from signaling.ids import CallId, OrdinaryCallId, parse_call_id
from signaling.media.ice import CONSENT
from signaling.media.node import MediaNode
from signaling.media.session import Answer, PatchAnswer
from signaling.messages import Hello, Report
from signaling.recorder_leg import RecorderFactory
from signaling.room import Room
from signaling.room_context import RoomContext
from signaling.rooms import Rooms
from signaling.seats import Channel
from signaling.tickets import Clock, PrivilegedCallError, TicketVerifier
from signaling.wall_messages import WallRequest
from signaling.walls import Walls

log = structlog.get_logger(__name__)

TICK = 0.25  # seconds between two looks at the clock; the bound on how late anything that time alone brings about is
LEASE = 15.0  # seconds: how long the directory takes a silent node for a living one
END_TIMEOUT = 40.0  # seconds for a room to let go of everything when the node stops
PUBLISH_TIMEOUT = 10.0  # seconds for the last events to be published when the node stops
MOST_UNPUBLISHED = 8192  # events; a bus that takes none for so long is asked for what it missed (RoomControl.events)
AGAIN = 0.5  # seconds between two tries to publish an event


class SignalingNode:
    """One media node. It hosts `signaling.http.media_routes(node)` and answers commands on the bus.

    `clock` gives UTC-aware time and should not jump (signaling/clock.py); `monotonic` seconds.
    """

    def __init__(
        self,
        info: NodeInfo,
        media: MediaNode,
        bus: Bus,
        directory: Directory,
        verifier: TicketVerifier,
        *,
        clock: Clock,
        monotonic: Callable[[], float],
        recorder_factory: RecorderFactory | None = None,
        rules: CallRules | None = None,
        lease: float = LEASE,
    ) -> None:
        self.info = info
        self._media = media
        self._bus = bus
        self._directory = directory
        self._verifier = verifier
        self._monotonic = monotonic
        self._forgotten: list[tuple[CallId, int]] = []
        self._lease = lease
        self._beat = self._renewed = monotonic()
        self._shut = False
        self._wake = asyncio.Event()
        self._sure = asyncio.Event()
        self._sure.set()
        context = RoomContext(
            clock=clock,
            publish_event=self._publish,
            rules=rules or CallRules(),
            consent_timeout=timedelta(seconds=CONSENT),
            doubt=self._doubt,
        )
        self.rooms = Rooms(
            media,
            verifier,
            context,
            recorder_factory=recorder_factory,
            on_forgotten=self._forgot,
        )
        self.walls = Walls(media, self.rooms, verifier, clock)
        self._unpublished: asyncio.Queue[tuple[CallEvent, int]] = asyncio.Queue(MOST_UNPUBLISHED)
        self._service: Service | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- life --------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind the media port, take commands, register. OSError when the port is taken."""
        await self._media.start()
        self._service = await self._bus.serve(
            control_topic(self.info.node_id), CommandServer(self.rooms, self.info.node_id, self.revoke).handle
        )
        await self._register()
        self._beat = self._monotonic()
        work = (self._run_clock(), self._run_events(), self._run_lease())
        self._tasks = [asyncio.create_task(part) for part in work]

    async def drain(self, timeout: float) -> bool:
        """Take no new calls, say so in those there are, and wait up to `timeout` seconds for those under way to end.

        Whether they did. A call that has not begun is not waited for: nobody is interrupted where it is opened again.
        """
        self.rooms.accepting = False
        for room in self.rooms:
            room.drain(timeout)
        try:
            await self._register()
        except Unavailable:
            log.warning("directory not told of the end", node_id=self.info.node_id)
        try:
            async with asyncio.timeout(timeout):
                while any(room.under_way for room in self.rooms):  # noqa: ASYNC110 - a phase has no event of its own
                    await asyncio.sleep(TICK)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Let go of every call without ending it (another node, or this one restarted, can open it again) and stop."""
        if not self._tasks:
            return
        self.rooms.accepting = False
        await asyncio.gather(*(self._let_go(room) for room in self.rooms))
        if self._service is not None:
            await self._service.aclose()
            self._service = None
        await self._publish_the_last()
        await cancelled(self._tasks)
        self._tasks = []
        try:
            await self._directory.unregister(self.info.node_id)
        except Unavailable:
            log.warning("not unregistered: the lease will run out", node_id=self.info.node_id)
        await self._media.stop()

    async def _publish_the_last(self) -> None:
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT):
                await self._unpublished.join()
        except TimeoutError:
            log.error("events not published at the end", count=self._unpublished.qsize())

    async def _let_go(self, room: Room) -> None:
        try:
            async with asyncio.timeout(END_TIMEOUT):
                if room.machine.is_open:
                    await room.suspend()
                else:
                    await room.over.wait()
        except TimeoutError:
            log.error("room did not let go in time", call_id=str(room.charter.call_id))

    def revoke(self, subject: str, at: datetime) -> None:
        """Refuse what was issued to `subject` up to `at`, and end an officer's watches, channels and walls."""
        if self._verifier.revocations.revoke(subject, at):
            log.info("tickets revoked", subject=subject)
            for room in self.rooms:
                room.revoke(subject)
            self.walls.revoke(subject)

    # --- what clients ask (MediaHost) --------------------------------------------------------------------------

    async def publish(self, token: str, call_id: CallId, offer: str) -> Answer:
        """Answer a participant's offer. TicketError, UnknownCall, WrongState, SdpError, RoomFull."""
        ticket = self._verifier.join(token, call_id)
        return await self.rooms.get(call_id).publish(ticket, offer)

    async def watch(self, token: str, call_id: CallId, offer: str) -> Answer:
        """Answer an officer's offer. PrivilegedCallError for a privileged call, whatever the token."""
        if not isinstance(parse_call_id(call_id), OrdinaryCallId):
            raise PrivilegedCallError()
        warrant = self._verifier.monitor(token, call_id)
        return await self.rooms.ordinary(call_id).add_monitor(warrant, offer)

    async def watch_wall(self, token: str, offer: str) -> Answer:
        """Answer an officer's offer for several calls. PrivilegedCallError if the warrant names a privileged one."""
        return self.walls.open(token, offer)

    async def patch(self, token: str, session_id: str, etag: str | None, fragment: str) -> PatchAnswer:
        """Trickle or ICE restart on the token owner's session. UnknownSession for anybody else's."""
        if self.walls.has(session_id):
            return await self.walls.patch(token, session_id, etag, fragment)
        room, owner = self._owned_session(token, session_id)
        return await room.patch_session(owner, session_id, etag, fragment)

    async def close(self, token: str, session_id: str) -> None:
        """End the token owner's session. UnknownSession for anybody else's."""
        if self.walls.has(session_id):
            return await self.walls.close(token, session_id)
        room, owner = self._owned_session(token, session_id)
        await room.close_session(owner, session_id)

    def attach(self, hello: Hello, channel: Channel) -> Attachment:
        """Take a control channel into its room: an officer's when it names its call, a participant's otherwise.

        One that names a session is a wall's.
        """
        if hello.session is not None:
            return self.walls.attach(hello, channel)
        if hello.call_id is not None:
            try:
                call_id = parse_call_id(hello.call_id)
            except ValueError:
                raise InvalidRequest("not a call identifier") from None
            warrant = self._verifier.monitor(hello.ticket, call_id)
            watched = self.rooms.ordinary(call_id)
            watched.attach_observer(warrant, channel)
            return _Attachment(watched, channel)
        ticket = self._verifier.join(hello.ticket)
        room = self.rooms.get(ticket.body.call_id)
        room.attach_channel(ticket, channel)
        return _Attachment(room, channel)

    def _owned_session(self, token: str, session_id: str) -> tuple[Room, str]:
        """The session's room and the identifier of the token's owner, once the token is good for that room's call."""
        try:
            room = self.rooms.of_session(session_id)
        except UnknownCall:
            # An outsider learns nothing about which sessions exist: his token is looked at first.
            self._any_owner(token, None)
            raise UnknownSession("no such session") from None
        return room, self._any_owner(token, room.charter.call_id)

    def _any_owner(self, token: str, call_id: CallId | None) -> str:
        try:
            return self._verifier.join(token, call_id).body.participant_id
        except TicketError as error:
            if error.code != "wrong_type":
                raise
        return self._verifier.monitor(token, call_id).body.officer_id

    # --- in the background -------------------------------------------------------------------------------------

    def _publish(self, event: CallEvent) -> None:
        try:
            self._unpublished.put_nowait((event, self.rooms.token_of(event.call_id) or 0))
        except asyncio.QueueFull:
            log.error("event not published", call_id=str(event.call_id), sequence=event.sequence)

    async def _run_events(self) -> None:
        while True:
            event, token = await self._unpublished.get()
            try:
                await self._publish_once(event, token)
            except Exception:
                # The events stay in the room; the application asks for what it misses (RoomControl.events).
                log.exception("event not published", call_id=str(event.call_id), sequence=event.sequence)
            finally:
                self._unpublished.task_done()

    async def _publish_once(self, event: CallEvent, token: int) -> None:
        """Publish as soon as the bus takes it, in order, unless the call is another node's by then."""
        payload = {**event.to_json(), "token": token}
        while True:
            await self._sure.wait()
            self._look_at_lease()
            if not self._sure.is_set():
                continue
            if self.rooms.token_of(event.call_id) != token:
                log.warning("event of a lost call dropped", call_id=str(event.call_id), sequence=event.sequence)
                return
            try:
                return await self._bus.publish(CALL_EVENT_TOPIC, payload)
            except Unavailable:
                await asyncio.sleep(AGAIN)

    async def _run_clock(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                self._look_at_lease()
                self._beat = self._monotonic()
                self.rooms.tick()
                self.walls.tick()
            except Exception:
                # Time must go on for every other call: without it no warrant would end and no officer be missed.
                log.exception("tick failed", node_id=self.info.node_id)

    # --- the lease ---------------------------------------------------------------------------------------------

    def pause_over(self) -> None:
        """The process was stopped and goes on (SIGCONT). May be called between any two steps of the program.

        If it was stopped for so long that its calls may be another node's, nothing passes from here on until the
        directory has said whose they are.
        """
        if self._was_stopped():
            self._media.shut()
            self._shut = True

    def _was_stopped(self) -> bool:
        # Not reached for a lease, and not running for half of one: others may have taken the calls. A directory that
        # is away for longer, while this node runs on, gives them to nobody.
        now = self._monotonic()
        return now - self._beat > self._lease / 2 and now - self._renewed > self._lease * 0.8

    def _look_at_lease(self) -> None:
        if self._sure.is_set() and (self._shut or self._was_stopped()):
            self._shut = False
            self._doubt()

    def _doubt(self) -> None:
        """Let nothing pass and say nothing until the directory has said again whose the calls are."""
        if self._sure.is_set():
            log.warning("calls are frozen until they prove to be ours", node_id=self.info.node_id)
            self._sure.clear()
            self._wake.set()
            self.rooms.freeze(True)

    async def _run_lease(self) -> None:
        while True:
            await self._until_due()
            try:
                await self._register()
                while self._forgotten:
                    await self._directory.release(*self._forgotten[-1])
                    self._forgotten.pop()
            except Unavailable as error:
                log.warning("directory not reached", node_id=self.info.node_id, detail=error.detail)
                await asyncio.sleep(TICK)
            except Exception:
                log.exception("directory not reached", node_id=self.info.node_id)

    async def _until_due(self) -> None:
        """Wait until the lease is to be renewed: five times within it, and at once when something has come up."""
        try:
            async with asyncio.timeout(self._lease / 5):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _forgot(self, call_id: CallId, token: int) -> None:
        self._forgotten.append((call_id, token))
        self._wake.set()

    async def _register(self) -> None:
        asked = self._monotonic()
        self._look_at_lease()
        held = self.rooms.held_calls()
        lost = await self._directory.register(self.info, len(self.rooms), accepting=self.rooms.accepting, hosting=held)
        for call_id in lost:
            if self.rooms.token_of(call_id) == held[call_id]:  # it may have been placed here anew while we asked
                self.rooms.give_up(call_id)
        if self._monotonic() - asked > self._lease / 2:
            self._wake.set()  # an answer from before a pause says nothing about now
            return
        self._renewed = asked
        if not self._sure.is_set():
            log.warning("lease renewed", lost=len(lost), kept=len(self.rooms))
            self.rooms.freeze(False)
            self._sure.set()


class _Attachment:
    def __init__(self, room: Room, channel: Channel) -> None:
        self._room = room
        self._channel = channel

    def report(self, report: Report) -> None:
        self._room.report(self._channel, report)

    def ask(self, request: WallRequest) -> None:
        raise InvalidRequest("only a wall is asked that")

    def detach(self, cause: str) -> None:
        self._room.detach_channel(self._channel, cause)
