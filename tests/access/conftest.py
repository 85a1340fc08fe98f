"""Whose things they are, and strangers, each signed in."""

from __future__ import annotations

import time as time_of_the_machine
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.bus import InProcessBus
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory
from signaling.ids import new_id
from signaling.tickets import TicketIssuer
from tests.access.things import SEED, Cast, Program, Things
from tests.fixtures.desk import desk_services
from tests.fixtures.http_app import PASSWORD, PIN, Browser, HttpHouse, account_services
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    PRISON,
    PRISONER,
    STAFF,
    make_world,
    populate,
)
from tests.fixtures.store import SettableClock
from visitserver.domain.access import CLIENT_ACTIONS, STAFF_ROLES
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.errors import Unavailable
from visitserver.http.registry import Audience
from visitserver.identity.vault import PersonVault
from visitserver.services.calls import CallService
from visitserver.services.door import DoorService
from visitserver.services.enrolment import EnrolmentService
from visitserver.services.outbox import OutboxService
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.recordings import RecordingsService
from visitserver.services.sealing import AesGcmSealer
from visitserver.services.visits import VisitService
from visitserver.services.waiting_room import WaitingRoomService
from visitserver.services.webhooks import WebhookService


class Absent:
    """Something behind the services that no stranger gets to: asking it comes after the question whose thing it is."""

    def __getattr__(self, name: str) -> Any:
        async def absent(*_args: Any, **_options: Any) -> Any:
            raise Unavailable("it is not here")

        return absent


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
