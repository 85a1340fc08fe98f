"""Several workers, and people who book, after the same freed place: it is kept for one person, who is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, time, timedelta

import pytest

from signaling.ids import new_id
from tests.fixtures.offers import OffersWorld
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISONER,
    SOCIAL,
    STAFF,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.errors import Conflict, DecisionRefused
from visitserver.domain.occupancy import Span
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import OPEN_STATES, Booking, BookingState
from visitserver.domain.waitlist import EntryState, OfferState, WaitlistEntry
from visitserver.services.asking import Asking
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.waitlist import WaitlistWish
from visitserver.services.waitlist_offering import WaitlistOffering

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
NEXT_KEY = slot_key(DAY, time(9, 35))


class Together(Asking):
    """Whoever asks about a slot the first time waits until everybody has: so all have looked before anybody takes."""

    barrier: asyncio.Barrier | None = None

    async def may(
        self, contact_id: str, relationship_id: str, guests: Sequence[str], slot_key: str, *, at_once: bool = False
    ) -> bool:
        answer = await super().may(contact_id, relationship_id, guests, slot_key, at_once=at_once)
        barrier, self.barrier = self.barrier, None
        if barrier is not None:
            await asyncio.wait_for(barrier.wait(), 60)
        return answer


def worker(offers: OffersWorld, barrier: asyncio.Barrier | None = None) -> WaitlistOffering:
    """One more process that runs the job."""
    world = offers.world
    facts = FactsReader(world.identity, new_id=new_id)
    asking = Together(world.uow, world.clock, facts, Placing(world.uow, world.clock, facts), world.slots)
    asking.barrier = barrier
    return WaitlistOffering(world.uow, world.clock, asking, world.booking)


@pytest.fixture
async def full(offers: OffersWorld) -> OffersWorld:
    """One place at a time; credits for everybody."""
    async with offers.uow() as u:
        (await u.scheduling.get_template(SOCIAL)).capacity = 1
        await u.commit()
    for prisoner in (PRISONER, OTHER_PRISONER):
        await offers.world.grant(3, prisoner)
    return offers


async def join(offers: OffersWorld, contact: str, prisoner: str, wish: WaitlistWish) -> WaitlistEntry:
    offers.world.clock.advance(seconds=1)
    return await offers.waitlist.join(family(contact), relationship_id(contact, prisoner), wish)


async def states(offers: OffersWorld, *entries: WaitlistEntry) -> list[EntryState]:
    return [(await offers.waitlist.get(STAFF, each.id)).entry.state for each in entries]


async def standing(offers: OffersWorld) -> list[Booking]:
    """The open bookings, whose occupancy must be theirs alone."""
    async with offers.uow(read_only=True) as u:
        found = (await u.scheduling.bookings(BookingFilter(states=OPEN_STATES), PageRequest(200))).items
    spans = [Span.of_call(each.starts_at, each.ends_at, buffer=timedelta(minutes=5)) for each in found]
    for number, one in enumerate(found):
        for other, span in zip(found[number + 1 :], spans[number + 1 :], strict=True):
            if spans[number].overlaps(span):
                assert one.prisoner_id != other.prisoner_id
                assert one.slot_key != other.slot_key
                assert not set(one.contact_ids) & set(other.contact_ids)
    return list(found)


async def test_two_workers_offer_one_freed_place_once(full: OffersWorld) -> None:
    wish = WaitlistWish(slot_key=KEY)
    friend = await join(full, FRIEND, OTHER_PRISONER, wish)
    mother = await join(full, MOTHER, PRISONER, wish)
    barrier = asyncio.Barrier(2)
    done = await asyncio.gather(*(worker(full, barrier).offer_slot(KEY) for _ in range(2)))
    assert sorted(done) == [False, True]
    assert await states(full, friend, mother) == [EntryState.OFFERED, EntryState.WAITING]
    (kept,) = await standing(full)
    assert (kept.state, kept.contact_ids) == (BookingState.HELD, (FRIEND,))
    assert len(await full.told("waitlist.offered")) == 1


async def test_two_freed_places_are_not_both_kept_for_one_person(full: OffersWorld) -> None:
    friend = await join(full, FRIEND, OTHER_PRISONER, WaitlistWish(first_day=DAY))
    barrier = asyncio.Barrier(2)
    done = await asyncio.gather(*(worker(full, barrier).offer_slot(key) for key in (KEY, NEXT_KEY)))
    assert sorted(done) == [False, True]
    assert await states(full, friend) == [EntryState.OFFERED]
    assert len(await standing(full)) == 1
    assert len(await full.told("waitlist.offered")) == 1


async def test_news_is_taken_once_by_any_number_of_workers(full: OffersWorld) -> None:
    keys = [slot_key(DAY, at) for at in (time(9), time(9, 35), time(10, 10))]
    booked = []
    for key in keys:
        hold = await full.world.booking.hold(family(MOTHER), relationship_id(MOTHER), key)
        booked.append((await full.world.booking.confirm(family(MOTHER), hold.id)).id)
    friend = await join(full, FRIEND, OTHER_PRISONER, WaitlistWish(first_day=DAY))
    mother = await join(full, MOTHER, OTHER_PRISONER, WaitlistWish(first_day=DAY))
    for booking_id in booked:
        await full.world.booking.cancel(STAFF, booking_id, reason="short of staff")
    done = await asyncio.gather(*(worker(full).run_once() for _ in range(4)))
    assert sum(done) == 2
    assert await states(full, friend, mother) == [EntryState.OFFERED] * 2
    assert len(await standing(full)) == 2
    assert len(await full.told("waitlist.offered")) == 2


async def test_a_place_is_either_offered_or_booked(full: OffersWorld) -> None:
    for number in range(4):
        key = slot_key(DAY + timedelta(days=number), time(9))
        entry = await join(full, FRIEND, OTHER_PRISONER, WaitlistWish(slot_key=key))
        barrier = asyncio.Barrier(2)

        async def booker(key: str = key, barrier: asyncio.Barrier = barrier) -> bool:
            await asyncio.wait_for(barrier.wait(), 60)
            try:
                await full.world.booking.book(STAFF, relationship_id(MOTHER), key)
            except DecisionRefused:
                return False
            return True

        offered, booked = await asyncio.gather(worker(full, barrier).offer_slot(key), booker())
        assert offered is not booked
        assert await states(full, entry) == [EntryState.OFFERED if offered else EntryState.WAITING]
        (kept,) = await standing(full)
        assert kept.contact_ids == ((FRIEND,) if offered else (MOTHER,))
        await full.world.booking.cancel(STAFF, kept.id, reason="for the next round")
        await full.waitlist.leave(STAFF, entry.id)


async def test_an_answer_counts_once(full: OffersWorld) -> None:
    """Accept and decline, and the job besides, at the same moment: one of the two answers, and everything fits it."""
    for number in range(4):
        key = slot_key(DAY + timedelta(days=number), time(9))
        entry = await join(full, FRIEND, OTHER_PRISONER, WaitlistWish(slot_key=key))
        assert await worker(full).offer_slot(key)
        offer = (await full.waitlist.get(STAFF, entry.id)).offer
        assert offer is not None
        results = await asyncio.gather(
            full.waitlist.accept(family(FRIEND), offer.id),
            full.waitlist.decline(family(FRIEND), offer.id),
            worker(full).run_once(),
            return_exceptions=True,
        )
        assert all(isinstance(each, Conflict) for each in results if isinstance(each, BaseException)), results
        await worker(full).run_once()
        async with full.uow(read_only=True) as u:
            settled, booking = await u.offers.get_offer(offer.id), await u.scheduling.get_booking(offer.booking_id)
        (state,) = await states(full, entry)
        assert (settled.state, booking.state, state) in {
            (OfferState.ACCEPTED, BookingState.BOOKED, EntryState.SERVED),
            (OfferState.ACCEPTED, BookingState.CANCELLED, EntryState.SERVED),
            (OfferState.DECLINED, BookingState.WITHDRAWN, EntryState.LEFT),
        }
        if booking.open:
            await full.world.booking.cancel(STAFF, booking.id, reason="for the next round")
