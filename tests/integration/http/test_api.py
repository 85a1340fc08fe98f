"""The REST interface of a prison's own systems: tokens, one record at a time, conditions, pages, files."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.fixtures.http_app import Browser, HttpHouse
from visitserver.domain.access import CLIENT_ACTIONS
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.paging import PageRequest
from visitserver.http.ratelimit import InProcessRateLimiter, Limit
from visitserver.services.desk import DeskService
from visitserver.services.ports.audit import AuditFilter

Ask = Callable[..., Awaitable[ClientResponse]]
PRISONER = {
    "number": "K-77",
    "given_name": "Eino",
    "family_name": "Ek",
    "born_on": "1991-02-03",
    "prison": "ASP",
    "admitted_at": "2026-01-05T10:00:00+02:00",
    "location": ["A", "1"],
}


async def issue(
    house: HttpHouse, *, actions: frozenset[str] = CLIENT_ACTIONS, prison_id: str = "", days: int = 365
) -> str:
    system = Actor(ActorKind.SYSTEM, "test")
    issued = await house.services.clients.issue(
        system, "records", actions, prison_id=prison_id or house.prison.id, days=days
    )
    return issued.token


@pytest.fixture
async def ask(http_house: HttpHouse) -> Ask:
    """A request with a token: by default one that may do everything at the first prison."""
    browser = await http_house.browser()
    every = await issue(http_house)

    async def asked(method: str, path: str, *, token: str | None = every, **options: Any) -> ClientResponse:
        headers = {**options.pop("headers", {}), **({} if token is None else {"Authorization": f"Bearer {token}"})}
        return await browser.request(method, path, headers=headers, **options)

    return asked


async def code(response: ClientResponse) -> tuple[int, str]:
    return response.status, json.loads(await response.text())["code"]


async def test_a_token_opens_what_it_names_where_it_was_issued_as_long_as_it_lasts(
    http_house: HttpHouse, ask: Ask
) -> None:
    without = await ask("GET", "/api/v1/prisoners", token=None)
    assert (await code(without), without.headers["WWW-Authenticate"]) == ((401, "sign_in_required"), "Bearer")
    for wrong in ("x", "visit_" + "x" * 43, "visit_" + "x" * 4000, "visit_\u00e4"):
        assert (await code(await ask("GET", "/api/v1/prisoners", token=wrong)))[0] == 401
    narrow = await issue(http_house, actions=frozenset({"api.prisoner.read"}))
    assert (await ask("GET", "/api/v1/prisoners", token=narrow)).status == 200
    assert await code(await ask("PUT", "/api/v1/prisoners/P-1", token=narrow, json=PRISONER)) == (403, "access_denied")
    elsewhere = await issue(http_house, prison_id=http_house.other_prison.id)
    assert (await ask("PUT", "/api/v1/prisoners/P-1", json=PRISONER)).status == 201
    assert await code(await ask("GET", "/api/v1/prisoners/P-1", token=elsewhere)) == (404, "not_found")
    assert await code(await ask("PUT", "/api/v1/prisoners/P-1", token=elsewhere, json=PRISONER)) == (404, "not_found")
    short = await issue(http_house, days=1)
    assert (await ask("GET", "/api/v1/prisoners", token=short)).status == 200
    http_house.clock.advance(days=1)
    assert (await code(await ask("GET", "/api/v1/prisoners", token=short)))[0] == 401


async def test_a_record_is_made_once_changed_by_whoever_has_seen_it_and_read(http_house: HttpHouse, ask: Ask) -> None:
    made = await ask("PUT", "/api/v1/prisoners/P-1", json=PRISONER)
    assert made.status == 201
    again = await ask("PUT", "/api/v1/prisoners/P-1", json=PRISONER)
    assert (again.status, again.headers["ETag"]) == (200, made.headers["ETag"])
    read = await ask("GET", "/api/v1/prisoners/P-1")
    body = await read.json()
    assert {**PRISONER, "admitted_at": "2026-01-05T08:00:00Z"}.items() <= body.items()
    assert body["external_id"] == "P-1"
    tag = read.headers["ETag"]
    assert (await ask("GET", "/api/v1/prisoners/P-1", headers={"If-None-Match": tag})).status == 304
    changed = await ask("PUT", "/api/v1/prisoners/P-1", json={"incentive_level": "enhanced"}, headers={"If-Match": tag})
    assert (changed.status, (await changed.json())["number"]) == (200, "K-77")
    late = await ask("PUT", "/api/v1/prisoners/P-1", json={"category": "B"}, headers={"If-Match": tag})
    assert await code(late) == (412, "precondition_failed")
    twin = await ask("PUT", "/api/v1/prisoners/P-1", json=PRISONER, headers={"If-None-Match": "*"})
    assert twin.status == 412
    taken = await ask("PUT", "/api/v1/prisoners/P-2", json=PRISONER)
    assert await code(taken) == (409, "taken")
    unfinished = await ask("PUT", "/api/v1/prisoners/P-3", json={"born_on": "1990-13-01", "number": "K-9"})
    assert unfinished.status == 422
    assert {"/born_on"} <= {each["pointer"] for each in (await unfinished.json())["errors"]}


async def test_lists_are_paged_and_whole(http_house: HttpHouse, ask: Ask) -> None:
    for number in range(5):
        values = {"given_name": "A", "family_name": "B", "born_on": "1990-01-01"}
        assert (await ask("PUT", f"/api/v1/contacts/C-{number}", json=values)).status == 201
    found, cursor = [], ""
    for _ in range(10):
        page = await (await ask("GET", f"/api/v1/contacts?limit=2{cursor}")).json()
        assert len(page["items"]) <= 2
        found += [each["external_id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(found) == [f"C-{number}" for number in range(5)]
    assert (await ask("GET", "/api/v1/contacts?limit=0")).status == 422
    assert (await ask("GET", "/api/v1/contacts?cursor=zzz")).status == 422


async def test_a_file_is_tried_out_imported_and_reported(http_house: HttpHouse, ask: Ask) -> None:
    data = "external_id,given_name,family_name,born_on\nC-1,Liisa,Ek,1990-01-01\nC-2,Olli,Ek,1990-99-01\n"
    csv = {"Content-Type": "text/csv"}
    tried = await (await ask("POST", "/api/v1/imports/contacts?dry_run=true", data=data, headers=csv)).json()
    assert (tried["created"], tried["refused"], tried["dry_run"]) == (1, 1, True)
    assert tried["changes"][0]["fields"]["given_name"] == {"before": None, "after": "Liisa"}
    assert (await ask("GET", "/api/v1/contacts/C-1")).status == 404
    done = await (await ask("POST", "/api/v1/imports/contacts", data=data, headers=csv)).json()
    assert [(each["line"], each["column"], each["code"]) for each in done["faults"]] == [(3, "born_on", "date")]
    assert (await ask("GET", "/api/v1/contacts/C-1")).status == 200
    kept = await (await ask("GET", f"/api/v1/imports/{done['id']}")).json()
    assert (kept["faults"], "changes" in kept) == (done["faults"], False)
    assert [each["id"] for each in (await (await ask("GET", "/api/v1/imports")).json())["items"]] == [
        done["id"],
        tried["id"],
    ]
    assert (
        await ask("POST", "/api/v1/imports/contacts", data=data, headers={"Content-Type": "text/plain"})
    ).status == 415
    headless = await ask("POST", "/api/v1/imports/contacts", data="a,b\n", headers=csv)
    assert await code(headless) == (422, "head")
    big = await ask("POST", "/api/v1/imports/contacts", data=b"x" * (4 * 1024 * 1024 + 1), headers=csv)
    assert big.status == 413


async def test_the_audit_log_names_the_client_and_no_person(http_house: HttpHouse, ask: Ask) -> None:
    assert (await ask("PUT", "/api/v1/prisoners/P-1", json=PRISONER)).status == 201
    async with http_house.uow(read_only=True) as u:
        (row,) = (await u.audit.rows(AuditFilter(action="record.prisoners"), PageRequest())).items
        (client,) = (await u.clients.clients(http_house.prison.id, PageRequest())).items
    assert (row.actor_kind, row.actor_id, row.prison_id) == ("client", client.id, http_house.prison.id)
    assert row.request_id is not None
    assert "Eino" not in json.dumps(row.data)
    assert len(client.token_hash) == 64


async def test_days_beyond_the_calendar_get_a_clear_answer(http_house: HttpHouse, ask: Ask) -> None:
    http_house.services.desk = DeskService(http_house.uow, http_house.clock)
    for day in ("9999-12-31", "0001-01-01"):
        for path in ("/api/v1/bookings", "/api/v1/relationships/R-1/availability"):
            assert (await ask("GET", f"{path}?first={day}")).status == 422, path
        block = {"first_day": day, "last_day": day, "reason": "x"}
        assert (await ask("POST", "/api/v1/blocks", json=block)).status == 422


async def test_a_client_that_asks_too_much_waits(http_house: HttpHouse) -> None:
    """Counted by client: two at one address do not take each other's turns."""
    limits = {"request": Limit(1000, 1000.0), "client": Limit(3, 0.001)}
    http_house.limiter = InProcessRateLimiter(lambda: 0.0, limits)
    browser = await http_house.browser()
    first, second = await issue(http_house), await issue(http_house)

    async def asked(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await browser.request("GET", "/api/v1/prisoners", headers=headers)).status

    assert [await asked(first) for _ in range(4)] == [200, 200, 200, 429]
    assert await asked(second) == 200


async def test_an_administrator_issues_and_revokes_a_token(http_house: HttpHouse, ask: Ask) -> None:
    http_house.services.desk = DeskService(http_house.uow, http_house.clock)
    browser: Browser = await http_house.staff("administrator")
    await browser.get("/staff/admin/clients")
    wrong = await browser.post("/staff/admin/clients", {"name": "x", "days": "365", "actions": "admin.home"})
    assert wrong.status == 422
    shown = await browser.post("/staff/admin/clients", {"name": "x", "days": "30", "actions": "api.prisoner.read"})
    token = (await shown.text()).split('<code id="token">')[1].split("<")[0]
    assert (await ask("GET", "/api/v1/prisoners", token=token)).status == 200
    listed = await (await browser.get("/staff/admin/clients")).text()
    assert token not in listed
    client_id = listed.split("/staff/admin/clients/")[1].split("/revoke")[0]
    assert (await browser.post(f"/staff/admin/clients/{client_id}/revoke")).status == 303
    assert (await ask("GET", "/api/v1/prisoners", token=token)).status == 401
