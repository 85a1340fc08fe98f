"""One media node as it runs: real UDP, real HTTP, real tickets. What stands on the other side of it is the test's."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiohttp import ClientSession, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.bus import InProcessBus
from signaling.calls import Phase
from signaling.clock import steady_clock
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.http import media_routes
from signaling.ice_links import IceServerSource
from signaling.ids import CallId, new_call_id
from signaling.media.leg import Side
from signaling.media.node import MediaNode
from signaling.media.rooms import OrdinaryMediaRoom
from signaling.media.stats import EndpointCounters, RoomCounters
from signaling.node import SignalingNode
from signaling.tickets import (
    CallCharter,
    JoinTicket,
    MonitorWarrant,
    RecordingPolicy,
    Supervision,
    Ticket,
    TicketIssuer,
    TicketVerifier,
)
from tests.fakes.media_client import PARTY, MediaClient
from tests.fixtures.waiting import eventually

PATIENCE = 60.0  # seconds: nothing here is about speed
SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"


@dataclass(frozen=True)
class Reply:
    """A response that has been read."""

    status: int
    headers: Mapping[str, str]
    content_type: str
    text: str


class MediaHouse:
    """A signaling node, its HTTP server at `url`, and the application's key."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.clock = steady_clock(time.monotonic, lambda: datetime.now(UTC))
        key = Ed25519PrivateKey.generate()
        self.issuer = TicketIssuer(key, self.clock)
        self.media = MediaNode(host, 0)
        bus, directory = InProcessBus(), InProcessDirectory(time.monotonic)
        self.control = BusRoomControl(bus, directory)
        self.node = SignalingNode(
            NodeInfo("node-1", "", 10),
            self.media,
            bus,
            directory,
            TicketVerifier([key.public_key()], self.clock),
            clock=self.clock,
            monotonic=time.monotonic,
        )
        self.http: ClientSession
        self.url = ""
        self.clients: list[MediaClient] = []

    # What the application does

    async def open(self, *, privileged: bool = False, sides: tuple[Side, ...] = (Side.FAMILY, Side.PRISONER)) -> CallId:
        """Open a call that may begin at once; its identifier."""
        call_id = new_call_id(privileged=privileged)
        now = self.clock()
        charter = CallCharter(
            call_id=call_id,
            starts_at=now,
            ends_at=now + timedelta(hours=1),
            lobby_opens_at=now,
            sides=sides,
            recording=RecordingPolicy.NONE,
            supervision=Supervision.NONE,
            watch_banner=False,
        )
        await self.control.open(self.sign(charter))
        return call_id

    def sign(self, ticket: Ticket, *, minutes: float = 60, not_before: datetime | None = None) -> str:
        """A ticket's token."""
        expires_at = self.clock() + timedelta(minutes=minutes)
        return self.issuer.issue(ticket, expires_at=expires_at, not_before=not_before)

    def join_ticket(self, call_id: CallId, side: Side = Side.FAMILY, who: str | None = None) -> str:
        """A participant's token; `who` is the side's name unless said otherwise."""
        return self.sign(JoinTicket(call_id, who or side.value, side, side.value.title(), "idc_1"))

    def warrant(self, *call_ids: CallId, officer: str = "stf_1") -> str:
        """An officer's token."""
        return self.sign(MonitorWarrant(tuple(call_ids), officer, "sample"))  # type: ignore[arg-type]

    # What clients do

    async def request(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request, with the token as a bearer's."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        async with self.http.request(method, self.url + path, data=body, headers=sent) as response:
            return Reply(response.status, response.headers, response.content_type, await response.text())

    async def post(self, path: str, token: str | None, offer: str) -> Reply:
        """Send an offer."""
        return await self.request("POST", path, token, offer, {"Content-Type": SDP})

    async def join(self, call_id: CallId, side: Side) -> tuple[MediaClient, Reply]:
        """A connected participant, packet by packet in the test's hands; and the answer to its offer."""
        client = MediaClient(PARTY)
        self.clients.append(client)
        reply = await self.post(f"/media/whip/{call_id}", self.join_ticket(call_id, side), client.offer())
        assert reply.status == 201, reply.text
        await client.connect(reply.text)
        room = self.node.rooms.get(call_id)
        await eventually(lambda: side in room.machine.state.connected_sides, f"{side} is connected", PATIENCE)
        return client, reply

    # What is seen from inside

    def phase(self, call_id: CallId) -> Phase:
        """The call's phase."""
        return self.node.rooms.get(call_id).phase

    def room(self, call_id: CallId) -> OrdinaryMediaRoom:
        """The call's media room."""
        return self.media.open_room(call_id)  # type: ignore[call-overload, no-any-return]

    def counters(self, call_id: CallId) -> RoomCounters:
        """The call's packets."""
        return self.room(call_id).counters()

    def endpoint(self) -> EndpointCounters:
        """The socket's datagrams."""
        return self.media.stats().endpoint

    async def until_live(self, call_id: CallId) -> None:
        """Wait for the call to be live."""
        await eventually(lambda: self.phase(call_id) is Phase.LIVE, "the call is live", PATIENCE)


@asynccontextmanager
async def media_house(host: str = "127.0.0.1", ice_servers: IceServerSource = tuple) -> AsyncIterator[MediaHouse]:
    """A running house whose media is at `host`; who is still in it leaves at the end."""
    made = MediaHouse(host)
    application = web.Application()
    for route in media_routes(made.node, ice_servers=ice_servers):
        application.router.add_route(route.method, route.path, route.handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await made.node.start()
    try:
        async with ClientSession() as made.http:
            yield made
            for client in made.clients:
                await client.close()
    finally:
        await made.node.stop()
        await runner.cleanup()
