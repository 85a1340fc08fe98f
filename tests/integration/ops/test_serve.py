"""A deployment from nothing, as docs/operations.md says: keys, migrate, administrator, doctor, serve, sign in, stop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.fixtures.ports import free_tcp_port, free_udp_port
from tests.fixtures.requirements import REPOSITORY

CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "visitserver", *arguments],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.timeout(240)
async def test_a_deployment_from_nothing(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    port = free_tcp_port()
    config, secrets = tmp_path / "visitserver.toml", tmp_path / "secrets"
    secrets.mkdir()
    url = (
        f"sqlite+aiosqlite:///{tmp_path}/visit.sqlite3"
        if database == "sqlite"
        else str(request.getfixturevalue("fresh_postgres_url"))
    )
    (secrets / "database__url").write_text(url)
    config.write_text(
        f"""
[server]
port = {port}
[media]
udp_host = "127.0.0.1"
udp_port = {free_udp_port()}
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
    environment = {**os.environ, "VISITSERVER_CONFIG": str(config), "VISITSERVER_SECRETS": str(secrets)}

    missing = command(environment, "doctor")
    assert missing.returncode == 1 and "visitserver keys" in missing.stdout, missing.stdout + missing.stderr
    assert command(environment, "keys").returncode == 0
    assert command(environment, "migrate").returncode == 0
    made = command(environment, "user", "add-administrator", "mia", "--name", "Mia", "--prison", "Harjula")
    assert made.returncode == 0, made.stderr
    password = made.stdout.strip().rsplit(": ", 1)[1]
    doctor = command(environment, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "visitserver",
        "serve",
        cwd=REPOSITORY,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    log = asyncio.create_task(process.stderr.read())
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", cookie_jar=aiohttp.CookieJar(unsafe=True)) as web:
            async with asyncio.timeout(60):
                while True:
                    assert process.returncode is None, await log
                    try:
                        async with web.get("/readyz") as ready:
                            if ready.status == 200:
                                break
                    except aiohttp.ClientConnectionError:
                        pass
                    await asyncio.sleep(0.1)
            async with web.get("/staff/signin") as page:
                token = CSRF.search(await page.text())
            assert token is not None
            form = {"csrf_token": token[1], "login": "mia", "password": password}
            headers = {"Origin": f"http://127.0.0.1:{port}"}
            async with web.post("/staff/signin", data=form, headers=headers) as signed_in:
                assert signed_in.status == 200 and signed_in.url.path == "/staff", await signed_in.text()
            async with web.get("/staff/admin/staff") as staff:
                assert "mia" in await staff.text()
            async with web.get("/staff/wall") as wall:
                assert wall.status == 403
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
        said = (await log).decode()
        assert "Traceback" not in said, said
        assert password not in said and "Mia" not in said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert command(environment, "audit", "verify").returncode == 0
