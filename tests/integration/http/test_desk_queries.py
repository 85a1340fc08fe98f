"""The desk's pages asked for things that make no sense: a clear answer, never a failure of ours."""

from __future__ import annotations

from tests.fixtures.desk import desk_services
from tests.fixtures.http_app import HttpHouse
from tests.fixtures.rights import FakeIdentity
from visitserver.services.allowance import AllowanceService
from visitserver.services.booking import BookingService
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.relationships import RelationshipService
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
