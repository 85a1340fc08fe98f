"""The services of calls over a small prison and a media node whose media is fake."""

from __future__ import annotations

import asyncio
import time as timeless
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.bus import InProcessBus
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.ids import CallId, new_call_id, new_id, parse_call_id
from signaling.node import SignalingNode
from signaling.tickets import RecordingWarrant, TicketIssuer, TicketVerifier
from tests.fakes.media_room import OFFER, FakeMediaNode, FakeMediaRoom
from tests.fakes.recorder_leg import FakeRecorderLeg
from tests.fixtures.rights import LEGAL, MOTHER, PRISON, PRISONER_ACTOR, World, family, relationship_id, slot_key
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import Call
from visitserver.domain.identity import CheckState, EnrolmentRoute, IdentityCheck
from visitserver.domain.scheduling import Booking
from visitserver.services.call_events import CallEventConsumer
from visitserver.services.call_opening import CallOpener
from visitserver.services.calls import CallService, JoinPass
from visitserver.services.recordings import RecordingsService

DAY = date(2026, 3, 6)
START = datetime.fromisoformat("2026-03-06T07:00+00:00")  # 09:00 in Helsinki
OFFICER = Actor(ActorKind.STAFF, "stf_officer", PRISON, frozenset({"officer"}))
STRANGER = Actor(ActorKind.STAFF, "stf_elsewhere", "prn_elsewhere", frozenset({"officer"}))


@dataclass
class Sealed:
    recording_id: str
    call_id: str = ""
    segments: int = 3
    bytes: int = 1000
    duration_ms: int = 6000
    head_sha256: str = "ab" * 32
    gaps: int = 0
    interrupted: bool = False


class FakeArchive:
    """Has whatever it is asked for."""

    async def sealed(self, recording_id: str) -> Sealed:
        return Sealed(recording_id)


class Calls:
    """One prison's calls."""

    def __init__(self, world: World) -> None:
        self.world, self.clock = world, world.clock
        key = Ed25519PrivateKey.generate()
        issuer = TicketIssuer(key, self.clock)
        self.verifier = TicketVerifier([key.public_key()], self.clock)
        self.bus = InProcessBus()
        self.directory = InProcessDirectory(timeless.monotonic)
        self.control = BusRoomControl(self.bus, self.directory)
        self.media = FakeMediaNode()
        self.legs: list[FakeRecorderLeg] = []
        self.storage_full = False
        self.node = self.make_node("node-1")
        self.recordings = RecordingsService(world.uow, FakeArchive(), self.clock, new_id)  # type: ignore[arg-type]
        self.service = CallService(world.uow, self.clock, issuer, self.control)
        self.opener = CallOpener(
            world.uow, self.clock, issuer, self.control, self.recordings, world.booking, new_call_id
        )
        self.consumer = CallEventConsumer(world.uow, self.bus, self.control, self.recordings, world.booking)

    def make_node(self, name: str) -> SignalingNode:
        return SignalingNode(
            NodeInfo(name, f"https://{name}.example", 50),
            self.media,  # type: ignore[arg-type]
            self.bus,
            self.directory,
            self.verifier,
            clock=self.clock,
            monotonic=timeless.monotonic,
            recorder_factory=self.make_recorder,
        )

    async def make_recorder(self, warrant: RecordingWarrant) -> FakeRecorderLeg:
        if self.storage_full:
            raise OSError("no space")
        self.legs.append(FakeRecorderLeg(warrant))
        return self.legs[-1]

    async def book(self, *, legal: bool = False, contact: str = MOTHER) -> Booking:
        """A booking for 09:00 on 6 March."""
        await self.world.grant(1)
        key = slot_key(DAY, time(9), LEGAL) if legal else slot_key(DAY, time(9))
        hold = await self.world.booking.hold(family(contact), relationship_id(contact), key)
        return await self.world.booking.confirm(family(contact), hold.id)

    async def check(self, booking: Booking, state: CheckState = CheckState.PASSED, contact: str = MOTHER) -> str:
        """A check at the door."""
        check_id = new_id("idc")
        async with self.world.uow() as u:
            u.identity.add(
                IdentityCheck(check_id, booking.id, PRISON, contact, state, EnrolmentRoute.FACE, self.clock())
            )
            await u.commit()
        return check_id

    async def at(self, seconds: float) -> None:
        """It is that long after the scheduled start now, and time has done its work on the node."""
        self.clock.now = START + timedelta(seconds=seconds)
        self.node.rooms.tick()

    async def opened(self, **how: bool | str) -> Call:
        """A booking whose call has been opened."""
        booking = await self.book(**how)  # type: ignore[arg-type]
        await self.at(-900)
        await self.opener.run_once()
        return await self.of(booking)

    async def of(self, booking: Booking) -> Call:
        async with self.world.uow(read_only=True) as u:
            call = await u.calls.find_of_booking(booking.id)
        assert call is not None
        return call

    async def stored(self, call: Call) -> Call:
        async with self.world.uow(read_only=True) as u:
            return await u.calls.get(call.id)

    async def booking(self, call: Call) -> Booking:
        async with self.world.uow(read_only=True) as u:
            return await u.scheduling.get_booking(call.booking_id)

    async def passes(self, call: Call, contact: str = MOTHER) -> tuple[JoinPass, JoinPass]:
        """Tickets of both sides, the caller's after a passed check."""
        booking = await self.booking(call)
        await self.check(booking, contact=contact)
        return (
            await self.service.join_ticket(family(contact), booking.id),
            await self.service.join_ticket(PRISONER_ACTOR, booking.id, station_id="stn_1"),
        )

    async def go_live(self, call: Call, contact: str = MOTHER) -> FakeMediaRoom:
        """Both sides connected at the scheduled start, or now if that is over."""
        media = self.media.rooms[self.id(call)]
        for one in await self.passes(call, contact):
            answer = await self.node.publish(one.ticket, self.id(call), OFFER)
            media.connect(answer.session_id)
        await self.at(max(0.0, (self.clock() - START).total_seconds()))
        return media

    async def prisoner_waits(self, call: Call) -> None:
        """The prisoner's side alone is connected, from now on and at the scheduled start."""
        ticket = (await self.service.join_ticket(PRISONER_ACTOR, call.booking_id, station_id="stn_1")).ticket
        answer = await self.node.publish(ticket, self.id(call), OFFER)
        self.media.rooms[self.id(call)].connect(answer.session_id)

    async def over(self, call: Call) -> Call:
        """The call once its outcome is stored."""
        room = self.node.rooms.get(self.id(call))
        await asyncio.wait_for(room.over.wait(), 60)
        await self.consumer.catch_up()
        return await self.stored(call)

    @staticmethod
    def id(call: Call) -> CallId:
        return parse_call_id(call.id)


@asynccontextmanager
async def calls_of(world: World) -> AsyncIterator[Calls]:
    made = Calls(world)
    await made.node.start()
    try:
        yield made
    finally:
        await made.node.stop()
        await made.bus.aclose()
