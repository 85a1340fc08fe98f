"""What every answer has in common: headers, failures, limits, files, the description of the interface."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from pydantic import Field

from tests.fixtures.http_app import Browser, HttpHouse
from visitserver.config import ServerSettings, Settings
from visitserver.domain.decisions import Decision, Outcome, RuleResult, Words
from visitserver.domain.errors import Conflict, DecisionRefused, Forbidden, Invalid, NotFound, Unavailable
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.ratelimit import InProcessRateLimiter, Limit
from visitserver.http.registry import RouteTable
from visitserver.http.routes import all_tables

REFUSED = DecisionRefused(
    Decision((RuleResult("allowance", Outcome.REFUSE, "no credit", safe=Words("You have no visits left this month.")),))
)
FAILURES: dict[str, Exception] = {
    "invalid": Invalid("Too long.", field="name"),
    "not-found": NotFound("There is no such visit."),
    "forbidden": Forbidden("Not this one."),
    "conflict": Conflict("Somebody was quicker."),
    "unavailable": Unavailable("The register cannot be asked."),
    "refused": REFUSED,
    "bug": RuntimeError("secret: kim@example.org"),
    "http-502": web.HTTPBadGateway(),
}


class Thing(Body):
    """A body for tests."""

    name: str = Field(max_length=20)
    count: int = Field(ge=0)


def probing_table() -> RouteTable:
    """Routes that fail in every way, read a body, and take a large one."""
    table = RouteTable("family")

    @table.get("/probe/fail/{how}", action="page.landing", summary="Fail as a page")
    async def fail_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
        raise FAILURES[ctx.param("how")]

    @table.get("/api/probe/fail/{how}", action="page.landing", summary="Fail as JSON", kind="json")
    async def fail_json(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
        raise FAILURES[ctx.param("how")]

    @table.post(
        "/api/probe/thing", action="page.landing", summary="Read", kind="json", body=Thing, response=Thing, status=201
    )
    async def thing(_request: web.Request, ctx: Ctx) -> Thing:
        return await ctx.body(Thing)

    @table.post(
        "/api/probe/large",
        action="page.landing",
        summary="Take a picture",
        kind="json",
        max_body=1_000_000,
        media_type="image/jpeg",
    )
    async def large(request: web.Request, _ctx: Ctx) -> web.StreamResponse:
        return web.json_response({"bytes": len(await request.read())})

    return table


@pytest.fixture
async def browser(http_house: HttpHouse) -> AsyncIterator[Browser]:
    """A browser that read a page already."""

    async def works() -> None:
        return None

    async def fails() -> None:
        raise ConnectionError("nobody there")

    http_house.start([*all_tables(), probing_table()], checks={"database": works, "media": fails})
    browser = await http_house.browser()
    await browser.get("/signin")
    yield browser


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("invalid", 422, "invalid"),
        ("not-found", 404, "not_found"),
        ("forbidden", 403, "forbidden"),
        ("conflict", 409, "conflict"),
        ("unavailable", 503, "unavailable"),
        ("refused", 409, "decision_refused"),
        ("bug", 500, "internal_error"),
        ("http-502", 500, "internal_error"),
    ],
)
async def test_each_failure_is_a_problem_and_a_page_with_the_same_code(
    browser: Browser, how: str, status: int, code: str
) -> None:
    problem = await browser.get(f"/api/probe/fail/{how}")
    document = await problem.json(content_type="application/problem+json")
    assert problem.status == document["status"] == status
    assert document["code"] == code
    assert document["type"] == f"urn:visitserver:problem:{code}"
    assert document["request_id"] == problem.headers["X-Request-Id"]
    page = await browser.get(f"/probe/fail/{how}")
    text = await page.text()
    assert (page.status, page.content_type) == (status, "text/html")
    assert code in text
    assert page.headers["X-Request-Id"] in text
    assert "kim@example.org" not in text + json.dumps(document)
    if how == "refused":
        assert document["reasons"] == ["You have no visits left this month."]
        assert "You have no visits left this month." in text
    if how == "invalid":
        assert document["errors"] == [{"pointer": "name", "code": "invalid", "detail": "Too long."}]


async def test_an_unforeseen_failure_is_logged_with_its_stack(
    browser: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    response = await browser.get("/api/probe/fail/bug")
    logged = capsys.readouterr().out
    assert "RuntimeError" in logged
    assert response.headers["X-Request-Id"] in logged


async def test_addresses_that_are_none(browser: Browser) -> None:
    page = await browser.get("/nothing/here", headers={"Accept": "text/html"})
    assert (page.status, page.content_type) == (404, "text/html")
    for path, accept in (("/api/nothing", "text/html"), ("/nothing", "application/json"), ("/media/x", "*/*")):
        problem = await browser.get(path, headers={"Accept": accept})
        assert (problem.status, problem.content_type) == (404, "application/problem+json"), path
    bad = await browser.get("/api/probe/fail/%00%ff")
    assert bad.status in (400, 404)
    wrong = await browser.request("DELETE", "/signin")
    assert wrong.status == 405
    assert set(wrong.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}
    options = await browser.request("OPTIONS", "/signin")
    assert (options.status, options.headers["Allow"]) == (204, wrong.headers["Allow"])
    assert not [name for name in options.headers if name.startswith("Access-Control")]


async def test_every_answer_says_how_it_may_be_used(browser: Browser) -> None:
    for path in ("/signin", "/api/probe/fail/bug", "/nothing", "/healthz", "/openapi.json"):
        response = await browser.get(path)
        headers = response.headers
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert "camera=(self)" in headers["Permissions-Policy"]
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "Server" not in headers
        assert "Strict-Transport-Security" not in headers, "only over HTTPS"
    page = await browser.get("/signin")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


async def test_behind_a_trusted_proxy_https_counts(http_house: HttpHouse) -> None:
    http_house.settings = Settings(server=ServerSettings.model_validate({"trusted_proxies": ["127.0.0.0/8"]}))
    browser = await http_house.browser()
    response = await browser.get("/signin", headers={"X-Forwarded-Proto": "https"})
    assert response.headers["Strict-Transport-Security"].startswith("max-age=")
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Host-visit_visitor=")
    assert "Secure" in cookie


async def test_from_anybody_else_forwarded_fields_count_for_nothing(browser: Browser) -> None:
    response = await browser.get("/signin", headers={"X-Forwarded-Proto": "https", "X-Request-Id": "mine"})
    assert "Strict-Transport-Security" not in response.headers
    assert response.headers["X-Request-Id"].startswith("req_")


async def test_pages_have_no_inline_script_or_style(http_house: HttpHouse) -> None:
    pages = {
        await http_house.browser(): ["/signup", "/signin", "/signup/confirm?token=x", "/terminal/enrol", "/docs"],
        await http_house.staff("administrator"): [
            *("/staff/admin", "/staff/admin/staff", "/staff/admin/stations", "/staff/admin/pins", "/staff/security"),
        ],
        await http_house.terminal(): ["/terminal"],
    }
    for browser, paths in pages.items():
        for path in paths:
            response = await browser.get(path)
            text = await response.text()
            assert response.status == 200, path
            assert not re.search(r"<script(?![^>]*\b(src=|type=\"application/json\"))", text), path
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text), path
            assert not re.search(r"(src|href)=\"(https?:)?//", text), path
            assert "{{" not in text, path


async def test_json_bodies(browser: Browser) -> None:
    async def send(body: bytes, content_type: str = "application/json") -> tuple[int, Any]:
        headers = {"Content-Type": content_type, "X-CSRF-Token": browser.csrf}
        response = await browser.request("POST", "/api/probe/thing", data=body, headers=headers)
        return response.status, json.loads(await response.text())

    assert await send(b'{"name": " a ", "count": 3}') == (201, {"name": "a", "count": 3})
    status, document = await send(b'{"count": -1, "extra": 1}')
    assert status == 422
    assert {(e["pointer"], e["code"]) for e in document["errors"]} == {
        ("/name", "missing"),
        ("/count", "greater_than_equal"),
        ("/extra", "extra_forbidden"),
    }
    for body in (
        *(b"", b"{", b"[]", b"null", b'{"name": "a", "count": NaN}', b'{"name": "\\u0000", "count": 1}'),
        *(b'{"name": "\\ud800", "count": 1}', b"\xff\xfe", b"[" * 5000),
    ):
        assert (await send(body))[0] == 422, body[:40]
    assert (await send(b'{"name": "a", "count": 3}', "text/plain"))[0] == 415
    assert (await send(b'{"name": "' + b"a" * 70_000 + b'"}'))[0] == 413


async def test_bodies_have_a_limit_of_their_own(browser: Browser) -> None:
    async def chunks(total: int) -> AsyncIterator[bytes]:
        for _ in range(total // 50_000):
            yield b"x" * 50_000

    headers = {"X-CSRF-Token": browser.csrf, "Content-Type": "image/jpeg"}
    fits = await browser.request("POST", "/api/probe/large", data=b"x" * 900_000, headers=headers)
    assert await fits.json() == {"bytes": 900_000}
    declared = await browser.request("POST", "/api/probe/large", data=b"x" * 1_000_001, headers=headers)
    assert declared.status == 413
    streamed = await browser.request("POST", "/api/probe/large", data=chunks(2_000_000), headers=headers)
    assert streamed.status == 413


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"csrf_token=%ff%fe&email=%ff", "application/x-www-form-urlencoded"),
        (b"csrf_token=x", "application/x-www-form-urlencoded; charset=no-such"),
        (b"--x\r\nbroken", "multipart/form-data"),
        (b"--x\r\nContent-Disposition: nonsense\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (b"\x00" * 100, "multipart/form-data; boundary=" + "y" * 200),
        (b"{}", "application/json"),
    ],
)
async def test_forms_that_cannot_be_read(browser: Browser, body: bytes, content_type: str) -> None:
    response = await browser.request("POST", "/signin", data=body, headers={"Content-Type": content_type})
    assert response.status in (400, 403)


async def test_forms_with_characters_that_nothing_keeps(browser: Browser) -> None:
    response = await browser.post("/signin", {"email": "a\0b", "password": "x"})
    assert response.status == 422


async def test_too_many_requests(http_house: HttpHouse) -> None:
    now = [0.0]
    limits = {"request": Limit(5, 1.0), "signin": Limit(2, 0.5), "signin_account": Limit(100, 1.0)}
    http_house.limiter = InProcessRateLimiter(lambda: now[0], limits)
    browser = await http_house.browser()
    await browser.get("/signin")
    form = {"email": "nobody@example.org", "password": "not a password"}
    tries = [(await browser.post("/signin", form)).status for _ in range(3)]
    assert tries == [422, 422, 429]
    await browser.get("/signin")
    refused = await browser.get("/signin")
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "1"
    assert (await browser.get("/healthz")).status == 200, "probes are not counted"
    now[0] += 5
    assert (await browser.get("/signin")).status == 200


async def test_one_name_cannot_be_guessed_from_many_addresses(http_house: HttpHouse) -> None:
    http_house.settings = Settings(server=ServerSettings.model_validate({"trusted_proxies": ["127.0.0.0/8"]}))
    http_house.limiter = InProcessRateLimiter(lambda: 0.0)
    browser = await http_house.browser()
    await browser.get("/signin")
    form = {"email": "kim@example.org", "password": "not the password"}
    statuses = [
        (await browser.post("/signin", form, headers={"X-Forwarded-For": f"198.51.100.{n}"})).status for n in range(12)
    ]
    assert statuses == [422] * 8 + [429] * 4


async def test_files_are_kept_for_ever_under_their_hash(browser: Browser) -> None:
    text = await (await browser.get("/signin")).text()
    found = re.search(r'href="(/static/[0-9a-f]{16}/css/tokens\.css)"', text)
    assert found is not None
    response = await browser.get(found[1])
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    old = await browser.get("/static/0123456789abcdef/css/tokens.css")
    assert (old.status, old.headers["Cache-Control"]) == (200, "no-cache")
    for path in ("css/none.css", "../templates/base.html", "%2e%2e/templates/base.html", "css/%2e%2e/%2e%2e/babel.cfg"):
        assert (await browser.get(f"/static/0123456789abcdef/{path}")).status == 404


async def test_health_and_readiness(browser: Browser) -> None:
    assert await (await browser.get("/healthz")).json() == {"status": "ok"}
    ready = await browser.get("/readyz")
    assert ready.status == 503
    assert await ready.json() == {"status": "not ready", "checks": {"database": "ok", "media": "failed"}}


async def test_figures_name_routes_and_no_paths(browser: Browser) -> None:
    await browser.get("/probe/fail/not-found")
    text = await (await browser.get("/metrics")).text()
    assert 'visit_http_requests_total{method="GET",route="/probe/fail/{how}",status="404"} 1.0' in text
    assert "not-found" not in text
    assert 'visit_http_problems_total{code="not_found"} 1.0' in text


async def test_figures_and_details_are_for_the_own_network(http_house: HttpHouse) -> None:
    http_house.settings = Settings(server=ServerSettings.model_validate({"metrics_networks": ["192.0.2.0/24"]}))

    async def works() -> None:
        return None

    http_house.start(checks={"database": works})
    browser = await http_house.browser()
    assert (await browser.get("/metrics")).status == 404
    assert await (await browser.get("/readyz")).json() == {"status": "ready", "checks": {}}


async def test_other_hosts_are_not_answered(http_house: HttpHouse) -> None:
    http_house.settings = Settings(server=ServerSettings(allowed_hosts=("visits.example.org",)))
    browser = await http_house.browser()
    assert (await browser.get("/signin")).status == 400
    assert (await browser.get("/signin", headers={"Host": "visits.example.org"})).status == 200


async def test_garbage_on_the_wire_is_no_failure_of_ours(browser: Browser) -> None:
    host, port = browser.client.host, browser.client.port
    for raw in (
        b"\x16\x03\x01garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.setblocking(False)
            import asyncio

            loop = asyncio.get_running_loop()
            await loop.sock_sendall(connection, raw)
            answer = await asyncio.wait_for(loop.sock_recv(connection, 4096), 60)
        assert b" 500 " not in answer.split(b"\r\n")[0]
    assert (await browser.get("/healthz")).status == 200
