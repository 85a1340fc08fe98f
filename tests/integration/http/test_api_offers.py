"""The REST interface of a prison's own systems: blocked times."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.fixtures.http_app import HttpHouse
from visitserver.domain.access import CLIENT_ACTIONS
from visitserver.domain.actors import Actor, ActorKind
from visitserver.services.blocks import BlockService
from visitserver.services.changes import Changes

Ask = Callable[..., Awaitable[ClientResponse]]


@pytest.fixture
async def ask(http_house: HttpHouse) -> Ask:
    """A request to the server, as the program of the first prison or (`foreign`) of the other one."""
    http_house.services.blocks = BlockService(http_house.uow, http_house.clock, Changes(http_house.clock))
    browser = await http_house.browser()
    system = Actor(ActorKind.SYSTEM, "test")
    own, other = [
        (await http_house.services.clients.issue(system, "records", CLIENT_ACTIONS, prison_id=prison.id)).token
        for prison in (http_house.prison, http_house.other_prison)
    ]

    async def asked(method: str, path: str, *, foreign: bool = False, **options: Any) -> ClientResponse:
        token = other if foreign else own
        return await browser.request(method, path, headers={"Authorization": f"Bearer {token}"}, **options)

    return asked


async def code(response: ClientResponse) -> tuple[int, str]:
    return response.status, json.loads(await response.text())["code"]


async def test_a_time_is_blocked_listed_and_lifted(http_house: HttpHouse, ask: Ask) -> None:
    day = http_house.clock().date().isoformat()
    wanted = {"first_day": day, "last_day": day, "reason": "no water", "public_words": "Closed.", "to_time": "23:00"}
    preview = await (await ask("POST", "/api/v1/blocks/preview", json=wanted)).json()
    assert (preview["affected"], preview["overlapping"]) == (0, [])
    made = await ask("POST", "/api/v1/blocks", json=wanted)
    block = await made.json()
    assert made.status == 200
    assert (block["public_words"], block["station_ids"], block["lifted_at"]) == ("Closed.", [], None)
    assert block["starts_at"] == preview["starts_at"]
    assert await code(await ask("POST", "/api/v1/blocks", json=wanted)) == (409, "block_exists")
    again = await (await ask("POST", "/api/v1/blocks/preview", json={**wanted, "to_time": "22:00"})).json()
    assert again["overlapping"] == [block["id"]]
    assert await (await ask("GET", f"/api/v1/blocks/{block['id']}")).json() == block
    assert [each["id"] for each in (await (await ask("GET", "/api/v1/blocks")).json())["items"]] == [block["id"]]

    for attempt in (
        await ask("GET", f"/api/v1/blocks/{block['id']}", foreign=True),
        await ask("POST", f"/api/v1/blocks/{block['id']}/lift", foreign=True, json={"reason": "mine"}),
    ):
        assert await code(attempt) == (404, "not_found")
    assert (await (await ask("GET", "/api/v1/blocks", foreign=True)).json())["items"] == []

    lifted = await (await ask("POST", f"/api/v1/blocks/{block['id']}/lift", json={"reason": "it is back"})).json()
    assert lifted["lifted_at"] is not None
    twice = await ask("POST", f"/api/v1/blocks/{block['id']}/lift", json={"reason": "it is back"})
    assert await code(twice) == (409, "block_lifted")
    assert (await (await ask("GET", "/api/v1/blocks")).json())["items"] == []
    kept = (await (await ask("GET", "/api/v1/blocks?lifted=true")).json())["items"]
    assert [each["id"] for each in kept] == [block["id"]]


WRONG: list[dict[str, Any]] = [
    {"last_day": "9999-12-31"},
    {"first_day": "0001-01-01"},
    {"to_time": "00:00:00+02:00"},
    {"to_time": "00:00"},
    {"station_ids": ["stn_x"]},
    {"template_ids": ["tpl_x"]},
    {"reason": ""},
    {"public_words": "x" * 501},
]


async def test_what_makes_no_sense_is_told(http_house: HttpHouse, ask: Ask) -> None:
    day = http_house.clock().date().isoformat()
    for wrong in WRONG:
        body = {"first_day": day, "last_day": day, "reason": "no water", **wrong}
        for path in ("/api/v1/blocks", "/api/v1/blocks/preview"):
            assert (await ask("POST", path, json=body)).status == 422, (path, wrong)
