"""The real server for end-to-end tests: `visitserver demo` in its own process, its data in a test's folder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.fixtures.ports import free_tcp_port, free_udp_port
from tests.fixtures.requirements import REPOSITORY

START_SECONDS = 90.0
STOP_SECONDS = 45.0


@dataclass
class Server:
    """A demo that runs: where it is, where its data is, who can sign in."""

    url: str
    folder: Path
    process: asyncio.subprocess.Process
    log: Path
    sign_ins: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)

    @property
    def password(self) -> str:
        """Of all staff and families."""
        return str(self.sign_ins["password"])

    def said(self) -> str:
        """What the server printed and logged so far."""
        return self.log.read_text(errors="replace")

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run `visitserver ARGUMENTS` with this server's settings; its exit code and output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "visitserver",
            *arguments,
            cwd=REPOSITORY,
            env={**os.environ, **self.environment()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def packets(self) -> dict[str, int]:
        """The relay's packet counters (signaling/media/stats.py), from /metrics."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/metrics") as answer:
            text = await answer.text()
        found = re.findall(r'^visit_media_packets_total\{what="(\w+)"\} ([\d.e+]+)$', text, re.MULTILINE)
        assert found, text[:2000]
        return {name: int(float(value)) for name, value in found}

    def environment(self) -> dict[str, str]:
        """The settings by which another command finds the demo's data."""
        keys = self.folder / "keys"
        return {
            "VISITSERVER_DATABASE__URL": f"sqlite+aiosqlite:///{self.folder}/visitserver.sqlite3",
            "VISITSERVER_KEYS__DIRECTORY": str(keys),
            "VISITSERVER_RECORDER__DIRECTORY": str(self.folder / "recordings"),
            "VISITSERVER_RECORDER__KEY_FILE": str(keys / "recorder.keys"),
            "VISITSERVER_RECORDER__SIGNING_KEY_FILE": str(keys / "recorder-signing.pem"),
            "VISITSERVER_IDENTITY__KEY_FILE": str(keys / "identity.key"),
        }


@asynccontextmanager
async def demo_server(folder: Path) -> AsyncIterator[Server]:
    """Start a demo with its data in `folder` and wait until it answers; stop it by SIGTERM, which must succeed."""
    port, udp_port = free_tcp_port(), free_udp_port()
    log = folder / "server.log"
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "visitserver",
            "demo",
            *("--port", str(port), "--udp-port", str(udp_port), "--data", str(data)),
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "160"},
            stdout=out,
            stderr=out,
        )
    server = Server(f"http://127.0.0.1:{port}", data, process, log)
    try:
        await _until_ready(server)
        yield server
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
        assert process.returncode == 0, f"the server stopped with {process.returncode}:\n{server.said()[-4000:]}"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _until_ready(server: Server) -> None:
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as client:
        while True:
            if server.process.returncode is not None:
                raise AssertionError(f"the server did not start:\n{server.said()[-4000:]}")
            try:
                async with client.get(f"{server.url}/readyz") as answer:
                    if answer.status == 200 and "Ready:" in server.said():
                        break
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.1)
    server.sign_ins = json.loads((server.folder / "signins.json").read_text())
    for line in server.said().splitlines():
        name, _, code = line.strip().rpartition("   ")
        if name.strip() in server.sign_ins["stations"]:
            server.codes[name.strip()] = code.strip()
