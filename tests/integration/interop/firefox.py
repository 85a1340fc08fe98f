"""Firefox ESR, headless, with made camera and microphone, by its own WebDriver BiDi: no driver is downloaded."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from tests.integration.interop.house import PATIENCE

PREFERENCES: dict[str, Any] = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.gmp-manager.updateEnabled": False,
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
    "intl.accept_languages": "en",
}
_LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://[^\s]+)")


class FirefoxPage:
    """One tab."""

    def __init__(self, socket: ClientWebSocketResponse, context: str) -> None:
        self._socket = socket
        self._context = context
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """One BiDi command's result; RuntimeError with what the browser says against it."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self._socket.receive(timeout=PATIENCE)
            if message.type is not WSMsgType.TEXT:
                raise RuntimeError(f"the browser is gone: {message}")
            said = message.json()
            if said.get("method") == "log.entryAdded" and said["params"]["level"] == "error":
                self.complaints.append(said["params"]["text"])
            if said.get("id") == number:
                if said["type"] == "error":
                    raise RuntimeError(f"{method}: {said['error']}: {said['message']}")
                result: dict[str, Any] = said["result"]
                return result

    async def set_cookie(self, name: str, value: str, host: str) -> None:
        """Keep a cookie for a host."""
        cookie = {"name": name, "value": {"type": "string", "value": value}, "domain": host, "path": "/"}
        await self.command("storage.setCookie", cookie=cookie)

    async def goto(self, url: str) -> None:
        """Load a page."""
        await self.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression (a promise is waited for), by way of JSON."""
        result = await self.command(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})) ?? 'null')()",
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        if result["type"] != "success":
            raise RuntimeError(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])

    async def until(self, condition: str, what: str) -> None:
        """Wait until a JavaScript expression is true."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while not await self.evaluate(condition):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"{what}: {self.complaints}")
            await asyncio.sleep(0.2)

    async def screenshot(self) -> bytes:
        """The page as a PNG."""
        shown = await self.command("browsingContext.captureScreenshot", context=self._context)
        return base64.b64decode(shown["data"])


@asynccontextmanager
async def firefox(**preferences: Any) -> AsyncIterator[FirefoxPage]:
    """A running Firefox with one empty tab. VISIT_FIREFOX names another executable."""
    configured = os.environ.get("VISIT_FIREFOX")
    executable = configured or shutil.which("firefox-esr")
    if executable is None:
        pytest.skip("no firefox-esr: install the Debian package of that name")
    with tempfile.TemporaryDirectory(prefix="visit-firefox-", ignore_cleanup_errors=True) as home:
        chosen = {**PREFERENCES, **preferences}
        lines = [f"user_pref({_js(name)}, {_js(value)});" for name, value in chosen.items()]
        (Path(home) / "user.js").write_text("\n".join(lines))
        process = await asyncio.create_subprocess_exec(
            executable,
            "--headless",
            "--no-remote",
            "--profile",
            home,
            "--remote-debugging-port",
            "0",
            env={**os.environ, "HOME": home, "MOZ_CRASHREPORTER_DISABLE": "1", "MOZ_DISABLE_CONTENT_SANDBOX": "1"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        drain: asyncio.Task[None] | None = None
        try:
            assert process.stderr is not None
            url = await asyncio.wait_for(_listening(process.stderr), PATIENCE)
            drain = asyncio.create_task(_drain(process.stderr))
            async with ClientSession() as session, session.ws_connect(f"{url}/session", max_msg_size=0) as socket:
                page = FirefoxPage(socket, "")
                await page.command("session.new", capabilities={})
                await page.command("session.subscribe", events=["log.entryAdded"])
                tree = await page.command("browsingContext.getTree")
                page._context = tree["contexts"][0]["context"]
                yield page
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            if drain is not None:
                await asyncio.gather(drain, return_exceptions=True)


def _js(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


async def _listening(stderr: asyncio.StreamReader) -> str:
    said = b""
    while line := await stderr.readline():
        said += line
        if found := _LISTENING.search(line):
            return found[1].decode()
    raise RuntimeError(f"Firefox ended while starting: {said.decode(errors='replace')}")


async def _drain(stderr: asyncio.StreamReader) -> None:
    while await stderr.read(4096):
        pass
