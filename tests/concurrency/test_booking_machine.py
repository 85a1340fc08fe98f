"""Bookings under whatever can happen to them, in any order: hold, extend, lapse, confirm, move, decide, cancel, end."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.rights import STAFF, SYSTEM_ACTOR, World, family, relationship_id
from tests.fixtures.store import AUDIT_KEY, SettableClock
from tests.support.races.checker import check_store
from tests.support.races.client import SUPERVISOR, slot_keys
from tests.support.races.scene import BASE, FIRST_DAY, Size, furnish, open_world
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.errors import Conflict, DecisionRefused, DomainError
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.store.engine import create_engine
from visitserver.store.tables import metadata
from visitserver.store.uow import SqlUnitOfWorkFactory

S = BookingState
EDGES: dict[BookingState | None, set[BookingState]] = {
    None: {S.HELD, S.REQUESTED, S.BOOKED},
    S.HELD: {S.REQUESTED, S.BOOKED, S.EXPIRED, S.WITHDRAWN},
    S.REQUESTED: {S.BOOKED, S.REJECTED, S.AUTO_REJECTED, S.WITHDRAWN, S.CANCELLED},
    S.BOOKED: {S.REQUESTED, S.CANCELLED, S.COMPLETED, S.NO_SHOW, S.FAILED},
}
"""The edges of contact-rights.md, written down once more; a state that is not here is an end."""

SIZE = Size(prisoners=3, contacts=4, days=1)
ENDS = [
    (S.COMPLETED, OutcomeCode.COMPLETED_NORMALLY, False),
    (S.NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE, False),
    (S.FAILED, OutcomeCode.TECHNICAL_FAILURE, True),
]


class BookingMachine(RuleBasedStateMachine):
    """One prison on one day, with everything that happens to its bookings."""

    furnished: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="booking-machine-"))
        shutil.copyfile(self.furnished, self.folder / "visit.sqlite")
        self.loop = asyncio.new_event_loop()
        self.engine: AsyncEngine = create_engine(f"sqlite+aiosqlite:///{self.folder / 'visit.sqlite'}", pool_size=2)
        self.clock = SettableClock(BASE)
        uow = SqlUnitOfWorkFactory(self.engine, clock=self.clock, audit_key=AUDIT_KEY)
        self.world: World = open_world(uow, SIZE, self.clock)
        self.keys = slot_keys(SIZE)
        self.states: dict[str, BookingState] = {}
        self.bookings: list[Booking] = []
        self.changes: Counter[str] = Counter()

    def do(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do it; a refusal is as good as anything. Then look what became of every booking."""

        async def run() -> Any:
            try:
                result = await work()
            except (DecisionRefused, Conflict, DomainError):
                result = None
            async with self.world.uow(read_only=True) as u:
                found = (await u.scheduling.bookings(BookingFilter(), PageRequest(200))).items
            return result, list(found)

        result, found = self.loop.run_until_complete(run())
        for each in found:
            before = self.states.get(each.id)
            if each.state is not before:
                assert each.state in EDGES.get(before, set()), (each.id, before, each.state)
                self.changes[each.id] += 1
            self.states[each.id] = each.state
        self.bookings = found
        return result

    def pick(self, number: int) -> Booking:
        return self.bookings[number % len(self.bookings)]

    @rule(contact=st.integers(0, 3), number=st.integers(0, 2), guest=st.booleans(), slot=st.integers(0, 30))
    def hold(self, contact: int, number: int, guest: bool, slot: int) -> None:
        prisoner, link = self.link(contact, number)
        guests = [each for each in range(4) if each != contact and prisoner in SIZE.linked(each)][:1] if guest else []
        links = [relationship_id(f"con_r{each}", f"prs_r{prisoner}") for each in guests]
        key = self.keys[slot % len(self.keys)]
        self.do(lambda: self.world.booking.hold(family(f"con_r{contact}"), link, key, guests=links))

    @rule(contact=st.integers(0, 3), number=st.integers(0, 2), slot=st.integers(0, 30), beyond=st.booleans())
    def staff_book(self, contact: int, number: int, slot: int, beyond: bool) -> None:
        overrides = {"free_place": "a birthday"} if beyond else {}
        key = self.keys[slot % len(self.keys)]
        link = self.link(contact, number)[1]
        self.do(lambda: self.world.booking.book(SUPERVISOR, link, key, overrides=overrides))

    @rule(contact=st.integers(0, 3), number=st.integers(0, 2), slot=st.integers(0, 30))
    def offer(self, contact: int, number: int, slot: int) -> None:
        key = self.keys[slot % len(self.keys)]
        self.do(lambda: self.world.booking.offer(SYSTEM_ACTOR, self.link(contact, number)[1], key))

    @precondition(lambda self: self.bookings)
    @rule(which=st.integers(0, 99), times=st.integers(1, 3))
    def confirm(self, which: int, times: int) -> None:
        booking = self.pick(which)
        for _ in range(times):
            self.do(lambda: self.world.booking.confirm(family(booking.lead.contact_id), booking.id))

    @precondition(lambda self: self.bookings)
    @rule(which=st.integers(0, 99))
    def extend(self, which: int) -> None:
        booking = self.pick(which)
        self.do(lambda: self.world.booking.extend(family(booking.lead.contact_id), booking.id))

    @precondition(lambda self: self.bookings)
    @rule(which=st.integers(0, 99), slot=st.integers(0, 30), staff=st.booleans(), times=st.integers(1, 2))
    def change(self, which: int, slot: int, staff: bool, times: int) -> None:
        booking, key = self.pick(which), self.keys[slot % len(self.keys)]
        actor = STAFF if staff else family(booking.lead.contact_id)
        for _ in range(times):
            self.do(lambda: self.world.booking.change(actor, booking.id, key, reason="it suits better"))

    @precondition(lambda self: self.bookings)
    @rule(which=st.integers(0, 99), approve=st.booleans())
    def decide(self, which: int, approve: bool) -> None:
        booking = self.pick(which)
        self.do(lambda: self.world.booking.decide(STAFF, booking.id, approve=approve, reason="looked at"))

    @precondition(lambda self: self.bookings)
    @rule(which=st.integers(0, 99), staff=st.booleans(), times=st.integers(1, 3))
    def cancel(self, which: int, staff: bool, times: int) -> None:
        booking = self.pick(which)
        actor = STAFF if staff else family(booking.lead.contact_id)
        for _ in range(times):
            self.do(lambda: self.world.booking.cancel(actor, booking.id, reason="something came up"))

    @precondition(lambda self: self.bookings)
    @rule(which=st.integers(0, 99))
    def decline(self, which: int) -> None:
        booking = self.pick(which)
        self.do(lambda: self.world.booking.decline(family(booking.contact_ids[-1]), booking.id))

    @precondition(lambda self: self.bookings)
    @rule(which=st.integers(0, 99), end=st.sampled_from(ENDS), times=st.integers(1, 3))
    def call_ends(self, which: int, end: tuple[BookingState, OutcomeCode, bool], times: int) -> None:
        booking = self.pick(which)

        async def close() -> None:
            async with self.world.uow() as u:
                await self.world.booking.close_within(u, SYSTEM_ACTOR, booking.id, end[0], end[1], refund=end[2])
                await u.commit()

        for _ in range(times):
            self.do(close)

    @rule(prisoner=st.integers(0, 2), type_=st.sampled_from(["PRE-INFORM", "CLOSED", "NON-CONTACT"]))
    def restrict(self, prisoner: int, type_: str) -> None:
        self.do(
            lambda: self.world.restrictions.add(
                STAFF,
                scope=RestrictionScope.PRISONER,
                subject_id=f"prs_r{prisoner}",
                type=type_,
                authority="the governor",
                starts_on=FIRST_DAY,
                ends_on=FIRST_DAY,
            )
        )

    @rule(minutes=st.sampled_from([1, 9, 10, 11, 60, 119, 121, 720, 1440]))
    def time_passes(self, minutes: int) -> None:
        self.clock.advance(minutes=minutes)

    @rule()
    def jobs(self) -> None:
        self.do(self.world.booking.expire_holds)
        self.do(self.world.booking.lapse_requests)

    def link(self, contact: int, number: int) -> tuple[int, str]:
        linked = SIZE.linked(contact)
        prisoner = linked[number % len(linked)]
        return prisoner, relationship_id(f"con_r{contact}", f"prs_r{prisoner}")

    def teardown(self) -> None:
        try:
            self.loop.run_until_complete(self._check())
        finally:
            self.loop.run_until_complete(self.engine.dispose())
            self.loop.close()
            shutil.rmtree(self.folder)

    async def _check(self) -> None:
        wrong, bookings = await check_store(self.engine, self.clock)
        assert wrong == []
        async with self.engine.connect() as connection:
            rows = await connection.execute(text("SELECT object_id FROM audit_log WHERE action LIKE 'booking.%'"))
            audited = Counter(rows.scalars())
            rows = await connection.execute(
                text("SELECT booking_id, purpose FROM decisions WHERE booking_id IS NOT NULL")
            )
            decided = {tuple(row) for row in rows}
        for each in bookings:
            assert audited[each.id] >= self.changes[each.id], f"{each.id} has changed without a word"
            assert any(booking == each.id for booking, _ in decided), f"nobody knows why {each.id} was let in"
            if each.state is S.AUTO_REJECTED:
                assert (each.id, "auto_reject") in decided
            if each.state in (S.BOOKED, S.REQUESTED):
                assert {purpose for booking, purpose in decided if booking == each.id} - {"hold", "offer"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> type[BookingMachine]:
    """The machine on a store that is furnished once and copied for each story."""
    path = tmp_path_factory.mktemp("machine") / "furnished.sqlite"

    async def make() -> None:
        engine = create_engine(f"sqlite+aiosqlite:///{path}")
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all)
        clock = SettableClock(BASE)
        await furnish(SqlUnitOfWorkFactory(engine, clock=clock, audit_key=AUDIT_KEY), SIZE, clock)
        await engine.dispose()

    asyncio.run(make())
    BookingMachine.furnished = path
    return BookingMachine


def tell_stories(machine: type[BookingMachine], stories: int, steps: int, **more: Any) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            **more,
        ),
    )


@pytest.mark.concurrency
@pytest.mark.timeout(1200)
def test_bookings_hold_in_three_hundred_stories(machine: type[BookingMachine]) -> None:
    tell_stories(machine, 300, 8)


@pytest.mark.nightly
@pytest.mark.timeout(14_400)
def test_bookings_hold_in_ten_thousand_stories(machine: type[BookingMachine]) -> None:
    tell_stories(machine, 10_000, 30, derandomize=False)
