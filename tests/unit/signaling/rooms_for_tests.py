"""A room on fake media with a fake clock, and people who come and go."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from signaling.calls import Actor, ActorKind, CallEvent, EventType, Phase
from signaling.media.leg import Kind, Side
from signaling.monitored_room import OrdinaryRoom
from signaling.room import PrivilegedRoom, Room
from signaling.room_context import RoomContext
from signaling.tickets import CallCharter, JoinTicket, MonitorWarrant, RecordingWarrant, Verified
from tests.fakes.channel import FakeChannel
from tests.fakes.clock import FakeClock
from tests.fakes.media_room import OFFER, FakeOrdinaryMediaRoom, FakePrivilegedMediaRoom
from tests.fakes.recorder_leg import FakeRecorderLeg
from tests.unit.signaling.charters import LOBBY, START, charter

OFFICER = Actor(ActorKind.STAFF, "stf_1")


class Scene:
    """One call. Everything a test does to it reads as what people do."""

    def __init__(
        self,
        given: CallCharter | None = None,
        *,
        history: list[CallEvent] | None = None,
        opened_at: datetime = LOBBY,
        **how: Any,
    ) -> None:
        self.charter = given or charter(**how)
        self.clock = FakeClock(opened_at)
        self.events: list[CallEvent] = []
        context = RoomContext(
            clock=self.clock, publish_event=self.events.append, consent_timeout=timedelta(seconds=7.5)
        )
        self.room: Room
        if self.charter.privileged:
            self.media = FakePrivilegedMediaRoom(self.charter.call_id)
            self.room = PrivilegedRoom(self.charter, self.media, context, history or ())  # type: ignore[arg-type]
        else:
            self.media = FakeOrdinaryMediaRoom(self.charter.call_id)
            self.room = OrdinaryRoom(self.charter, self.media, context, history or ())  # type: ignore[arg-type]
        self.room.open()

    def verified(self, body: Any, hours: float = 1) -> Verified[Any]:
        return Verified(body, "jti_1", self.clock(), self.clock() + timedelta(hours=hours))

    def ticket(self, who: str) -> Verified[JoinTicket]:
        side = Side.PRISONER if who.startswith("prisoner") else Side.GUEST if who.startswith("guest") else Side.FAMILY
        return self.verified(JoinTicket(self.charter.call_id, who, side, who.title(), "idc_1"))

    def warrant(self, officer: str = "stf_1", hours: float = 1) -> Verified[MonitorWarrant]:
        return self.verified(MonitorWarrant((self.charter.call_id,), officer, "policy"), hours)  # type: ignore[arg-type]

    def channel(self, who: str) -> FakeChannel:
        channel = FakeChannel()
        self.room.attach_channel(self.ticket(who), channel)
        return channel

    async def join(self, who: str) -> str:
        answer = await self.room.publish(self.ticket(who), OFFER)
        self.media.connect(answer.session_id)
        return answer.session_id

    async def watch(self, officer: str = "stf_1", hours: float = 1) -> str:
        assert isinstance(self.room, OrdinaryRoom)
        answer = await self.room.add_monitor(self.warrant(officer, hours), OFFER)
        self.media.connect(answer.session_id)
        return answer.session_id

    def record(self) -> FakeRecorderLeg:
        assert isinstance(self.room, OrdinaryRoom)
        warrant = RecordingWarrant(self.charter.call_id, "rec_1", (Kind.AUDIO, Kind.VIDEO), "1")  # type: ignore[arg-type]
        leg = FakeRecorderLeg(warrant)
        self.room.add_recorder(self.verified(warrant), leg)
        return leg

    def start(self) -> None:
        """It is the scheduled start now."""
        self.clock.now = max(self.clock.now, START)
        self.room.tick()

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.room.tick()

    async def live(self) -> dict[str, str]:
        """Both sides in, the time come: LIVE, unless something else is missing. Their sessions."""
        sessions = {who: await self.join(who) for who in ("family", "prisoner")}
        self.start()
        return sessions

    @property
    def phase(self) -> Phase:
        return self.room.phase

    def types(self) -> list[EventType]:
        return [event.type for event in self.events]
