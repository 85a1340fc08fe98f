"""Media without packets: sessions that a test connects and loses, a gate and a log of what was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from signaling.errors import UnknownSession
from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId
from signaling.media.errors import PreconditionFailed, PreconditionRequired, RoomClosed, SdpError
from signaling.media.leg import Kind, Leg, Side, TrackInfo
from signaling.media.listener import MediaRoomListener, PeerLost, SilentListener
from signaling.media.session import Answer, PatchAnswer, SlotInfo
from signaling.media.stats import EndpointCounters, NodeStats, RoomCounters

OFFER = "v=0\r\n"


@dataclass
class FakeSession:
    session_id: str
    owner: str
    etag: str = "ice-0"
    connected: bool = False


@dataclass
class FakeMediaRoom:
    """What ordinary and privileged rooms have in common. An offer that does not begin with v=0 is refused."""

    call_id: CallId
    listener: MediaRoomListener = field(default_factory=SilentListener)
    sessions: dict[str, FakeSession] = field(default_factory=dict)
    gate: bool = False
    gates: list[bool] = field(default_factory=list)
    muted: set[tuple[str, Kind]] = field(default_factory=set)
    held: set[str] = field(default_factory=set)
    views: dict[str, dict[str, int]] = field(default_factory=dict)
    closed: bool = False
    numbers: RoomCounters = field(default_factory=RoomCounters)

    async def publish(self, participant_id: str, side: Side, offer: str) -> Answer:
        for session in [found for found in self.sessions.values() if found.owner == participant_id]:
            self.lose(session.session_id, PeerLost.REPLACED)
        return self._open(participant_id, offer)

    def _open(self, owner: str, offer: str) -> Answer:
        if self.closed:
            raise RoomClosed("closed")
        if not offer.startswith("v=0"):
            raise SdpError("not an offer")
        session = FakeSession(f"med_{self.call_id[-4:]}_{owner}_{len(self.sessions)}_{self.numbers.received}", owner)
        self.numbers.received += 1
        self.sessions[session.session_id] = session
        return Answer(session.session_id, "v=0\r\nanswer\r\n", session.etag)

    async def patch(self, session_id: str, etag: str | None, fragment: str) -> PatchAnswer:
        session = self._session(session_id)
        if etag is None:
            raise PreconditionRequired("If-Match")
        if etag not in ("*", session.etag):
            raise PreconditionFailed("another ICE session")
        if "ice-ufrag" in fragment:
            session.etag += "'"
            return PatchAnswer("a=ice-ufrag:new\r\n", session.etag)
        return PatchAnswer(None, session.etag)

    async def close_session(self, session_id: str) -> None:
        self._session(session_id)
        self.lose(session_id, PeerLost.CLOSED)

    def set_gate(self, open: bool) -> None:
        if open != self.gate:
            self.gates.append(open)
        self.gate = open

    def set_muted(self, participant_id: str, kind: Kind, muted: bool) -> None:
        (self.muted.add if muted else self.muted.discard)((participant_id, kind))

    def set_held(self, participant_id: str, held: bool) -> None:
        (self.held.add if held else self.held.discard)(participant_id)

    def set_view(self, session_id: str, heights: Mapping[str, int]) -> None:
        self._session(session_id)
        self.views[session_id] = dict(heights)

    def slots(self, session_id: str) -> Sequence[SlotInfo]:
        owner = self._session(session_id).owner
        others = dict.fromkeys(found.owner for found in self.sessions.values() if found.owner != owner)
        return [SlotInfo(str(index), Kind.VIDEO, index, other, None) for index, other in enumerate(others)]

    def tracks(self) -> Sequence[TrackInfo]:
        return []

    def counters(self) -> RoomCounters:
        return self.numbers.snapshot()

    # --- what a test does --------------------------------------------------------------------------------------

    def connect(self, session_id: str) -> None:
        session = self._session(session_id)
        session.connected = True
        self.listener.peer_connected(session.owner, session_id)

    def lose(self, session_id: str, why: PeerLost) -> None:
        session = self.sessions.pop(session_id)
        self.listener.peer_lost(session.owner, session_id, why)

    def _session(self, session_id: str) -> FakeSession:
        if session_id not in self.sessions:
            raise UnknownSession("no such session")
        return self.sessions[session_id]


@dataclass
class FakeOrdinaryMediaRoom(FakeMediaRoom):
    legs: dict[str, Leg] = field(default_factory=dict)

    async def subscribe(self, leg_owner: str, offer: str) -> Answer:
        return self._open(leg_owner, offer)

    def add_leg(self, leg: Leg) -> None:
        if leg.leg_id in self.legs:
            raise ValueError("taken")
        self.legs[leg.leg_id] = leg

    def remove_leg(self, leg_id: str) -> None:
        leg = self.legs.pop(leg_id, None)
        if leg is not None:
            leg.close("removed")


@dataclass
class FakePrivilegedMediaRoom(FakeMediaRoom):
    pass


class FakeMediaNode:
    """Rooms by call, and nothing on any socket."""

    def __init__(self) -> None:
        self.rooms: dict[CallId, FakeMediaRoom] = {}
        self.running = False

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", 0)

    def open_room(self, call_id: OrdinaryCallId | PrivilegedCallId) -> FakeMediaRoom:
        if call_id not in self.rooms:
            ordinary = isinstance(call_id, OrdinaryCallId)
            self.rooms[call_id] = (FakeOrdinaryMediaRoom if ordinary else FakePrivilegedMediaRoom)(call_id)
        return self.rooms[call_id]

    def close_room(self, call_id: CallId) -> None:
        room = self.rooms.pop(call_id, None)
        if room is not None:
            room.closed = True

    def shut(self) -> None:
        for room in self.rooms.values():
            room.gate = False

    def room_of_session(self, session_id: str) -> FakeMediaRoom | None:
        return next((room for room in self.rooms.values() if session_id in room.sessions), None)

    def stats(self) -> NodeStats:
        sessions = sum(len(room.sessions) for room in self.rooms.values())
        return NodeStats(len(self.rooms), sessions, EndpointCounters(), RoomCounters())
