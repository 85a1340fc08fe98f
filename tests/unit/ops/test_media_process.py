"""What a media process writes into its log where something is not as it should be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from structlog.testing import capture_logs

from signaling.media.limit import SourceLimit
from visitserver import media_process
from visitserver.config import load_settings


async def test_a_failed_check_is_logged_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_process, "_CHECK_SECONDS", 0.02)

    async def full() -> None:
        raise OSError("the recordings' storage is full")

    async def stuck() -> None:
        await asyncio.Event().wait()

    async def good() -> None:
        return

    with capture_logs() as logs:
        found = [await media_process._run(name, check) for name, check in (("a", full), ("b", stuck), ("c", good))]
    assert found == ["failed", "timeout", "ok"]
    assert [one["check"] for one in logs] == ["a", "b"]
    assert (logs[0]["error"], logs[0]["detail"]) == ("OSError", "the recordings' storage is full")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectionResetError("Cannot write to closing transport"), 499),
        (asyncio.CancelledError(), 499),
        (web.HTTPForbidden(), 403),
        (RuntimeError("a fault"), 500),
    ],
)
async def test_a_client_that_has_gone_is_no_fault(error: BaseException, status: int) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    class Route:
        resource = None

    request: Any = make_mocked_request("GET", "/media/channel")
    request._match_info = type("Match", (), {"route": Route})
    with capture_logs() as logs, pytest.raises(type(error)):
        await media_process._logged(request, handler)
    assert [one["status"] for one in logs] == [status]


async def test_one_address_may_not_ask_without_end() -> None:
    process = media_process.MediaProcess.__new__(media_process.MediaProcess)
    process.settings = load_settings(environ={})
    process._monotonic = lambda: 5.0
    process._requests = SourceLimit(3, 100, 5.0)

    async def good(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="good")

    app = web.Application(middlewares=[process._limited])
    for path in ("/media/channel", "/healthz"):
        app.router.add_route("*", path, good)
    async with TestClient(TestServer(app)) as client:
        statuses = [(await client.get("/media/channel")).status for _ in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        refused = await client.post("/media/channel")
        assert (refused.status, (await refused.json())["code"]) == (429, "rate_limited")
        assert refused.headers["Retry-After"] == "1"
        assert refused.headers["Access-Control-Allow-Origin"] == "*"
        assert (await client.options("/media/channel")).status == 200
        assert (await client.get("/healthz")).status == 200
