"""Blocked times, on both databases: added, seen beforehand, refused to new bookings, lifted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time

import pytest

from tests.fixtures.offers import ON_SQLITE, OffersWorld
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER_ACTOR,
    SOCIAL,
    STAFF,
    STRANGER_STAFF,
    SYSTEM_ACTOR,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.changes import ChangeKind
from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import BookingState
from visitserver.services.blocks import BlockDraft
from visitserver.services.ports.audit import AuditFilter

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
LATER = slot_key(DAY, time(14, 15))
WHOLE_DAY = BlockDraft(DAY, DAY, "no water", public_words="The prison takes no visits on this day.")


async def book(offers: OffersWorld, contact: str, key: str, prisoner: str) -> str:
    await offers.world.grant(1, prisoner)
    hold = await offers.world.booking.hold(family(contact), relationship_id(contact, prisoner), key)
    return (await offers.world.booking.confirm(family(contact), hold.id)).id


async def noted(offers: OffersWorld) -> list[ChangeKind]:
    async with offers.uow(read_only=True) as u:
        # The test's clock stands, so there is no order among them.
        return sorted(each.kind for each in await u.flags.pending(offers.world.clock(), 100))


async def test_a_day_is_blocked_and_what_stands_on_it_is_left_to_a_person(offers: OffersWorld) -> None:
    first = await book(offers, MOTHER, KEY, "prs_aalto")
    second = await book(offers, FRIEND, LATER, OTHER_PRISONER)
    preview = await offers.blocks.preview(STAFF, WHOLE_DAY, PageRequest(1))
    assert (preview.affected, [each.id for each in preview.bookings.items]) == (2, [first])
    assert preview.bookings.next_cursor is not None
    assert preview.overlapping == []
    # Helsinki's winter day: from 22 to 22 in UTC
    assert (preview.starts_at, preview.ends_at) == (
        datetime(2026, 3, 5, 22, tzinfo=UTC),
        datetime(2026, 3, 6, 22, tzinfo=UTC),
    )
    assert await noted(offers) == []

    block = await offers.blocks.add(STAFF, WHOLE_DAY, request_id="req_1")
    assert await noted(offers) == [ChangeKind.BLOCK_ADDED]
    assert len(offers.worked_off) == 1
    affected = await offers.blocks.affected(STAFF, block.id, PageRequest())
    assert [each.id for each in affected.items] == [first, second]
    assert {each.state for each in affected.items} == {BookingState.BOOKED}
    async with offers.uow(read_only=True) as u:
        (row,) = (await u.audit.rows(AuditFilter(object_id=block.id), PageRequest())).items
    assert (row.action, row.request_id) == ("block.add", "req_1")

    with pytest.raises(DecisionRefused) as refused:
        await offers.world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(DAY, time(11, 20)))
    assert "The prison takes no visits on this day." in " ".join(refused.value.decision.safe_words)
    with pytest.raises(Conflict, match="blocked already"):
        await offers.blocks.add(STAFF, replace(WHOLE_DAY, reason="again"))
    narrower = replace(WHOLE_DAY, from_time=time(12), reason="the afternoon too")
    assert [each.id for each in (await offers.blocks.preview(STAFF, narrower, PageRequest())).overlapping] == [block.id]
    await offers.blocks.add(STAFF, narrower)


async def test_lifting_opens_the_times_again(offers: OffersWorld) -> None:
    block = await offers.blocks.add(STAFF, WHOLE_DAY)
    with pytest.raises(Invalid, match="reason"):
        await offers.blocks.lift(STAFF, block.id, " ")
    lifted = await offers.blocks.lift(STAFF, block.id, "the water is back")
    assert (lifted.stands, lifted.lifted_by) == (False, STAFF.reference)
    assert await noted(offers) == [ChangeKind.BLOCK_ADDED, ChangeKind.BLOCK_LIFTED]
    (news,) = await offers.told("places.opened")
    assert (news.payload["first_day"], news.payload["last_day"]) == ("2026-03-06", "2026-03-06")
    with pytest.raises(Conflict, match="lifted already"):
        await offers.blocks.lift(STAFF, block.id, "again")
    await book(offers, MOTHER, KEY, "prs_aalto")
    assert (await offers.blocks.list(STAFF, PageRequest())).items == []
    kept = (await offers.blocks.list(STAFF, PageRequest(), lifted=True)).items
    assert [each.id for each in kept] == [block.id]


@ON_SQLITE
async def test_a_station_is_blocked_and_the_other_one_goes_on(offers: OffersWorld) -> None:
    at_one = await book(offers, MOTHER, KEY, "prs_aalto")
    out = replace(WHOLE_DAY, station_ids=frozenset({"stn_1"}), reason="screen broken")
    block = await offers.blocks.add(STAFF, out)
    assert [each.id for each in (await offers.blocks.affected(STAFF, block.id, PageRequest())).items] == [at_one]
    other = await book(offers, FRIEND, LATER, OTHER_PRISONER)
    assert (await offers.world.bookings.get(STAFF, other)).station_id == "stn_2"
    assert [each.id for each in (await offers.blocks.affected(STAFF, block.id, PageRequest())).items] == [at_one]


async def test_a_session_is_blocked_in_all_its_versions(offers: OffersWorld) -> None:
    sessions = BlockDraft(DAY, date(2026, 3, 12), "no officers", template_ids=frozenset({SOCIAL}))
    block = await offers.blocks.add(STAFF, sessions)
    revision = await offers.templates.new_version(STAFF, SOCIAL, {"capacity": 1}, date(2026, 3, 10))
    assert (await offers.blocks.get(STAFF, block.id)).template_ids == {SOCIAL, revision.template.id}
    later = slot_key(date(2026, 3, 11), time(9), revision.template.id)
    await offers.world.grant(1)
    with pytest.raises(DecisionRefused):
        await offers.world.booking.hold(family(MOTHER), relationship_id(MOTHER), later)
    second = await offers.blocks.add(STAFF, replace(sessions, first_day=date(2026, 3, 7), reason="again"))
    assert second.template_ids == {SOCIAL, revision.template.id}


@ON_SQLITE
async def test_the_blocks_of_some_days_for_the_grid(offers: OffersWorld) -> None:
    first = await offers.blocks.add(STAFF, WHOLE_DAY)
    night = BlockDraft(date(2026, 3, 8), date(2026, 3, 9), "power", from_time=time(22), to_time=time(5, 30))
    second = await offers.blocks.add(STAFF, night)
    both = await offers.blocks.between(STAFF, date(2026, 3, 2), date(2026, 3, 8))
    assert [each.id for each in both] == [first.id, second.id]
    assert await offers.blocks.between(STAFF, date(2026, 3, 7), date(2026, 3, 7)) == []
    offers.world.clock.now = datetime(2026, 3, 9, 3, 30, tzinfo=UTC)
    assert [each.id for each in (await offers.blocks.list(STAFF, PageRequest())).items] == []
    assert len((await offers.blocks.list(STAFF, PageRequest(), past=True)).items) == 2


WRONG = {
    "days in the wrong order": replace(WHOLE_DAY, last_day=date(2026, 3, 5)),
    "more than a year": replace(WHOLE_DAY, last_day=date(2027, 3, 8)),
    "times in the wrong order": replace(WHOLE_DAY, from_time=time(12), to_time=time(12)),
    "what has passed": replace(WHOLE_DAY, first_day=date(2026, 3, 1), last_day=date(2026, 3, 1)),
    "a foreign station": replace(WHOLE_DAY, station_ids=frozenset({"stn_x"})),
    "no such session": replace(WHOLE_DAY, template_ids=frozenset({"tpl_x"})),
    "no reason": replace(WHOLE_DAY, reason=" "),
    "a day that no calendar knows": replace(WHOLE_DAY, last_day=date.max),
    "a time with a zone": replace(WHOLE_DAY, to_time=time(12, tzinfo=UTC)),
    "a novel for families": replace(WHOLE_DAY, public_words="x" * 501),
}


async def test_what_makes_no_sense_is_refused(sqlite_offers: OffersWorld) -> None:
    for draft in WRONG.values():
        with pytest.raises(Invalid):
            await sqlite_offers.blocks.preview(STAFF, draft, PageRequest())
        with pytest.raises(Invalid):
            await sqlite_offers.blocks.add(STAFF, draft)
    assert (await sqlite_offers.blocks.list(STAFF, PageRequest(), past=True)).items == []


async def test_blocks_are_the_business_of_the_own_prison(sqlite_offers: OffersWorld) -> None:
    offers = sqlite_offers
    block = await offers.blocks.add(SYSTEM_ACTOR, WHOLE_DAY, prison_id=PRISON)
    for stranger in (STRANGER_STAFF, family(MOTHER), PRISONER_ACTOR):
        with pytest.raises(NotFound):
            await offers.blocks.get(stranger, block.id)
        with pytest.raises(NotFound):
            await offers.blocks.lift(stranger, block.id, "mine")
        with pytest.raises(NotFound):
            await offers.blocks.affected(stranger, block.id, PageRequest())
        with pytest.raises(NotFound):
            await offers.blocks.add(stranger, WHOLE_DAY, prison_id=PRISON)
    for nobody in (family(MOTHER), PRISONER_ACTOR):
        with pytest.raises(NotFound):
            await offers.blocks.list(nobody, PageRequest())
    assert (await offers.blocks.list(STRANGER_STAFF, PageRequest())).items == []
    assert (await offers.blocks.get(STAFF, block.id)).stands


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)],
    ids=["the clocks go forward", "the clocks go back"],
)
async def test_a_day_on_which_clocks_change_is_blocked_whole(sqlite_offers: OffersWorld, day: date, hours: int) -> None:
    block = await sqlite_offers.blocks.add(STAFF, BlockDraft(day, day, "closed"))
    assert (block.ends_at - block.starts_at).total_seconds() == hours * 3600
