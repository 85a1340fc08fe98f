"""What another value of a policy would change: counted by the rules over a real database, in parts; nothing written."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest

from signaling.ids import new_id
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    PRISON,
    STAFF,
    STRANGER_STAFF,
    UNASKED,
    World,
    relationship_id,
    slot_key,
)
from visitserver.domain import policies as keys
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.services import policy_preview
from visitserver.services.booking_check import BookingCheck
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.policy_preview import PolicyPreview
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.supposing import supposing

DAY = date(2026, 3, 10)
IDENTITY = keys.IDENTITY_REQUIRED.name


def preview_of(world: World, **options: int) -> PolicyPreview:
    facts = FactsReader(world.identity, new_id=new_id)
    return PolicyPreview(
        world.uow,
        world.clock,
        facts,
        Placing(world.uow, world.clock, facts),
        BookingCheck(world.clock, facts),
        **options,
    )


async def book(world: World, contact: str, *times: time) -> list[str]:
    await world.grant(len(times))
    return [(await world.booking.book(STAFF, relationship_id(contact), slot_key(DAY, at))).id for at in times]


@pytest.fixture
async def unproved(sqlite_world: World) -> World:
    """Two visits of the mother and one of a friend, whose identity is not asked for and who has proved none."""
    await sqlite_world.policies.set(STAFF, PRISON, IDENTITY, False, "a test")
    sqlite_world.identity.approved.discard(FRIEND)
    await book(sqlite_world, MOTHER, time(9), time(11, 20))
    await book(sqlite_world, FRIEND, time(10, 10))
    return sqlite_world


async def test_visits_are_counted_in_parts_and_nothing_is_written(unproved: World) -> None:
    preview = preview_of(unproved, at_once=2)
    first = await preview.visits(STAFF, IDENTITY, True)
    assert (first.all, first.looked, first.failed, first.relieved) == (3, 2, 0, 0)
    assert first.next_cursor is not None
    rest = await preview.visits(STAFF, IDENTITY, True, cursor=first.next_cursor)
    assert (rest.all, rest.looked, rest.next_cursor) == (3, 1, None)
    flagged = [*first.flagged, *rest.flagged]
    assert [each.booking.lead.relationship_id for each in flagged] == [relationship_id(FRIEND)]
    assert all(each.why and all(each.why) for each in flagged)
    async with unproved.uow(read_only=True) as u:
        assert not await u.flags.open_of([each.booking.id for each in flagged])
        assert (await u.policies.at(PRISON, unproved.clock())).flag(keys.IDENTITY_REQUIRED) is False


async def test_what_was_foretold_comes_to_pass_and_can_be_taken_back(unproved: World) -> None:
    """The look beforehand and the flags afterwards are the same rules: setting it flags exactly what was counted."""
    preview = preview_of(unproved)
    foretold = {each.booking.id for each in (await preview.visits(STAFF, IDENTITY, True)).flagged}
    await unproved.policies.set(STAFF, PRISON, IDENTITY, True, "a test")
    again = await preview.visits(STAFF, IDENTITY, False)
    assert (again.looked, again.flagged, again.relieved) == (3, (), 1)
    check = BookingCheck(unproved.clock, FactsReader(unproved.identity, new_id=new_id))
    async with unproved.uow(read_only=True) as u:
        objected = {
            booking.id
            for booking in (await u.scheduling.bookings(BookingFilter(prison_id=PRISON), PageRequest(200))).items
            if (await check.check(u, booking)).found.reasons
        }
    assert objected == foretold
    assert len(foretold) == 1


async def test_only_visits_of_the_weeks_from_its_first_day_on_are_looked_at(unproved: World) -> None:
    later = datetime(2026, 3, 11, tzinfo=UTC)
    found = await preview_of(unproved).visits(STAFF, IDENTITY, True, valid_from=later)
    assert (found.begins, found.all, found.looked) == (later, 0, 0)


async def test_the_times_that_families_are_offered_are_counted_for_a_few(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_preview, "AHEAD", timedelta(days=10))
    await sqlite_world.grant(3)
    preview = preview_of(sqlite_world)
    longer = await preview.times(STAFF, keys.NOTICE_DAYS_MIN.name, 7)
    assert longer.pairs == 2
    assert longer.lost == longer.now - longer.then > 0
    assert longer.gained == 0
    same = await preview.times(STAFF, keys.NOTICE_DAYS_MIN.name, 2)
    assert (same.now, same.gained, same.lost) == (longer.now, 0, 0)


async def test_what_is_asked_has_its_form(sqlite_world: World) -> None:
    preview = preview_of(sqlite_world)
    with pytest.raises(NotFound):
        await preview.visits(STAFF, "no.such_policy", True)
    with pytest.raises(Invalid):
        await preview.visits(STAFF, IDENTITY, 7)
    with pytest.raises(Invalid):
        await preview.times(STAFF, keys.CALLERS_MAX.name, 40)
    with pytest.raises(Invalid):
        await preview.visits(STAFF, IDENTITY, True, cursor="nonsense")


async def test_another_prison_counts_its_own(unproved: World) -> None:
    found = await preview_of(unproved).visits(STRANGER_STAFF, IDENTITY, True)
    assert (found.all, found.looked, found.flagged) == (0, 0, ())


async def test_what_is_supposed_cannot_be_written(sqlite_world: World) -> None:
    async with sqlite_world.uow() as u:
        then = supposing(u, keys.CALLERS_MAX.name, 1)
        assert (await then.policies.at(PRISON, sqlite_world.clock())).number(keys.CALLERS_MAX) == 1
        assert (await u.policies.at(PRISON, sqlite_world.clock())).number(keys.CALLERS_MAX) == 4
        with pytest.raises(RuntimeError):
            await then.commit()
        with pytest.raises(RuntimeError):
            then.policies.add((await u.policies.versions(PRISON, UNASKED[0]))[0])


async def test_the_history_is_paged_and_a_newer_version_is_noticed(sqlite_world: World) -> None:
    policies, key = sqlite_world.policies, keys.HOLD_MINUTES.name
    for number in range(3):
        await policies.set(STAFF, PRISON, key, 10 + number, "a test", seen=number)
        sqlite_world.clock.advance(hours=1)
    with pytest.raises(Conflict) as caught:
        await policies.set(STAFF, PRISON, key, 20, "a test", seen=2)
    assert caught.value.code == "policy_changed"
    later = sqlite_world.clock() + timedelta(days=3)
    planned = await policies.set(STAFF, PRISON, key, 5, "a test", valid_from=later, seen=3)
    first = await policies.history(STAFF, key, PageRequest(3))
    rest = await policies.history(STAFF, key, PageRequest(3, first.next_cursor))
    assert [each.value for each in (*first.items, *rest.items)] == [5, 12, 11, 10]
    assert [each.id for each in await policies.to_come(STAFF)] == [planned.id]
    line = await policies.line(STAFF, key)
    assert (line.value, line.version) == (12, "prison.3")
    with pytest.raises(NotFound):
        await policies.line(STAFF, "no.such_policy")
