"""A media node with fake media behind a real HTTP server, and the application's side of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import ClientSession, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.bus import InProcessBus
from signaling.calls import Actor, ActorKind
from signaling.channel import ChannelLimits
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.http import media_routes
from signaling.ids import CallId
from signaling.media.leg import Kind, Side
from signaling.node import SignalingNode
from signaling.tickets import (
    CallCharter,
    JoinTicket,
    MonitorWarrant,
    RecordingWarrant,
    Ticket,
    TicketIssuer,
    TicketVerifier,
)
from tests.fakes.clock import FakeClock
from tests.fakes.media_room import FakeMediaNode, FakeMediaRoom
from tests.fakes.recorder_leg import FakeRecorderLeg
from tests.unit.signaling.charters import START

OFFICER = Actor(ActorKind.STAFF, "stf_1")


@dataclass(frozen=True)
class Reply:
    """A response that has been read."""

    status: int
    headers: Mapping[str, str]
    content_type: str
    text: str


class Stage:
    """Everything of one node. `clock` stands at the scheduled start of the charters for tests."""

    def __init__(self) -> None:
        self.clock = FakeClock(START)
        self.key = Ed25519PrivateKey.generate()
        self.issuer = TicketIssuer(self.key, self.clock)
        self.media = FakeMediaNode()
        self.bus = InProcessBus()
        self.directory = InProcessDirectory(self.clock.monotonic)
        self.control = BusRoomControl(self.bus, self.directory)
        self.legs: list[FakeRecorderLeg] = []
        self.node = self.make_node("node-1")
        self.url = ""
        self.http: ClientSession

    def make_node(self, name: str) -> SignalingNode:
        return SignalingNode(
            NodeInfo(name, "", 10),
            self.media,  # type: ignore[arg-type]
            self.bus,
            self.directory,
            TicketVerifier([self.key.public_key()], self.clock),
            clock=self.clock,
            monotonic=self.clock.monotonic,
            recorder_factory=self.make_recorder,
        )

    async def make_recorder(self, warrant: RecordingWarrant) -> FakeRecorderLeg:
        self.legs.append(FakeRecorderLeg(warrant))
        return self.legs[-1]

    def sign(self, ticket: Ticket, minutes: float = 60) -> str:
        return self.issuer.issue(ticket, expires_at=self.clock() + timedelta(minutes=minutes))

    def ticket(self, call_id: CallId, who: str = "family") -> str:
        side = Side.PRISONER if who.startswith("prisoner") else Side.FAMILY
        return self.sign(JoinTicket(call_id, who, side, who.title(), "idc_1"))

    def warrant(self, call_id: CallId, officer: str = "stf_1") -> str:
        return self.sign(MonitorWarrant((call_id,), officer, "policy"))  # type: ignore[arg-type]

    def recording(self, call_id: CallId) -> str:
        return self.sign(RecordingWarrant(call_id, "rec_1", (Kind.AUDIO, Kind.VIDEO), "1"))  # type: ignore[arg-type]

    async def open(self, charter: CallCharter) -> FakeMediaRoom:
        await self.control.open(self.sign(charter))
        return self.media.rooms[charter.call_id]

    async def post(self, path: str, token: str | None, body: str = "v=0\r\n", **headers: str) -> Reply:
        return await self.request("POST", path, token, body, **{"Content-Type": "application/sdp", **headers})

    async def request(
        self, method: str, path: str, token: str | None, body: str | None = None, **headers: str
    ) -> Reply:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        async with self.http.request(method, self.url + path, data=body, headers=headers) as response:
            return Reply(response.status, response.headers, response.content_type, await response.text())


@asynccontextmanager
async def stage(limits: ChannelLimits | None = None) -> AsyncIterator[Stage]:
    """A running stage on a free loopback port."""
    made = Stage()
    application = web.Application()
    for route in media_routes(made.node, limits=limits):  # type: ignore[arg-type]
        application.router.add_route(route.method, route.path, route.handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await made.node.start()
    async with ClientSession() as made.http:
        try:
            yield made
        finally:
            await made.node.stop()
            await made.bus.aclose()
    await runner.cleanup()
