"""Things of one person and one prison, one for every kind of identifier in a path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any

from aiohttp import ClientResponse

from signaling.ids import new_id
from tests.fixtures.http_app import Browser, HttpHouse
from tests.fixtures.rights import (
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    SOCIAL,
    STAFF,
    World,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.access import CLIENT_ACTIONS, STAFF_ROLES
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.calls import Call, CallKind
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
from visitserver.http.registry import Audience, Route
from visitserver.http.routes import all_tables
from visitserver.services.appointments import AppointmentDraft
from visitserver.services.blocks import BlockDraft
from visitserver.services.door import DoorService
from visitserver.services.enrolment import EnrolmentService
from visitserver.services.waitlist import WaitlistWish

WORDS = re.compile(r"{[a-z_]+:[a-z_]+(\|[a-z_]+)+}")
"""One of some words in a path is a choice, and names no thing."""
ROUTES = [route for table in all_tables() for route in table if route.parameters and not WORDS.search(route.path)]
SEED = Actor(ActorKind.SYSTEM, "seed", PRISON)
DAY = date(2026, 3, 10)


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
