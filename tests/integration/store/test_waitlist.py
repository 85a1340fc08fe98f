"""The waiting list, on both databases, with time moved by hand: a freed place is offered, taken, declined, lapses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

import pytest

from tests.fixtures.deciding import decide_at_once
from tests.fixtures.offers import ON_SQLITE, OffersWorld
from tests.fixtures.rights import (
    CHILD,
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    PRISONER_ACTOR,
    SOCIAL,
    STAFF,
    STRANGER_STAFF,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.domain.outbox import OutboxState
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import BookingState, HoldKind
from visitserver.domain.waitlist import EntryState, OfferState, WaitlistEntry
from visitserver.services.blocks import BlockDraft
from visitserver.services.waitlist import WaitlistView, WaitlistWish

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
FOR_THE_DAY = WaitlistWish(first_day=DAY)


@pytest.fixture
async def full(offers: OffersWorld) -> OffersWorld:
    """The session has one place at a time, and mother has the first of the day with one prisoner."""
    async with offers.uow() as u:
        (await u.scheduling.get_template(SOCIAL)).capacity = 1
        await u.commit()
    for prisoner in (PRISONER, OTHER_PRISONER):
        await offers.world.grant(3, prisoner)
    return offers


async def book(offers: OffersWorld, contact: str = MOTHER, key: str = KEY, prisoner: str = PRISONER) -> str:
    hold = await offers.world.booking.hold(family(contact), relationship_id(contact, prisoner), key)
    return (await offers.world.booking.confirm(family(contact), hold.id)).id


async def join(
    offers: OffersWorld, contact: str, prisoner: str = PRISONER, wish: WaitlistWish = FOR_THE_DAY
) -> WaitlistEntry:
    """Join, a second after whoever joined before."""
    offers.world.clock.advance(seconds=1)
    return await offers.waitlist.join(family(contact), relationship_id(contact, prisoner), wish)


async def view(offers: OffersWorld, entry: WaitlistEntry) -> WaitlistView:
    return await offers.waitlist.get(STAFF, entry.id)


async def only_nine(offers: OffersWorld) -> None:
    """The session ends at half past nine: one time a day."""
    async with offers.uow() as u:
        (await u.scheduling.get_template(SOCIAL)).ends_at = time(9, 30)
        await u.commit()


async def test_a_freed_place_is_kept_two_hours_for_whoever_waited_longest(full: OffersWorld) -> None:
    booked = await book(full)
    friend = await join(full, FRIEND, OTHER_PRISONER)
    mother = await join(full, MOTHER, OTHER_PRISONER)
    assert await full.offering.run_once() == 0
    await full.world.booking.cancel(family(MOTHER), booked)
    assert await full.offering.run_once() == 1
    found = await view(full, friend)
    assert found.entry.state is EntryState.OFFERED
    assert found.offer is not None
    assert found.booking is not None
    assert (found.booking.state, found.booking.hold_kind) == (BookingState.HELD, HoldKind.OFFER)
    assert found.booking.contact_ids == (FRIEND,)
    assert found.offer.expires_at == found.booking.hold_expires_at == full.world.clock() + timedelta(hours=2)
    assert (await view(full, mother)).entry.state is EntryState.WAITING
    (message,) = await full.told("waitlist.offered")
    assert message.payload == {"offer_id": found.offer.id, "entry_id": friend.id, "booking_id": found.booking.id}
    # nobody else gets it meanwhile, and looking again offers nothing more
    with pytest.raises(DecisionRefused):
        await book(full, MOTHER, KEY, PRISONER)
    assert await full.offering.run_once() == 0

    booking = await full.waitlist.accept(family(FRIEND), found.offer.id)
    assert booking.state is BookingState.BOOKED
    served = (await view(full, friend)).entry
    assert (served.state, served.booking_id) == (EntryState.SERVED, booking.id)
    assert (await full.waitlist.accept(family(FRIEND), found.offer.id)).id == booking.id
    assert len(await full.told("waitlist.offered")) == 1
    news = await full.told("place.freed")
    assert {each.state for each in news} == {OutboxState.DELIVERED}


async def test_what_is_declined_goes_to_the_next_and_so_on(full: OffersWorld) -> None:
    await only_nine(full)
    booked = await book(full)
    friend = await join(full, FRIEND, OTHER_PRISONER)
    mother = await join(full, MOTHER, PRISONER, WaitlistWish(slot_key=KEY))
    await full.world.booking.cancel(family(MOTHER), booked)
    await full.offering.run_once()
    first = (await view(full, friend)).offer
    assert first is not None
    settled = await full.waitlist.decline(family(FRIEND), first.id)
    assert settled.state is OfferState.DECLINED
    assert (await full.waitlist.decline(family(FRIEND), first.id)).state is OfferState.DECLINED
    waits_on = (await view(full, friend)).entry
    assert (waits_on.state, waits_on.queued_at, waits_on.lapses) == (EntryState.WAITING, friend.queued_at, 0)
    assert await full.offering.run_once() == 1
    second = (await view(full, mother)).offer
    assert second is not None
    # mother waited for this very slot: declining it ends her wait; friend is not asked about it again
    await full.waitlist.decline(family(MOTHER), second.id)
    assert (await view(full, mother)).entry.state is EntryState.LEFT
    assert await full.offering.run_once() == 0
    await book(full)


async def test_an_offer_lapses_after_two_hours_and_goes_to_the_next(full: OffersWorld) -> None:
    await only_nine(full)
    booked = await book(full)
    friend = await join(full, FRIEND, OTHER_PRISONER)
    mother = await join(full, MOTHER, OTHER_PRISONER)
    await full.world.booking.cancel(family(MOTHER), booked)
    await full.offering.run_once()
    offer = (await view(full, friend)).offer
    assert offer is not None
    full.world.clock.advance(minutes=119)
    assert await full.offering.run_once() == 0
    full.world.clock.advance(minutes=1)
    assert await full.offering.run_once() == 1
    lapsed = (await view(full, friend)).entry
    assert (lapsed.state, lapsed.lapses, lapsed.queued_at) == (EntryState.WAITING, 1, full.world.clock())
    assert (await view(full, mother)).entry.state is EntryState.OFFERED
    (message,) = await full.told("waitlist.lapsed")
    assert message.payload["offer_id"] == offer.id
    with pytest.raises(Conflict) as late:
        await full.waitlist.accept(family(FRIEND), offer.id)
    assert late.value.code == "hold_expired"
    # now behind mother, and with the second offer not answered off the list
    full.world.clock.advance(hours=2)
    await full.offering.run_once()
    assert [each.entry.id for each in (await full.waitlist.list(STAFF, PageRequest())).items] == [friend.id, mother.id]
    await full.offering.run_once()
    assert len(await full.told("waitlist.lapsed")) == 2


@ON_SQLITE
async def test_somebody_who_never_answers_leaves_the_list(full: OffersWorld) -> None:
    entry = await join(full, FRIEND, OTHER_PRISONER, WaitlistWish(first_day=DAY, last_day=date(2026, 3, 8)))
    for day, state in ((DAY, EntryState.WAITING), (date(2026, 3, 7), EntryState.LAPSED)):
        assert await full.offering.offer_slot(slot_key(day, time(9)))
        full.world.clock.advance(hours=2)
        await full.offering.run_once()
        assert (await view(full, entry)).entry.state is state
    assert not await full.offering.offer_slot(slot_key(date(2026, 3, 8), time(9)))


@ON_SQLITE
async def test_a_place_is_offered_to_the_first_who_may_have_it(full: OffersWorld) -> None:
    """Friend has waited longest but is on another visit then; the entry keeps its place for the next time."""
    booked = await book(full)
    friend = await join(full, FRIEND, OTHER_PRISONER)
    mother = await join(full, MOTHER, OTHER_PRISONER)
    async with full.uow() as u:
        link = await u.rights.get_relationship(relationship_id(FRIEND, OTHER_PRISONER))
        link.withdraw(at=full.world.clock())
        await u.commit()
    await full.world.booking.cancel(family(MOTHER), booked)
    assert await full.offering.run_once() == 1
    assert (await view(full, friend)).entry.state is EntryState.WAITING
    assert (await view(full, mother)).entry.state is EntryState.OFFERED


@ON_SQLITE
async def test_only_the_times_they_said_are_offered(full: OffersWorld) -> None:
    afternoon = WaitlistWish(first_day=DAY, last_day=DAY, from_time=time(12), to_time=time(15))
    entry = await join(full, FRIEND, OTHER_PRISONER, afternoon)
    for at, offered in ((time(9), False), (time(15, 25), False), (time(12, 30), True)):
        assert await full.offering.offer_slot(slot_key(DAY, at)) is offered, at
    assert (await view(full, entry)).entry.state is EntryState.OFFERED


@ON_SQLITE
async def test_a_place_too_near_for_the_rules_is_not_offered(full: OffersWorld) -> None:
    near = date(2026, 3, 3)
    entry = await join(full, FRIEND, OTHER_PRISONER, WaitlistWish(first_day=near))
    assert not await full.offering.offer_slot(slot_key(near, time(9)))
    assert (await view(full, entry)).entry.state is EntryState.WAITING


async def test_lifting_a_block_gives_those_who_wait_a_time_each(full: OffersWorld) -> None:
    block = await full.blocks.add(STAFF, BlockDraft(DAY, DAY, "no water"))
    friend = await join(full, FRIEND, OTHER_PRISONER)
    mother = await join(full, MOTHER, PRISONER)
    assert await full.offering.run_once() == 0
    await full.blocks.lift(STAFF, block.id, "the water is back")
    assert await full.offering.run_once() == 2
    offered = [await view(full, each) for each in (friend, mother)]
    keys = [each.offer.slot_key for each in offered if each.offer is not None]
    assert keys == [KEY, slot_key(DAY, time(9, 35))]
    assert await full.offering.sweep() == 0


@ON_SQLITE
async def test_the_sweep_finds_what_no_news_told_of(full: OffersWorld) -> None:
    entry = await join(full, FRIEND, OTHER_PRISONER)
    assert await full.offering.sweep() == 1
    assert (await view(full, entry)).entry.state is EntryState.OFFERED


@ON_SQLITE
async def test_the_page_of_visits_serves_as_well(full: OffersWorld) -> None:
    """Confirming or cancelling the held booking by the ordinary pages is an answer: the job follows the booking."""
    friend = await join(full, FRIEND, OTHER_PRISONER)
    mother = await join(full, MOTHER, PRISONER)
    await full.offering.sweep()
    first, second = await view(full, friend), await view(full, mother)
    assert first.booking is not None
    assert second.booking is not None
    await full.world.booking.confirm(family(FRIEND), first.booking.id)
    await full.world.booking.cancel(STAFF, second.booking.id, reason="a mistake")
    await full.offering.run_once()
    assert (await view(full, friend)).entry.state is EntryState.SERVED
    # taken back by the prison, not declined: mother waits on at her place in the queue
    waits = (await view(full, mother)).entry
    assert (waits.state, waits.queued_at, waits.lapses) == (EntryState.WAITING, mother.queued_at, 0)


@ON_SQLITE
async def test_leaving_gives_the_offered_place_to_the_next(full: OffersWorld) -> None:
    await only_nine(full)
    friend = await join(full, FRIEND, OTHER_PRISONER)
    mother = await join(full, MOTHER, OTHER_PRISONER)
    await full.offering.sweep()
    left = await full.waitlist.leave(family(FRIEND), friend.id)
    assert left.state is EntryState.LEFT
    assert (await full.waitlist.leave(family(FRIEND), friend.id)).ended_at == left.ended_at
    await full.offering.run_once()
    assert (await view(full, mother)).entry.state is EntryState.OFFERED


@ON_SQLITE
async def test_entries_end_with_their_days(full: OffersWorld) -> None:
    entry = await join(full, FRIEND, OTHER_PRISONER)
    full.world.clock.now = datetime.fromisoformat("2026-03-06T21:59:00+00:00")
    await full.offering.run_once()
    assert (await view(full, entry)).entry.state is EntryState.WAITING
    full.world.clock.advance(minutes=1)  # midnight in Helsinki
    await full.offering.run_once()
    assert (await view(full, entry)).entry.state is EntryState.EXPIRED
    assert (await full.waitlist.mine(family(FRIEND), PageRequest())).items == []
    assert len((await full.waitlist.mine(family(FRIEND), PageRequest(), ended=True)).items) == 1


@ON_SQLITE
async def test_one_entry_a_day_for_two_people(full: OffersWorld) -> None:
    await join(full, FRIEND, PRISONER, WaitlistWish(first_day=DAY, last_day=date(2026, 3, 8)))
    for clash in (
        WaitlistWish(first_day=date(2026, 3, 8), last_day=date(2026, 3, 10)),
        WaitlistWish(slot_key=KEY),
        FOR_THE_DAY,
    ):
        with pytest.raises(Conflict) as again:
            await join(full, FRIEND, PRISONER, clash)
        assert again.value.code == "waitlist_exists"
    await join(full, FRIEND, OTHER_PRISONER)
    await join(full, MOTHER, PRISONER)
    for number in range(4):
        await join(full, FRIEND, PRISONER, WaitlistWish(first_day=date(2026, 3, 9) + timedelta(days=number)))
    with pytest.raises(Conflict) as many:
        await join(full, FRIEND, PRISONER, WaitlistWish(first_day=date(2026, 3, 20)))
    assert many.value.code == "waitlist_full"


async def test_joining_twice_at_once_makes_one_entry(full: OffersWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    again = partial(full.waitlist.join, family(FRIEND), relationship_id(FRIEND), FOR_THE_DAY)
    assert len(await decide_at_once(full.world, monkeypatch, [again, again])) == 1
    assert len((await full.waitlist.mine(family(FRIEND), PageRequest())).items) == 1


async def test_who_waits_for_a_slot_waits_for_its_new_version(full: OffersWorld) -> None:
    entry = await join(full, FRIEND, OTHER_PRISONER, WaitlistWish(slot_key=KEY))
    new = (await full.templates.new_version(STAFF, SOCIAL, {"name": "Renamed"}, date(2026, 3, 5))).template
    assert await full.offering.run_once() == 1
    found = (await view(full, entry)).offer
    assert found is not None
    assert found.slot_key == slot_key(DAY, time(9), new.id)


@ON_SQLITE
async def test_news_that_nobody_can_read_stops_nothing(full: OffersWorld) -> None:
    entry = await join(full, FRIEND, OTHER_PRISONER)
    async with full.uow() as u:
        u.outbox.add("places.opened", {"prison_id": PRISON, "first_day": "soon"})
        u.outbox.add("place.freed", {"prison_id": PRISON, "template_id": "tpl_x", "slot_key": "tpl_x@20260306T0700Z"})
        u.outbox.add("place.freed", {"prison_id": PRISON, "template_id": SOCIAL, "slot_key": KEY})
        await u.commit()
    assert await full.offering.run_once() == 1
    assert (await view(full, entry)).entry.state is EntryState.OFFERED
    (broken,) = await full.told("places.opened")
    assert broken.state is OutboxState.FAILED
    assert {each.state for each in await full.told("place.freed")} == {OutboxState.DELIVERED}


WRONG = {
    "no day": WaitlistWish(),
    "a day that is over": WaitlistWish(first_day=date(2026, 3, 1)),
    "days in the wrong order": WaitlistWish(first_day=DAY, last_day=date(2026, 3, 5)),
    "too many days": WaitlistWish(first_day=DAY, last_day=date(2026, 4, 6)),
    "too far ahead": WaitlistWish(first_day=date(2026, 5, 4)),
    "times in the wrong order": WaitlistWish(first_day=DAY, from_time=time(12), to_time=time(12)),
    "a time with a zone": WaitlistWish(first_day=DAY, from_time=time(12, tzinfo=UTC)),
    "no such time": WaitlistWish(slot_key=slot_key(DAY, time(9, 5))),
    "another kind of visit": WaitlistWish(slot_key=slot_key(DAY, time(9), "tpl_legal")),
    "no slot at all": WaitlistWish(slot_key="nonsense"),
    "a time that is over": WaitlistWish(slot_key=slot_key(date(2026, 3, 2), time(9))),
}


async def test_what_makes_no_sense_is_refused(sqlite_offers: OffersWorld) -> None:
    for wish in WRONG.values():
        with pytest.raises(Invalid):
            await sqlite_offers.waitlist.join(family(FRIEND), relationship_id(FRIEND), wish)
    assert (await sqlite_offers.waitlist.mine(family(FRIEND), PageRequest())).items == []


async def test_the_list_is_for_its_people_and_their_prison(sqlite_offers: OffersWorld) -> None:
    offers = sqlite_offers
    await offers.world.grant(1)
    entry = await join(offers, FRIEND)
    await offers.offering.sweep()
    offer = (await view(offers, entry)).offer
    assert offer is not None
    for stranger in (family(MOTHER), STRANGER_STAFF, PRISONER_ACTOR):
        for attempt in (
            offers.waitlist.get(stranger, entry.id),
            offers.waitlist.leave(stranger, entry.id),
            offers.waitlist.accept(stranger, offer.id),
            offers.waitlist.decline(stranger, offer.id),
        ):
            with pytest.raises(NotFound):
                await attempt
    with pytest.raises(NotFound):
        await offers.waitlist.join(family(MOTHER), relationship_id(FRIEND), FOR_THE_DAY)
    with pytest.raises(NotFound):
        await offers.waitlist.join(STRANGER_STAFF, relationship_id(MOTHER), FOR_THE_DAY)
    assert (await offers.waitlist.list(STRANGER_STAFF, PageRequest())).items == []
    assert (await offers.waitlist.mine(family(MOTHER), PageRequest())).items == []
    # staff of the prison put somebody on the list who cannot do it themselves
    put = await offers.waitlist.join(STAFF, relationship_id(MOTHER), FOR_THE_DAY, guests=[relationship_id(CHILD)])
    assert (put.contact_id, put.guest_ids, put.created_by) == (MOTHER, (relationship_id(CHILD),), STAFF.reference)


async def test_whoever_may_not_talk_at_all_does_not_wait(sqlite_offers: OffersWorld) -> None:
    async with sqlite_offers.uow() as u:
        (await u.rights.get_relationship(relationship_id(FRIEND))).withdraw(at=sqlite_offers.world.clock())
        (await u.people.get_prisoner(OTHER_PRISONER)).prison_id = None
        await u.commit()
    for prisoner in (PRISONER, OTHER_PRISONER):
        with pytest.raises(Conflict) as refused:
            await join(sqlite_offers, FRIEND, prisoner, replace(FOR_THE_DAY))
        assert refused.value.code == "relationship_inactive"
