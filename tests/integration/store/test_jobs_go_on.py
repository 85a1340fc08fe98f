"""One item of a job that fails keeps no other from its turn, and the run says that something failed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from structlog.testing import capture_logs

from signaling.ids import new_id
from tests.fixtures.offers import OffersWorld
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    SOCIAL,
    STAFF,
    World,
    family,
    make_prisoner,
    relationship_id,
    slot_key,
)
from visitserver.domain.allowance import CreditType, LedgerEvent, LedgerEventKind
from visitserver.domain.errors import Unavailable
from visitserver.domain.flags import Flag, FlagType
from visitserver.domain.outbox import OutboxState
from visitserver.domain.policies import PolicyValue
from visitserver.domain.scheduling import Slot
from visitserver.domain.waitlist import EntryState, WaitlistEntry
from visitserver.services.asking import Asking
from visitserver.services.booking_check import BookingCheck
from visitserver.services.facts import FactsReader
from visitserver.services.flagging import Flagging
from visitserver.services.partly_failed import PartlyFailed
from visitserver.services.placing import Placing
from visitserver.services.preferences import PreferenceService, Wish
from visitserver.services.waitlist import WaitlistWish
from visitserver.services.waitlist_offering import ATTEMPTS_MAX, WaitlistOffering
from visitserver.services.waitlist_settling import OfferSettling

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
ELSEWHERE = "prn_elsewhere"


class Broken(Asking):
    """Fails for one contact, as if something about them could not be read."""

    failure: Exception = RuntimeError("not to be read")
    contact_id = MOTHER

    async def may(
        self, contact_id: str, relationship_id: str, guests: Sequence[str], slot_key: str, *, at_once: bool = False
    ) -> bool:
        self._fail(contact_id)
        return await super().may(contact_id, relationship_id, guests, slot_key, at_once=at_once)

    async def bookable(self, contact_id: str, *args: Any, **options: Any) -> AsyncIterator[Slot]:
        self._fail(contact_id)
        async for slot in super().bookable(contact_id, *args, **options):
            yield slot

    def _fail(self, contact_id: str) -> None:
        if contact_id == self.contact_id:
            raise self.failure


@pytest.fixture
def broken(sqlite_offers: OffersWorld) -> Broken:
    world = sqlite_offers.world
    facts = FactsReader(world.identity, new_id=new_id)
    return Broken(world.uow, world.clock, facts, Placing(world.uow, world.clock, facts), world.slots)


@pytest.fixture
def preferences(sqlite_offers: OffersWorld, broken: Broken) -> PreferenceService:
    world = sqlite_offers.world
    placing = Placing(world.uow, world.clock, FactsReader(world.identity, new_id=new_id))
    return PreferenceService(world.uow, world.clock, placing, broken)


@pytest.fixture
def offering(sqlite_offers: OffersWorld, broken: Broken, preferences: PreferenceService) -> WaitlistOffering:
    world = sqlite_offers.world
    return WaitlistOffering(world.uow, world.clock, broken, world.booking, preferences.match_slot)


async def a_credit_each(world: World) -> None:
    for prisoner in (PRISONER, OTHER_PRISONER):
        await world.grant(1, prisoner)


async def both_wait(offers: OffersWorld) -> tuple[WaitlistEntry, WaitlistEntry]:
    """Mother, who has waited longer, and friend."""
    await a_credit_each(offers.world)
    entries = []
    for contact, prisoner in ((MOTHER, PRISONER), (FRIEND, OTHER_PRISONER)):
        offers.world.clock.advance(seconds=1)
        link = relationship_id(contact, prisoner)
        entries.append(await offers.waitlist.join(family(contact), link, WaitlistWish(first_day=DAY)))
    return entries[0], entries[1]


async def state(offers: OffersWorld, entry: WaitlistEntry) -> EntryState:
    return (await offers.waitlist.get(STAFF, entry.id)).entry.state


async def freed(offers: OffersWorld, key: str = KEY) -> None:
    async with offers.uow() as u:
        u.outbox.add("place.freed", {"prison_id": PRISON, "template_id": SOCIAL, "slot_key": key})
        await u.commit()


def impossible(prison_id: str, key: str) -> PolicyValue:
    """A value that its key does not allow, as a row from before the key changed."""
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    return PolicyValue(
        id=new_id("pol"),
        prison_id=prison_id,
        key=key,
        version=1,
        value=["soon"],
        valid_from=long_ago,
        created_at=long_ago,
        created_by="test",
        reason="test",
    )


async def test_a_ledger_that_contradicts_itself_keeps_nobody_elses_credits_back(sqlite_world: World) -> None:
    world = sqlite_world
    await world.policies.set(STAFF, PRISON, "allowance.standard_per_accrual", 1, "normal again")
    line = LedgerEvent(
        id=new_id("led"),
        prisoner_id=PRISONER,
        sequence=7,  # the six before it are missing
        at=world.clock(),
        kind=LedgerEventKind.GRANTED,
        credit_id=new_id("crd"),
        credit_type=CreditType.STANDARD,
        reason="restored from half a backup",
        actor="system:test",
        event_key="lost",
        balance_after=7,
    )
    async with world.uow() as u:
        u.allowance.append([line])
        await u.commit()
    with capture_logs() as logs, pytest.raises(PartlyFailed) as partly:
        await world.allowance.accrue(limit=1)
    assert (partly.value.failed, partly.value.done) == (1, 1)
    assert (await world.allowance.view(STAFF, OTHER_PRISONER)).balance == 1
    (told,) = [each for each in logs if each["log_level"] == "error"]
    assert {name: value for name, value in told.items() if name.endswith("_id")} == {"prisoner_id": PRISONER}


async def test_one_prisons_impossible_policy_keeps_no_other_prisons_credits_back(sqlite_world: World) -> None:
    world = sqlite_world
    await world.policies.set(STAFF, PRISON, "allowance.standard_per_accrual", 1, "normal again")
    async with world.uow() as u:
        first = make_prisoner("prs_aaa", "E-1")
        first.prison_id, first.wing_id = ELSEWHERE, None
        u.people.add(first)
        u.policies.add(impossible(ELSEWHERE, "allowance.accumulate_days"))
        await u.commit()
    with pytest.raises(PartlyFailed) as partly:
        await world.allowance.accrue()
    assert (partly.value.failed, partly.value.done) == (1, 2)


async def test_a_preference_that_fails_keeps_no_other_family_from_being_told(
    sqlite_offers: OffersWorld, preferences: PreferenceService, offering: WaitlistOffering
) -> None:
    await a_credit_each(sqlite_offers.world)
    await preferences.put(family(MOTHER), relationship_id(MOTHER), [Wish(DAY, DAY)])
    sqlite_offers.world.clock.advance(seconds=1)
    link = relationship_id(FRIEND, OTHER_PRISONER)
    (friend_s,) = await preferences.put(family(FRIEND), link, [Wish(DAY, DAY)])
    with pytest.raises(PartlyFailed) as partly:
        await preferences.run_once()
    assert (partly.value.failed, partly.value.done) == (1, 1)
    # the same when a freed place finds nobody on the waiting list
    sqlite_offers.world.clock.advance(hours=24)
    await freed(sqlite_offers, slot_key(DAY, time(9, 35)))
    with pytest.raises(PartlyFailed):
        await offering.run_once()
    (news,) = await sqlite_offers.told("place.freed")
    assert news.state is OutboxState.DELIVERED
    told = await sqlite_offers.told("preference.matched")
    assert [each.payload["preference_id"] for each in told] == [friend_s.id, friend_s.id]


async def test_who_cannot_be_asked_about_is_passed_over(sqlite_offers: OffersWorld, offering: WaitlistOffering) -> None:
    mother, friend = await both_wait(sqlite_offers)
    await freed(sqlite_offers)
    with pytest.raises(PartlyFailed) as partly:
        await offering.run_once()
    assert (partly.value.failed, partly.value.done) == (1, 1)
    assert await state(sqlite_offers, mother) is EntryState.WAITING
    assert await state(sqlite_offers, friend) is EntryState.OFFERED
    (news,) = await sqlite_offers.told("place.freed")
    assert news.state is OutboxState.DELIVERED


async def test_the_sweep_passes_over_them_too(sqlite_offers: OffersWorld, offering: WaitlistOffering) -> None:
    _, friend = await both_wait(sqlite_offers)
    with pytest.raises(PartlyFailed) as partly:
        await offering.sweep()
    assert (partly.value.failed, partly.value.done) == (1, 1)
    assert await state(sqlite_offers, friend) is EntryState.OFFERED


async def test_somebody_who_is_their_own_guest_may_have_nothing_and_stops_nobody(sqlite_offers: OffersWorld) -> None:
    """What merging two records of one person used to leave behind."""
    offers = sqlite_offers
    (wish,) = await offers.preferences.put(family(MOTHER), relationship_id(MOTHER), [Wish(DAY, DAY)])
    mother, friend = await both_wait(offers)
    async with offers.uow() as u:
        (await u.offers.get_preference(wish.id)).guest_ids = (relationship_id(MOTHER),)
        (await u.offers.get_entry(mother.id)).guest_ids = (relationship_id(MOTHER),)
        await u.commit()
    await freed(offers)
    assert await offers.offering.run_once() == 1
    assert await state(offers, mother) is EntryState.WAITING
    assert await state(offers, friend) is EntryState.OFFERED
    assert await offers.offering.sweep() == 0
    assert await offers.preferences.run_once() == 0


async def test_a_policy_that_cannot_be_read_is_not_taken_for_a_no(sqlite_offers: OffersWorld) -> None:
    offers = sqlite_offers
    await offers.preferences.put(family(MOTHER), relationship_id(MOTHER), [Wish(DAY, DAY)])
    async with offers.uow() as u:
        u.policies.add(impossible(PRISON, "booking.buffer_minutes"))
        await u.commit()
    with pytest.raises(PartlyFailed):
        await offers.preferences.run_once()


async def test_nobody_goes_before_them_because_the_database_was_busy(
    sqlite_offers: OffersWorld, offering: WaitlistOffering, broken: Broken
) -> None:
    mother, friend = await both_wait(sqlite_offers)
    broken.failure = Unavailable("The database is busy. Try again.", code="database_busy")
    await freed(sqlite_offers)
    assert await offering.run_once() == 0
    broken.contact_id = "nobody"
    sqlite_offers.world.clock.advance(minutes=1)
    assert await offering.run_once() == 1
    assert await state(sqlite_offers, mother) is EntryState.OFFERED
    assert await state(sqlite_offers, friend) is EntryState.WAITING


async def test_news_that_fails_unexpectedly_counts_and_is_put_back_behind_the_rest(
    sqlite_offers: OffersWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers = sqlite_offers
    _, friend = await both_wait(offers)
    await freed(offers)
    offers.world.clock.advance(seconds=1)
    async with offers.uow() as u:
        u.outbox.add("places.opened", {"prison_id": PRISON, "first_day": str(DAY), "last_day": str(DAY)})
        await u.commit()

    async def fails(slot_key: str) -> bool:
        raise RuntimeError(slot_key)

    monkeypatch.setattr(offers.offering, "offer_slot", fails)
    with pytest.raises(PartlyFailed) as partly:
        await offers.offering.run_once()
    assert (partly.value.failed, partly.value.done) == (1, 2)
    assert await state(offers, friend) is EntryState.OFFERED
    (news,) = await offers.told("place.freed")
    assert (news.state, news.attempts, news.claimed_until) == (OutboxState.PENDING, 1, None)
    assert news.last_error == "RuntimeError"
    for _ in range(ATTEMPTS_MAX - 1):
        offers.world.clock.advance(minutes=1)
        with pytest.raises(PartlyFailed):
            await offers.offering.run_once()
    (news,) = await offers.told("place.freed")
    assert (news.state, news.attempts) == (OutboxState.FAILED, ATTEMPTS_MAX)


async def test_an_offer_that_cannot_be_closed_keeps_no_other_open(
    sqlite_offers: OffersWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers = sqlite_offers
    mother, friend = await both_wait(offers)
    assert await offers.offering.sweep() == 2
    found = [await offers.waitlist.get(STAFF, each.id) for each in (mother, friend)]
    for contact, each in zip((MOTHER, FRIEND), found, strict=True):
        assert each.booking is not None
        await offers.world.booking.confirm(family(contact), each.booking.id)
    assert found[0].offer is not None
    bad, settle = found[0].offer.id, OfferSettling.settle

    async def fails(self: OfferSettling, offer_id: str) -> object:
        if offer_id == bad:
            raise RuntimeError(offer_id)
        return await settle(self, offer_id)

    monkeypatch.setattr(OfferSettling, "settle", fails)
    # One at a time, the bad one first: the next run goes on behind it, and the one after that tries it again.
    monkeypatch.setattr("visitserver.services.waitlist_offering.SETTLED_AT_ONCE", 1)
    for served in (EntryState.OFFERED, EntryState.SERVED):
        if served is EntryState.OFFERED:
            with pytest.raises(PartlyFailed) as partly:
                await offers.offering.run_once()
            assert (partly.value.failed, partly.value.done) == (1, 0)
        else:
            await offers.offering.run_once()
        assert await state(offers, mother) is EntryState.OFFERED
        assert await state(offers, friend) is served
    monkeypatch.setattr(OfferSettling, "settle", settle)
    await offers.offering.run_once()
    assert await state(offers, mother) is EntryState.SERVED


async def test_a_booking_that_cannot_be_looked_at_keeps_no_others_flags_open(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than one run takes: the next run goes on behind those that fail."""
    world = sqlite_world
    await world.grant(3)
    booked = []
    for at in (time(9), time(10, 10), time(11, 20)):
        hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(DAY, at))
        booked.append((await world.booking.confirm(family(MOTHER), hold.id)).id)
    flagging = Flagging(world.uow, world.clock, BookingCheck(world.clock, FactsReader(world.identity, new_id=new_id)))
    async with world.uow() as u:
        for number, booking_id in enumerate(booked):
            booking = await u.scheduling.get_booking(booking_id)
            u.flags.add(
                Flag(
                    id=f"flg_{number}",
                    prison_id=PRISON,
                    booking_id=booking_id,
                    type=FlagType.STATION_OUT,
                    key="x",
                    starts_at=booking.starts_at,
                    raised_at=world.clock(),
                )
            )
        await u.commit()
    for booking_id in booked:
        await world.booking.cancel(family(MOTHER), booking_id)
    look = Flagging.look

    async def fails(self: Flagging, booking_id: str) -> object:
        if booking_id == booked[0]:
            raise RuntimeError(booking_id)
        return await look(self, booking_id)

    monkeypatch.setattr(Flagging, "look", fails)
    monkeypatch.setattr("visitserver.services.flagging.LEFT_OVER", 2)
    with pytest.raises(PartlyFailed) as partly:
        await flagging.tidy()
    assert (partly.value.failed, partly.value.done) == (1, 1)
    assert await flagging.tidy() == 1
    async with world.uow(read_only=True) as u:
        open_now = await u.flags.open_of(booked)
    assert [each for each in booked if open_now.get(each)] == booked[:1]
    monkeypatch.setattr(Flagging, "look", look)
    assert await flagging.tidy() == 1
