"""The control channel over a real WebSocket: hello, limits, heartbeat, replacement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from signaling.channel import ChannelLimits
from signaling.ids import CallId
from tests.fixtures.waiting import eventually
from tests.unit.signaling.charters import charter
from tests.unit.signaling.stage import OFFICER, Stage, stage

LIMITS = ChannelLimits(hello=0.3, heartbeat=0.4, rate=5, burst=10, waiting=50, close=1)


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    async with stage(LIMITS) as made:
        yield made


async def connect(on: Stage, **options: Any) -> ClientWebSocketResponse:
    return await on.http.ws_connect(on.url + "/media/channel", **options)


async def hello(on: Stage, call_id: CallId, who: str = "family") -> ClientWebSocketResponse:
    socket = await connect(on)
    await socket.send_json({"type": "hello", "ticket": on.ticket(call_id, who)})
    assert (await socket.receive_json(timeout=30))["type"] == "welcome"
    return socket


async def until(socket: ClientWebSocketResponse, type: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = await socket.receive_json(timeout=30)
        if message["type"] == type:
            return message


async def closing(socket: ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(60):
        while (await socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
            pass
    return socket.close_code


async def test_pings_do_not_keep_a_socket_that_says_no_hello(on: Stage) -> None:
    socket = await connect(on, autoping=False)

    async def ping() -> None:
        while True:
            await socket.ping()
            await asyncio.sleep(LIMITS.hello / 4)

    pinging = asyncio.create_task(ping())
    try:
        assert (await until_text(socket))["code"] == "no_hello"
    finally:
        pinging.cancel()


async def until_text(socket: ClientWebSocketResponse) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (message := await socket.receive()).type is not WSMsgType.TEXT:
            pass
    given: dict[str, Any] = message.json()
    return given


async def test_hello_welcome_ping_pong(on: Stage) -> None:
    given = charter()
    await on.open(given)
    socket = await hello(on, given.call_id)
    await socket.send_json({"type": "ping", "t": 12.5})
    assert await socket.receive_json(timeout=30) == {"type": "pong", "t": 12.5}
    await socket.send_json({"type": "ping"})
    assert (await socket.receive_json(timeout=30))["type"] == "pong"


async def test_a_call_is_heard_from_lobby_to_end(on: Stage) -> None:
    given = charter()
    media = await on.open(given)
    socket = await hello(on, given.call_id)
    for who in ("family", "prisoner"):
        location = (await on.post(f"/media/whip/{given.call_id}", on.ticket(given.call_id, who))).headers["Location"]
        media.connect(location.rsplit("/", 1)[1])
    assert (await until(socket, "state"))["state"] == "ready"
    assert (await until(socket, "state"))["state"] == "live"
    await on.control.hold(given.call_id, OFFICER, "why", "One moment")
    held = await until(socket, "state")
    assert (held["state"], held["words"]) == ("held", "One moment")
    await on.control.terminate(given.call_id, OFFICER, "why", "It is over.")
    assert (await until(socket, "ended"))["words"] == "It is over."
    assert await closing(socket) == 1000


async def test_a_second_connection_replaces_the_first_and_says_so(on: Stage) -> None:
    given = charter()
    await on.open(given)
    first = await hello(on, given.call_id)
    second = await hello(on, given.call_id)
    assert await until(first, "replaced") == {"type": "replaced"}
    assert await closing(first) == 4001
    await second.send_json({"type": "ping"})
    await until(second, "pong")
    assert (await on.control.snapshot(given.call_id)).participants[0].present


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ('{"type": "ping"}', "no_hello"),
        ('{"type": "hello"}', "invalid"),
        ('{"type": "hello", "ticket": "x"}', "malformed"),
        ('{"type": "dance"}', "invalid"),
        ("not json", "invalid"),
        ("[]", "invalid"),
        ('{"type": "hello", "ticket": "' + "x" * 9000 + '"}', "invalid"),
    ],
)
async def test_whoever_does_not_say_hello_properly_is_shown_out(on: Stage, first: str, code: str) -> None:
    await on.open(charter())
    socket = await connect(on)
    await socket.send_str(first)
    error = await socket.receive_json(timeout=30)
    assert (error["type"], error["code"]) == ("error", code)
    assert "xxx" not in error["detail"]
    assert await closing(socket) == 1008


async def test_silence_at_the_door_is_not_waited_for(on: Stage) -> None:
    socket = await connect(on)
    assert (await socket.receive_json(timeout=30))["code"] == "no_hello"
    assert await closing(socket) == 1008


async def test_too_many_messages_end_the_connection(on: Stage) -> None:
    given = charter()
    await on.open(given)
    socket = await hello(on, given.call_id)
    for _ in range(30):
        await socket.send_json({"type": "ping"})
    assert (await until(socket, "error"))["code"] == "rate_limited"
    assert await closing(socket) == 1008


async def test_a_message_too_large_ends_the_connection(on: Stage) -> None:
    given = charter()
    await on.open(given)
    socket = await hello(on, given.call_id)
    await socket.send_str('{"type": "ping", "x": "' + "x" * 20_000 + '"}')
    assert await closing(socket) == 1009
    await eventually(lambda: not _present(on, given.call_id), "the participant left")


def _present(on: Stage, call_id: CallId) -> bool:
    people = on.node.rooms.get(call_id).machine.state.people
    return any(person.present for person in people.values())


async def test_a_client_that_no_longer_answers_is_gone_after_the_heartbeat(on: Stage) -> None:
    given = charter()
    await on.open(given)
    socket = await connect(on, autoping=False)
    await socket.send_json({"type": "hello", "ticket": on.ticket(given.call_id)})
    await socket.receive_json(timeout=30)
    assert _present(on, given.call_id)
    # The connection stays open, but pings are not answered: a machine that was put to sleep.
    await eventually(lambda: not _present(on, given.call_id), "the participant was missed")


async def test_leaving_is_noticed_at_once(on: Stage) -> None:
    given = charter()
    await on.open(given)
    socket = await hello(on, given.call_id)
    await socket.close()
    await eventually(lambda: not _present(on, given.call_id), "the participant left")
    left = on.node.rooms.get(given.call_id).machine.events[-1]
    assert (left.type.value, left.cause) == ("left", "closed")


async def test_an_officer_s_channel(on: Stage) -> None:
    given = charter()
    await on.open(given)
    socket = await connect(on)
    await socket.send_json({"type": "hello", "ticket": on.warrant(given.call_id), "call_id": given.call_id})
    assert (await socket.receive_json(timeout=30))["role"] == "officer"
    await on.control.bookmark(given.call_id, OFFICER, "look")
    assert (await until(socket, "event"))["event"]["data"] == {"note": "look"}


async def test_a_privileged_call_has_no_officer_s_channel(on: Stage) -> None:
    given, ordinary = charter(privileged=True), charter()
    await on.open(given)
    await on.open(ordinary)
    for token in (on.warrant(ordinary.call_id), on.ticket(given.call_id)):
        socket = await connect(on)
        await socket.send_json({"type": "hello", "ticket": token, "call_id": given.call_id})
        assert (await socket.receive_json(timeout=30))["code"] == "privileged_call"
        assert await closing(socket) == 1008
    await hello(on, given.call_id)


async def test_reports_reach_the_room(on: Stage) -> None:
    given = charter()
    await on.open(given)
    family, prisoner = await hello(on, given.call_id), await hello(on, given.call_id, "prisoner")
    await family.send_json({"type": "device", "microphone": "off", "camera": "on"})
    while True:
        people = {
            person["participant_id"]: person for person in (await until(prisoner, "participants"))["participants"]
        }
        if people["family"]["microphone"] is not None:
            break
    assert (people["family"]["microphone"], people["family"]["camera"]) == ("off", "on")
    await family.send_json({"type": "quality", "rtt_ms": 30, "loss": 0.5, "kbit_in": None, "height": 480})
    await family.send_json({"type": "ping"})
    await until(family, "pong")
    snapshot = await on.control.snapshot(given.call_id)
    assert snapshot.participants[0].quality is not None and snapshot.participants[0].quality.loss == 0.5
    await family.send_json({"type": "quality", "loss": 7})
    assert (await until(family, "error"))["code"] == "invalid"
