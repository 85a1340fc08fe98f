"""A month of times, looked at in three ways, says what each of its times says when it alone is asked about."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest

from tests.fixtures.rights import (
    FRIEND,
    KUURA,
    LAWYER,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    STAFF,
    World,
    family,
    make_template,
    relationship_id,
    slot_key,
)
from visitserver.domain.actors import ActorKind
from visitserver.domain.appointments import Appointment, AppointmentKind
from visitserver.domain.blocks import Block
from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.errors import Invalid
from visitserver.domain.paging import PageRequest
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.rights import Alert
from visitserver.domain.rules.engine import decide
from visitserver.domain.rules.order import RULES
from visitserver.domain.scheduling import SessionTerms, SupervisionLevel
from visitserver.domain.slots import to_utc
from visitserver.services.facts import FactsReader
from visitserver.services.slots import SlotOffer

ME = relationship_id(MOTHER)
MONDAY = date(2026, 3, 9)


def at(day: date, hour: int) -> datetime:
    moment = to_utc(datetime.combine(day, time(hour)), KUURA.zone)
    assert moment is not None
    return moment


async def furnish(world: World) -> None:
    """Sessions of several kinds, and much that stands in the way on some days."""
    now = world.clock()
    async with world.uow() as u:
        u.scheduling.add(
            make_template(
                "tpl_watched",
                weekdays=(0, 2, 4),
                starts_at=time(16, 5),
                ends_at=time(19),
                duration_minutes=20,
                supervision=SupervisionLevel.LIVE,
                capacity_supervised=1,
            )
        )
        u.scheduling.add(make_template("tpl_second_week", every_weeks=2, station_ids=("stn_2",), capacity=1))
        u.scheduling.add(make_template("tpl_ended", starts_at=time(9, 20), valid_to=date(2026, 3, 12)))
        u.scheduling.add(make_template("tpl_wing", starts_at=time(9, 25), exclude_wings=frozenset({"wng_a"})))
        u.offers.add(Block("blk_1", PRISON, at(MONDAY, 9), at(MONDAY, 12), frozenset(), "x", None, now, "test"))
        stations = frozenset({"stn_2"})
        u.offers.add(
            Block("blk_2", PRISON, at(date(2026, 3, 10), 9), at(date(2026, 3, 11), 12), stations, "x", "y", now, "test")
        )
        court = (AppointmentKind.COURT, at(date(2026, 3, 13), 10), at(date(2026, 3, 13), 13))
        u.offers.add(Appointment("apt_1", PRISON, PRISONER, *court, now, "test"))
        u.rights.add(Alert("alt_1", PRISONER, "HIGH-RISK", date(2026, 3, 24), now, "test", ends_on=date(2026, 3, 25)))
        await u.commit()
    await world.policies.set(STAFF, PRISON, "limits.week_convicted", 2, "a full house")
    await world.grant(3)
    await world.grant(5, OTHER_PRISONER)
    for key in (slot_key(date(2026, 3, 17), time(9)), slot_key(date(2026, 3, 19), time(9, 35))):
        await world.booking.book(STAFF, ME, key, overrides={})
    for day in (5, 12, 18, 30):
        key = slot_key(date(2026, 3, day), time(9))
        await world.booking.book(STAFF, relationship_id(FRIEND, OTHER_PRISONER), key, overrides={})
    watched = slot_key(date(2026, 3, 20), time(16, 5), "tpl_watched")
    await world.booking.book(STAFF, relationship_id(FRIEND, OTHER_PRISONER), watched, overrides={})


def told(offers: list[SlotOffer]) -> list[tuple[str, int | None, Decision]]:
    return [(each.slot.key, each.free_places, each.decision) for each in offers]


async def in_pages(world: World, size: int) -> list[SlotOffer]:
    found: list[SlotOffer] = []
    cursor: str | None = None
    while True:
        page = await world.slots.offers(family(MOTHER), ME, PageRequest(size, cursor))
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found


async def test_a_month_says_of_each_time_what_that_time_alone_says(world: World) -> None:
    await furnish(world)
    month = await world.slots.calendar(family(MOTHER), ME)
    assert [each.cursor for each in month] == sorted(each.cursor for each in month)
    assert told(await in_pages(world, 97)) == told(month)
    outcomes = {each.decision.outcome for each in month}
    assert outcomes == set(Outcome)
    reader = FactsReader(world.identity, new_id=str)
    sample = [each for number, each in enumerate(month) if number % 17 == 0 or each.slot.day.day in (9, 24)]
    async with world.uow(read_only=True) as u:
        party = await reader.party(u, [await u.rights.get_relationship(ME)])
        for offer in sample:
            day = offer.slot.day
            alone = await reader.background(u, party, now=world.clock(), asked_by=ActorKind.FAMILY, first=day, last=day)
            room = (await reader.rooms(u, alone, [offer.slot]))[offer.slot.key]
            assert decide(alone.facts(offer.slot, room), RULES) == offer.decision, offer.slot.key


async def test_the_first_times_that_are_free_are_those_of_the_month(world: World) -> None:
    await furnish(world)
    for _ in range(2):
        month = await world.slots.calendar(family(MOTHER), ME)
        free = [each for each in month if each.decision.allowed]
        assert len(free) > 20
        for count in (1, 20):
            assert told(await world.slots.next_free(family(MOTHER), ME, count=count)) == told(free[:count])
        # Thursday: the weekend can be booked, and is too soon for whatever a person must look at.
        world.clock.advance(days=3)


async def test_a_month_has_the_prisons_days_and_no_others(sqlite_world: World) -> None:
    """From today to the last day of the window; the clocks change on the 29th."""
    month = await sqlite_world.slots.calendar(family(MOTHER), ME)
    days = {each.slot.day for each in month}
    assert days == {date(2026, 3, 2) + timedelta(days=number) for number in range(29)}
    per_day = [sum(each.slot.day == day for each in month) for day in sorted(days)]
    assert set(per_day[1:]) == {max(per_day)}
    lawyers = await sqlite_world.slots.calendar(family(LAWYER), relationship_id(LAWYER), days=3)
    assert {each.slot.template_id for each in lawyers} == {"tpl_legal"}
    with pytest.raises(Invalid):
        await sqlite_world.slots.calendar(family(MOTHER), ME, days=63)


@pytest.mark.parametrize("cursor", ["nothing", "2026", "20260306T0700Z", "20261306T0700Z.tpl_social", "x.tpl_social"])
async def test_a_page_that_nobody_gave_out_does_not_exist(sqlite_world: World, cursor: str) -> None:
    if cursor == "20260306T0700Z":
        page = await sqlite_world.slots.offers(family(MOTHER), ME, PageRequest(5, cursor))
        assert page.items[0].slot.starts_at == datetime.fromisoformat("2026-03-06T07:00:00+00:00")
        return
    with pytest.raises(Invalid) as refused:
        await sqlite_world.slots.offers(family(MOTHER), ME, PageRequest(5, cursor))
    assert refused.value.field == "cursor"


async def test_sessions_read_with_their_party_are_the_sessions_as_they_are(world: World) -> None:
    """All that a session says of whom it is for comes back, however it is read."""
    await furnish(world)
    async with world.uow() as u:
        u.scheduling.add(
            make_template(
                "tpl_choosy",
                include_wings=frozenset({"wng_a"}),
                include_locations=frozenset({("A", "2"), ("B",)}),
                exclude_locations=frozenset({("A", "2", "14")}),
                include_categories=frozenset({"C"}),
                exclude_categories=frozenset({"D"}),
                incentive_levels=frozenset({IncentiveLevel.ENHANCED}),
                legal_statuses=frozenset({LegalStatus.REMAND, LegalStatus.CIVIL}),
                capacity_supervised=1,
                public=False,
            )
        )
        await u.commit()
    day = date(2026, 3, 13)
    async with world.uow(read_only=True) as u:
        link = await u.rights.get_relationship(ME)
        rows = await u.facts.party([link], at=world.clock(), first=day)
        stored = await u.scheduling.templates(PRISON, first=day, last=date(2026, 12, 31))
        held = await u.policies.at(PRISON, world.clock())
    assert {SessionTerms.of(each) for each in rows.templates} == {SessionTerms.of(each) for each in stored}
    assert {each.id for each in stored} >= {"tpl_choosy", "tpl_watched", "tpl_second_week", "tpl_wing"}
    assert "tpl_ended" not in {each.id for each in rows.templates}
    assert rows.policies == held
    assert rows.prison is not None
    assert (rows.prison.id, rows.prisoner.id, list(rows.contacts)) == (PRISON, PRISONER, [MOTHER])
