"""A running media node, rooms in it, and clients that leave when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from signaling.ids import OrdinaryCallId, PrivilegedCallId, new_id
from signaling.media.leg import Kind, Side, TrackInfo
from signaling.media.listener import PeerLost
from signaling.media.node import MediaNode
from signaling.media.rooms import OrdinaryMediaRoom
from signaling.media.router import MediaRoom
from signaling.media.session import SlotInfo
from tests.fakes.media_client import OFFICER, PARTY, MediaClient
from tests.fixtures.waiting import eventually


@dataclass
class Heard:
    """A listener that remembers everything."""

    connected: list[tuple[str, str]] = field(default_factory=list)
    lost: list[tuple[str, str, PeerLost]] = field(default_factory=list)
    started: list[TrackInfo] = field(default_factory=list)
    ended: list[TrackInfo] = field(default_factory=list)
    talked: list[tuple[str, int]] = field(default_factory=list)
    speakers: list[str | None] = field(default_factory=list)
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    slots: dict[str, Sequence[SlotInfo]] = field(default_factory=dict)

    def peer_connected(self, participant_id: str, session_id: str) -> None:
        self.connected.append((participant_id, session_id))

    def peer_lost(self, participant_id: str, session_id: str, why: PeerLost) -> None:
        self.lost.append((participant_id, session_id, why))

    def track_started(self, track: TrackInfo) -> None:
        self.started.append(track)

    def track_ended(self, track: TrackInfo) -> None:
        self.ended.append(track)

    def talking(self, participant_id: str, level: int) -> None:
        self.talked.append((participant_id, level))

    def speaker(self, participant_id: str | None) -> None:
        self.speakers.append(participant_id)

    def line_changed(self, participant_id: str, direction: str, state: str) -> None:
        self.lines.append((participant_id, direction, state))

    def slots_changed(self, session_id: str, slots: Sequence[SlotInfo]) -> None:
        self.slots[session_id] = slots


@dataclass
class Call:
    """A room with a listener, and a way to bring clients in."""

    room: MediaRoom
    heard: Heard
    clients: list[MediaClient] = field(default_factory=list)
    sessions: dict[MediaClient, str] = field(default_factory=dict)

    @property
    def ordinary(self) -> OrdinaryMediaRoom:
        assert isinstance(self.room, OrdinaryMediaRoom)
        return self.room

    def client(
        self, lines: Sequence[tuple[str, str]] = PARTY, *, host: str = "127.0.0.1", transport: str = "udp"
    ) -> MediaClient:
        """A client that is not connected yet."""
        client = MediaClient(lines, host=host, transport=transport)
        self.clients.append(client)
        return client

    async def join(
        self,
        participant_id: str,
        side: Side = Side.FAMILY,
        lines: Sequence[tuple[str, str]] = PARTY,
        *,
        host: str = "127.0.0.1",
        transport: str = "udp",
    ) -> MediaClient:
        """A connected participant."""
        client = self.client(lines, host=host, transport=transport)
        answer = await self.room.publish(participant_id, side, client.offer())
        await self._connect(client, answer.session_id, answer.sdp)
        return client

    async def watch(self, owner: str, lines: Sequence[tuple[str, str]] = OFFICER) -> MediaClient:
        """A connected officer."""
        client = self.client(lines)
        answer = await self.ordinary.subscribe(owner, client.offer())
        await self._connect(client, answer.session_id, answer.sdp)
        return client

    async def _connect(self, client: MediaClient, session_id: str, sdp: str) -> None:
        self.sessions[client] = session_id
        await client.connect(sdp)
        await eventually(lambda: session_id in {session for _, session in self.heard.connected}, "the session connects")

    async def received(self, count: int) -> None:
        """Wait until the room has received so many RTP packets."""
        await eventually(lambda: self.room.counters().received >= count, f"{count} packets at the relay")


@pytest.fixture
async def node() -> AsyncIterator[MediaNode]:
    """A node on a free port of the loopback."""
    node = MediaNode("127.0.0.1", 0)
    await node.start()
    yield node
    await node.stop()


async def _call(node: MediaNode, room: MediaRoom) -> AsyncIterator[Call]:
    call = Call(room, Heard())
    room.listener = call.heard
    yield call
    for client in call.clients:
        await client.close()


@pytest.fixture
async def call(node: MediaNode) -> AsyncIterator[Call]:
    """An ordinary call."""
    async for made in _call(node, node.open_room(OrdinaryCallId(new_id("call")))):
        yield made


@pytest.fixture
async def privileged_call(node: MediaNode) -> AsyncIterator[Call]:
    """A privileged call."""
    async for made in _call(node, node.open_room(PrivilegedCallId(new_id("priv")))):
        yield made


@pytest.fixture
async def both() -> AsyncIterator[MediaNode]:
    """A node on IPv4 and IPv6."""
    node = MediaNode(["127.0.0.1", "::1"], 0)
    await node.start()
    yield node
    await node.stop()


@pytest.fixture
async def both_call(both: MediaNode) -> AsyncIterator[Call]:
    """An ordinary call on a node with IPv4 and IPv6."""
    async for made in _call(both, both.open_room(OrdinaryCallId(new_id("call")))):
        yield made


@dataclass
class ListeningLeg:
    """A leg that remembers what it was given; `fail` makes it raise."""

    leg_id: str
    fail: bool = False
    added: list[TrackInfo] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    rtp: list[tuple[TrackInfo, bytes, float]] = field(default_factory=list)
    rtcp: list[tuple[TrackInfo, bytes, float]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def track_added(self, track: TrackInfo) -> None:
        self.added.append(track)

    def track_removed(self, track_id: str) -> None:
        self.removed.append(track_id)

    def on_rtp(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        if self.fail:
            raise OSError("the disk is full")
        self.rtp.append((track, packet, arrival))

    def on_rtcp(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        self.rtcp.append((track, packet, arrival))

    def on_event(self, event: object) -> None:
        raise AssertionError("the media room gives no events")

    def close(self, reason: str) -> None:
        self.closed.append(reason)

    def of_kind(self, kind: Kind) -> list[bytes]:
        """The packets of one kind."""
        return [packet for track, packet, _ in self.rtp if track.kind is kind]
