"""Janus's videoroom (Debian's package) as a server under load, driven through its WebSocket API."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.load.client import SENDER, LoadClient
from tests.support.load.network import Network
from tests.support.load.server import Server

_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu/janus")
_PORT = 8188
_TIMEOUT = 30.0
_PLUGIN = "janus.plugin.videoroom"


class JanusMissing(RuntimeError):
    """Janus is not installed."""


def _configuration(loops: int) -> dict[str, str]:
    plugins = [path.name for path in (_LIBRARIES / "plugins").glob("*.so") if "videoroom" not in path.name]
    transports = [path.name for path in (_LIBRARIES / "transports").glob("*.so") if "websockets" not in path.name]
    events = f"event_loops = {loops}" if loops else ""
    return {
        "janus.jcfg": f"""
general: {{
    plugins_folder = "{_LIBRARIES}/plugins"
    transports_folder = "{_LIBRARIES}/transports"
    events_folder = "{_LIBRARIES}/events"
    loggers_folder = "{_LIBRARIES}/loggers"
    debug_level = 2
    session_timeout = 600
    {events}
}}
media: {{ ipv6 = false }}
nat: {{ nice_debug = false, ice_lite = true, full_trickle = false }}
plugins: {{ disable = "{",".join(plugins)}" }}
transports: {{ disable = "{",".join(transports)}" }}
events: {{ broadcast = false }}
""",
        "janus.transport.websockets.jcfg": f"general: {{ ws = true, ws_port = {_PORT}, wss = false }}\n",
        "janus.plugin.videoroom.jcfg": "general: { }\n",
    }


class Janus(Server):
    """`loops` is Janus's event_loops: 0, the default, is a thread for each connection."""

    def __init__(self, network: Network, core: int | None, *, loops: int = 0) -> None:
        super().__init__(network, core)
        self.name = f"janus, {loops} loop{'s' if loops > 1 else ''}" if loops else "janus"
        self._loops = loops
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._listening: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._up: dict[int, asyncio.Event] = {}
        self._session = 0

    async def start(self) -> None:
        if shutil.which("janus") is None or not _LIBRARIES.is_dir():
            raise JanusMissing("janus is not installed (Debian package janus)")
        self._folder = tempfile.TemporaryDirectory(prefix="visit-janus-")
        for name, text in _configuration(self._loops).items():
            Path(self._folder.name, name).write_text(text)
        quiet = asyncio.subprocess.DEVNULL
        command = (
            "janus",
            "--configs-folder",
            self._folder.name,
            "--disable-colors",
            "--interface",
            self.network.server,
        )
        await self.spawn(command, stdin=quiet, stdout=quiet, stderr=quiet)
        self._http = aiohttp.ClientSession()
        async with asyncio.timeout(_TIMEOUT):
            while self._socket is None:
                try:
                    self._socket = await self._http.ws_connect(
                        f"ws://{self.network.server}:{_PORT}", protocols=("janus-protocol",)
                    )
                except aiohttp.ClientError:
                    assert self.process is not None
                    if self.process.returncode is not None:
                        raise RuntimeError(f"janus ended with {self.process.returncode}") from None
                    await asyncio.sleep(0.1)
        self._listening = asyncio.create_task(self._listen(self._socket))
        self._session = (await self._ask({"janus": "create"}))["data"]["id"]

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            said = message.json()
            if said["janus"] == "webrtcup":
                self._up.setdefault(said["sender"], asyncio.Event()).set()
            if said["janus"] == "ack":
                continue
            waiting = self._waiting.pop(said.get("transaction", ""), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(said)

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        assert self._socket is not None
        transaction = secrets.token_hex(8)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = future
        await self._socket.send_json({**message, "transaction": transaction})
        answer = await asyncio.wait_for(future, _TIMEOUT)
        error = answer.get("error") or answer.get("plugindata", {}).get("data", {}).get("error")
        if answer["janus"] == "error" or error:
            raise RuntimeError(f"janus refuses: {error}")
        return answer

    async def _attach(self) -> int:
        message = {"janus": "attach", "session_id": self._session, "plugin": _PLUGIN}
        return int((await self._ask(message))["data"]["id"])

    async def _say(self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        message = {"janus": "message", "session_id": self._session, "handle_id": handle, "body": body}
        return await self._ask({**message, "jsep": jsep} if jsep else message)

    async def join(self, call: int, officers: int) -> list[LoadClient]:
        room = 1000 + call
        host = await self._attach()
        body = {"request": "create", "room": room, "publishers": 2, "bitrate": 0, "audiocodec": "opus"}
        await self._say(host, {**body, "videocodec": "vp8", "transport_wide_cc_ext": False, "fir_freq": 0})
        senders, feeds = [], []
        for who in ("family", "prisoner"):
            client, feed = await self._publish(room, who)
            senders.append(client)
            feeds.append(feed)
        for wanted in ([feeds[1]], [feeds[0]], *([feeds] * officers)):
            await self._subscribe(room, wanted)
        return senders

    async def _publish(self, room: int, who: str) -> tuple[LoadClient, int]:
        handle = await self._attach()
        joined = await self._say(handle, {"request": "join", "ptype": "publisher", "room": room, "display": who})
        client = self.client()
        jsep = {"type": "offer", "sdp": client.offer(SENDER)}
        answer = await self._say(handle, {"request": "publish"}, jsep)
        await self._connect(client, handle, answer["jsep"]["sdp"])
        return client, int(joined["plugindata"]["data"]["id"])

    async def _subscribe(self, room: int, feeds: list[int]) -> None:
        handle = await self._attach()
        body = {"request": "join", "ptype": "subscriber", "room": room, "streams": [{"feed": feed} for feed in feeds]}
        offer = (await self._say(handle, body))["jsep"]["sdp"]
        client = self.client()
        await self._say(handle, {"request": "start"}, {"type": "answer", "sdp": client.answer(offer)})
        await self._connect(client, handle, offer)

    async def _connect(self, client: LoadClient, handle: int, sdp: str) -> None:
        done = {"janus": "trickle", "session_id": self._session, "handle_id": handle, "candidate": {"completed": True}}
        assert self._socket is not None
        await self._socket.send_json({**done, "transaction": secrets.token_hex(8)})
        await client.connect(sdp)
        await asyncio.wait_for(self._up.setdefault(handle, asyncio.Event()).wait(), _TIMEOUT)

    async def stop(self) -> None:
        await super().stop()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._http is not None:
            await self._http.close()
        if self._folder is not None:
            self._folder.cleanup()
