"""Other people's things: whoever may do an action finds nothing that is not theirs.

For every route with an identifier in its path: an identifier of nothing, and one of somebody else's thing, are both
404; the thing's own person gets further (to an answer, or to what that thing cannot do now). A new kind of identifier
needs a maker below; the test names what is missing.
"""

from __future__ import annotations

import json
import re
import time as time_of_the_machine
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse, FormData
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.bus import InProcessBus
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory
from signaling.ids import new_id
from signaling.tickets import TicketIssuer
from tests.fixtures.desk import desk_services
from tests.fixtures.http_app import PASSWORD, PIN, Browser, HttpHouse, account_services
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    SOCIAL,
    STAFF,
    World,
    family,
    make_world,
    populate,
    relationship_id,
    slot_key,
)
from tests.fixtures.store import SettableClock
from visitserver.domain.access import CLIENT_ACTIONS, STAFF_ROLES
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.calls import Call, CallKind
from visitserver.domain.errors import Unavailable
from visitserver.domain.flags import Flag, FlagType
from visitserver.domain.identity import (
    CheckState,
    Enrolment,
    EnrolmentRoute,
    EnrolmentState,
    IdentityCheck,
    PictureKind,
)
from visitserver.domain.import_lines import Format
from visitserver.domain.importing import COLUMNS, ImportKind
from visitserver.domain.outbox import OutboxState
from visitserver.domain.rights import RestrictionScope
from visitserver.http.registry import SAFE_METHODS, Audience, Route, RouteKind
from visitserver.http.routes import all_tables
from visitserver.identity.vault import PersonVault
from visitserver.services.appointments import AppointmentDraft
from visitserver.services.blocks import BlockDraft
from visitserver.services.calls import CallService
from visitserver.services.door import DoorService
from visitserver.services.enrolment import EnrolmentService
from visitserver.services.outbox import OutboxService
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.recordings import RecordingsService
from visitserver.services.sealing import AesGcmSealer
from visitserver.services.visits import VisitService
from visitserver.services.waiting_room import WaitingRoomService
from visitserver.services.waitlist import WaitlistWish
from visitserver.services.webhooks import WebhookService

WORDS = re.compile(r"{[a-z_]+:[a-z_]+(\|[a-z_]+)+}")
"""One of some words in a path is a choice, and names no thing."""
ROUTES = [route for table in all_tables() for route in table if route.parameters and not WORDS.search(route.path)]
SEED = Actor(ActorKind.SYSTEM, "seed", PRISON)
DAY = date(2026, 3, 10)
NOT_FAR = {"not_found", "access_denied", "sign_in_required", "csrf_failed"}
NEEDS_MORE = {
    # the track of an opening that was never made; tests/integration/recorder opens one
    "GET /api/recordings/{recording_id}/tracks/{number:[0-9]+}.webm",
}
PAGE_WITH_A_TOKEN = {
    Audience.FAMILY: "/signup/confirm?token=x",
    Audience.TERMINAL: "/terminal/enrol",
    Audience.STAFF: "/staff/security",
    Audience.API: "/healthz",
}
MAKES = {"PUT"}
"""Under an identifier of nothing these make a thing, or say what is missing for that."""
OWN_NAMES = {"PUT /api/v1/appointments/{external_id}"}
"""Identifiers that each prison has for itself: another's is one of nothing."""

# What a form of ours can be filled in with, by field: enough to get past the form to the question whose thing it is.
SAMPLES: dict[str, Any] = {
    "email": "friend@example.org",
    "slot": slot_key(DAY, time(16, 20)),
    "reason": "a reason of the test",
    "answer": "accept",
    "decision": "approve",
    "action": "place",
    "roles": ["officer"],
    "last_day": "2026-12-31",
    "opening": "opn_none",
    "code": "completed",
    "place": "place",
    "kind": "audio",
    "participant_id": "par_none",
    "muted": True,
    "text": "hello",
    "to": "all",
    "words": "hello",
    "note": "a note",
    "ground": "policy",
    "verdict": "approve",
    "approve": True,
    "outcome": "approve",
    "hold": True,
    "revision": 0,
    "weekdays": [0],
    "starts_at": "09:00",
    "ends_at": "17:00",
    "duration_minutes": 30,
    "capacity": 2,
    "station_ids": ["stn_1"],
    "kinds": ["social"],
    "supervision": "sample",
    "valid_from": "2026-12-30",
    "name": "a name",
    "first_day": "2026-03-20",
    "first_day_1": "2026-03-20",
    "why": "ill",
    "type": "compassionate",
    "key": "a-key-of-the-test",
    "active": True,
    "authority": "Governor",
    "starts_on": "2026-03-01",
    "other": "con_child",
    "token": "a token",
    "number": "K-2",
}


class Absent:
    """Something behind the services that no stranger gets to: asking it comes after the question whose thing it is."""

    def __getattr__(self, name: str) -> Any:
        async def absent(*_args: Any, **_options: Any) -> Any:
            raise Unavailable("it is not here")

        return absent


@dataclass
class Things:
    """Makes a fresh thing of MOTHER, PRISONER and PRISON for each route."""

    house: HttpHouse
    world: World
    _slots: int = 0
    _pictured: str = ""
    _makers: dict[str, Callable[[Route], Awaitable[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._makers = {
            "relationship_id": self._relationship,
            "hold_id": self._hold,
            "booking_id": self._booking,
            "recording_id": self._recording,
            "account_id": self._account,
            "station_id": self._station,
            "template_id": self._template,
            "number": self._number,
            "call_id": self._call,
            "enrolment_id": self._enrolment,
            "check_id": self._check,
            "picture_id": self._picture,
            "endpoint_id": self._endpoint,
            "message_id": self._message,
            "block_id": self._block,
            "entry_id": self._entry,
            "flag_id": self._flag,
            "prisoner_id": self._prisoner,
            "contact_id": self._contact,
            "restriction_id": self._restriction,
            "appointment_id": self._appointment,
            "non_association_id": self._non_association,
            "client_id": self._client,
            "external_id": self._external,
            "run_id": self._run,
        }

    def missing(self) -> list[str]:
        """Kinds of identifiers that nothing here can make."""
        return sorted({f"{name} in {r.name}" for r in ROUTES for name in r.parameters if name not in self._makers})

    async def make(self, route: Route) -> dict[str, str]:
        """A value for every parameter of the route."""
        return {name: await self._makers[name](route) for name in route.parameters}

    async def _relationship(self, _route: Route) -> str:
        return relationship_id(MOTHER)

    def _slot(self) -> str:
        self._slots += 1
        minutes = (self._slots % 13) * 35
        day = DAY + timedelta(days=self._slots // 13)
        return slot_key(day, time(9 + minutes // 60, minutes % 60), SOCIAL)

    async def _hold(self, _route: Route) -> str:
        return (await self.world.booking.hold(family(MOTHER), relationship_id(MOTHER), self._slot())).id

    async def _booking(self, route: Route) -> str:
        hold = await self._hold(route)
        return (await self.world.booking.confirm(family(MOTHER), hold)).id

    async def _recording(self, _route: Route) -> str:
        async with self.house.uow() as u:
            recording = self.house.services.recordings.expect(
                u,
                call_id=new_id("call"),
                prison_id=PRISON,
                prisoner_id=PRISONER,
                booking_id=None,
                policy_version="test",
                expected_end=self.house.clock() + timedelta(hours=1),
            )
            await u.commit()
        return recording.id

    async def _account(self, route: Route) -> str:
        if route.action == "pin.unlock":
            async with self.house.uow(read_only=True) as u:
                found = await u.accounts.account_of_prisoner(PRISONER)
            assert found is not None
            return found.id
        login = f"colleague-{new_id('log')}"
        account, _ = await self.house.services.accounts.create_staff(SEED, "Sam", login, frozenset(STAFF_ROLES))
        return account.id

    async def _station(self, _route: Route) -> str:
        return "stn_2"

    async def _template(self, _route: Route) -> str:
        return SOCIAL

    async def _call(self, route: Route) -> str:
        """A call whose room is open nowhere: an intervention gets as far as asking for the room."""
        booking_id = await self._booking(route)
        async with self.house.uow() as u:
            booking = await u.scheduling.get_booking(booking_id)
            call = Call(
                id=new_id("call"),
                booking_id=booking_id,
                prison_id=PRISON,
                prisoner_id=PRISONER,
                kind=CallKind.SOCIAL,
                lobby_opens_at=booking.starts_at - timedelta(minutes=15),
                starts_at=booking.starts_at,
                ends_at=booking.ends_at,
                recorded=False,
                supervision="none",
                watch_banner=False,
                policy_version="test",
                created_at=self.house.clock(),
            )
            u.calls.add(call)
            await u.commit()
        return call.id

    async def _enrolment(self, _route: Route) -> str:
        """An enrolment that waits for an officer, with a picture."""
        found = Enrolment(
            id=new_id("enr"),
            contact_id=MOTHER,
            route=EnrolmentRoute.FACE,
            state=EnrolmentState.SUBMITTED,
            created_at=self.house.clock(),
            expires_at=self.house.clock() + timedelta(days=30),
            notice_version="test",
            submitted_at=self.house.clock(),
        )
        return await self._with_picture(found, PictureKind.SELFIE, self.house.services.enrolment)

    async def _check(self, route: Route) -> str:
        """A check at the door that waits for an officer, with a picture."""
        check = IdentityCheck(
            id=new_id("chk"),
            booking_id=await self._booking(route),
            prison_id=PRISON,
            contact_id=MOTHER,
            state=CheckState.REVIEW,
            route=EnrolmentRoute.FACE,
            created_at=self.house.clock(),
        )
        return await self._with_picture(check, PictureKind.DOOR, self.house.services.door)

    async def _with_picture(
        self, owner: Enrolment | IdentityCheck, kind: PictureKind, service: EnrolmentService | DoorService
    ) -> str:
        until = self.house.clock() + timedelta(days=30)
        async with self.house.uow() as u:
            u.identity.add(owner)
            await service._items.replace(u, MOTHER, owner.id, {kind: [b"a picture"]}, delete_after=until)
            self._pictured = (await u.identity.items(owner.id))[0].id
            await u.commit()
        return owner.id

    async def _picture(self, _route: Route) -> str:
        """The picture of what was made just before: its owner stands first in the path."""
        return self._pictured

    async def _endpoint(self, _route: Route) -> str:
        administrator = Actor(ActorKind.STAFF, "stf_seed", PRISON)
        made = await self.house.services.webhooks.add(
            administrator, "https://other.example/events", frozenset({"booking.confirmed"})
        )
        return made.endpoint.id

    async def _message(self, _route: Route) -> str:
        """A letter that could not be sent."""
        async with self.house.uow() as u:
            message = await u.outbox.get(u.outbox.add("booking.confirmed", {"prison_id": PRISON}))
            message.state = OutboxState.FAILED
            await u.commit()
        return message.id

    async def _block(self, _route: Route) -> str:
        self._slots += 1
        day = DAY + timedelta(days=60 + self._slots)
        block = await self.house.services.blocks.add(STAFF, BlockDraft(day, day, "a test"))
        return block.id

    async def _flag(self, route: Route) -> str:
        booking_id = await self._booking(route)
        async with self.house.uow() as u:
            starts_at = (await u.scheduling.get_booking(booking_id)).starts_at
            why = {"rule": "place", "outcome": "refuse", "binding": False, "why": "A test."}
            flag = Flag(
                new_id("flg"), PRISON, booking_id, FlagType.STATION_OUT, "stn_1", starts_at, self.house.clock(), why
            )
            u.flags.add(flag)
            await u.commit()
        return flag.id

    async def _entry(self, _route: Route) -> str:
        """A place on the waiting list, each for a day of its own."""
        self._slots += 1
        wish = WaitlistWish(first_day=DAY + timedelta(days=self._slots))
        entry = await self.house.services.waitlist.join(family(MOTHER), relationship_id(MOTHER), wish)
        return entry.id

    async def _prisoner(self, _route: Route) -> str:
        return PRISONER

    async def _contact(self, _route: Route) -> str:
        return MOTHER

    async def _restriction(self, _route: Route) -> str:
        """One on a relationship: it concerns nobody but its two people."""
        found = await self.world.restrictions.add(
            STAFF,
            scope=RestrictionScope.RELATIONSHIP,
            subject_id=relationship_id(MOTHER),
            type="CLOSED",
            authority="Governor",
            starts_on=DAY,
        )
        return found.id

    async def _appointment(self, _route: Route) -> str:
        starts_at = self.house.clock() + timedelta(days=2)
        draft = AppointmentDraft(AppointmentKind.COURT, starts_at, starts_at + timedelta(hours=1))
        return (await self.house.services.appointments.add(STAFF, PRISONER, draft)).id

    async def _non_association(self, _route: Route) -> str:
        found = await self.house.services.non_associations.add(STAFF, PRISONER, OTHER_PRISONER, reason="a test")
        return found.id

    async def _client(self, _route: Route) -> str:
        return (await self.house.services.clients.issue(SEED, "own", CLIENT_ACTIONS, prison_id=PRISON)).client.id

    async def _external(self, route: Route) -> str:
        """A record under an identifier of the prison's own system, of the kind that the path names."""
        kind = ImportKind(route.path.split("/")[3])
        imports, system = self.house.services.imports, Actor(ActorKind.SYSTEM, "seed")
        async with self.house.uow() as u:
            prisoner, contact = await u.people.get_prisoner(PRISONER), await u.people.get_contact(MOTHER)
            link = await u.rights.get_relationship(relationship_id(MOTHER))
            prisoner.external_id, contact.external_id, link.external_id = "P-1", "C-1", "R-1"
            (await u.people.get_prisoner(OTHER_PRISONER)).external_id = "P-1002"
            await u.commit()
        named = {ImportKind.PRISONERS: "P-1", ImportKind.CONTACTS: "C-1", ImportKind.RELATIONSHIPS: "R-1"}
        if kind in named:
            return named[kind]
        values = {column.name: column.example for column in COLUMNS[kind]}
        for column in ("prisoner_external_id", "subject_external_id"):
            if column in values:
                values[column] = "C-1" if kind is ImportKind.RESTRICTIONS else "P-1"
        await imports.put(system, kind, values.pop("external_id"), values)
        return COLUMNS[kind][0].example

    async def _run(self, _route: Route) -> str:
        client = Actor(ActorKind.CLIENT, "cli_test", PRISON)
        lines = [b"external_id,given_name\n", b"C-9,nobody\n"]
        report = await self.house.services.imports.run(client, ImportKind.CONTACTS, Format.CSV, lines)
        return report.run.id

    async def _number(self, _route: Route) -> str:
        return "1"


class Program(Browser):
    """A machine client: no cookie, a token."""

    def __init__(self, browser: Browser, token: str) -> None:
        super().__init__(browser.client)
        self._token = token

    async def request(self, method: str, path: str, **options: Any) -> ClientResponse:
        headers = {**options.pop("headers", {}), "Authorization": f"Bearer {self._token}"}
        return await super().request(method, path, headers=headers, **options)


@dataclass
class Cast:
    """Signs in, by audience: whose things they are, and a stranger with every right of that audience."""

    owner: Callable[[Audience], Awaitable[Browser]]
    stranger: Callable[[Audience], Awaitable[Browser]]
    things: Things


@pytest.fixture
async def cast(sqlite_uow: UnitOfWorkFactory, clock: SettableClock) -> AsyncIterator[Cast]:
    await populate(sqlite_uow)
    world = make_world(sqlite_uow, clock)
    await world.allowance.grant(STAFF, PRISONER, CreditType.STANDARD, "test", count=26, event_key=new_id("key"))
    house = HttpHouse(sqlite_uow, clock, account_services(sqlite_uow, clock))
    services = house.services
    for name in (
        *("relationships", "restrictions", "slots", "booking", "bookings", "allowance", "templates", "policies", "why"),
    ):
        setattr(services, name, getattr(world, name))
    services.visits = VisitService(sqlite_uow, clock)
    services.waiting_room = WaitingRoomService(sqlite_uow, services.visits)
    control = BusRoomControl(InProcessBus(), InProcessDirectory(time_of_the_machine.monotonic))
    services.calls = CallService(sqlite_uow, clock, TicketIssuer(Ed25519PrivateKey.generate(), clock), control)
    no_engine: Any = Absent()
    services.door = DoorService(sqlite_uow, clock, no_engine, PersonVault(bytes(32)), new_id)
    services.enrolment = EnrolmentService(sqlite_uow, clock, no_engine, PersonVault(bytes(32)), new_id)
    desk_services(services, sqlite_uow, clock, world.identity)
    services.outbox = OutboxService(sqlite_uow, clock)
    services.webhooks = WebhookService(sqlite_uow, clock, AesGcmSealer(bytes(32)), new_id)
    services.recordings = RecordingsService(sqlite_uow, Absent(), clock, new_id)  # type: ignore[arg-type]
    for contact in (MOTHER, FRIEND):
        await services.accounts.provision_family(SEED, contact, f"{contact[4:]}@example.org", PASSWORD)
    for number in ("K-1", "K-2"):
        await services.pins.set_pin(SEED, number, PIN)
    for prison, login in ((PRISON, "here"), ("prn_elsewhere", "there")):
        await services.accounts.create_staff(
            Actor(ActorKind.SYSTEM, "seed", prison), "All", login, frozenset(STAFF_ROLES), PASSWORD
        )

    async def program(prison_id: str) -> Browser:
        system = Actor(ActorKind.SYSTEM, "seed")
        issued = await services.clients.issue(system, "records", CLIENT_ACTIONS, prison_id=prison_id)
        return Program(await house.browser(), issued.token)

    async def sign_in(audience: Audience, email: str, login: str, number: str, station_id: str) -> Browser:
        if audience is Audience.API:
            return await program(PRISON if login == "here" else "prn_elsewhere")
        if audience is Audience.FAMILY:
            return await house.family(email)
        if audience is Audience.STAFF:
            return await house.staff(login)
        async with sqlite_uow(read_only=True) as u:
            station = await u.scheduling.get_station(station_id)
        browser = await house.terminal(station)
        assert (await browser.post("/terminal", {"number": number, "pin": PIN})).status == 303
        return browser

    yield Cast(
        owner=lambda audience: sign_in(audience, "mother@example.org", "here", "K-1", "stn_1"),
        stranger=lambda audience: sign_in(audience, "friend@example.org", "there", "K-2", "stn_2"),
        things=Things(house, world),
    )
    await house.close()


async def code_of(response: ClientResponse) -> tuple[int, str]:
    """The status, and the code of the failure (as a problem or on a page); no code where it is none."""
    text = await response.text() if response.status >= 400 else ""
    if response.content_type == "application/problem+json":
        return response.status, json.loads(text)["code"]
    found = re.search(r"req_[0-9a-f]+</span> · (\w+)</p>", text)
    return response.status, found[1] if found else ""


def filled(route: Route, values: dict[str, str]) -> str:
    path = route.path
    for name in route.parameters:
        start = path.index("{" + name)
        path = path[:start] + values[name] + path[path.index("}", start) + 1 :]
    return path


async def ask(browser: Browser, route: Route, values: dict[str, str]) -> ClientResponse:
    """A request that gets past the form."""
    path = filled(route, values)
    if route.query is not None:
        wanted = {n: SAMPLES[n] for n, f in route.query.model_fields.items() if f.is_required()}
        path += "?" + "&".join(f"{name}={value}" for name, value in wanted.items())
    if route.method in SAFE_METHODS:
        return await browser.request(route.method, path)
    body = {} if route.body is None else {n: SAMPLES[n] for n, f in route.body.model_fields.items() if f.is_required()}
    if route.kind is RouteKind.PAGE:
        return await browser.request(route.method, path, data={"csrf_token": browser.csrf, **body})
    headers = {"X-CSRF-Token": browser.csrf}
    if route.media_type == "multipart/form-data":
        form = FormData()
        form.add_field("frame", b"\xff\xd8\xff\xe0 not much", filename="a.jpg", content_type="image/jpeg")
        return await browser.request(route.method, path, data=form, headers=headers)
    if route.media_type is not None:
        headers["Content-Type"] = route.media_type
        return await browser.request(route.method, path, data=b"x", headers=headers)
    return await browser.request(route.method, path, json=body, headers=headers)


def test_there_is_a_maker_for_every_kind_of_identifier() -> None:
    missing = Things(None, None).missing()  # type: ignore[arg-type]
    assert not missing, "tests/access/test_objects.py cannot make: " + "; ".join(missing)


async def said(response: ClientResponse, values: dict[str, str]) -> str:
    """What the answer shows, but for the request's own number, the page's token and what was asked for."""
    text = re.sub(r"req_[0-9a-f]+|[0-9a-f]{64}", "", await response.text())
    for value in values.values():
        text = text.replace(value, "1")
    return text


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_strangers_thing_is_not_found(cast: Cast, route: Route) -> None:
    """Another's, another prison's and nothing at all are one and the same answer, to the letter."""
    stranger, owner = await cast.stranger(route.audience), await cast.owner(route.audience)
    for browser in (stranger, owner):
        await browser.get(PAGE_WITH_A_TOKEN[route.audience])
    nowhere = dict.fromkeys(route.parameters, "1")
    nothing = await ask(stranger, route, nowhere)
    makes = route.method in MAKES
    assert await code_of(nothing) == ((422, "invalid_input") if makes else (404, "not_found")), await nothing.text()
    values = await cast.things.make(route)
    others = await ask(stranger, route, values)
    if route.name in OWN_NAMES:
        assert await code_of(others) == await code_of(nothing)
    else:
        assert await code_of(others) == (404, "not_found"), await others.text()
    if not makes or route.name in OWN_NAMES:
        assert await said(others, values) == await said(nothing, nowhere)
    for name in route.parameters if len(route.parameters) > 1 else ():
        # One's own thing, and a part of it that is not there (or the other way round).
        mixed = await ask(owner, route, {**values, name: "1"})
        if route.name not in NEEDS_MORE:
            assert await code_of(mixed) == (404, "not_found"), (name, await mixed.text())
    own = await ask(owner, route, values)
    if route.name not in NEEDS_MORE:
        status, code = await code_of(own)
        assert code not in NOT_FAR, (status, await own.text())


def test_every_route_that_names_a_thing_is_asked() -> None:
    assert {route.audience for route in ROUTES} >= {Audience.FAMILY, Audience.TERMINAL, Audience.STAFF, Audience.API}
    assert len(ROUTES) > 100
