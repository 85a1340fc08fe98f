"""The desk's pages asked for things that make no sense: a clear answer, never a failure of ours."""

from __future__ import annotations

from datetime import date, time

from signaling.ids import new_id
from tests.fixtures.desk import desk_services
from tests.fixtures.http_app import PASSWORD, HttpHouse, account_services
from tests.fixtures.rights import (
    MOTHER,
    PRISON,
    PRISONER,
    STAFF,
    FakeIdentity,
    family,
    make_world,
    populate,
    relationship_id,
    slot_key,
)
from tests.fixtures.store import SettableClock
from visitserver.domain.access import STAFF_ROLES
from visitserver.domain.actors import Actor, ActorKind
from visitserver.services.allowance import AllowanceService
from visitserver.services.booking import BookingService
from visitserver.services.booking_check import BookingCheck
from visitserver.services.facts import FactsReader
from visitserver.services.flagging import Flagging
from visitserver.services.placing import Placing
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.relationships import RelationshipService
from visitserver.services.reports import ReportService
from visitserver.services.slots import SlotService
from visitserver.services.templates import TemplateService

SENSELESS = [
    "/staff/schedule?day=0001-01-01",
    "/staff/schedule?day=9999-12-31",
    "/staff/schedule?day=yesterday",
    "/staff/schedule?stations=1000",
    "/staff/schedule?stations=-1",
    "/staff/schedule/day?day=0001-01-01",
    "/staff/schedule/day.csv?day=9999-12-31",
    "/staff/schedule/day?cursor=nothing",
    "/staff/schedule/requests?cursor=nothing",
    "/staff/schedule/slot?slot=nothing",
    "/staff/schedule/slot?slot=tpl_x@00010101T0000Z",
    "/staff/schedule/slot?slot=tpl_x@20260310T0700Z",
    "/staff/schedule/cancel?first_day=0001-01-01",
    "/staff/schedule/cancel?first_day=2026-03-10&last_day=2026-01-01",
    "/staff/why?slot=nothing",
    "/staff/why?slot=tpl_x@00010101T0000Z",
    "/staff/why?booking=bkg_none",
    "/staff/why?relationship_id=rel_none",
    "/staff/book?slot=nothing",
    "/staff/book?slot=tpl_x@99991231T2359Z",
    "/staff/book?first=0001-01-01&relationship_id=rel_none",
    "/staff/blocks/new?first_day=0001-01-01",
    "/staff/blocks?cursor=nothing",
    "/staff/schedule/flags?day=9999-12-31",
    "/staff/schedule/flags?day=0001-01-01",
    "/staff/reports?last=9999-12-31",
    "/staff/reports?first=0001-01-01",
    "/staff/reports?first=9999-12-31&last=9999-12-31",
    "/staff/reports/weeks.csv?last=9999-12-31",
    "/staff/reports/visits.csv?last=9999-12-31",
    "/staff/reports/visits.csv?last=0001-01-01",
    "/staff/waitlist?cursor=nothing",
    "/staff/waitlist?show=everything",
    "/staff/templates?past=perhaps",
]


async def test_what_makes_no_sense_gets_a_clear_answer(http_house: HttpHouse) -> None:
    house = http_house
    services, identity = house.services, FakeIdentity()
    facts = FactsReader(identity, new_id=lambda kind: f"{kind}_none")
    placing = Placing(house.uow, house.clock, facts)
    services.allowance = AllowanceService(house.uow, house.clock, facts)
    services.booking = BookingService(house.uow, house.clock, placing, services.allowance)
    services.slots = SlotService(house.uow, house.clock, facts, placing)
    services.templates = TemplateService(house.uow, house.clock)
    services.relationships = RelationshipService(house.uow, house.clock)
    desk_services(services, house.uow, house.clock, identity)
    services.reports = ReportService(house.uow, house.clock)
    browser = await house.staff("supervisor")
    failures = []
    for path in SENSELESS:
        response = await browser.get(path)
        if response.status >= 500:
            failures.append(f"{path}: {response.status}")
    assert not failures, failures
    for path in ("/staff/schedule", "/staff/schedule?view=table", "/staff/schedule/day", "/staff/blocks"):
        assert (await browser.get(path)).status == 200, path
    for view, leads_to in (("day", "/staff/schedule/day?day=2026-03-10"), ("requests", "/staff/schedule/requests")):
        response = await browser.get(f"/staff/schedule?view={view}&day=2026-03-10")
        assert response.headers["Location"] == leads_to
        assert (await browser.get(leads_to)).status == 200


async def test_a_flag_of_somebody_released_is_read_and_says_why_there_is_no_move(
    sqlite_uow: UnitOfWorkFactory, clock: SettableClock
) -> None:
    await populate(sqlite_uow)
    world = make_world(sqlite_uow, clock)
    await world.grant(1)
    key = slot_key(date(2026, 3, 6), time(9))
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), key)
    booking = await world.booking.confirm(family(MOTHER), hold.id)
    house = HttpHouse(sqlite_uow, clock, account_services(sqlite_uow, clock))
    try:
        house.services.booking, house.services.slots = world.booking, world.slots
        desk_services(house.services, sqlite_uow, clock, world.identity)
        async with sqlite_uow() as u:
            prisoner = await u.people.get_prisoner(PRISONER)
            prisoner.prison_id = prisoner.wing_id = None
            await u.commit()
        check = BookingCheck(clock, FactsReader(world.identity, new_id=new_id))
        await Flagging(sqlite_uow, clock, check).look(booking.id)
        seed = Actor(ActorKind.SYSTEM, "seed", PRISON)
        await house.services.accounts.create_staff(seed, "All", "all", frozenset(STAFF_ROLES), PASSWORD)
        browser = await house.staff("all")
        flags = (await house.services.flags.of_bookings(STAFF, [booking.id]))[booking.id]
        page = f"/staff/schedule/flags/{flags[0].id}"
        response = await browser.get(page)
        assert (response.status, 'name="slot"' in await response.text()) == (200, False)
        later = slot_key(date(2026, 3, 6), time(12, 30))
        form = {"slot": later, "reason": "another day", "revision": str(booking.revision)}
        moved = await browser.post(f"{page}/move", form)
        assert (moved.status, "It was not moved." in await moved.text()) == (409, True)
        assert (await browser.post("/staff/schedule/flags/flg_none/move", form)).status == 404
    finally:
        await house.close()
