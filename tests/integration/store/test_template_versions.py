"""Sessions change by new versions: what becomes of the bookings that stand, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time, timedelta

import pytest

from tests.fixtures.offers import ON_SQLITE, OffersWorld
from tests.fixtures.rights import (
    CHILD,
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISONER,
    SOCIAL,
    STAFF,
    STRANGER_STAFF,
    family,
    relationship_id,
    slot_key,
)
from tests.unit.services.flags_for_tests import make_flagged
from visitserver.domain.changes import ChangeKind
from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.domain.flags import FlagType
from visitserver.domain.occupancy import Resource, ResourceKind, Span
from visitserver.domain.people import IncentiveLevel
from visitserver.domain.scheduling import BookingState
from visitserver.services.templates import TemplateDraft, TemplateService

FROM = date(2026, 3, 9)
DAY = date(2026, 3, 10)
KEY = slot_key(DAY, time(9))


async def book(offers: OffersWorld, contact: str, key: str, prisoner: str = PRISONER) -> str:
    await offers.world.grant(1, prisoner)
    hold = await offers.world.booking.hold(family(contact), relationship_id(contact, prisoner), key)
    return (await offers.world.booking.confirm(family(contact), hold.id)).id


async def test_bookings_go_over_to_the_version_that_has_their_time(offers: OffersWorld) -> None:
    before = await book(offers, MOTHER, slot_key(date(2026, 3, 6), time(9)))
    kept = await book(offers, MOTHER, KEY)
    lost = await book(offers, MOTHER, slot_key(DAY, time(16, 0)))
    changes = {"ends_at": time(12), "name": "Mornings"}
    preview = await offers.templates.preview_version(STAFF, SOCIAL, changes, FROM)
    assert ([each.id for each in preview.carried], [each.id for each in preview.left]) == ([kept], [lost])
    assert preview.affected == 2
    assert (await offers.templates.get(STAFF, SOCIAL)).valid_to is None

    revision = await offers.templates.new_version(STAFF, SOCIAL, changes, FROM)
    new = revision.template
    assert (new.version, new.supersedes, new.name, new.starts_at) == (2, SOCIAL, "Mornings", time(9))
    assert (await offers.templates.get(STAFF, SOCIAL)).valid_to == date(2026, 3, 8)
    assert [each.id for each in await offers.templates.versions(STAFF, new.id)] == [SOCIAL, new.id]
    bookings = {each: await offers.world.bookings.get(STAFF, each) for each in (before, kept, lost)}
    assert bookings[before].template_id == SOCIAL
    assert (bookings[kept].template_id, bookings[kept].slot_key) == (new.id, slot_key(DAY, time(9), new.id))
    assert (bookings[lost].template_id, bookings[lost].slot_key) == (SOCIAL, slot_key(DAY, time(16, 0)))
    assert {each.state for each in bookings.values()} == {BookingState.BOOKED}
    async with offers.uow(read_only=True) as u:
        noted = await u.flags.pending(offers.world.clock(), 10)
    assert {each.kind for each in noted} == {ChangeKind.TEMPLATE_CHANGED}
    assert sorted(each.template_id or "" for each in noted) == sorted([SOCIAL, new.id])
    assert len(offers.worked_off) == 1


@ON_SQLITE
async def test_what_is_carried_is_not_flagged_and_what_is_left_is(offers: OffersWorld) -> None:
    flagged = make_flagged(offers.world)
    templates = TemplateService(offers.uow, offers.world.clock, flagged.changes)
    kept = await flagged.book(day=DAY)
    lost = await flagged.book(time(16), day=DAY)
    revision = await templates.new_version(STAFF, SOCIAL, {"ends_at": time(12)}, FROM)
    assert [await flagged.open(each) for each in (kept, lost)] == [[], [FlagType.SESSION_BLOCKED]]
    await templates.retire(STAFF, revision.template.id, date(2026, 3, 9), "the hall is being painted")
    assert [await flagged.open(each) for each in (kept, lost)] == [[FlagType.SESSION_BLOCKED]] * 2


async def test_a_carried_booking_counts_in_the_new_versions_capacity(offers: OffersWorld) -> None:
    """Even its numbered place is the new slot's: nobody is placed beside it by the way."""
    first = await book(offers, MOTHER, KEY)
    gone = await book(offers, FRIEND, KEY, OTHER_PRISONER)
    async with offers.uow(read_only=True) as u:
        booking = await u.scheduling.get_booking(gone)
        span = Span.of_call(booking.starts_at, booking.ends_at, buffer=timedelta(minutes=5))
        second_place = Resource(ResourceKind.PLACE, f"{KEY}#001")
        assert await u.scheduling.holders(second_place, span) == {gone}
    await offers.world.booking.cancel(family(MOTHER), first)
    new = (await offers.templates.new_version(STAFF, SOCIAL, {"capacity": 1}, FROM)).template
    key = slot_key(DAY, time(9), new.id)
    async with offers.uow(read_only=True) as u:
        assert await u.scheduling.holders(Resource(ResourceKind.PLACE, f"{key}#000"), span) == {gone}
        assert await u.scheduling.holders(second_place, span) == set()
    with pytest.raises(DecisionRefused):
        await book(offers, MOTHER, key)
    await offers.world.booking.cancel(family(FRIEND), gone)
    await book(offers, MOTHER, key)


@ON_SQLITE
async def test_a_hold_goes_over_and_is_confirmed_on_the_new_version(offers: OffersWorld) -> None:
    await offers.world.grant(1)
    hold = await offers.world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    new = (await offers.templates.new_version(STAFF, SOCIAL, {"name": "Daily, renamed"}, FROM)).template
    booking = await offers.world.booking.confirm(family(MOTHER), hold.id)
    assert (booking.state, booking.template_id) == (BookingState.BOOKED, new.id)
    with pytest.raises(Conflict, match="no longer offered"):
        await offers.world.booking.hold(family(FRIEND), relationship_id(FRIEND), KEY)


@ON_SQLITE
async def test_another_length_or_station_is_another_time(offers: OffersWorld) -> None:
    longer = await book(offers, MOTHER, KEY)
    preview = await offers.templates.preview_version(STAFF, SOCIAL, {"duration_minutes": 45}, FROM)
    assert [each.id for each in preview.left] == [longer]
    elsewhere = await offers.templates.preview_version(STAFF, SOCIAL, {"station_ids": ("stn_2",)}, FROM)
    assert [each.id for each in elsewhere.left] == [longer]
    same = await offers.templates.preview_version(
        STAFF, SOCIAL, {"incentive_levels": frozenset({IncentiveLevel.BASIC})}, FROM
    )
    assert [each.id for each in same.carried] == [longer]


async def test_retiring_leaves_bookings_valid_and_lists_them(offers: OffersWorld) -> None:
    stays = await book(offers, MOTHER, KEY)
    with pytest.raises(Conflict, match="Bookings stand"):
        await offers.templates.end(STAFF, SOCIAL, date(2026, 3, 9))
    preview = await offers.templates.preview_retire(STAFF, SOCIAL, date(2026, 3, 9))
    assert [each.id for each in preview.left] == [stays]
    with pytest.raises(Invalid, match="reason"):
        await offers.templates.retire(STAFF, SOCIAL, date(2026, 3, 9), "")
    retired = await offers.templates.retire(STAFF, SOCIAL, date(2026, 3, 9), "the hall is being painted")
    assert ([each.id for each in retired.left], retired.template.valid_to) == ([stays], date(2026, 3, 9))
    assert (await offers.world.bookings.get(STAFF, stays)).state is BookingState.BOOKED
    with pytest.raises(Conflict, match="no longer offered"):
        await offers.world.booking.hold(family(FRIEND), relationship_id(FRIEND), KEY)
    # the credit comes back when a person cancels it, as ever
    await offers.world.booking.cancel(STAFF, stays, reason="the hall is being painted")


EVERY_SECOND_WEEK = TemplateDraft(
    name="Fortnightly",
    weekdays=(2,),
    starts_at=time(18),
    ends_at=time(20),
    duration_minutes=30,
    capacity=1,
    station_ids=("stn_1",),
    valid_from=date(2026, 3, 9),
    every_weeks=2,
)


@pytest.mark.parametrize(
    ("from_day", "begins"),
    [
        (date(2026, 3, 11), date(2026, 3, 11)),  # in a week of its own: that very day
        (date(2026, 3, 17), date(2026, 3, 23)),  # in the week between: with the next of its weeks
        (date(2026, 3, 24), date(2026, 3, 24)),
    ],
)
async def test_a_fortnightly_session_keeps_its_weeks(sqlite_offers: OffersWorld, from_day: date, begins: date) -> None:
    offers = sqlite_offers
    made = await offers.templates.create(STAFF, EVERY_SECOND_WEEK)
    new = (await offers.templates.new_version(STAFF, made.id, {"capacity": 2}, from_day)).template
    assert new.valid_from == begins
    assert (await offers.templates.get(STAFF, made.id)).valid_to == from_day - timedelta(days=1)


async def test_a_copy_is_a_session_of_its_own(sqlite_offers: OffersWorld) -> None:
    offers = sqlite_offers
    made = await offers.templates.create(STAFF, replace(EVERY_SECOND_WEEK, include_categories=frozenset({"C"})))
    copy = await offers.templates.copy(STAFF, made.id, {"name": "Other week"}, date(2026, 3, 16))
    assert (copy.version, copy.supersedes, copy.valid_from) == (1, None, date(2026, 3, 16))
    assert (copy.name, copy.include_categories, copy.every_weeks) == ("Other week", {"C"}, 2)
    assert [each.id for each in await offers.templates.versions(STAFF, copy.id)] == [copy.id]


async def test_versions_follow_one_another(sqlite_offers: OffersWorld) -> None:
    offers = sqlite_offers
    second = (await offers.templates.new_version(STAFF, SOCIAL, {"capacity": 1}, date(2026, 3, 10))).template
    with pytest.raises(Conflict, match="later version"):
        await offers.templates.new_version(STAFF, SOCIAL, {"capacity": 3}, date(2026, 3, 6))
    third = (await offers.templates.new_version(STAFF, second.id, {"capacity": 3}, date(2026, 3, 20))).template
    chain = await offers.templates.versions(STAFF, second.id)
    assert [(each.version, each.capacity) for each in chain] == [(1, 2), (2, 1), (3, 3)]
    assert [each.valid_to for each in chain] == [date(2026, 3, 9), date(2026, 3, 19), None]
    assert third.valid_from == date(2026, 3, 20)


WRONG: dict[str, tuple[dict[str, object], date]] = {
    "no such thing": ({"colour": "green"}, FROM),
    "two beginnings": ({"valid_from": FROM}, FROM),
    "no room": ({"capacity": 0}, FROM),
    "a foreign station": ({"station_ids": ("stn_x",)}, FROM),
    "a foreign wing": ({"include_wings": frozenset({"wng_x"})}, FROM),
    "a location of five levels": ({"include_locations": frozenset({("A", "1", "2", "3", "4")})}, FROM),
    "today": ({"capacity": 1}, date(2026, 3, 2)),
    "before it began": ({"capacity": 1}, date(2025, 12, 31)),
    "a day that no calendar knows": ({"capacity": 1}, date.max),
    "the first day of all": ({"capacity": 1}, date.min),
}


async def test_what_makes_no_sense_is_refused(sqlite_offers: OffersWorld) -> None:
    templates = sqlite_offers.templates
    for changes, from_day in WRONG.values():
        with pytest.raises(Invalid):
            await templates.preview_version(STAFF, SOCIAL, changes, from_day)
        with pytest.raises(Invalid):
            await templates.new_version(STAFF, SOCIAL, changes, from_day)
    for day in (date.min, date.max):
        with pytest.raises(Invalid):
            await templates.retire(STAFF, SOCIAL, day, "closed")
    assert [each.id for each in await templates.versions(STAFF, SOCIAL)] == [SOCIAL]


async def test_sessions_are_the_business_of_the_own_prison(sqlite_offers: OffersWorld) -> None:
    templates = sqlite_offers.templates
    for stranger in (STRANGER_STAFF, family(MOTHER)):
        for attempt in (
            templates.new_version(stranger, SOCIAL, {}, FROM),
            templates.preview_version(stranger, SOCIAL, {}, FROM),
            templates.retire(stranger, SOCIAL, FROM, "mine"),
            templates.preview_retire(stranger, SOCIAL, FROM),
            templates.copy(stranger, SOCIAL, {}, FROM),
            templates.versions(stranger, SOCIAL),
        ):
            with pytest.raises(NotFound):
                await attempt


@ON_SQLITE
async def test_guests_and_places_survive_a_version(offers: OffersWorld) -> None:
    await offers.world.grant(1)
    hold = await offers.world.booking.hold(
        family(MOTHER), relationship_id(MOTHER), KEY, guests=[relationship_id(CHILD)]
    )
    booking = await offers.world.booking.confirm(family(MOTHER), hold.id)
    new = (await offers.templates.new_version(STAFF, SOCIAL, {"capacity": 3}, FROM)).template
    async with offers.uow(read_only=True) as u:
        carried = await u.scheduling.get_booking(booking.id)
        span = Span.of_call(carried.starts_at, carried.ends_at, buffer=timedelta(minutes=5))
        for kind, name in (
            (ResourceKind.PRISONER, PRISONER),
            (ResourceKind.CONTACT, MOTHER),
            (ResourceKind.CONTACT, CHILD),
            (ResourceKind.STATION, carried.station_id),
            (ResourceKind.PLACE, f"{carried.slot_key}#000"),
        ):
            assert await u.scheduling.holders(Resource(kind, name), span) == {booking.id}, name
    assert carried.template_id == new.id
    await offers.world.booking.cancel(family(MOTHER), booking.id)
    async with offers.uow(read_only=True) as u:
        assert await u.scheduling.holders(Resource(ResourceKind.PLACE, f"{carried.slot_key}#000"), span) == set()
