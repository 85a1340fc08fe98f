"""SIGTERM to a media process in the middle of a call: said, waited for, and at last suspended, not ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from recorder.verify import verify_path
from signaling.calls import EventType
from signaling.commands import CALL_EVENT_TOPIC
from signaling.control import BusRoomControl
from signaling.errors import Unavailable
from signaling.ids import OrdinaryCallId, new_call_id, new_id
from signaling.media.leg import Kind, Side
from signaling.tickets import (
    CallCharter,
    JoinTicket,
    RecordingPolicy,
    RecordingWarrant,
    Supervision,
    TicketIssuer,
)
from tests.fakes.media_client import MediaClient, vp8
from tests.fixtures.ports import free_tcp_port, free_udp_port
from tests.fixtures.waiting import eventually
from tests.support.cluster import Process
from visitserver.config import load_settings
from visitserver.keyring import KeyPaths, load_keys, make_missing_keys
from visitserver.links import Links

PATIENCE = 90


def _charter(call_id: OrdinaryCallId) -> CallCharter:
    now = datetime.now(UTC)
    return CallCharter(
        call_id=call_id,
        starts_at=now,
        ends_at=now + timedelta(hours=1),
        lobby_opens_at=now,
        sides=(Side.FAMILY, Side.PRISONER),
        recording=RecordingPolicy.REQUIRED,
        supervision=Supervision.NONE,
        watch_banner=False,
    )


def _call() -> OrdinaryCallId:
    call_id = new_call_id(privileged=False)
    assert isinstance(call_id, OrdinaryCallId)
    return call_id


@asynccontextmanager
async def _talking(client: MediaClient) -> AsyncIterator[None]:
    async def talk() -> None:
        number = 0
        while True:
            client.send_rtp("audio", b"voice", number * 960)
            client.send_rtp("video", vp8(number & 0x7FFF, key=number % 50 == 0), number * 3000)
            number += 1
            await asyncio.sleep(0.02)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.timeout(300)
async def test_a_media_process_that_is_told_to_stop_drains_and_then_suspends(tmp_path: Path, redis_url: str) -> None:
    port = free_tcp_port()
    config = tmp_path / "media.toml"
    config.write_text(
        f"""
[server]
port = {port}
shutdown_seconds = 2
[cluster]
role = "media"
redis_url = "{redis_url}"
lease_seconds = 3
media_url = "http://127.0.0.1:{port}"
[media]
udp_host = "127.0.0.1"
udp_port = {free_udp_port()}
drain_seconds = 600
[keys]
directory = "{tmp_path}/keys"
[recorder]
directory = "{tmp_path}/recordings"
key_file = "{tmp_path}/keys/recorder.keys"
signing_key_file = "{tmp_path}/keys/recorder-signing.pem"
[identity]
key_file = "{tmp_path}/keys/identity.key"
"""
    )
    settings = load_settings(config, environ={})
    make_missing_keys(KeyPaths.of(settings))
    issuer = TicketIssuer(load_keys(KeyPaths.of(settings)).tickets, lambda: datetime.now(UTC))
    until = datetime.now(UTC) + timedelta(hours=1)
    links = Links(settings)
    control = BusRoomControl(links.bus, links.directory)
    events = await links.bus.subscribe(CALL_EVENT_TOPIC)
    process = Process("media", f"http://127.0.0.1:{port}", config, tmp_path / "log")
    process.start()
    call_id, recording_id = _call(), new_id("rec")
    clients = {
        side: MediaClient(transport="tcp" if side is Side.FAMILY else "udp") for side in (Side.FAMILY, Side.PRISONER)
    }
    try:
        async with aiohttp.ClientSession(process.url) as http:
            await process.ready(http)
            await _opened(control, issuer.issue(_charter(call_id), expires_at=until))
            warrant = RecordingWarrant(call_id, recording_id, (Kind.AUDIO, Kind.VIDEO), "1")
            await control.attach_recorder(issuer.issue(warrant, expires_at=until))
            channels = {}
            for side, client in clients.items():
                ticket = issuer.issue(JoinTicket(call_id, side.value, side, "A Name", "idc_1"), expires_at=until)
                headers = {"Authorization": f"Bearer {ticket}", "Content-Type": "application/sdp"}
                async with http.post(f"/media/whip/{call_id}", data=client.offer(), headers=headers) as answer:
                    assert answer.status == 201, await answer.text()
                    sdp = await answer.text()
                await client.connect(sdp)
                channels[side] = await http.ws_connect("/media/channel")
                await channels[side].send_json({"type": "hello", "ticket": ticket})
            family, prisoner = clients[Side.FAMILY], clients[Side.PRISONER]
            async with _talking(family), _talking(prisoner):
                await eventually(lambda: min(_heard(family), _heard(prisoner)) > 20, "the call", PATIENCE)

                process.send(signal.SIGTERM)
                for channel in channels.values():
                    said = await _message(channel, "draining")
                    assert said["seconds"] == 600
                with pytest.raises(Unavailable):
                    await control.open(issuer.issue(_charter(_call()), expires_at=until))
                heard = _heard(family), _heard(prisoner)
                await eventually(
                    lambda: _heard(family) > heard[0] + 20 and _heard(prisoner) > heard[1] + 20,
                    "the call goes on",
                    PATIENCE,
                )

                process.send(signal.SIGTERM)  # the limit, without waiting for it
                for channel in channels.values():
                    assert await _closed(channel) == 1012
            popen = process.popen
            assert popen is not None
            assert await asyncio.to_thread(popen.wait, PATIENCE) == 0, process.log.read_text()
        types = []
        async with asyncio.timeout(PATIENCE):
            while EventType.RECORDER_SEALED.value not in types:
                types.append((await anext(events)).payload["type"])
        finals = {EventType.ENDED.value, EventType.TERMINATED.value, EventType.FAILED.value}
        assert not finals & set(types)
        report = verify_path(
            settings.recorder.directory / recording_id, (tmp_path / "keys/recorder-signing.pub.pem").read_bytes()
        )
        assert report.valid, report
        assert "Traceback" not in process.log.read_text()
    finally:
        if process.popen is not None and process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait(PATIENCE)
        for client in clients.values():
            await client.close()
        await links.aclose()


async def _opened(control: BusRoomControl, charter: str) -> None:
    """Open a room; a directory that has just begun lets the nodes tell of themselves first."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await control.open(charter)
            except Unavailable:
                await asyncio.sleep(0.1)
            else:
                return


def _heard(client: MediaClient) -> int:
    return len(client.received.of_kind("audio"))


async def _message(channel: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, object]:
    async with asyncio.timeout(PATIENCE):
        while True:
            message: dict[str, object] = await channel.receive_json()
            if message["type"] == kind:
                return message


async def _closed(channel: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(PATIENCE):
        while (await channel.receive()).type not in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED):
            pass
    return channel.close_code
