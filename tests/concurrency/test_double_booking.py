"""Many people want the same place at the same moment. Exactly as many get one as there are; the control shows that it
is the database's constraint that sees to it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime, time, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.rights import (
    PRISON,
    STAFF,
    World,
    family,
    make_contact,
    make_link,
    make_prisoner,
    make_template,
    make_world,
    no_regular_credits,
    populate,
    relationship_id,
    slot_key,
)
from tests.fixtures.store import AUDIT_KEY, SettableClock
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict, DecisionRefused
from visitserver.domain.occupancy import Resource, ResourceKind, Span, places
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import Booking, BookingState, Station, SupervisionLevel
from visitserver.services.ports.facts import RoomQuery
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.store.engine import create_engine
from visitserver.store.uow import SqlUnitOfWorkFactory

DAY = date(2026, 3, 6)
CAPACITY = 3
CROWD = "tpl_crowd"
KEY = slot_key(DAY, time(9), CROWD)


@pytest.fixture
async def wide_engine(store_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on which many transactions can be open at once."""
    engine = create_engine(store_url, pool_size=24)
    yield engine
    await engine.dispose()


@pytest.fixture
async def crowd(wide_engine: AsyncEngine, clock: SettableClock) -> World:
    """The prison with a slot for three on five stations, and forty prisoners with one contact and one credit each."""
    uow = SqlUnitOfWorkFactory(wide_engine, clock=clock, audit_key=AUDIT_KEY)
    await populate(uow)
    await no_regular_credits(uow)
    world = make_world(uow, clock)
    async with uow() as u:
        for number in range(5):
            u.scheduling.add(Station(f"stn_c{number}", PRISON, f"Crowd {number}"))
        stations = tuple(f"stn_c{number}" for number in range(5))
        u.scheduling.add(make_template(CROWD, capacity=CAPACITY, station_ids=stations))
        for number in range(CLIENTS):
            u.people.add(make_prisoner(f"prs_n{number}", f"C-{number}"))
            u.people.add(make_contact(f"con_n{number}"))
            u.rights.add(make_link(f"con_n{number}", f"prs_n{number}"))
            world.identity.approved.add(f"con_n{number}")
        await u.commit()
    for number in range(CLIENTS):
        await world.grant(1, f"prs_n{number}")
    return world


CLIENTS = 40


async def all_at_once(work: Callable[[int], Awaitable[object]], clients: int = CLIENTS) -> Counter[str]:
    """Start every client before any of them goes on; count how they ended."""
    gate = asyncio.Event()

    async def client(number: int) -> str:
        await gate.wait()
        try:
            await work(number)
        except (DecisionRefused, Conflict) as error:
            return error.code
        return "ok"

    tasks = [asyncio.create_task(client(number)) for number in range(clients)]
    await asyncio.sleep(0)
    gate.set()
    return Counter(await asyncio.gather(*tasks))


async def standing(world: World) -> int:
    """How many bookings stand on the slot."""
    async with world.uow(read_only=True) as u:
        rows = await u.facts.room(RoomQuery([], [CROWD], Span(STARTS, STARTS + timedelta(minutes=5)), None))
    return rows.places().get(KEY, 0)


STARTS = datetime.fromisoformat("2026-03-06T07:00:00+00:00")


async def constraints_off(engine: AsyncEngine) -> None:
    """The control: the same tables without what makes a double booking impossible."""
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("ALTER TABLE occupancy DROP CONSTRAINT pk_occupancy"))
            await connection.execute(text("ALTER TABLE occupancy_spans DROP CONSTRAINT ex_occupancy_spans_overlap"))
        else:
            await connection.execute(text("DROP TABLE occupancy"))
            await connection.execute(
                text("CREATE TABLE occupancy (kind TEXT, resource TEXT, cell BIGINT, booking_id TEXT)")
            )


async def test_exactly_the_capacity_gets_a_place(crowd: World) -> None:
    async def book(number: int) -> None:
        hold = await crowd.booking.hold(
            family(f"con_n{number}"), relationship_id(f"con_n{number}", f"prs_n{number}"), KEY
        )
        await crowd.booking.confirm(family(f"con_n{number}"), hold.id)

    assert await all_at_once(book) == {"ok": CAPACITY, "decision_refused": CLIENTS - CAPACITY}
    assert await standing(crowd) == CAPACITY
    async with crowd.uow(read_only=True) as u:
        page = await u.scheduling.bookings(BookingFilter(template_id=CROWD), PageRequest())
    assert len({booking.station_id for booking in page.items}) == CAPACITY
    assert {booking.state.value for booking in page.items} == {"booked"}


async def test_control_without_the_constraint_too_many_get_in(crowd: World, wide_engine: AsyncEngine) -> None:
    """PostgreSQL runs the very same clients. On SQLite writers come one after the other, so there the race needs the
    usual mistake: looking in one transaction and writing in another; the constraint stops that too (next test).
    """
    if wide_engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: the naive client below is SQLite's control")
    await constraints_off(wide_engine)

    async def hold(number: int) -> None:
        await crowd.booking.hold(family(f"con_n{number}"), relationship_id(f"con_n{number}", f"prs_n{number}"), KEY)

    await all_at_once(hold)
    assert await standing(crowd) > CAPACITY


async def naive(world: World, number: int) -> None:
    """Count first, then insert, in two transactions: the mistake that the constraint is there for."""
    wanted = places(KEY, CAPACITY)
    span = Span(STARTS, STARTS + timedelta(minutes=35))
    async with world.uow(read_only=True) as u:
        taken = await u.scheduling.taken(wanted, span)
    free = [each for each in wanted if each not in taken]
    if not free:
        raise Conflict("full", code="full")
    async with world.uow() as u:
        booking = Booking(
            id=f"bkg_{number}",
            prison_id=PRISON,
            prisoner_id=f"prs_n{number}",
            kind=CallKind.SOCIAL,
            state=BookingState.BOOKED,
            template_id=CROWD,
            slot_key=KEY,
            starts_at=STARTS,
            ends_at=STARTS + timedelta(minutes=30),
            supervision=SupervisionLevel.NONE,
            created_at=world.clock(),
            created_by="test",
            station_id="stn_1",
        )
        u.scheduling.add(booking)
        if not await u.scheduling.occupy(booking.id, [free[0]], span):
            raise Conflict("lost", code="lost")
        await u.commit()


async def test_control_a_naive_client_overbooks_without_the_constraint(crowd: World, wide_engine: AsyncEngine) -> None:
    await constraints_off(wide_engine)
    await all_at_once(lambda number: naive(crowd, number))
    assert await standing(crowd) > CAPACITY


async def test_the_constraint_stops_even_a_naive_client(crowd: World) -> None:
    ended = await all_at_once(lambda number: naive(crowd, number))
    assert ended["lost"] > 0
    assert 1 <= await standing(crowd) <= CAPACITY


async def test_one_credit_pays_one_visit_however_many_confirm_at_once(crowd: World) -> None:
    """One prisoner with one credit, holds of eight callers at different times, all confirmed in the same moment."""
    prisoner = "prs_n0"
    contacts = [f"con_n{number}" for number in range(8)]
    async with crowd.uow() as u:
        for contact in contacts[1:]:  # the crowd has the first one's link
            u.rights.add(make_link(contact, prisoner))
        await u.commit()
    holds = []
    for number, contact in enumerate(contacts):
        key = slot_key(DAY + timedelta(days=number), time(9), CROWD)
        holds.append(await crowd.booking.hold(family(contact), relationship_id(contact, prisoner), key))

    async def confirm(number: int) -> None:
        await crowd.booking.confirm(family(contacts[number]), holds[number].id)

    ended = await all_at_once(confirm, len(holds))
    assert ended == {"ok": 1, "decision_refused": 7}
    assert (await crowd.allowance.view(STAFF, prisoner)).balance == 0


async def test_one_hold_confirmed_and_cancelled_many_times_at_once_costs_and_refunds_once(crowd: World) -> None:
    contact, prisoner = "con_n1", "prs_n1"
    hold = await crowd.booking.hold(family(contact), relationship_id(contact, prisoner), KEY)
    assert await all_at_once(lambda _: crowd.booking.confirm(family(contact), hold.id), 8) == {"ok": 8}
    assert (await crowd.allowance.view(STAFF, prisoner)).balance == 0
    assert await all_at_once(lambda _: crowd.booking.cancel(family(contact), hold.id), 8) == {"ok": 8}
    assert (await crowd.allowance.view(STAFF, prisoner)).balance == 1
    kinds = [event.kind.value for event in (await crowd.allowance.history(STAFF, prisoner, PageRequest())).items]
    assert kinds == ["refunded", "spent", "granted"]


async def test_a_hold_that_lapses_while_it_is_confirmed_is_either_but_never_both(crowd: World) -> None:
    """The clock is where the hold still stands for one and is over for the other; they meet in the same moment."""
    contact, prisoner = "con_n2", "prs_n2"
    hold = await crowd.booking.hold(family(contact), relationship_id(contact, prisoner), KEY)
    late = SettableClock(crowd.clock() + timedelta(minutes=11))
    later = make_world(crowd.uow, late)

    async def either(number: int) -> None:
        if number % 2:
            await later.booking.expire_holds()
        else:
            await crowd.booking.confirm(family(contact), hold.id)

    await all_at_once(either, 6)
    booking = await crowd.bookings.get(STAFF, hold.id)
    balance = (await crowd.allowance.view(STAFF, prisoner)).balance
    async with crowd.uow(read_only=True) as u:
        span = Span(STARTS, STARTS + timedelta(minutes=35))
        occupied = await u.scheduling.taken([Resource(ResourceKind.PRISONER, prisoner)], span)
    assert (booking.state.value, balance, occupied) in [
        ("booked", 0, {Resource(ResourceKind.PRISONER, prisoner)}),
        ("expired", 1, set()),
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_any_mixture_of_bookings_and_cancellations_leaves_nobody_in_two_places(crowd: World, seed: int) -> None:
    """Random holds, confirmations and cancellations of few people on few times, with shared contacts and prisoners."""
    rng = random.Random(seed)
    async with crowd.uow() as u:
        for contact in range(6):
            for prisoner in range(6):
                if contact != prisoner:
                    u.rights.add(make_link(f"con_n{contact}", f"prs_n{prisoner}"))
        await u.commit()
    for prisoner in range(6):
        await crowd.grant(20, f"prs_n{prisoner}")
    keys = [slot_key(DAY, at, CROWD) for at in (time(9), time(9, 35), time(10, 10))]
    scripts = [
        [(rng.randrange(6), rng.randrange(6), rng.choice(keys), rng.random()) for _ in range(6)] for _ in range(12)
    ]

    async def run(number: int) -> None:
        for contact, prisoner, key, dice in scripts[number]:
            actor = family(f"con_n{contact}")
            try:
                hold = await crowd.booking.hold(actor, relationship_id(f"con_n{contact}", f"prs_n{prisoner}"), key)
                if dice < 0.8:
                    await crowd.booking.confirm(actor, hold.id)
                if dice < 0.4:
                    await crowd.booking.cancel(actor, hold.id, reason="changed my mind")
            except DecisionRefused:
                pass
            except Conflict as lost:
                if lost.code != "booking_state":  # another script's hold of the same caller took this one's place
                    raise

    assert await all_at_once(run, len(scripts)) == {"ok": len(scripts)}
    await nobody_in_two_places(crowd)


async def nobody_in_two_places(world: World) -> None:
    """Whatever the occupancy tables say: the bookings themselves do not overlap, and the tables agree with them."""
    async with world.uow(read_only=True) as u:
        page = await u.scheduling.bookings(BookingFilter(prison_id=PRISON), PageRequest(limit=200))
        assert page.next_cursor is None
        standing = [booking for booking in page.items if booking.open]
        assert standing
        for booking in standing:
            for other in standing:
                if other is booking or other.starts_at != booking.starts_at:
                    continue
                assert other.prisoner_id != booking.prisoner_id
                assert other.station_id != booking.station_id
                assert not set(other.contact_ids) & set(booking.contact_ids)
        assert max(Counter(booking.slot_key for booking in standing).values()) <= CAPACITY
        rows = (await u.session.execute(text("SELECT DISTINCT booking_id FROM occupancy"))).scalars()  # type: ignore[attr-defined]
        assert set(rows) == {booking.id for booking in standing}
