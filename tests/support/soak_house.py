"""A media node with everything around it, for the soak: HTTP, bus, directory, recorder on disk, and clients of it."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, web
from aioice import stun
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.blobs import FolderStore
from recorder.keys import LocalKeyRing, new_key_line
from recorder.service import RecordingService
from signaling import directory
from signaling.bus import InProcessBus
from signaling.capabilities import RecordingPolicy, RecordingWarrant, Supervision
from signaling.clock import steady_clock
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.http import media_routes
from signaling.ids import OrdinaryCallId, new_call_id, new_id
from signaling.media.leg import Kind, Side
from signaling.media.node import MediaNode
from signaling.node import SignalingNode
from signaling.tickets import CallCharter, JoinTicket, MonitorWarrant, Ticket, TicketIssuer, TicketVerifier
from tests.fakes.media_client import MediaClient, vp8

SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"


@dataclass
class Session:
    """A client in a call: its connection, where its session lives, the ticket it showed, its control channel."""

    client: MediaClient
    location: str
    ticket: str
    channel: ClientWebSocketResponse | None = None
    sent: int = 0

    @property
    def session_id(self) -> str:
        """The session's identifier."""
        return self.location.rpartition("/")[2]

    def send(self, count: int = 5) -> None:
        """Some packets of voice and picture, the first one a keyframe."""
        for _ in range(count):
            self.client.send_rtp("audio", bytes(80), self.sent * 960, level=30)
            self.client.send_rtp("video", vp8(self.sent, key=self.sent == 0), self.sent * 3000)
            self.sent += 1


@dataclass
class House:
    """The server's parts, and the two clocks that it goes by. `ahead` moves the wall clock, not the media's."""

    root: Path
    ahead: timedelta = timedelta()
    sessions: list[Session] = field(default_factory=list)
    joins: int = 0

    def __post_init__(self) -> None:
        steady = steady_clock(time.monotonic, lambda: datetime.now(UTC))
        self.clock = lambda: steady() + self.ahead
        key = Ed25519PrivateKey.generate()
        self.issuer = TicketIssuer(key, self.clock)
        self.media = MediaNode("127.0.0.1", 0)
        bus = InProcessBus()
        directory.MOST_REMEMBERED = 2  # so that this bound of what is kept of past calls is reached in the warm-up
        self.directory = InProcessDirectory(time.monotonic)
        self.control = BusRoomControl(bus, self.directory)
        self.recordings = RecordingService(
            FolderStore(self.root),
            LocalKeyRing.from_text(new_key_line("soak")),
            Ed25519PrivateKey.generate(),
            self.clock,
        )
        self.node = SignalingNode(
            NodeInfo("node-1", "", 100),
            self.media,
            bus,
            self.directory,
            TicketVerifier([key.public_key()], self.clock),
            clock=self.clock,
            monotonic=time.monotonic,
            recorder_factory=self.recordings.start,
        )
        self.http: ClientSession
        self.url = ""

    def sign(self, ticket: Ticket) -> str:
        """A signed ticket, good for an hour."""
        return self.issuer.issue(ticket, expires_at=self.clock() + timedelta(hours=1))

    async def open(self, *, recorded: bool) -> OrdinaryCallId:
        """A call that may begin now."""
        call_id, now = new_call_id(privileged=False), self.clock()
        assert isinstance(call_id, OrdinaryCallId)
        charter = CallCharter(
            call_id=call_id,
            starts_at=now,
            ends_at=now + timedelta(minutes=60),
            lobby_opens_at=now,
            sides=(Side.FAMILY, Side.PRISONER),
            recording=RecordingPolicy.REQUIRED if recorded else RecordingPolicy.NONE,
            supervision=Supervision.NONE,
            watch_banner=False,
        )
        await self.control.open(self.sign(charter))
        if recorded:
            warrant = RecordingWarrant(call_id, new_id("rec"), (Kind.AUDIO, Kind.VIDEO), "1")
            await self.control.attach_recorder(self.sign(warrant))
        return call_id

    def join_ticket(self, call_id: OrdinaryCallId, side: Side) -> str:
        """A participant's ticket; the participant is called as the side."""
        return self.sign(JoinTicket(call_id, side.value, side, side.value.title(), "idc_1"))

    def warrant(self, *call_ids: OrdinaryCallId, officer: str) -> str:
        """An officer's ticket."""
        return self.sign(MonitorWarrant(call_ids, officer, "sample"))

    async def connect(self, path: str, ticket: str, lines: Any) -> Session:
        """POST an offer, check, shake hands. RuntimeError when it is refused."""
        client = MediaClient(lines, parse=False)
        try:
            headers = {"Authorization": f"Bearer {ticket}", "Content-Type": SDP}
            async with self.http.post(self.url + path, data=client.offer(), headers=headers) as response:
                body = await response.text()
                if response.status != 201:
                    raise RuntimeError(f"{path.split('/')[2]} {response.status}: {body[:200]}")
                session = Session(client, response.headers["Location"], ticket)
            await client.connect(body)
        except BaseException:
            await client.close()
            raise
        self.sessions.append(session)
        self.joins += 1
        return session

    async def channel(self, joined: Session, **more: str) -> None:
        """Open the control channel that goes with a session; its messages are taken and forgotten."""
        joined.channel = await self.http.ws_connect(self.url + "/media/channel")
        await joined.channel.send_json({"type": "hello", "ticket": joined.ticket, **more})
        while (await joined.channel.receive_json(timeout=60))["type"] != "welcome":
            pass

    async def restart_ice(self, session: Session) -> None:
        """New credentials, another local port, as after a change of network."""
        client = session.client
        ufrag, pwd = secrets.token_hex(4), secrets.token_hex(12)
        text = f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
        headers = {"Authorization": f"Bearer {session.ticket}", "Content-Type": FRAGMENT, "If-Match": "*"}
        async with self.http.patch(self.url + session.location, data=text, headers=headers) as response:
            body = await response.text()
            if response.status != 200:
                raise RuntimeError(f"PATCH {response.status}: {body[:200]}")
        said = dict(line[2:].split(":", 1) for line in body.split("\r\n") if line.startswith("a=ice-") and ":" in line)
        client.ufrag, client.local_ufrag, client.local_pwd = ufrag, said["ice-ufrag"], said["ice-pwd"]
        client.move()
        await client.check(nominate=True, timeout=30)

    async def delete(self, session: Session) -> None:
        """Leave as the product's client does: DELETE, then everything else."""
        headers = {"Authorization": f"Bearer {session.ticket}"}
        async with self.http.delete(self.url + session.location, headers=headers) as response:
            await response.read()
        await self.close(session)

    async def vanish(self, session: Session) -> None:
        """Leave as a dead battery does: the media session gets no goodbye of any kind."""
        session.client.stop_checks()
        session.client.move(server=("127.0.0.1", 9))  # where nobody listens: the alert of its end does not arrive
        await self.close(session)

    async def close_all(self) -> None:
        """Let everybody leave who is still there."""
        await asyncio.gather(*(self.close(session) for session in list(self.sessions)))

    async def close(self, session: Session) -> None:
        """Leave as a closed tab does: DTLS says goodbye."""
        await session.client.close()
        if session.channel is not None:
            await session.channel.close()
        self.sessions.remove(session)


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[House]:
    """A house that answers, until the block is left."""
    house = House(root)
    # Threads of the pool come one by one as they are needed, up to its size: let that be reached soon.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    application = web.Application()
    for route in media_routes(house.node):
        application.router.add_route(route.method, route.path, route.handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    house.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await house.node.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:  # whose limit is remembered from now on
        stranger.sendto(bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)), house.media.address)
    try:
        # Kept connections would be sockets and tasks that come and go as they like.
        async with ClientSession(connector=TCPConnector(force_close=True)) as house.http:
            yield house
            await house.close_all()
    finally:
        await house.node.stop()
        await runner.cleanup()
