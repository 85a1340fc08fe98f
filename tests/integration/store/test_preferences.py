"""Preferences: said, matched when a time comes, met, over."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest

from tests.fixtures.offers import ON_SQLITE, OffersWorld
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISONER,
    PRISONER_ACTOR,
    STAFF,
    STRANGER_STAFF,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.preferences import PreferenceEnd
from visitserver.services.blocks import BlockDraft
from visitserver.services.preferences import Wish

DAY = date(2026, 3, 6)  # a Friday
WEEKEND = Wish(DAY, date(2026, 3, 15), weekdays=(6, 5), from_time=time(13))
THAT_DAY = Wish(DAY, DAY)


async def closed_how(offers: OffersWorld, preference_id: str) -> PreferenceEnd | None:
    async with offers.uow(read_only=True) as u:
        return (await u.offers.get_preference(preference_id)).closed_how


async def test_up_to_three_are_kept_in_order_and_replaced_as_a_whole(offers: OffersWorld) -> None:
    actor, link = family(MOTHER), relationship_id(MOTHER)
    first = await offers.preferences.put(actor, link, [WEEKEND, THAT_DAY], note=" evenings are hard ")
    assert [(each.rank, each.weekdays, each.note) for each in first] == [
        (1, (5, 6), "evenings are hard"),
        (2, (), "evenings are hard"),
    ]
    listed = (await offers.preferences.list(STAFF, PageRequest())).items
    assert {each.id for each in listed} == {each.id for each in first}
    assert [each.id for each in (await offers.preferences.list(STAFF, PageRequest(), day=date(2026, 3, 14))).items] == [
        first[0].id
    ]
    (second,) = await offers.preferences.put(actor, link, [THAT_DAY])
    assert [each.id for each in await offers.preferences.of(actor, link)] == [second.id]
    assert await closed_how(offers, first[0].id) is PreferenceEnd.REPLACED
    assert await offers.preferences.withdraw(actor, link) == 1
    assert await offers.preferences.withdraw(actor, link) == 0
    assert await closed_how(offers, second.id) is PreferenceEnd.WITHDRAWN


@ON_SQLITE
async def test_staff_see_the_times_that_fit_by_now(offers: OffersWorld) -> None:
    (weekend,) = await offers.preferences.put(family(MOTHER), relationship_id(MOTHER), [WEEKEND])
    assert await offers.preferences.matches(STAFF, weekend.id) == []
    await offers.world.grant(1)
    fitting = await offers.preferences.matches(STAFF, weekend.id, count=3)
    # Saturday from one o'clock: slots begin every 35 minutes from nine
    assert [each.key for each in fitting] == [
        slot_key(date(2026, 3, 7), at) for at in (time(13, 5), time(13, 40), time(14, 15))
    ]
    assert len(await offers.preferences.matches(family(MOTHER), weekend.id, count=20)) == 20


@ON_SQLITE
async def test_a_family_is_told_once_when_a_time_comes(offers: OffersWorld) -> None:
    block = await offers.blocks.add(STAFF, BlockDraft(DAY, date(2026, 3, 20), "no water"))
    await offers.world.grant(2)
    (wish, _) = await offers.preferences.put(
        family(MOTHER), relationship_id(MOTHER), [WEEKEND, Wish(DAY, date(2026, 3, 20))]
    )
    assert await offers.preferences.run_once() == 0
    await offers.blocks.lift(STAFF, block.id, "the water is back")
    assert await offers.preferences.run_once() == 1
    (message,) = await offers.told("preference.matched")
    assert message.payload == {"preference_id": wish.id, "slot_key": slot_key(date(2026, 3, 7), time(13, 5))}
    # one letter a day, and none about the same time again
    assert await offers.preferences.run_once() == 0
    offers.world.clock.advance(hours=24)
    assert await offers.preferences.run_once() == 1
    assert len({each.payload["slot_key"] for each in await offers.told("preference.matched")}) == 2


async def test_a_freed_place_that_nobody_waits_for_is_told_of(offers: OffersWorld) -> None:
    await offers.world.grant(1)
    await offers.world.grant(1, OTHER_PRISONER)
    (mother_s,) = await offers.preferences.put(family(MOTHER), relationship_id(MOTHER), [THAT_DAY])
    offers.world.clock.advance(seconds=1)
    await offers.preferences.put(family(FRIEND), relationship_id(FRIEND, OTHER_PRISONER), [THAT_DAY])
    hold = await offers.world.booking.hold(
        family(FRIEND), relationship_id(FRIEND, OTHER_PRISONER), slot_key(DAY, time(9))
    )
    await offers.world.booking.cancel(family(FRIEND), hold.id)
    assert await offers.offering.run_once() == 0
    (message,) = await offers.told("preference.matched")
    assert message.payload["preference_id"] == mother_s.id


@ON_SQLITE
async def test_a_visit_that_fits_meets_them(offers: OffersWorld) -> None:
    await offers.world.grant(2)
    made = await offers.preferences.put(family(MOTHER), relationship_id(MOTHER), [WEEKEND, THAT_DAY])
    offers.world.clock.advance(minutes=1)
    hold = await offers.world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(DAY, time(9)))
    await offers.world.booking.confirm(family(MOTHER), hold.id)
    await offers.preferences.run_once()
    assert [await closed_how(offers, each.id) for each in made] == [PreferenceEnd.MET] * 2


@ON_SQLITE
async def test_they_end_with_their_days(offers: OffersWorld) -> None:
    made = await offers.preferences.put(family(MOTHER), relationship_id(MOTHER), [THAT_DAY, WEEKEND])
    offers.world.clock.now = datetime.fromisoformat("2026-03-06T22:00:00+00:00")  # midnight in Helsinki
    await offers.preferences.run_once()
    assert [await closed_how(offers, each.id) for each in made] == [PreferenceEnd.EXPIRED, None]


WRONG: dict[str, list[Wish]] = {
    "none": [],
    "four": [THAT_DAY] * 4,
    "a day that is over": [Wish(date(2026, 3, 1), date(2026, 3, 1))],
    "days in the wrong order": [Wish(DAY, date(2026, 3, 5))],
    "too many days": [Wish(DAY, DAY + timedelta(days=62))],
    "too far ahead": [Wish(date(2026, 6, 3), date(2026, 6, 3))],
    "no such weekday": [Wish(DAY, DAY, weekdays=(7,))],
    "times in the wrong order": [THAT_DAY, Wish(DAY, DAY, from_time=time(12), to_time=time(11))],
}


async def test_what_makes_no_sense_is_refused(sqlite_offers: OffersWorld) -> None:
    for wishes in WRONG.values():
        with pytest.raises(Invalid):
            await sqlite_offers.preferences.put(family(MOTHER), relationship_id(MOTHER), wishes)
    assert await sqlite_offers.preferences.of(STAFF, relationship_id(MOTHER)) == []


async def test_preferences_are_for_their_people_and_their_prison(sqlite_offers: OffersWorld) -> None:
    offers = sqlite_offers
    (made,) = await offers.preferences.put(STAFF, relationship_id(MOTHER), [THAT_DAY])
    assert (made.contact_id, made.created_by) == (MOTHER, STAFF.reference)
    for stranger in (family(FRIEND), STRANGER_STAFF):
        for attempt in (
            offers.preferences.put(stranger, relationship_id(MOTHER), [THAT_DAY]),
            offers.preferences.withdraw(stranger, relationship_id(MOTHER)),
            offers.preferences.of(stranger, relationship_id(MOTHER)),
            offers.preferences.matches(stranger, made.id),
        ):
            with pytest.raises(NotFound):
                await attempt
    with pytest.raises(NotFound):
        await offers.preferences.matches(PRISONER_ACTOR, made.id)
    with pytest.raises(Invalid):
        await offers.preferences.put(STAFF, relationship_id(MOTHER), [THAT_DAY], note="x" * 501)
    async with offers.uow() as u:
        (await u.people.get_prisoner(PRISONER)).prison_id = None
        await u.commit()
    with pytest.raises(Conflict):
        await offers.preferences.put(family(MOTHER), relationship_id(MOTHER), [THAT_DAY])
