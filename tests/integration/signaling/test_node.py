"""The whole media node over real HTTP, UDP and disk: aiortc clients join and watch, the recorder records."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aioice.ice
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.blobs import FolderStore
from recorder.keys import LocalKeyRing, new_key_line
from recorder.service import RecordingService
from signaling.bus import InProcessBus
from signaling.calls import Actor, ActorKind, Phase, Recorder
from signaling.clock import steady_clock
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.errors import PrivilegedCallError
from signaling.http import media_routes
from signaling.ids import CallId, OrdinaryCallId, new_call_id
from signaling.media.leg import Kind, Side
from signaling.media.node import MediaNode
from signaling.node import SignalingNode
from signaling.tickets import (
    CallCharter,
    JoinTicket,
    MonitorWarrant,
    RecordingPolicy,
    RecordingWarrant,
    Supervision,
    Ticket,
    TicketIssuer,
    TicketVerifier,
)
from tests.fixtures.waiting import eventually

OFFICER = Actor(ActorKind.STAFF, "stf_1")


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc gathers on loopback, which aioice leaves out by default."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


class House:
    """A media node, its HTTP server, and the application's keys."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = steady_clock(time.monotonic, lambda: datetime.now(UTC))
        key = Ed25519PrivateKey.generate()
        self.issuer = TicketIssuer(key, self.clock)
        self.media = MediaNode("127.0.0.1", 0)
        bus, directory = InProcessBus(), InProcessDirectory(time.monotonic)
        self.control = BusRoomControl(bus, directory)
        self.store = FolderStore(tmp_path / "recordings")
        keys = LocalKeyRing.from_text(new_key_line("kek-1"))
        self.recorder = RecordingService(self.store, keys, Ed25519PrivateKey.generate(), self.clock)
        self.node = SignalingNode(
            NodeInfo("node-1", "", 10),
            self.media,
            bus,
            directory,
            TicketVerifier([key.public_key()], self.clock),
            clock=self.clock,
            monotonic=time.monotonic,
            recorder_factory=self.recorder.start,
        )
        self.http: ClientSession
        self.url = ""
        self.clients: list[RTCPeerConnection] = []

    async def open(self, *, privileged: bool = False, recorded: bool = False, seconds: float = 600) -> CallId:
        call_id = new_call_id(privileged=privileged)
        now = self.clock()
        charter = CallCharter(
            call_id=call_id,
            starts_at=now,
            ends_at=now + timedelta(seconds=seconds),
            lobby_opens_at=now,
            sides=(Side.FAMILY, Side.PRISONER),
            recording=RecordingPolicy.REQUIRED if recorded else RecordingPolicy.NONE,
            supervision=Supervision.NONE,
            watch_banner=False,
        )
        await self.control.open(self.sign(charter))
        if recorded:
            assert isinstance(call_id, OrdinaryCallId)
            warrant = RecordingWarrant(call_id, "rec_1", (Kind.AUDIO, Kind.VIDEO), "1")
            await self.control.attach_recorder(self.sign(warrant))
        return call_id

    def sign(self, ticket: Ticket) -> str:
        return self.issuer.issue(ticket, expires_at=self.clock() + timedelta(hours=1))

    def ticket(self, call_id: CallId, side: Side) -> str:
        return self.sign(JoinTicket(call_id, side.value, side, side.value.title(), "idc_1"))

    async def offer(self, path: str, token: str, client: RTCPeerConnection) -> tuple[int, dict[str, str], str]:
        self.clients.append(client)
        await client.setLocalDescription(await client.createOffer())
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        sdp = client.localDescription.sdp
        async with self.http.post(self.url + path, data=sdp, headers=headers) as response:
            body = await response.text()
            if response.status == 201:
                await client.setRemoteDescription(RTCSessionDescription(body, "answer"))
            return response.status, dict(response.headers), body

    async def join(self, call_id: CallId, side: Side) -> tuple[RTCPeerConnection, str]:
        """A participant who sends sound and pictures; the client and its session's address."""
        client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        client.addTrack(AudioStreamTrack())
        client.addTrack(VideoStreamTrack())
        client.on("track", _swallow)
        status, headers, body = await self.offer(f"/media/whip/{call_id}", self.ticket(call_id, side), client)
        assert status == 201, body
        return client, headers["Location"]

    async def watch(self, call_id: CallId, token: str) -> tuple[int, str]:
        client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        client.addTransceiver("video", direction="recvonly")
        client.addTransceiver("audio", direction="recvonly")
        client.on("track", _swallow)
        status, _, body = await self.offer(f"/media/whep/{call_id}", token, client)
        return status, body

    async def channel(self, call_id: CallId, side: Side) -> ClientWebSocketResponse:
        socket = await self.http.ws_connect(self.url + "/media/channel")
        await socket.send_json({"type": "hello", "ticket": self.ticket(call_id, side)})
        return socket

    def forwarded(self, call_id: CallId) -> int:
        return self.media.open_room(call_id).counters().forwarded  # type: ignore[call-overload, no-any-return]

    def phase(self, call_id: CallId) -> Phase:
        return self.node.rooms.get(call_id).phase

    async def until_live(self, call_id: CallId) -> None:
        await eventually(lambda: self.phase(call_id) is Phase.LIVE, "the call is live")
        before = self.forwarded(call_id)
        await eventually(lambda: self.forwarded(call_id) > before + 50, "packets are forwarded")


def _swallow(track: Any) -> None:
    sink = MediaBlackhole()
    sink.addTrack(track)
    task = asyncio.ensure_future(sink.start())
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


_TASKS: set[asyncio.Future[None]] = set()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    application = web.Application()
    for route in media_routes(made.node):
        application.router.add_route(route.method, route.path, route.handler)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await made.node.start()
    async with ClientSession() as made.http:
        yield made
        await asyncio.gather(*(client.close() for client in made.clients))
    await made.node.stop()
    await runner.cleanup()


async def messages_until(socket: ClientWebSocketResponse, type: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["type"] != type:
        seen.append(await socket.receive_json(timeout=10))
    return seen


async def test_two_sides_talk_are_held_go_on_and_are_ended(house: House) -> None:
    call_id = await house.open(recorded=True)
    channel = await house.channel(call_id, Side.FAMILY)
    await house.join(call_id, Side.FAMILY)
    await eventually(lambda: len(house.node.rooms.get(call_id).machine.state.connected_sides) == 1, "one side is in")
    assert house.forwarded(call_id) == 0
    await house.join(call_id, Side.PRISONER)
    await house.until_live(call_id)

    held = await house.control.hold(call_id, OFFICER, "third person", "One moment")
    assert held.phase is Phase.HELD
    counters = house.media.open_room(call_id).counters()  # type: ignore[call-overload]
    forwarded, dropped = counters.forwarded, counters.dropped_gate
    # Both sides go on sending all the while; the proof is that what arrived was dropped.
    await eventually(
        lambda: house.media.open_room(call_id).counters().dropped_gate > dropped + 50,  # type: ignore[call-overload]
        "packets arrive while the call is held",
    )
    assert house.forwarded(call_id) == forwarded

    await house.control.resume(call_id, OFFICER, "clear")
    await house.until_live(call_id)
    snapshot = await house.control.terminate(call_id, OFFICER, "end of test", "This visit has been ended.")
    assert snapshot.phase is Phase.ENDING
    heard = await messages_until(channel, "ended")
    assert heard[-1]["words"] == "This visit has been ended."
    states = [message["state"] for message in heard if message["type"] == "state"]
    assert states == ["ready", "live", "held", "live"]
    assert any(message["type"] == "slots" and _shows(message, "prisoner") for message in heard)
    await eventually(lambda: len(house.node.rooms) == 0, "the room is closed")
    events = await house.control.events(call_id)
    assert [event.type.value for event in events[-2:]] == ["recorder_sealed", "terminated"]
    assert events[-2].data["segments"] >= 1
    assert events[-2].data["tracks"] == 4
    report = await house.recorder.verify("rec_1")
    assert report.valid, report


def _shows(message: dict[str, Any], participant_id: str) -> bool:
    return any(slot["participant_id"] == participant_id for slot in message["slots"])


async def test_a_hung_up_side_stops_the_clock_and_comes_back(house: House) -> None:
    call_id = await house.open()
    _, location = await house.join(call_id, Side.FAMILY)
    await house.join(call_id, Side.PRISONER)
    await house.until_live(call_id)
    headers = {"Authorization": f"Bearer {house.ticket(call_id, Side.FAMILY)}"}
    async with house.http.delete(house.url + location, headers=headers) as response:
        assert response.status == 200
    assert house.phase(call_id) is Phase.RECONNECTING
    seconds = (await house.control.snapshot(call_id)).connected_seconds
    assert (await house.control.snapshot(call_id)).connected_seconds == seconds
    await house.join(call_id, Side.FAMILY)
    await house.until_live(call_id)


async def test_a_lost_client_is_missed(house: House) -> None:
    call_id = await house.open()
    client, _ = await house.join(call_id, Side.FAMILY)
    await house.join(call_id, Side.PRISONER)
    await house.until_live(call_id)
    await client.close()  # says goodbye by DTLS, as a closed tab does
    await eventually(lambda: house.phase(call_id) is Phase.RECONNECTING, "the side is missed")


async def test_an_officer_watches_and_participants_hear_nothing_of_it(house: House) -> None:
    call_id = await house.open()
    channel = await house.channel(call_id, Side.FAMILY)
    await house.join(call_id, Side.FAMILY)
    await house.join(call_id, Side.PRISONER)
    await house.until_live(call_id)
    await channel.send_json({"type": "ping", "t": 1})
    await messages_until(channel, "pong")
    room = house.media.open_room(call_id)  # type: ignore[call-overload]
    warrant = house.sign(MonitorWarrant((call_id,), "stf_1", "sample"))  # type: ignore[arg-type]
    assert (await house.watch(call_id, warrant))[0] == 201
    await eventually(lambda: room.counters().forwarded_officers > 50, "the officer gets packets")
    assert (await house.control.snapshot(call_id)).officers == ("stf_1",)
    await house.clients[-1].close()
    await eventually(lambda: not house.node.rooms.get(call_id).machine.state.monitors, "the officer is gone")
    await channel.send_json({"type": "ping", "t": 2})
    heard = await messages_until(channel, "pong")
    assert [message["type"] for message in heard if message["type"] != "talking"] == ["pong"]


async def test_a_privileged_call_talks_and_nobody_else_gets_in(house: House) -> None:
    ordinary = await house.open()
    call_id = await house.open(privileged=True)
    await house.join(call_id, Side.FAMILY)
    await house.join(call_id, Side.PRISONER)
    await house.until_live(call_id)
    forged = object.__new__(MonitorWarrant)
    recording = object.__new__(RecordingWarrant)
    for body, values in (
        (forged, {"call_ids": (call_id,), "officer_id": "stf_1", "ground": "x", "may_talk": False}),
        (recording, {"call_id": call_id, "recording_id": "rec_9", "tracks": (Kind.AUDIO,), "policy_version": "1"}),
    ):
        for name, value in values.items():
            object.__setattr__(body, name, value)
    other = house.sign(MonitorWarrant((ordinary,), "stf_1", "sample"))  # type: ignore[arg-type]
    for token in (other, house.sign(forged), house.ticket(call_id, Side.FAMILY)):
        status, body_text = await house.watch(call_id, token)
        assert (status, json.loads(body_text)["code"]) == (403, "privileged_call")
    with pytest.raises(PrivilegedCallError):
        await house.control.attach_recorder(house.sign(recording))
    counters = house.media.open_room(call_id).counters()  # type: ignore[call-overload]
    assert (counters.forwarded_officers, counters.forwarded_legs) == (0, 0)
    assert not any(house.store.prefixes()), "nothing was written"
    assert (await house.control.snapshot(call_id)).recorder is Recorder.ABSENT


async def test_the_scheduled_end_ends_the_call(house: House) -> None:
    call_id = await house.open(seconds=3)
    await house.join(call_id, Side.FAMILY)
    await house.join(call_id, Side.PRISONER)
    with contextlib.suppress(TimeoutError):
        await house.until_live(call_id)
    await eventually(lambda: len(house.node.rooms) == 0, "the call is over")
    events = await house.control.events(call_id)
    assert (events[-1].type.value, events[-1].cause) == ("ended", "time_over")
