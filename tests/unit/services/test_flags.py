"""What becomes of flags: seen to, kept, lapsed, moved, cancelled; what a crash left; the nightly scan."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta

import pytest

from signaling.ids import new_id
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    SOCIAL,
    STAFF,
    STRANGER_STAFF,
    World,
    family,
    relationship_id,
    slot_key,
)
from tests.unit.services.flags_for_tests import AUTHORITY, DAY, Flagged, make_flagged
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.flags import Flag, FlagClosed, FlagType
from visitserver.domain.outbox import OutboxMessage
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import Restriction, RestrictionScope
from visitserver.domain.scheduling import Booking, BookingState, SupervisionLevel
from visitserver.services import change_work
from visitserver.services.changes import FEW, ChangeKind, Changes
from visitserver.services.flags import FlagQuery
from visitserver.services.partly_failed import PartlyFailed
from visitserver.services.ports.audit import AuditFilter

LINK = relationship_id(MOTHER)
OTHER_STAFF = Actor(ActorKind.STAFF, "stf_second", PRISON, frozenset({"supervisor"}))


@pytest.fixture
async def on(sqlite_world: World) -> Flagged:
    return make_flagged(sqlite_world)


async def restrict(
    on: Flagged, type_: str = "NEW-CODE", scope: RestrictionScope = RestrictionScope.PRISONER, subject: str = PRISONER
) -> Restriction:
    on.world.clock.advance(seconds=1)
    return await on.world.restrictions.add(
        STAFF, scope=scope, subject_id=subject, type=type_, authority=AUTHORITY, starts_on=DAY
    )


async def only(on: Flagged, booking: Booking) -> Flag:
    (flag,) = [flag for flag in await on.of(booking) if flag.open]
    return flag


async def stored(on: Flagged, booking: Booking) -> Booking:
    async with on.world.uow(read_only=True) as u:
        return await u.scheduling.get_booking(booking.id)


async def outbox(on: Flagged, topic: str) -> list[OutboxMessage]:
    async with on.world.uow(read_only=True) as u:
        return [each for each in (await u.outbox.messages(None, PageRequest(200))).items if each.topic == topic]


# --- raising -------------------------------------------------------------------------------------------------------


async def test_the_same_event_five_times_raises_one_flag(on: Flagged) -> None:
    booking = await on.book()
    restriction = await restrict(on)
    for _ in range(5):
        async with on.world.uow() as u:
            on.changes.note(u, ChangeKind.RESTRICTION_ADDED, by=STAFF, prisoner_id=PRISONER)
            await u.commit()
        await on.changes.after_commit()
        await on.flagging.look(booking.id)
    flag = await only(on, booking)
    assert (flag.key, len(await on.of(booking))) == (restriction.id, 1)
    assert len(await outbox(on, "booking.flagged")) == 1
    async with on.world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(action="flag.raise"), PageRequest())).items
    assert [row.object_id for row in rows] == [flag.id]


async def test_what_the_booker_was_told_or_a_person_approved_is_not_flagged(on: Flagged) -> None:
    await restrict(on)
    booking = await on.book()
    assert booking.state is BookingState.REQUESTED
    await on.flagging.look(booking.id)
    assert await on.open(booking) == [], "it waits for a person's decision anyway"
    await on.world.booking.decide(STAFF, booking.id, approve=True, reason="looked at")
    await on.flagging.look(booking.id)
    assert await on.open(booking) == []
    second = await restrict(on)
    assert (await only(on, booking)).key == second.id, "what has come since is"


async def test_what_was_approved_and_is_made_stricter_is_flagged(on: Flagged) -> None:
    restriction = await restrict(on)
    booking = await on.book()
    await on.world.booking.decide(STAFF, booking.id, approve=True, reason="looked at")
    async with on.world.uow() as u:
        (await u.rights.get_restriction(restriction.id)).type = "COURT-ORDER"
        on.changes.note(u, ChangeKind.RESTRICTION_CHANGED, by=STAFF, prisoner_id=PRISONER)
        await u.commit()
    await on.changes.after_commit()
    assert (await only(on, booking)).attributes["binding"] is True


async def test_a_source_that_fails_raises_nothing_and_closes_nothing(on: Flagged) -> None:
    booking = await on.book()
    on.world.identity.approved.discard(MOTHER)
    await on.flagging.look(booking.id)
    assert await on.open(booking) == [FlagType.ID_EXPIRED]
    on.world.identity.failure = TimeoutError()
    await restrict(on)
    assert await on.open(booking) == [FlagType.ID_EXPIRED, FlagType.RESTRICTION_CHANGED]
    on.world.identity.failure = None
    on.world.identity.approved.add(MOTHER)
    await on.flagging.look(booking.id)
    assert await on.open(booking) == [FlagType.RESTRICTION_CHANGED]


async def test_each_caller_and_each_restriction_is_a_flag_of_its_own(on: Flagged) -> None:
    booking = await on.book()
    keys = {(await restrict(on)).id for _ in range(3)}
    await on.world.relationships.end(STAFF, LINK, "threats")
    assert {flag.key for flag in await on.of(booking)} == {*keys, LINK}


async def test_a_new_version_of_a_session_flags_what_it_no_longer_carries(on: Flagged) -> None:
    booking = await on.book()
    async with on.world.uow() as u:
        (await u.scheduling.get_template(SOCIAL)).valid_to = DAY - timedelta(days=1)
        on.changes.note(u, ChangeKind.TEMPLATE_CHANGED, by=STAFF, template_id=SOCIAL)
        await u.commit()
    await on.changes.after_commit()
    assert await on.open(booking) == [FlagType.SESSION_BLOCKED]


async def test_a_policy_that_moves_the_times_of_a_session_flags_nothing(on: Flagged) -> None:
    booking = await on.book(time(9, 35))
    await on.world.policies.set(STAFF, PRISON, "booking.buffer_minutes", 20, "more air")
    await on.flagging.look(booking.id)
    assert await on.open(booking) == []


# --- deciding ------------------------------------------------------------------------------------------------------


async def test_acknowledged_once_by_whoever_was_first(on: Flagged) -> None:
    booking = await on.book()
    await restrict(on)
    flag = await only(on, booking)
    await on.flags.acknowledge(STAFF, flag.id)
    await on.flags.acknowledge(OTHER_STAFF, flag.id)
    assert (await only(on, booking)).acknowledged_by == STAFF.reference


async def test_kept_with_a_reason_stays_kept_until_the_reason_is_another_one(on: Flagged) -> None:
    booking = await on.book()
    restriction = await restrict(on)
    flag = await only(on, booking)
    with pytest.raises(Invalid):
        await on.flags.keep(STAFF, flag.id, " ")
    await on.flags.keep(STAFF, flag.id, "the governor agrees")
    await on.flagging.look(booking.id)
    (kept,) = await on.of(booking)
    assert (kept.closed_how, kept.kept_by) == (FlagClosed.KEPT, STAFF.reference)
    assert kept.kept_reason == "the governor agrees"
    with pytest.raises(Conflict):
        await on.flags.acknowledge(STAFF, flag.id)

    await on.world.restrictions.lift(STAFF, restriction.id, "over")
    assert (await on.of(booking))[0].lapsed_at is not None
    async with on.world.uow() as u:
        (await u.rights.get_restriction(restriction.id)).lifted_at = None
        on.changes.note(u, ChangeKind.RESTRICTION_CHANGED, by=STAFF, prisoner_id=PRISONER)
        await u.commit()
    await on.changes.after_commit()
    assert (await only(on, booking)).key == restriction.id, "it came back: somebody decides again"


@pytest.mark.parametrize(
    ("type_", "scope", "subject"),
    [
        ("BAN", RestrictionScope.PERSON, MOTHER),
        ("NON-CONTACT", RestrictionScope.RELATIONSHIP, LINK),
        ("COURT-ORDER", RestrictionScope.PRISONER, PRISONER),
    ],
)
async def test_nobody_decides_a_ban_or_a_court_order_away(
    on: Flagged, type_: str, scope: RestrictionScope, subject: str
) -> None:
    booking = await on.book()
    await restrict(on, type_, scope, subject)
    with pytest.raises(Conflict) as error:
        await on.flags.keep(STAFF, (await only(on, booking)).id, "please")
    assert error.value.code == "flag_binding"
    assert await on.open(booking) != []


async def test_keeping_a_visit_that_must_be_watched_takes_an_officer_for_it(on: Flagged) -> None:
    await on.world.policies.set(STAFF, PRISON, "supervision.calls_per_officer", 1, "small")
    first, second = await on.book(time(9)), await on.book(time(9), contact=FRIEND, prisoner="prs_berg")
    await restrict(on, "CLOSED")
    await restrict(on, "CLOSED", RestrictionScope.PRISONER, "prs_berg")
    await on.flags.keep(STAFF, (await only(on, first)).id, "an officer watches")
    assert (await stored(on, first)).supervision is SupervisionLevel.LIVE
    await on.flagging.look(first.id)
    assert await on.open(first) == []
    flags = [flag for flag in await on.of(second) if flag.open and flag.attributes["outcome"] == "live"]
    with pytest.raises(Conflict) as error:
        await on.flags.keep(STAFF, flags[0].id, "an officer watches")
    assert error.value.code == "place_gone"
    assert (await stored(on, second)).supervision is not SupervisionLevel.LIVE
    assert any(flag.id == flags[0].id and flag.open for flag in await on.of(second))


async def test_cancelling_closes_every_flag_and_tells_people(on: Flagged) -> None:
    booking = await on.book()
    await restrict(on)
    await restrict(on, "BAN", RestrictionScope.PERSON, MOTHER)
    flag = (await on.of(booking))[0]
    await on.flags.cancel(STAFF, flag.id, "not possible", request_id="req_1")
    assert {each.closed_how for each in await on.of(booking)} == {FlagClosed.CANCELLED}
    assert {each.closed_by for each in await on.of(booking)} == {STAFF.reference}
    assert (await stored(on, booking)).state is BookingState.CANCELLED
    assert len(await outbox(on, "booking.cancelled")) == 1
    with pytest.raises(Conflict):
        await on.flags.cancel(STAFF, flag.id, "again")


async def test_moving_closes_what_stood_against_the_old_time_alone(on: Flagged) -> None:
    booking = await on.book()
    await restrict(on)
    station_id = booking.station_id
    await on.stations.set_active(STAFF, station_id, False, "broken")
    by_type = {flag.type: flag for flag in await on.of(booking)}
    found = await on.flags.get(STAFF, by_type[FlagType.STATION_OUT].id)
    assert found.decidable
    assert [each.type for each in found.others] == [FlagType.RESTRICTION_CHANGED]
    moved = await on.flags.move(
        STAFF,
        by_type[FlagType.STATION_OUT].id,
        slot_key(DAY, time(12, 30)),
        "another station",
        revision=booking.revision,
    )
    assert moved.station_id != station_id
    closed = [flag for flag in await on.of(booking) if not flag.open]
    assert {flag.closed_how for flag in closed} == {FlagClosed.MOVED}
    assert moved.state is BookingState.REQUESTED, "the restriction asks for a person's look at the new time"
    assert await on.open(booking) == []


async def test_three_other_times_are_offered(on: Flagged) -> None:
    booking = await on.book()
    await on.stations.set_active(STAFF, booking.station_id, False, "broken")
    found = await on.flags.get(STAFF, (await only(on, booking)).id)
    assert len(found.alternatives) == 3
    assert all(offer.decision.allowed for offer in found.alternatives)


@pytest.mark.parametrize("prison_id", [None, "prn_elsewhere"])
async def test_whoever_has_left_the_prison_is_offered_no_other_time(on: Flagged, prison_id: str | None) -> None:
    """Released, the flag is still to be read and decided; transferred, the new prison's times are not the old one's."""
    booking = await on.book()
    async with on.world.uow() as u:
        prisoner = await u.people.get_prisoner(PRISONER)
        prisoner.prison_id, prisoner.wing_id = prison_id, None
        kind = ChangeKind.PRISONER_RELEASED if prison_id is None else ChangeKind.PRISONER_TRANSFERRED
        on.changes.note(u, kind, by=STAFF, prisoner_id=PRISONER)
        await u.commit()
    await on.changes.after_commit()
    flag = await only(on, booking)
    found = await on.flags.get(STAFF, flag.id)
    assert (list(found.alternatives), found.decidable) == ([], True)
    assert await on.world.slots.alternatives(family(MOTHER), booking.id) == [], "nor is the family"
    assert (await on.flags.cancel(STAFF, flag.id, "has left")).state is BookingState.CANCELLED


async def test_what_a_family_cancels_leaves_no_flag(on: Flagged) -> None:
    booking = await on.book()
    await restrict(on)
    await on.world.booking.cancel(family(MOTHER), booking.id)
    assert await on.flags.counts(STAFF, FlagQuery()) == {}
    await on.worker.finish()
    assert {flag.closed_how for flag in await on.of(booking)} == {FlagClosed.CANCELLED}


async def test_what_a_family_moves_is_looked_at_again(on: Flagged) -> None:
    booking = await on.book()
    await on.stations.set_active(STAFF, booking.station_id, False, "broken")
    await on.world.booking.change(family(MOTHER), booking.id, slot_key(DAY, time(12, 30)))
    await on.worker.finish()
    assert [(flag.closed_how, flag.starts_at) for flag in await on.of(booking)] == [
        (FlagClosed.MOVED, booking.starts_at)
    ]


# --- the queue -----------------------------------------------------------------------------------------------------


async def test_the_queue_is_paged_and_filtered(on: Flagged) -> None:
    next_day = DAY + timedelta(days=1)
    bookings = [await on.book(time(9)), await on.book(time(11, 20)), await on.book(time(9), day=next_day)]
    await restrict(on)
    on.world.clock.advance(hours=2)
    await on.stations.set_active(STAFF, bookings[0].station_id, False, "broken")
    everything = FlagQuery()
    first = await on.flags.queue(STAFF, everything, PageRequest(2))
    assert first.next_cursor is not None
    rest = await on.flags.queue(STAFF, everything, PageRequest(200, first.next_cursor))
    found = [*first.items, *rest.items]
    assert [each.flag.starts_at for each in found] == sorted(each.flag.starts_at for each in found)
    counts = await on.flags.counts(STAFF, everything)
    assert counts[FlagType.RESTRICTION_CHANGED] == 3
    assert sum(counts.values()) == len(found)
    assert found[0].view.prisoner.id == PRISONER

    async def ids(wanted: FlagQuery) -> set[str]:
        return {each.flag.booking_id for each in (await on.flags.queue(STAFF, wanted, PageRequest())).items}

    assert await ids(FlagQuery(types=frozenset({FlagType.RESTRICTION_CHANGED}), day=next_day)) == {bookings[2].id}
    old = await on.flags.queue(STAFF, FlagQuery(older_than=timedelta(hours=1)), PageRequest())
    assert {each.flag.type for each in old.items} == {FlagType.RESTRICTION_CHANGED}
    await on.flags.acknowledge(STAFF, found[0].flag.id)
    unseen = await on.flags.queue(STAFF, FlagQuery(acknowledged=False), PageRequest())
    assert found[0].flag.id not in {each.flag.id for each in unseen.items}
    assert len(unseen.items) == len(found) - 1


async def test_another_prisons_flags_are_not_there(on: Flagged) -> None:
    booking = await on.book()
    await restrict(on)
    flag = await only(on, booking)
    assert (await on.flags.queue(STRANGER_STAFF, FlagQuery(), PageRequest())).items == []
    for attempt in (
        on.flags.get(STRANGER_STAFF, flag.id),
        on.flags.acknowledge(STRANGER_STAFF, flag.id),
        on.flags.keep(STRANGER_STAFF, flag.id, "why not"),
        on.flags.cancel(STRANGER_STAFF, flag.id, "why not"),
        on.flags.move(STRANGER_STAFF, flag.id, slot_key(DAY, time(12, 30)), "why not"),
        on.flags.get(family(MOTHER), flag.id),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await on.flags.of_bookings(STRANGER_STAFF, [booking.id]) == {booking.id: []}
    assert [each.id for each in (await on.flags.of_bookings(STAFF, [booking.id]))[booking.id]] == [flag.id]


# --- crashes and nights --------------------------------------------------------------------------------------------


async def test_what_a_crash_left_the_job_works_off(on: Flagged) -> None:
    booking = await on.book()
    async with on.world.uow() as u:
        u.rights.add(
            Restriction(
                new_id("rst"),
                RestrictionScope.PRISONER,
                "BAN",
                DAY,
                AUTHORITY,
                on.world.clock(),
                "staff:x",
                prisoner_id=PRISONER,
            )
        )
        Changes(on.world.clock).note(u, ChangeKind.RESTRICTION_ADDED, by=STAFF, prisoner_id=PRISONER)
        await u.commit()
    assert await on.open(booking) == []
    await on.worker.finish()
    assert await on.open(booking) == [FlagType.RESTRICTION_CHANGED]
    assert await on.pending() == []


async def test_a_change_of_many_bookings_is_worked_off_in_parts(on: Flagged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_work, "AT_ONCE", 2)
    bookings = [await on.book(time(9), day=DAY + timedelta(days=number)) for number in range(5)]
    await restrict(on)
    flagged = [each for each in bookings if await on.open(each)]
    assert len(flagged) == 2, "whoever made the change does not wait for all of it"
    await on.worker.finish()
    assert all([await on.open(each) for each in bookings])
    assert await on.pending() == []


async def test_nobodys_change_waits_for_an_imports(on: Flagged) -> None:
    """What a program noted before is the job's; a whole batch of one's own is, too."""
    others = [await on.book(time(9), day=DAY + timedelta(days=number)) for number in range(2)]
    mine = await on.book(time(9), contact=FRIEND, prisoner=OTHER_PRISONER)
    looks: list[str] = []
    look = on.flagging.look

    async def counted(booking_id: str) -> object:
        looks.append(booking_id)
        return await look(booking_id)

    async def imported(count: int) -> None:
        async with on.world.uow() as u:
            for _ in range(count):
                on.changes.note(u, ChangeKind.PRISONER_STATUS_CHANGED, prisoner_id=PRISONER)
            await u.commit()

    on.flagging.look = counted  # type: ignore[method-assign]
    await asyncio.create_task(imported(10))
    await restrict(on, subject=OTHER_PRISONER)
    assert looks == [mine.id]
    assert await on.open(mine) == [FlagType.RESTRICTION_CHANGED]
    assert len(await on.pending()) == 10
    await imported(FEW + 1)
    await on.changes.after_commit()
    assert looks == [mine.id], "many are left to the job"
    await on.worker.finish()
    assert set(looks) == {mine.id, *(each.id for each in others)}
    assert await on.pending() == []


async def test_a_booking_that_fails_is_looked_at_again_and_keeps_no_other(
    on: Flagged, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await on.book(time(9)), await on.book(time(11, 20))
    looks = on.flagging.look

    async def fails_once(booking_id: str) -> object:
        if booking_id == bad.id:
            monkeypatch.setattr(on.flagging, "look", looks)
            raise RuntimeError("no luck")
        return await looks(booking_id)

    monkeypatch.setattr(on.flagging, "look", fails_once)
    await restrict(on)
    assert (await on.open(bad), await on.open(good)) == ([], [FlagType.RESTRICTION_CHANGED])
    on.world.clock.advance(minutes=1)
    await on.worker.finish()
    assert await on.open(bad) == [FlagType.RESTRICTION_CHANGED]
    assert await on.pending() == []


async def test_the_nightly_scan_finds_what_time_alone_has_changed(on: Flagged) -> None:
    booking = await on.book()
    on.world.identity.expires_at = booking.starts_at - timedelta(hours=1)
    assert await on.scanner.run_once() == 2, "it is eleven in the morning: last night's scan is late, not lost"
    assert await on.open(booking) == [FlagType.ID_EXPIRED]
    assert await on.scanner.run_once() == 0, "once a night"
    on.world.identity.expires_at = None
    on.world.clock.now = datetime(2026, 3, 2, 23, 59, tzinfo=UTC)  # 01:59 in Helsinki, 00:59 in Stockholm
    assert await on.scanner.run_once() == 0
    on.world.clock.advance(minutes=2)
    assert await on.scanner.run_once() == 1, "two o'clock in Helsinki, not yet in Stockholm"
    assert await on.open(booking) == []
    async with on.world.uow(read_only=True) as u:
        scan = await u.flags.scan(PRISON, date(2026, 3, 3))
    assert scan is not None
    assert (scan.checked, scan.failed, scan.raised, scan.resolved) == (1, 0, 0, 1)
    assert scan.finished_at is not None


async def test_a_scan_survives_a_booking_that_cannot_be_looked_at(on: Flagged, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = await on.book(time(9)), await on.book(time(11, 20))
    on.world.identity.approved.discard(MOTHER)
    looks = on.flagging.look

    async def fails(booking_id: str) -> object:
        if booking_id == bad.id:
            raise RuntimeError("no luck")
        return await looks(booking_id)

    monkeypatch.setattr(on.flagging, "look", fails)
    await on.scanner.run_once()
    assert await on.open(good) == [FlagType.ID_EXPIRED]
    async with on.world.uow(read_only=True) as u:
        scan = await u.flags.scan(PRISON, date(2026, 3, 2))
    assert scan is not None
    assert (scan.checked, scan.failed, scan.raised) == (2, 1, 1)


async def test_what_is_left_on_one_booking_that_fails_stays_on_no_other(
    on: Flagged, monkeypatch: pytest.MonkeyPatch
) -> None:
    bookings = sorted([await on.book(time(9)), await on.book(time(11, 20))], key=lambda each: each.id)
    await restrict(on)
    for booking in bookings:
        await on.world.booking.cancel(family(MOTHER), booking.id)
    bad, looks = bookings[0], on.flagging.look

    async def fails(booking_id: str) -> object:
        if booking_id == bad.id:
            raise RuntimeError("no luck")
        return await looks(booking_id)

    monkeypatch.setattr(on.flagging, "look", fails)
    with pytest.raises(PartlyFailed) as partly:
        await on.worker.finish()
    assert (partly.value.failed, partly.value.done) == (1, 1)
    assert [bool(await on.open(each)) for each in bookings] == [True, False]


async def test_a_scan_that_was_interrupted_goes_on(on: Flagged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visitserver.services.flag_scan.PAGE", 2)
    bookings = [await on.book(time(9), day=DAY + timedelta(days=number)) for number in range(3)]
    looks, looked = on.flagging.look, list[str]()

    async def dies(booking_id: str) -> object:
        if len(looked) == 2:
            raise KeyboardInterrupt
        looked.append(booking_id)
        return await looks(booking_id)

    monkeypatch.setattr(on.flagging, "look", dies)
    with pytest.raises(KeyboardInterrupt):
        await on.scanner.run_once()

    async def counts(booking_id: str) -> object:
        looked.append(booking_id)
        return await looks(booking_id)

    monkeypatch.setattr(on.flagging, "look", counts)
    await on.scanner.run_once()
    assert sorted(looked) == sorted(booking.id for booking in bookings), "none twice, none missing"
