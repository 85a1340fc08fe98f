"""The people of the matrix, and how a cell is asked."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientResponse, CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from signaling.http import media_routes
from tests.fixtures.http_app import PASSWORD, PIN, HttpHouse
from visitserver.domain.access import CLIENT_ACTIONS, POLICY, STAFF_ROLES, Grant
from visitserver.domain.actors import Actor, ActorKind
from visitserver.http import csrf
from visitserver.http.app import create_app
from visitserver.http.ctx import Ctx
from visitserver.http.keys import ROUTES
from visitserver.http.middleware.failures import SIGN_IN
from visitserver.http.ratelimit import Unlimited
from visitserver.http.registry import SAFE_METHODS, Audience, Route, RouteKind, RouteTable
from visitserver.http.routes import all_tables

MATRIX: Final = Path(__file__).with_name("matrix.csv")
REACHED: Final = "X-Handler-Reached"
STAFF: Final = ("officer", "supervisor", "scheduler", "administrator", "auditor")
VISITOR: Final = "v" * 43
SESSIONS: Final = ("family", "terminal", "staff")


def read_matrix() -> dict[str, dict[str, str]]:
    """Expected answers by action and person."""
    with MATRIX.open(encoding="utf-8", newline="") as file:
        # A line without the last cell is a session's: a machine client's token is nothing there.
        return {row.pop("action"): {**row, "client": row["client"] or "sign-in"} for row in csv.DictReader(file)}


@dataclass(frozen=True)
class Person:
    """The session tokens that somebody holds, by audience, and their terminal's device token.

    `live`: the sessions count still, so the pages that they open carry those sessions' CSRF tokens. `bearer` is a
    machine client's token; who has none shows a session's token as one.
    """

    tokens: Mapping[str, str]
    device: str | None = None
    live: bool = True
    bearer: str | None = None

    @property
    def authorization(self) -> dict[str, str]:
        """The header that shows a token."""
        token = self.bearer or next(iter(self.tokens.values()), None)
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def cookies(self) -> dict[str, str]:
        """Own sessions under their own names; a single one is shown under every name."""
        shown = dict(self.tokens)
        if len(self.tokens) == 1:
            (token,) = self.tokens.values()
            shown = dict.fromkeys(SESSIONS, token)
        cookies = {f"visit_{audience}": token for audience, token in shown.items()}
        if self.device is not None:
            cookies["visit_station"] = self.device
        return cookies


async def make_people(house: HttpHouse) -> dict[str, Person]:
    """Everybody of the matrix, signed in by the real services."""
    signin, clock = house.services.signin, house.clock
    seeder = Actor(ActorKind.SYSTEM, "seed", house.prison.id)

    async def everybody(suffix: str) -> Person:
        """Somebody with every right: a family's, a prisoner's and all of staff's."""
        login, _ = await house.services.accounts.create_staff(seeder, "All", f"all-{suffix}", STAFF_ROLES, PASSWORD)
        house.accounts[f"all-{suffix}"] = login
        return Person(
            {
                "family": await signin.family("robin@example.org", PASSWORD),
                "terminal": await signin.prisoner(device, "A1234", PIN),
                "staff": await signin.staff(f"all-{suffix}", PASSWORD),
            },
            device_token,
            live=False,
        )

    async def enrol() -> str:
        code = await house.services.stations.issue_code(seeder, house.station.id)
        return await house.services.stations.enrol(seeder, code)

    device_token = await enrol()
    found = await house.services.stations.resolve(device_token)
    assert found is not None
    device = found
    expired = await everybody("expired")
    clock.advance(hours=12, minutes=1)  # the longest of all sessions
    suspended = await everybody("suspended")
    async with house.uow() as u:
        for account_id in (house.accounts["all-suspended"].id, house.accounts["robin@example.org"].id):
            account = await u.accounts.account(account_id, lock=True)
            assert account is not None
            account.status = type(account.status).SUSPENDED
        locked = await u.accounts.account_of_prisoner(house.prisoner.id, lock=True)
        assert locked is not None
        locked.locked_at = clock()
        await u.commit()
    assert await house.services.sessions.resolve(suspended.tokens["terminal"], "terminal", device.station_id) is None
    other, _ = await house.services.accounts.create_staff(
        Actor(ActorKind.SYSTEM, "seed", house.other_prison.id), "All", "all-other", STAFF_ROLES, PASSWORD
    )
    house.accounts["all-other"] = other
    people = {
        "anonymous": Person({}),
        "family": Person({"family": await signin.family("kim@example.org", PASSWORD)}),
        "expired": expired,
        "suspended": suspended,
        "other_prison": Person({"staff": await signin.staff("all-other", PASSWORD)}),
        **{role: Person({"staff": await signin.staff(role, PASSWORD)}) for role in STAFF},
    }
    issued = await house.services.clients.issue(seeder, "records", CLIENT_ACTIONS, prison_id=house.prison.id)
    people["client"] = Person({}, bearer=issued.token)
    # A prisoner of their own, since the first one's account is locked now.
    people["prisoner"] = await _second_prisoner(house, device_token)
    return people


async def _second_prisoner(house: HttpHouse, device_token: str) -> Person:
    first = house.prisoner
    async with house.uow() as u:
        second = replace(first, id=f"{first.id[:-4]}aaaa", number="A5678")
        u.people.add(second)
        await u.commit()
    seeder = Actor(ActorKind.SYSTEM, "seed", house.prison.id)
    await house.services.pins.set_pin(seeder, second.number, PIN)
    device = await house.services.stations.resolve(device_token)
    assert device is not None
    return Person({"terminal": await house.services.signin.prisoner(device, second.number, PIN)}, device_token)


class Probe:
    """The application with its real routes, whose handlers only say that they were reached."""

    def __init__(self, house: HttpHouse, policy: dict[str, Grant] | None = None) -> None:
        self.policy = dict(POLICY) if policy is None else policy
        app = create_app(
            house.services,
            house.settings,
            [replace(route, handler=_reached_media) for route in media_routes(None)],  # type: ignore[arg-type]
            clock=house.clock,
            tables=[_probed(table) for table in all_tables()],
            limiter=Unlimited(),
            policy=self.policy,
        )
        self.routes: tuple[Route, ...] = app[ROUTES]
        self._client: TestClient[Any, Any] = TestClient(TestServer(app), cookie_jar=_NoJar())

    async def start(self) -> None:
        await self._client.start_server()

    async def close(self) -> None:
        await self._client.close()

    async def ask(
        self,
        route: Route,
        person: Person,
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> ClientResponse:
        """One request as `person`, with the CSRF token that a page of theirs would have had."""
        more = dict(headers or {})
        data: dict[str, str] | None = None
        if route.method not in SAFE_METHODS:
            own = person.tokens.get(route.audience.value) if person.live else None
            token = csrf.token_for(own or VISITOR)
            if route.kind is RouteKind.PAGE:
                data = {"csrf_token": token}
            else:
                more[csrf.HEADER] = token
        return await self.send(route, person, path=path, headers=more, data=data, method=method)

    async def send(
        self,
        route: Route,
        person: Person,
        *,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> ClientResponse:
        """One request as `person`, with nothing added but the cookies."""
        cookies = {**person.cookies(), "visit_visitor": VISITOR}
        shown = {
            **person.authorization,
            **(headers or {}),
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        }
        response: ClientResponse = await self._client.request(
            method or route.method, path or fill(route.path), headers=shown, data=data, allow_redirects=False
        )
        await response.read()
        return response


class _NoJar(CookieJar):
    """Every request says its cookies itself."""

    def update_cookies(self, *args: Any, **kwargs: Any) -> None:
        """Forget what the answer set."""


def fill(path: str, value: str = "x_doesnotexist") -> str:
    """The path with every parameter filled in."""
    path = re.sub(r"{[a-z_]+:\[0-9\]\+}", "1", path)
    path = re.sub(r"{[a-z_]+:([a-z_]+)\|[^}]*}", r"\1", path)  # one of some words: the first
    return re.sub(r"{[^}]*}", value, path)


def answer_of(route: Route, response: ClientResponse) -> str:
    """What the answer means: yes, no, sign-in, or what it was."""
    if response.status == 401:
        return "sign-in"
    if response.status == 303 and REACHED not in response.headers:
        wanted = SIGN_IN.get(route.audience, "?")
        return "sign-in" if response.headers["Location"].split("?")[0] == wanted else "astray"
    if response.status == 403:
        return "no"
    if REACHED in response.headers:
        return "ticket" if route.audience is Audience.MEDIA else "yes"
    if route.audience is Audience.SYSTEM and response.status in (200, 308, 404, 503):
        return "yes"
    return f"status {response.status}"


async def _reached_media(_request: web.Request) -> web.StreamResponse:
    return web.Response(headers={REACHED: "1"})


async def _reached(_request: web.Request, _ctx: Ctx) -> web.StreamResponse:
    return web.Response(headers={REACHED: "1"})


def _probed(table: RouteTable) -> RouteTable:
    probed = RouteTable(table.audience)
    probed.routes = [replace(route, handler=_reached) for route in table]
    return probed
