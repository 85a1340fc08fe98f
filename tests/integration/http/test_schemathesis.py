"""Every operation of the OpenAPI document, asked by schemathesis: no 5xx, and every answer is what the document says.

The application runs in this process, in a thread with its own loop, over the demo prison. Half of the requests name
things that exist, the other half what the generator makes up.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fakes.identity_engine import FakeIdentityEngine
from visitserver.bootstrap import House
from visitserver.demo.people import PRISON_CODE
from visitserver.demo.run import demo_settings
from visitserver.demo.seed import seed as seed_demo
from visitserver.demo.sessions import open_now, regular_week
from visitserver.domain.access import CLIENT_ACTIONS, POLICY
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.importing import COLUMNS, ImportKind
from visitserver.domain.paging import PageRequest
from visitserver.http import csrf
from visitserver.http.app import create_app
from visitserver.http.openapi import openapi_document
from visitserver.http.ratelimit import Unlimited
from visitserver.http.registry import SAFE_METHODS
from visitserver.http.routes import all_tables
from visitserver.keyring import KeyPaths, load_keys, make_missing_keys
from visitserver.services.passwords import Passwords
from visitserver.store.migrate import migrate

T = TypeVar("T")
EXAMPLES = 3
NIGHTLY = 150
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
VISITOR = "v" * 43


@dataclass
class Served:
    """The application as it is served, who may be signed in, and what there is by name of the path's parameter."""

    url: str
    document: dict[str, Any]
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    things: dict[str, list[str]] = field(default_factory=dict)


class Thread:
    """A loop of its own, in which the application lives."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="application")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it there; wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=120)

    def close(self) -> None:
        """End the loop."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=60)
        self.loop.close()


async def make_house(folder: Path) -> tuple[House, Any]:
    """The demo prison in `folder`: nothing runs but what answers requests."""
    configured = demo_settings(folder, port=0, udp_port=0, tls=False)
    paths = KeyPaths.of(configured)
    make_missing_keys(paths)
    await migrate(configured.database.url.get_secret_value())
    house = House(configured, load_keys(paths))
    await house.links.start()
    assert house.node is not None
    await house.node.start()
    sign_ins = await seed_demo(house)
    await regular_week(house, sign_ins)
    await open_now(house, sign_ins)
    return house, sign_ins


async def sign_everybody_in(house: House, sign_ins: Any, served: Served) -> None:
    """A session of each role, and a client with every action."""
    services = house.services
    administrator = Actor(ActorKind.STAFF, sign_ins.administrator_id, sign_ins.prison_id)
    email = next(iter(sign_ins.families))
    served.tokens["family"] = await services.signin.family(email, sign_ins.password)
    station_id = next(iter(sign_ins.stations.values()))
    code = await services.stations.issue_code(administrator, station_id)
    device_token = await services.stations.enrol(administrator, code)
    device = await services.stations.resolve(device_token)
    assert device is not None
    number, pin = next(iter(sign_ins.pins.items()))
    served.tokens["terminal"] = await services.signin.prisoner(device, number, pin)
    for login, roles in sign_ins.staff.items():
        token = await services.signin.staff(login, sign_ins.password)
        for role in roles.split(", "):
            served.tokens[role] = token
    system = Actor(ActorKind.SYSTEM, "test")
    issued = await services.clients.issue(system, "all", CLIENT_ACTIONS, prison_id=sign_ins.prison_id)
    served.tokens["client"] = issued.token
    served.cookies = {
        "family": {"visit_family": served.tokens["family"]},
        "prisoner": {"visit_terminal": served.tokens["terminal"], "visit_station": device_token},
    }


async def find_things(house: House, sign_ins: Any, served: Served) -> None:
    """Identifiers of what there is, by the name of the path's parameter."""
    prison_id = sign_ins.prison_id
    system = Actor(ActorKind.SYSTEM, "test")
    page = PageRequest(20)
    today = house.clock().date()
    things = served.things
    for kind in ImportKind:
        values = {column.name: column.example for column in COLUMNS[kind] if column.example}
        if kind is ImportKind.PRISONERS:
            values = {**values, "prison": PRISON_CODE, "wing": ""}
            other = {**values, "number": "B1234CD"}  # whom a non-association names besides
            other.pop("external_id")
            await house.services.imports.put(system, kind, "P-1002", other)
        await house.services.imports.put(system, kind, values.pop("external_id"), values)
        things.setdefault("external_id", []).append(COLUMNS[kind][0].example)
    async with house.uow(read_only=True) as u:
        for name, kind in (
            ("prisoner_id", ImportKind.PRISONERS),
            ("contact_id", ImportKind.CONTACTS),
            ("relationship_id", ImportKind.RELATIONSHIPS),
            ("restriction_id", ImportKind.RESTRICTIONS),
            ("alert_id", ImportKind.ALERTS),
            ("appointment_id", ImportKind.APPOINTMENTS),
        ):
            things[name] = [one.id for one in (await u.records.page(kind, prison_id, page)).items]
        things["station_id"] = list(sign_ins.stations.values())
        things["template_id"] = [one.id for one in await u.scheduling.templates(prison_id, first=today, last=today)]
        things["account_id"] = [one.account.id for one in (await u.accounts.staff_accounts(prison_id, page)).items]
        things["client_id"] = [one.id for one in (await u.clients.clients(prison_id, page)).items]
        links = [await u.rights.get_relationship(each) for each in things["relationship_id"]]
    booked: list[str] = []
    for link in links:
        family = Actor(ActorKind.FAMILY, link.contact_id)
        for offer in await house.services.slots.next_free(family, link.id, count=2):
            hold = await house.services.booking.hold(family, link.id, offer.slot.key)
            if len(booked) % 2:
                things.setdefault("hold_id", []).append(hold.id)
            else:
                booked.append((await house.services.booking.confirm(family, hold.id)).id)
            break
    things["booking_id"] = booked


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application over the demo prison, with everybody signed in."""
    patched = pytest.MonkeyPatch()
    patched.setattr("visitserver.bootstrap.Passwords", functools.partial(Passwords, time_cost=1, memory_kib=64))
    patched.setattr("visitserver.bootstrap.WorkerIdentityEngine", lambda **_options: FakeIdentityEngine())
    thread = Thread()
    house, sign_ins = thread.run(make_house(tmp_path_factory.mktemp("demo")))
    try:
        app = create_app(
            house.services,
            house.settings,
            clock=house.clock,
            limiter=Unlimited(),
        )
        runner = web.AppRunner(app, access_log=None)
        thread.run(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        thread.run(site.start())
        host, port = runner.addresses[0][:2]
        served = Served(f"http://{host}:{port}", document())
        thread.run(sign_everybody_in(house, sign_ins, served))
        thread.run(find_things(house, sign_ins, served))
        yield served
        thread.run(runner.cleanup())
    finally:
        assert house.node is not None
        thread.run(house.node.stop())
        thread.run(house.close())
        thread.close()
        patched.undo()


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI document of every route but the media node's, which a signed ticket opens."""
    return openapi_document([route for table in all_tables() for route in table])


@functools.cache
def schema() -> Any:
    return schemathesis.openapi.from_dict(document())


def operations() -> list[str]:
    return [f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods]


def principals(action: str) -> list[str]:
    """Who asks: somebody who may, and nobody."""
    grant = POLICY[action]
    if grant.client:
        return ["client", "nobody"]
    if grant.anyone:
        return ["nobody"]
    return [sorted(grant.roles)[-1], "nobody"]


def ask(served: Served, name: str, data: st.DataObject) -> None:
    """One generated request, and what its answer must be."""
    method, path = name.split(" ", 1)
    operation = schema()[path][method]
    described = document()["paths"][path][method.lower()]
    who = data.draw(st.sampled_from(principals(described["x-action"])))
    known = {
        parameter["name"]: data.draw(st.sampled_from(served.things[parameter["name"]]))
        for parameter in described["parameters"]
        if parameter["in"] == "path" and served.things.get(parameter["name"]) and data.draw(st.booleans())
    }
    case = data.draw(operation.as_strategy())
    case.path_parameters = {**(case.path_parameters or {}), **known}
    audience = described["tags"][0]
    cookies = dict(served.cookies.get(who, {}))
    headers: dict[str, str] = {}
    token = served.tokens.get({"prisoner": "terminal"}.get(who, who))
    if who == "client" and token is not None:
        headers["Authorization"] = f"Bearer {token}"
    elif audience == "staff" and token is not None:
        cookies["visit_staff"] = token
    if method not in SAFE_METHODS:
        cookies["visit_visitor"] = VISITOR
        secret = csrf.token_for(token if token is not None and who != "client" else VISITOR)
        headers[csrf.HEADER] = secret
        if isinstance(case.body, dict) and "text/html" in str(described["responses"]):
            case.body["csrf_token"] = secret
    case.headers = {key: value for key, value in (case.headers or {}).items() if key != csrf.HEADER}
    response = case.call(
        base_url=served.url,
        headers=headers,
        cookies=cookies,
        allow_redirects=False,
        timeout=60,  # a busy machine may take its time
        session=requests.Session(),
    )
    assert response.status_code < 500, f"{name} as {who}: {response.status_code} {response.text[:300]}"
    case.validate_response(response, checks=CHECKS)


def limits(examples: int) -> settings:
    return settings(
        max_examples=examples,
        phases=[Phase.generate],
        deadline=timedelta(minutes=2),
        derandomize=examples == EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("name", operations())
def test_an_operation_answers_as_it_is_described(served: Served, name: str) -> None:
    @limits(EXAMPLES)
    @given(data=st.data())
    def asked(data: st.DataObject) -> None:
        ask(served, name, data)

    asked()


@pytest.mark.nightly
@pytest.mark.parametrize("name", operations())
def test_an_operation_answers_as_it_is_described_many_times(served: Served, name: str) -> None:
    @limits(NIGHTLY)
    @given(data=st.data())
    def asked(data: st.DataObject) -> None:
        ask(served, name, data)

    asked()


def test_every_route_is_asked() -> None:
    assert len(operations()) == len([route for table in all_tables() for route in table]) > 150
