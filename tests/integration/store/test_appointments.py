"""Prisoners' appointments, on both databases: idempotent by the prison's own identifier; social calls give way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

import pytest

from tests.fixtures.deciding import decide_at_once
from tests.fixtures.offers import ON_SQLITE, OffersWorld
from tests.fixtures.rights import (
    LAWYER,
    LEGAL,
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
from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.changes import ChangeKind
from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import BookingState
from visitserver.services.appointments import AppointmentDraft
from visitserver.services.ports.offers import AppointmentFilter

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9, 35))
COURT = AppointmentDraft(
    AppointmentKind.COURT,
    datetime(2026, 3, 6, 7, 0, tzinfo=UTC),  # nine in the morning in Helsinki
    datetime(2026, 3, 6, 9, 2, tzinfo=UTC),
    external_id="T-1",
    note="District court, escort",
)


async def book(offers: OffersWorld, contact: str = MOTHER, key: str = KEY) -> str:
    await offers.world.grant(1)
    hold = await offers.world.booking.hold(family(contact), relationship_id(contact), key)
    return (await offers.world.booking.confirm(family(contact), hold.id)).id


async def noted(offers: OffersWorld) -> list[ChangeKind]:
    async with offers.uow(read_only=True) as u:
        # The test's clock stands, so there is no order among them.
        return sorted(each.kind for each in await u.flags.pending(offers.world.clock(), 100))


async def test_a_court_date_outranks_a_social_visit_and_shows_three_other_times(offers: OffersWorld) -> None:
    booking_id = await book(offers)
    court = await offers.appointments.add(STAFF, PRISONER, COURT)
    assert await noted(offers) == [ChangeKind.APPOINTMENT_ADDED]
    assert len(offers.worked_off) == 1
    (found,) = (await offers.appointments.in_the_way(STAFF, court.id, PageRequest())).items
    assert (found.booking.id, found.booking.state, found.gives_way) == (booking_id, BookingState.BOOKED, True)
    assert len(found.alternatives) == 3
    for offer in found.alternatives:
        assert offer.decision.allowed
        assert not court.overlaps(offer.slot.starts_at, offer.slot.ends_at)
    with pytest.raises(DecisionRefused) as refused:
        await book(offers, key=slot_key(DAY, time(10, 10)))
    told = " ".join(refused.value.decision.safe_words)
    assert "court" not in told.lower()


async def test_the_same_message_changes_nothing_after_the_first(offers: OffersWorld) -> None:
    first = await offers.appointments.add(STAFF, PRISONER, COURT)
    for _ in range(4):
        assert (await offers.appointments.add(STAFF, PRISONER, COURT)).id == first.id
    assert await noted(offers) == [ChangeKind.APPOINTMENT_ADDED]
    assert len(offers.worked_off) == 1
    later = replace(COURT, starts_at=COURT.starts_at + timedelta(days=1), ends_at=COURT.ends_at + timedelta(days=1))
    assert (await offers.appointments.add(STAFF, PRISONER, later)).id == first.id
    assert await noted(offers) == [ChangeKind.APPOINTMENT_ADDED, ChangeKind.APPOINTMENT_CHANGED]
    async with offers.uow(read_only=True) as u:
        pending = await u.flags.pending(offers.world.clock(), 100)
        (change,) = [each for each in pending if each.kind is ChangeKind.APPOINTMENT_CHANGED]
        (only,) = (await u.offers.appointments(AppointmentFilter(prisoner_id=PRISONER), PageRequest())).items
    # both times are asked about again
    assert (change.from_at, change.to_at) == (COURT.starts_at, later.ends_at)
    assert (only.starts_at, only.note) == (later.starts_at, COURT.note)
    with pytest.raises(Conflict, match="another prisoner"):
        await offers.appointments.add(STAFF, OTHER_PRISONER, COURT)


async def test_two_messages_at_once_make_one_appointment(offers: OffersWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    add = partial(offers.appointments.add, STAFF, PRISONER, COURT)
    done = await decide_at_once(offers.world, monkeypatch, [add, add])
    assert done == [0, 1]
    listed = (await offers.appointments.list(STAFF, PageRequest(), prisoner_id=PRISONER)).items
    assert [each.external_id for each in listed] == ["T-1"]


async def test_moving_and_cancelling_open_the_time_again(offers: OffersWorld) -> None:
    court = await offers.appointments.add(STAFF, PRISONER, COURT)
    moved = await offers.appointments.move(
        STAFF, court.id, COURT.starts_at + timedelta(hours=4), COURT.ends_at + timedelta(hours=4)
    )
    assert moved.kind is AppointmentKind.COURT
    booking_id = await book(offers)
    assert (await offers.appointments.in_the_way(STAFF, court.id, PageRequest())).items == []
    await offers.appointments.move(STAFF, court.id, COURT.starts_at, COURT.ends_at)
    assert [
        each.booking.id for each in (await offers.appointments.in_the_way(STAFF, court.id, PageRequest())).items
    ] == [booking_id]
    before = len(await noted(offers))
    await offers.appointments.move(STAFF, court.id, COURT.starts_at, COURT.ends_at)
    assert len(await noted(offers)) == before
    cancelled = await offers.appointments.cancel(STAFF, court.id, "adjourned")
    assert not cancelled.stands
    assert (cancelled.note or "").endswith("adjourned")
    assert (await noted(offers)).count(ChangeKind.APPOINTMENT_CANCELLED) == 1
    assert (await offers.appointments.in_the_way(STAFF, court.id, PageRequest())).items == []
    again = await offers.appointments.cancel(STAFF, court.id, "adjourned")
    assert again.cancelled_at == cancelled.cancelled_at
    assert (await noted(offers)).count(ChangeKind.APPOINTMENT_CANCELLED) == 1
    with pytest.raises(Conflict, match="cancelled"):
        await offers.appointments.move(STAFF, court.id, COURT.starts_at, COURT.ends_at + timedelta(hours=1))
    assert len(await offers.told("places.opened")) == 3
    assert (await offers.appointments.list(STAFF, PageRequest())).items == []
    assert len((await offers.appointments.list(STAFF, PageRequest(), cancelled=True)).items) == 1


@ON_SQLITE
async def test_a_lawyer_does_not_give_way_and_other_appointments_outrank_nothing(offers: OffersWorld) -> None:
    lawyer_s = await book(offers, LAWYER, slot_key(DAY, time(9, 35), LEGAL))
    court = await offers.appointments.add(STAFF, PRISONER, COURT)
    (found,) = (await offers.appointments.in_the_way(STAFF, court.id, PageRequest())).items
    assert (found.booking.id, found.gives_way, list(found.alternatives)) == (lawyer_s, False, [])
    social = await book(offers, MOTHER, slot_key(DAY, time(13, 5)))
    work = replace(
        COURT,
        kind=AppointmentKind.OTHER,
        external_id=None,
        starts_at=datetime(2026, 3, 6, 11, tzinfo=UTC),
        ends_at=datetime(2026, 3, 6, 12, tzinfo=UTC),
    )
    shift = await offers.appointments.add(STAFF, PRISONER, work)
    (found,) = (await offers.appointments.in_the_way(STAFF, shift.id, PageRequest())).items
    assert (found.booking.id, found.gives_way) == (social, False)


WRONG = {
    "times in the wrong order": replace(COURT, ends_at=COURT.starts_at),
    "more than a year": replace(COURT, ends_at=COURT.starts_at + timedelta(days=367)),
    "no time zone": replace(COURT, starts_at=datetime(2026, 3, 6, 7, 0)),  # noqa: DTZ001 - that is the case
    "an empty identifier": replace(COURT, external_id=""),
    "a long note": replace(COURT, note="x" * 2001),
}


async def test_what_makes_no_sense_is_refused(sqlite_offers: OffersWorld) -> None:
    for draft in WRONG.values():
        with pytest.raises(Invalid):
            await sqlite_offers.appointments.add(STAFF, PRISONER, draft)
    assert (await sqlite_offers.appointments.list(STAFF, PageRequest(), past=True)).items == []


async def test_appointments_are_for_the_staff_of_the_prisoners_prison(sqlite_offers: OffersWorld) -> None:
    offers = sqlite_offers
    court = await offers.appointments.add(STAFF, PRISONER, COURT)
    for stranger in (STRANGER_STAFF, family(MOTHER), PRISONER_ACTOR):
        for attempt in (
            offers.appointments.get(stranger, court.id),
            offers.appointments.add(stranger, PRISONER, COURT),
            offers.appointments.cancel(stranger, court.id, "mine"),
            offers.appointments.move(stranger, court.id, COURT.starts_at, COURT.ends_at),
            offers.appointments.in_the_way(stranger, court.id, PageRequest()),
            offers.appointments.list(stranger, PageRequest(), prisoner_id=PRISONER),
        ):
            with pytest.raises(NotFound):
                await attempt
    async with offers.uow() as u:
        (await u.people.get_prisoner(PRISONER)).prison_id = "prn_elsewhere"
        await u.commit()
    # the prison that holds the prisoner now looks after it
    assert (await offers.appointments.get(STRANGER_STAFF, court.id)).id == court.id
    with pytest.raises(NotFound):
        await offers.appointments.get(STAFF, court.id)
