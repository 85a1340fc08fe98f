"""An officer's wall over real HTTP and UDP: watches begin and end under their grounds, and the officer is heard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from signaling.calls import CallEvent, EventType, Phase
from signaling.capabilities import RecordingPolicy, Supervision
from signaling.ids import OrdinaryCallId, new_call_id
from signaling.media.leg import Kind, Side
from signaling.tickets import CallCharter, JoinTicket, MonitorWarrant, RecordingWarrant, TalkWarrant
from signaling.walls import MOST
from tests.fakes.media_client import PARTY, MediaClient
from tests.fixtures.waiting import eventually
from tests.integration.media.test_call import send
from tests.integration.signaling.test_node import OFFICER, House, house

__all__ = ["house"]

LINES = (*[("video", "recvonly")] * 4, ("audio", "recvonly"), ("audio", "recvonly"), ("audio", "sendonly"))
WITH_TALK = (*PARTY, ("audio", "recvonly"))


@dataclass
class Line:
    """A control channel whose messages are kept."""

    socket: ClientWebSocketResponse
    messages: list[dict[str, Any]] = field(default_factory=list)

    async def until(self, wanted: Callable[[dict[str, Any]], bool], limit: float = 60) -> dict[str, Any]:
        """The first message that is wanted, of those not looked at yet."""
        while True:
            message = await self.socket.receive_json(timeout=limit)
            self.messages.append(message)
            if wanted(message):
                return message

    async def of(self, kind: str, **values: Any) -> dict[str, Any]:
        """The next message of a type with these values."""
        return await self.until(
            lambda one: one["type"] == kind and all(one.get(name) == value for name, value in values.items())
        )


@dataclass
class Party:
    """A call with both sides in it."""

    call_id: OrdinaryCallId
    clients: dict[Side, MediaClient]
    lines: dict[Side, Line]


class Scene:
    """Calls, and an officer with a wall."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.clients: list[MediaClient] = []

    async def call(self, *, supervision: Supervision = Supervision.NONE, recorded: bool = False) -> Party:
        house, call_id = self.house, new_call_id(privileged=False)
        assert isinstance(call_id, OrdinaryCallId)
        now = house.clock()
        recording = RecordingPolicy.REQUIRED if recorded else RecordingPolicy.NONE
        sides = (Side.FAMILY, Side.PRISONER)
        end = now + timedelta(minutes=10)
        await house.control.open(
            house.sign(CallCharter(call_id, now, end, now, sides, recording, supervision, watch_banner=False))
        )
        if recorded:
            warrant = RecordingWarrant(call_id, "rec_1", (Kind.AUDIO, Kind.VIDEO), "1")
            await house.control.attach_recorder(house.sign(warrant))
        party = Party(call_id, {}, {})
        for side in sides:
            ticket = house.sign(JoinTicket(call_id, f"{side.value}-{call_id[-4:]}", side, side.value.title(), "idc_1"))
            party.lines[side] = Line(await house.http.ws_connect(house.url + "/media/channel"))
            await party.lines[side].socket.send_json({"type": "hello", "ticket": ticket})
            await party.lines[side].of("welcome")
            party.clients[side] = await self.connect(f"/media/whip/{call_id}", ticket, WITH_TALK)
        return party

    async def connect(self, path: str, ticket: str, lines: Any) -> MediaClient:
        client = MediaClient(lines)
        self.clients.append(client)
        headers = {"Authorization": f"Bearer {ticket}", "Content-Type": "application/sdp"}
        async with self.house.http.post(self.house.url + path, data=client.offer(), headers=headers) as response:
            body = await response.text()
            assert response.status == 201, body
            client.location = response.headers["Location"]  # type: ignore[attr-defined]
        await client.connect(body)
        return client

    def warrant(self, *parties: Party, ground: str = "sample", officer: str = "stf_1", may_talk: bool = True) -> str:
        calls = tuple(party.call_id for party in parties)
        return self.house.sign(MonitorWarrant(calls, officer, ground, may_talk))

    def talk(self, party: Party, *sides: Side, officer: str = "stf_1") -> str:
        now = self.house.clock()
        warrant = TalkWarrant(party.call_id, officer, sides)
        return self.house.issuer.issue(warrant, expires_at=now + timedelta(minutes=1))

    async def wall(self, warrant: str) -> tuple[MediaClient, Line]:
        """A connected wall and its channel, welcomed."""
        client = await self.connect("/media/whep", warrant, LINES)
        line = Line(await self.house.http.ws_connect(self.house.url + "/media/channel"))
        session = client.location.rsplit("/", 1)[-1]  # type: ignore[attr-defined]
        await line.socket.send_json({"type": "hello", "ticket": warrant, "session": session})
        welcome = await line.of("welcome")
        assert (welcome["role"], welcome["session_id"], welcome["most"]) == ("wall", session, 2)
        return client, line

    def events(self, party: Party, *types: EventType) -> list[CallEvent]:
        machine = self.house.node.rooms.get(party.call_id).machine
        return [event for event in machine.events if event.type in types]

    def phase(self, party: Party) -> Phase:
        return self.house.node.rooms.get(party.call_id).phase


@asynccontextmanager
async def staged(house: House) -> AsyncIterator[Scene]:
    scene = Scene(house)
    yield scene
    for client in scene.clients:
        await client.close()


@pytest.fixture
async def scene(house: House) -> AsyncIterator[Scene]:
    async with staged(house) as made:
        yield made


async def test_calls_come_on_a_running_wall_under_their_own_ground(scene: Scene) -> None:
    first, second, third = [await scene.call() for _ in range(3)]
    client, line = await scene.wall(scene.warrant(first, ground="sample"))
    welcome = await line.of("call", call_id=first.call_id)
    assert welcome["message"]["type"] == "welcome"
    await eventually(lambda: len(scene.events(first, EventType.MONITOR_JOINED)) == 1, "the watch begins")
    assert scene.events(second, EventType.MONITOR_JOINED) == []

    await line.socket.send_json({"type": "watch", "warrants": [scene.warrant(second, ground="concern: a letter")]})
    await line.socket.send_json({"type": "show", "tiles": [second.call_id, first.call_id], "focus": second.call_id})
    await line.until(
        lambda one: (
            one["type"] == "slots"
            and {slot["call_id"] for slot in one["slots"] if slot["kind"] == "audio"} == {second.call_id}
        )
    )
    (joined,) = scene.events(second, EventType.MONITOR_JOINED)
    assert (joined.data["ground"], joined.data["officer_id"]) == ("concern: a letter", "stf_1")
    for party in (first, second):
        for one in party.clients.values():
            send(one, 0, 5, key_at=0)
    await eventually(lambda: len(client.received.of_kind("video")) == 20, "four pictures in one session")
    await eventually(lambda: len(client.received.of_kind("audio")) == 10, "the focus is heard")
    slots = line.messages[-1]["slots"]
    shown = {(slot["call_id"], slot["side"]) for slot in slots if slot["kind"] == "video"}
    assert shown == {(party.call_id, side) for party in (first, second) for side in ("family", "prisoner")}

    await line.socket.send_json({"type": "watch", "warrants": [scene.warrant(third)]})
    refused = await line.of("unwatched", call_id=third.call_id)
    assert refused["code"] == "wall_full"
    assert scene.events(third, EventType.MONITOR_JOINED) == []
    await line.socket.send_json({"type": "unwatch", "call_id": first.call_id})
    await line.of("unwatched", call_id=first.call_id)
    assert len(scene.events(first, EventType.MONITOR_LEFT)) == 1
    await line.socket.send_json({"type": "watch", "warrants": [scene.warrant(third)]})
    await line.of("call", call_id=third.call_id)
    assert len(scene.events(third, EventType.MONITOR_JOINED)) == 1

    async with scene.house.http.delete(
        scene.house.url + client.location,  # type: ignore[attr-defined]
        headers={"Authorization": f"Bearer {scene.warrant(second)}"},
    ) as response:
        assert response.status == 200
    for party in (second, third):
        (left,) = scene.events(party, EventType.MONITOR_LEFT)
        assert left.cause == "closed"
        assert scene.house.node.rooms.get(party.call_id).snapshot("n").officers == ()
    closed = await line.socket.receive(timeout=60)
    while closed.type is WSMsgType.TEXT:
        closed = await line.socket.receive(timeout=60)
    assert (closed.type, closed.data) == (WSMsgType.CLOSE, 4005)
    assert len(scene.house.node.walls) == 0


async def test_only_the_officers_own_and_good_warrants_count(scene: Scene) -> None:
    first, second = await scene.call(), await scene.call()
    client, line = await scene.wall(scene.warrant(first))
    for token, code in (
        (scene.warrant(second, officer="stf_2"), "wrong_officer"),
        (scene.house.ticket(second.call_id, Side.FAMILY), "wrong_type"),
        ("x.y.z", "malformed"),
    ):
        await line.socket.send_json({"type": "watch", "warrants": [token]})
        assert (await line.of("refused", request="watch"))["code"] == code
    assert scene.events(second, EventType.MONITOR_JOINED) == []
    # another officer can neither end the wall nor sit down at its channel
    other = {"Authorization": f"Bearer {scene.warrant(first, officer='stf_2')}"}
    address = scene.house.url + client.location  # type: ignore[attr-defined]
    async with scene.house.http.delete(address, headers=other) as response:
        assert response.status == 404
    stranger = await scene.house.http.ws_connect(scene.house.url + "/media/channel")
    session = client.location.rsplit("/", 1)[-1]  # type: ignore[attr-defined]
    await stranger.send_json({"type": "hello", "ticket": other["Authorization"][7:], "session": session})
    assert (await stranger.receive_json(timeout=60))["code"] == "unknown_session"


async def test_an_officer_has_so_many_walls_and_a_new_one_ends_the_oldest(scene: Scene) -> None:
    party = await scene.call()
    other, _ = await scene.wall(scene.warrant(party, officer="stf_2"))
    walls = [await scene.wall(scene.warrant(party)) for _ in range(MOST)]
    assert len(scene.house.node.walls) == MOST + 1
    await scene.wall(scene.warrant(party))
    _, line = walls[0]
    closed = await line.socket.receive(timeout=60)
    while closed.type is WSMsgType.TEXT:
        closed = await line.socket.receive(timeout=60)
    assert (closed.type, closed.data) == (WSMsgType.CLOSE, 4005)
    scene.house.node.walls.tick()
    assert len(scene.house.node.walls) == MOST + 1
    for client in (other, *(client for client, _ in walls[1:])):
        assert scene.house.node.walls.has(client.location.rsplit("/", 1)[-1])  # type: ignore[attr-defined]


async def test_a_bad_warrant_beside_a_good_one_is_refused_alone(scene: Scene) -> None:
    first, second = await scene.call(), await scene.call()
    _, line = await scene.wall(scene.warrant(first))
    warrants = ["x.y.z", scene.warrant(second, officer="stf_2"), scene.warrant(second)]
    await line.socket.send_json({"type": "watch", "warrants": warrants})
    assert (await line.of("refused", request="watch"))["code"] == "malformed"
    assert (await line.of("refused", request="watch"))["code"] == "wrong_officer"
    await eventually(lambda: bool(scene.events(second, EventType.MONITOR_JOINED)), "the watch begins")


async def test_an_offer_under_a_privileged_warrant_is_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    party = await scene.call()
    privileged = await scene.house.open(privileged=True)
    body = MonitorWarrant((party.call_id,), "stf_1", "sample")
    object.__setattr__(body, "call_ids", (party.call_id, privileged))  # what a broken issuer might sign
    client = MediaClient(LINES)
    scene.clients.append(client)
    headers = {"Authorization": f"Bearer {scene.house.sign(body)}", "Content-Type": "application/sdp"}
    url = scene.house.url + "/media/whep"
    async with scene.house.http.post(url, data=client.offer(), headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (403, "privileged_call")
    _, line = await scene.wall(scene.warrant(party))
    await line.socket.send_json({"type": "watch", "warrants": [scene.house.sign(body)]})
    assert (await line.of("refused"))["code"] == "privileged_call"
    await line.socket.send_json({"type": "show", "tiles": [privileged], "focus": privileged})
    await line.socket.send_json({"type": "unwatch", "call_id": privileged})
    talk = TalkWarrant(party.call_id, "stf_1", (Side.FAMILY,))
    object.__setattr__(talk, "call_id", privileged)
    token = scene.house.issuer.issue(talk, expires_at=scene.house.clock() + timedelta(minutes=1))
    await line.socket.send_json({"type": "talk", "warrant": token})
    assert (await line.of("refused", request="talk"))["code"] == "privileged_call"
    room = scene.house.node.rooms.get(privileged)
    for name in ("attach_wall", "greet_wall", "talk", "hush"):
        assert not hasattr(room, name)
    assert room.machine.state.monitors == {}


async def test_a_required_watch_on_a_wall_is_missed_when_its_connection_dies(scene: Scene) -> None:
    party = await scene.call(supervision=Supervision.LIVE)
    room = scene.house.node.rooms.get(party.call_id)
    room.machine.rules = replace(room.machine.rules, monitor_grace=timedelta(seconds=1))
    assert scene.phase(party) is not Phase.LIVE
    client, line = await scene.wall(scene.warrant(party, ground="policy"))
    await eventually(lambda: scene.phase(party) is Phase.LIVE, "the watched call goes live")
    await client.close()  # the tab is gone
    await line.socket.close()
    await eventually(lambda: scene.phase(party) is Phase.WAITING_MONITOR, "the call waits for an officer")
    assert not room._media.gate_open
    await scene.wall(scene.warrant(party, ground="policy"))
    await eventually(lambda: scene.phase(party) is Phase.LIVE, "it goes on when one is back")


async def test_a_watch_ends_with_its_warrant_and_goes_on_with_a_fresh_one(scene: Scene) -> None:
    kept, lost = await scene.call(), await scene.call()
    _, line = await scene.wall(scene.warrant(kept, lost))
    await eventually(lambda: len(scene.events(lost, EventType.MONITOR_JOINED)) == 1, "both are watched")
    soon = scene.house.clock() + timedelta(seconds=2)
    for party in (kept, lost):
        room = scene.house.node.rooms.ordinary(party.call_id)
        room._watches = {name: replace(watch, expires_at=soon) for name, watch in room._watches.items()}
    await line.socket.send_json({"type": "watch", "warrants": [scene.warrant(kept, ground="sample")]})
    ended = await line.of("unwatched", call_id=lost.call_id)
    assert ended["code"] == "expired"
    assert len(scene.events(lost, EventType.MONITOR_LEFT)) == 1
    assert len(scene.events(kept, EventType.MONITOR_JOINED)) == 1
    assert scene.events(kept, EventType.MONITOR_LEFT) == []


async def test_an_ended_call_leaves_the_wall_and_the_others_stay(scene: Scene) -> None:
    first, second = await scene.call(), await scene.call()
    _, line = await scene.wall(scene.warrant(first, second))
    await eventually(lambda: len(scene.events(second, EventType.MONITOR_JOINED)) == 1, "both are watched")
    await scene.house.control.terminate(first.call_id, OFFICER, "end of test", "")
    ended = await line.of("call", call_id=first.call_id)
    while ended["message"]["type"] != "ended":
        ended = await line.of("call", call_id=first.call_id)
    assert (await line.of("unwatched", call_id=first.call_id))["code"] == "call_over"
    for one in second.clients.values():
        send(one, 0, 5, key_at=0)
    await eventually(lambda: not scene.events(second, EventType.MONITOR_LEFT), "the other is still watched")


async def test_an_officer_speaks_to_all_or_to_one_side(scene: Scene) -> None:
    party = await scene.call(recorded=True)
    family, prisoner = party.clients[Side.FAMILY], party.clients[Side.PRISONER]
    client, line = await scene.wall(scene.warrant(party, may_talk=True))
    await eventually(lambda: scene.phase(party) is Phase.LIVE, "the call is live")

    def say(first: int) -> None:
        for number in range(first, first + 5):
            client.send_rtp("audio", b"officer", number * 960, level=20)

    def heard(one: MediaClient) -> int:
        return sum(packet.extensions.mid == "2" for packet in one.received.rtp)

    names = (f"family-{party.call_id[-4:]}", f"prisoner-{party.call_id[-4:]}")
    everybody = scene.talk(party, Side.FAMILY, Side.PRISONER, Side.GUEST)
    await line.socket.send_json({"type": "talk", "warrant": everybody})
    speech = await line.of("speech")
    assert (speech["talking"], tuple(speech["heard_by"]), speech["unheard_by"]) == (True, names, [])
    for side in party.lines:
        assert await party.lines[side].of("officer") == {"type": "officer", "talking": True, "to": "all"}
    say(0)
    await eventually(lambda: heard(family) == heard(prisoner) == 5, "both hear the officer")
    await line.socket.send_json({"type": "hush"})
    for side in party.lines:
        assert (await party.lines[side].of("officer"))["talking"] is False

    await scene.house.control.hold(party.call_id, OFFICER, "a word", "One moment")
    await line.socket.send_json({"type": "talk", "warrant": scene.talk(party, Side.PRISONER)})
    assert (await line.of("speech", talking=True))["heard_by"] == [names[1]]
    told = await party.lines[Side.PRISONER].of("officer")
    assert told == {"type": "officer", "talking": True, "to": "you"}
    say(5)
    await eventually(lambda: heard(prisoner) == 10, "a whisper while the call is held")
    await line.socket.close()  # nobody could stop him now
    await party.lines[Side.PRISONER].of("officer", talking=False)
    await scene.house.control.say(party.call_id, OFFICER, "the last word")
    await party.lines[Side.FAMILY].of("message")
    assert heard(family) == 5
    whispers = [one for one in party.lines[Side.FAMILY].messages if one == told or one.get("to") == "you"]
    assert whispers == []  # the other side is not told of a whisper

    started = scene.events(party, EventType.TALK_STARTED)
    stopped = scene.events(party, EventType.TALK_STOPPED)
    assert [event.data["sides"] for event in started] == [["family", "prisoner", "guest"], ["prisoner"]]
    assert [event.cause for event in stopped] == ["officer", "channel_lost"]
    assert {event.actor.actor_id for event in (*started, *stopped)} == {"stf_1"}


async def test_who_may_not_talk_is_not_heard(scene: Scene) -> None:
    party, other = await scene.call(), await scene.call()
    _, line = await scene.wall(scene.warrant(party, may_talk=False))
    for token, code in (
        (scene.talk(party, Side.FAMILY), "may_not_talk"),
        (scene.talk(other, Side.FAMILY), "unknown_call"),
        (scene.talk(party, Side.FAMILY, officer="stf_2"), "wrong_officer"),
        (scene.warrant(party), "wrong_type"),
    ):
        await line.socket.send_json({"type": "talk", "warrant": token})
        assert (await line.of("refused", request="talk"))["code"] == code
    assert scene.events(party, EventType.TALK_STARTED) == []
    assert not scene.events(other, EventType.TALK_STARTED)
