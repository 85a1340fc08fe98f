"""Changes after booking, on both databases: every type of flag raised at once by its cause, and closed by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import pytest

from signaling.ids import new_id
from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    PRISONER_ACTOR,
    SOCIAL,
    STAFF,
    World,
    make_world,
    no_regular_credits,
    populate,
    relationship_id,
)
from tests.fixtures.store import AUDIT_KEY, SettableClock
from tests.unit.services.flags_for_tests import AUTHORITY, DAY, Flagged, make_flagged
from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.changes import ChangeKind
from visitserver.domain.flags import FlagClosed, FlagType
from visitserver.domain.live_rights import TOUCHES_CALLS
from visitserver.domain.paging import PageRequest
from visitserver.domain.people import LegalStatus
from visitserver.domain.rights import Alert, RestrictionScope
from visitserver.domain.scheduling import Booking, BookingState, SupervisionLevel
from visitserver.services.appointments import AppointmentDraft
from visitserver.services.blocks import BlockDraft
from visitserver.services.ports.flags import BookingScope
from visitserver.services.ports.offers import AppointmentFilter
from visitserver.services.ports.uow import UnitOfWork
from visitserver.store.engine import create_engine
from visitserver.store.uow import SqlUnitOfWorkFactory

LINK = relationship_id(MOTHER)
Step = Callable[[Flagged], Awaitable[object]]


@pytest.fixture
async def postgres_flagged(postgres_store_url: str, clock: SettableClock) -> AsyncIterator[Flagged]:
    engine = create_engine(postgres_store_url)
    uow = SqlUnitOfWorkFactory(engine, clock=clock, audit_key=AUDIT_KEY)
    await populate(uow)
    await no_regular_credits(uow)
    yield make_flagged(make_world(uow, clock))
    await engine.dispose()


@pytest.fixture
async def lite(sqlite_world: World) -> Flagged:
    return make_flagged(sqlite_world)


async def changed(on: Flagged, kind: ChangeKind, work: Callable[[UnitOfWork], Awaitable[None]], **ids: str) -> None:
    """What another room's service does: the change and its note in one transaction, then the nudge."""
    async with on.world.uow() as u:
        await work(u)
        on.changes.note(u, kind, by=STAFF, **ids)  # type: ignore[arg-type]
        await u.commit()
    await on.changes.after_commit()


def prisoner_becomes(kind: ChangeKind, **values: object) -> Step:
    async def work(u: UnitOfWork) -> None:
        prisoner = await u.people.get_prisoner(PRISONER)
        for name, value in values.items():
            setattr(prisoner, name, value)

    return lambda on: changed(on, kind, work, prisoner_id=PRISONER)


def restrict(type_: str, scope: RestrictionScope, subject: str) -> Step:
    return lambda on: on.world.restrictions.add(
        STAFF, scope=scope, subject_id=subject, type=type_, authority=AUTHORITY, starts_on=DAY
    )


async def lift(on: Flagged) -> None:
    async with on.world.uow(read_only=True) as u:
        found = [
            each
            for subject in (PRISONER, MOTHER, LINK)
            for each in (await u.rights.restrictions_of(subject, PageRequest())).items
            if each.lifted_at is None
        ]
    await on.world.restrictions.lift(STAFF, found[0].id, "over")


async def alert(on: Flagged) -> None:
    async def work(u: UnitOfWork) -> None:
        u.rights.add(Alert(new_id("alr"), PRISONER, "XNEW", DAY, on.world.clock(), "import"))

    await changed(on, ChangeKind.ALERT_CREATED, work, prisoner_id=PRISONER)


async def close_alert(on: Flagged) -> None:
    async def work(u: UnitOfWork) -> None:
        for each in await u.rights.alerts_of(PRISONER, first=DAY, last=DAY):
            each.closed_at = on.world.clock()

    await changed(on, ChangeKind.ALERT_ENDED, work, prisoner_id=PRISONER)


def block(**where: frozenset[str]) -> Step:
    return lambda on: on.blocks.add(STAFF, BlockDraft(DAY, DAY, "works", **where))  # type: ignore[arg-type]


async def unblock(on: Flagged) -> None:
    page = await on.blocks.list(STAFF, PageRequest())
    await on.blocks.lift(STAFF, page.items[0].id, "done")


async def court(on: Flagged) -> None:
    starts = datetime(2026, 3, 6, 6, 30, tzinfo=UTC)
    draft = AppointmentDraft(AppointmentKind.COURT, starts, starts + timedelta(hours=3), "court-1", None)
    await on.appointments.add(STAFF, PRISONER, draft)


async def no_court(on: Flagged) -> None:
    async with on.world.uow(read_only=True) as u:
        (found,) = (await u.offers.appointments(AppointmentFilter(prisoner_id=PRISONER), PageRequest())).items
    await on.appointments.cancel(STAFF, found.id, "settled")


async def apart(on: Flagged) -> None:
    await on.book(time(9), contact=FRIEND, prisoner=OTHER_PRISONER)
    await on.non_associations.add(STAFF, PRISONER, OTHER_PRISONER, reason="feud")


async def together(on: Flagged) -> None:
    found = await on.non_associations.of(STAFF, PRISONER)
    await on.non_associations.end(STAFF, found[0].id, "settled")


async def identity_revoked(on: Flagged) -> None:
    async def work(u: UnitOfWork) -> None:
        on.world.identity.approved.discard(MOTHER)

    await changed(on, ChangeKind.IDENTITY_CHANGED, work, contact_id=MOTHER)


async def identity_again(on: Flagged) -> None:
    async def work(u: UnitOfWork) -> None:
        on.world.identity.approved.add(MOTHER)

    await changed(on, ChangeKind.IDENTITY_CHANGED, work, contact_id=MOTHER)


def station(active: bool) -> Step:
    async def work(on: Flagged) -> None:
        async with on.world.uow(read_only=True) as u:
            page = await u.flags.bookings(BookingScope(after=on.world.clock()), PageRequest())
        await on.stations.set_active(STAFF, page.items[0].station_id, active, "a reason")

    return work


def officers(count: int) -> Step:
    return lambda on: on.world.policies.set(STAFF, PRISON, "supervision.officers", count, "staffing")


async def live_session(on: Flagged) -> None:
    async with on.world.uow() as u:
        (await u.scheduling.get_template(SOCIAL)).supervision = SupervisionLevel.LIVE
        await u.commit()


async def for_convicted(on: Flagged) -> None:
    async with on.world.uow() as u:
        (await u.scheduling.get_template(SOCIAL)).legal_statuses = frozenset({LegalStatus.CONVICTED})
        await u.commit()


@dataclass(frozen=True)
class Case:
    """A change, the flag it raises, and the change that closes that by itself. `first`: what holds before booking."""

    type: FlagType
    change: Step
    back: Step
    first: Step | None = None


CASES: dict[str, Case] = {
    "relationship ended by staff": Case(
        FlagType.CONTACT_UNAPPROVED,
        lambda on: on.world.relationships.end(STAFF, LINK, "threats"),
        lambda on: on.world.relationships.approve(STAFF, LINK, "cleared"),
    ),
    "refused by the prisoner": Case(
        FlagType.CONTACT_UNAPPROVED,
        lambda on: on.world.relationships.answer(PRISONER_ACTOR, LINK, accept=False),
        lambda on: on.world.relationships.answer(PRISONER_ACTOR, LINK, accept=True),
    ),
    "a ban on the contact": Case(FlagType.CONTACT_RESTRICTION, restrict("BAN", RestrictionScope.PERSON, MOTHER), lift),
    "a type nobody knows, on the relationship": Case(
        FlagType.CONTACT_RESTRICTION, restrict("NEW-CODE", RestrictionScope.RELATIONSHIP, LINK), lift
    ),
    "an officer must watch the prisoner": Case(
        FlagType.RESTRICTION_CHANGED, restrict("CLOSED", RestrictionScope.PRISONER, PRISONER), lift
    ),
    "alert created": Case(FlagType.ALERT_CREATED, alert, close_alert),
    "released": Case(
        FlagType.PRISONER_RELEASED,
        prisoner_becomes(ChangeKind.PRISONER_RELEASED, prison_id=None, released_at=datetime(2026, 3, 3, tzinfo=UTC)),
        prisoner_becomes(ChangeKind.PRISONER_TRANSFERRED, prison_id=PRISON, released_at=None),
    ),
    "transferred": Case(
        FlagType.PRISONER_TRANSFERRED,
        prisoner_becomes(ChangeKind.PRISONER_TRANSFERRED, prison_id="prn_elsewhere"),
        prisoner_becomes(ChangeKind.PRISONER_TRANSFERRED, prison_id=PRISON),
    ),
    "legal status": Case(
        FlagType.LEGAL_STATUS_CHANGED,
        prisoner_becomes(ChangeKind.PRISONER_STATUS_CHANGED, legal_status=LegalStatus.REMAND),
        prisoner_becomes(ChangeKind.PRISONER_STATUS_CHANGED, legal_status=LegalStatus.CONVICTED),
        first=for_convicted,
    ),
    "the day is blocked": Case(FlagType.DATE_BLOCKED, block(), unblock),
    "the session is blocked": Case(FlagType.SESSION_BLOCKED, block(template_ids=frozenset({SOCIAL})), unblock),
    "the stations are blocked": Case(FlagType.STATION_OUT, block(station_ids=frozenset({"stn_1", "stn_2"})), unblock),
    "a court appointment": Case(FlagType.COURT_APPOINTMENT, court, no_court),
    "identity gone": Case(FlagType.ID_EXPIRED, identity_revoked, identity_again),
    "station out of service": Case(FlagType.STATION_OUT, station(False), station(True)),
    "no officers": Case(FlagType.OFFICER_CAPACITY_LOST, officers(0), officers(1), first=live_session),
    "a non-association": Case(FlagType.NON_ASSOCIATION, apart, together),
}


async def goes_and_comes_back(on: Flagged, case: Case, booking: Booking) -> None:
    """The change flags the booking as it should; its end unflags it."""
    on.world.clock.advance(seconds=1)
    await case.change(on)
    assert await on.open(booking) == [case.type]
    raised = next(flag for flag in await on.of(booking) if flag.open)
    assert raised.attributes["why"]
    assert await on.pending() == []
    async with on.world.uow(read_only=True) as u:
        assert (await u.scheduling.get_booking(booking.id)).state is BookingState.BOOKED, "an overlay, not a state"
    on.world.clock.advance(seconds=1)
    await case.back(on)
    (closed,) = [flag for flag in await on.of(booking) if flag.id == raised.id]
    assert (closed.closed_how, closed.closed_by) == (FlagClosed.RESOLVED, "system:flags")
    assert await on.open(booking) == []


@pytest.mark.parametrize("name", CASES)
async def test_a_change_flags_the_booking_at_once_and_its_end_unflags_it(lite: Flagged, name: str) -> None:
    case = CASES[name]
    if case.first is not None:
        await case.first(lite)
    booking = await lite.book()
    assert await lite.open(booking) == []
    await goes_and_comes_back(lite, case, booking)


async def test_each_change_after_the_other_on_postgresql(postgres_flagged: Flagged) -> None:
    on = postgres_flagged
    booking = await on.book()
    for name, case in CASES.items():
        if case.first is not None:
            await case.first(on)
        await goes_and_comes_back(on, case, booking)
        assert len(await on.of(booking)) >= 1, name
    async with on.world.uow(read_only=True) as u:
        assert await u.flags.pending_in_calls(on.world.clock(), TOUCHES_CALLS, 10) == []
