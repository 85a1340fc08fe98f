"""The rules over a real database: what is written there reaches the decision, and so does what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import event

from signaling.ids import new_id
from tests.fixtures.rights import (
    FRIEND,
    LAWYER,
    LEGAL,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    SOCIAL,
    STAFF,
    SYSTEM_ACTOR,
    World,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.appointments import Appointment, AppointmentKind
from visitserver.domain.blocks import Block
from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.errors import DomainError, Forbidden, Invalid
from visitserver.domain.paging import PageRequest
from visitserver.domain.people import IncentiveLevel
from visitserver.domain.policies import ALERTS_IGNORED, HOLIDAYS
from visitserver.domain.rights import Alert, NonAssociation, Restriction, RestrictionScope
from visitserver.domain.scheduling import BookingState
from visitserver.store.repositories.facts import SqlDaysRows, SqlRoomRows
from visitserver.store.uow import SqlUnitOfWorkFactory

DAY = date(2026, 3, 6)
KEY = slot_key(DAY, time(9))
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


async def put(world: World, *things: object) -> None:
    async with world.uow() as u:
        for thing in things:
            if isinstance(thing, Appointment | Block):
                u.offers.add(thing)
            else:
                u.rights.add(thing)  # type: ignore[arg-type]
        await u.commit()


async def ask(world: World, key: str = KEY, contact: str = MOTHER) -> Decision:
    return await world.why.about(STAFF, relationship_id(contact), key)


def objects(decision: Decision, key: str) -> Outcome:
    """What one rule says, the strictest of it."""
    return Decision(tuple(result for result in decision.trace if result.key == key)).outcome


async def test_a_visit_that_is_fine(sqlite_world: World) -> None:
    await sqlite_world.grant(2)
    assert (await ask(sqlite_world)).allowed
    assert (await sqlite_world.why.about(STAFF, relationship_id(LAWYER), slot_key(DAY, time(9), LEGAL))).allowed


async def test_an_alert_asks_a_person_until_policy_says_otherwise(world: World) -> None:
    await world.grant(2)
    await put(world, Alert("alt_1", PRISONER, "XA7", date(2026, 3, 6), NOW, "import", ends_on=date(2026, 3, 6)))
    assert objects(await ask(world), "alerts") is Outcome.REVIEW
    assert objects(await ask(world, slot_key(date(2026, 3, 7), time(9))), "alerts") is Outcome.ALLOW
    await world.policies.set(STAFF, PRISON, ALERTS_IGNORED.name, ["xa7"], "a diet", authority="Governor's order 3/2026")
    decision = await ask(world)
    assert objects(decision, "alerts") is Outcome.ALLOW
    assert "alerts.ignored_codes@prison.1" in decision.result("alerts").policy_version


async def test_two_who_must_not_meet_have_no_calls_close_together(world: World) -> None:
    await world.grant(2)
    await world.grant(1, OTHER_PRISONER)
    await world.booking.book(STAFF, relationship_id(FRIEND, OTHER_PRISONER), KEY)
    assert (await ask(world)).allowed
    first, second = sorted((PRISONER, OTHER_PRISONER))
    await put(world, NonAssociation("nas_1", first, second, date(2026, 3, 1), "import", reason="feud"))
    decision = await ask(world)
    assert objects(decision, "non_association") is Outcome.REFUSE
    assert decision.safe_words == ["This visit is not possible at this time."]
    assert objects(await ask(world, slot_key(DAY, time(10, 45))), "non_association") is Outcome.ALLOW
    async with world.uow(read_only=True) as u:
        (found,) = await u.rights.non_associations_of(OTHER_PRISONER, first=DAY, last=DAY)
        assert found.other(OTHER_PRISONER) == PRISONER
        assert await u.rights.non_associations_of(PRISONER, first=date(2026, 2, 1), last=date(2026, 2, 28)) == []


async def test_court_outranks_and_a_block_closes(sqlite_world: World) -> None:
    await sqlite_world.grant(2)
    span = datetime(2026, 3, 6, 6, tzinfo=UTC), datetime(2026, 3, 6, 8, tzinfo=UTC)
    await put(
        sqlite_world,
        Appointment("apt_1", PRISON, PRISONER, AppointmentKind.COURT, *span, NOW, "import"),
        Block("blk_1", PRISON, *span, frozenset(), "training", "Staff training.", NOW, "test"),
    )
    decision = await ask(sqlite_world)
    assert {each.key for each in decision.deciding} == {"appointments", "blocks"}
    assert "This visit is not possible at this time: Staff training." in decision.safe_words


async def test_a_block_of_one_station_leaves_the_other(sqlite_world: World) -> None:
    await sqlite_world.grant(2)
    span = datetime(2026, 3, 6, 6, tzinfo=UTC), datetime(2026, 3, 6, 8, tzinfo=UTC)
    await put(sqlite_world, Block("blk_1", PRISON, *span, frozenset({"stn_1"}), "repair", None, NOW, "test"))
    booking = await sqlite_world.booking.book(STAFF, relationship_id(MOTHER), KEY)
    assert booking.station_id == "stn_2"
    assert objects(await ask(sqlite_world, contact=FRIEND), "station") is Outcome.REFUSE


async def test_groups_of_a_session_are_kept_and_asked(world: World) -> None:
    await world.grant(2)
    async with world.uow() as u:
        template = await u.scheduling.get_template(SOCIAL)
        template.include_locations = frozenset({("A", "2"), ("B",)})
        template.incentive_levels = frozenset({IncentiveLevel.ENHANCED})
        await u.commit()
    decision = await ask(world)
    assert [each.key for each in decision.deciding] == ["slot_groups", "slot_groups"]
    assert (await world.slots.offers(family(MOTHER), relationship_id(MOTHER), PageRequest())).items == []
    async with world.uow() as u:
        prisoner = await u.people.get_prisoner(PRISONER)
        prisoner.location, prisoner.incentive_level = ("A", "2", "7"), IncentiveLevel.ENHANCED
        await u.commit()
    assert (await ask(world)).allowed
    async with world.uow(read_only=True) as u:
        assert (await u.scheduling.get_template(SOCIAL)).include_locations == {("A", "2"), ("B",)}


async def test_the_first_visits_stay_when_there_are_too_many(world: World) -> None:
    """A punishment after booking: the floor's two stay, and it is the first two that were booked."""
    await world.grant(3)
    await world.policies.set(STAFF, PRISON, "floor.month_standard", 2, "the law")
    booked = []
    for day in (10, 9, 11):
        booked.append(await world.booking.book(STAFF, relationship_id(MOTHER), slot_key(date(2026, 3, day), time(9))))
        world.clock.advance(minutes=1)
    await put(
        world,
        Restriction(
            id="rst_1",
            scope=RestrictionScope.PRISONER,
            type="LOSS-OF-VISITS",
            starts_on=date(2026, 3, 1),
            authority="Governor",
            created_at=NOW,
            created_by="test",
            prisoner_id=PRISONER,
        ),
    )
    said = [objects((await world.why.booking(STAFF, each.id)).decision, "discipline") for each in booked]
    assert said == [Outcome.ALLOW, Outcome.ALLOW, Outcome.REFUSE]
    assert objects(await ask(world, slot_key(date(2026, 3, 12), time(9))), "discipline") is Outcome.REFUSE
    assert objects(await ask(world, slot_key(date(2026, 4, 1), time(9))), "discipline") is Outcome.ALLOW


async def test_cancelled_visits_count_for_nothing(sqlite_world: World) -> None:
    await sqlite_world.grant(3)
    await sqlite_world.policies.set(STAFF, PRISON, "limits.week_convicted", 1, "pilot")
    booking = await sqlite_world.booking.book(STAFF, relationship_id(MOTHER), KEY)
    assert objects(await ask(sqlite_world, slot_key(DAY, time(10, 45))), "week_limit") is Outcome.REFUSE
    await sqlite_world.booking.cancel(STAFF, booking.id, reason="test")
    assert objects(await ask(sqlite_world, slot_key(DAY, time(10, 45))), "week_limit") is Outcome.ALLOW


async def test_a_request_can_be_approved_after_the_time_to_ask_is_over(sqlite_world: World) -> None:
    """Rule 21 is about what is offered: a person may still decide the day before."""
    await sqlite_world.grant(1)
    await put(sqlite_world, Alert("alt_1", PRISONER, "HIGH-RISK", date(2026, 3, 1), NOW, "import"))
    hold = await sqlite_world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(date(2026, 3, 4), time(9)))
    booking = await sqlite_world.booking.confirm(family(MOTHER), hold.id)
    assert booking.state is BookingState.REQUESTED
    sqlite_world.clock.advance(days=1)
    booked = await sqlite_world.booking.decide(STAFF, booking.id, approve=True, reason="looked at")
    assert booked.state is BookingState.BOOKED


SOURCES = [
    (SqlDaysRows, "restrictions", "restrictions"),
    (SqlDaysRows, "alerts", "alerts"),
    (SqlDaysRows, "non_associated", "non_association"),
    (SqlDaysRows, "visits", "week_limit"),
    (SqlDaysRows, "appointments", "appointments"),
    (SqlDaysRows, "blocks", "blocks"),
    (SqlRoomRows, "places", "free_place"),
]


ERRORS = [TimeoutError(), OSError("gone"), ValueError("a code nobody knows")]


@pytest.mark.parametrize(("rows", "method", "rule"), SOURCES, ids=[each[2] for each in SOURCES])
async def test_a_source_that_fails_asks_a_person(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch, rows: type, method: str, rule: str
) -> None:
    await sqlite_world.grant(1)
    for error in ERRORS:

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(rows, method, fail)
        decision = await ask(sqlite_world)
        assert decision.outcome is Outcome.REVIEW
        assert objects(decision, rule) is Outcome.REVIEW
        assert type(error).__name__ in str(decision.result(rule).inputs)
    offers = await sqlite_world.slots.offers(family(MOTHER), relationship_id(MOTHER), PageRequest(200))
    assert not any(each.decision.allowed for each in offers.items)


@pytest.mark.parametrize("source", ["identity", "ledger"])
async def test_so_do_the_other_sources(sqlite_world: World, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    await sqlite_world.grant(1)
    if source == "identity":
        sqlite_world.identity.failure = TimeoutError()
    else:

        def fail(*_: object) -> None:
            raise TimeoutError

        monkeypatch.setattr(SqlDaysRows, "ledger", fail)
    assert (await ask(sqlite_world)).outcome is Outcome.REVIEW


@contextmanager
def counted(world: World) -> Iterator[list[str]]:
    """The statements that are sent to the database meanwhile."""
    assert isinstance(world.uow, SqlUnitOfWorkFactory)
    engine = world.uow.engine.sync_engine
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_month_of_times_takes_no_more_questions_than_a_day(sqlite_world: World) -> None:
    """The number of queries has nothing to do with the number of slots."""
    await sqlite_world.grant(1)
    day = DAY
    with counted(sqlite_world) as few:
        offers = await sqlite_world.slots.offers(
            family(MOTHER), relationship_id(MOTHER), PageRequest(200), first=day, days=1
        )
    with counted(sqlite_world) as many:
        month = await sqlite_world.slots.offers(
            family(MOTHER), relationship_id(MOTHER), PageRequest(200), first=day, days=20
        )
    assert len(month.items) > 10 * len(offers.items) > 0
    assert len(many) == len(few) < 30


async def test_a_policy_says_whose_word_it_is_and_keeps_its_versions(sqlite_world: World) -> None:
    later = sqlite_world.clock() + timedelta(days=30)
    await sqlite_world.policies.set(
        STAFF, PRISON, HOLIDAYS.name, ["2026-12-25", "2026-12-24"], "holidays", authority=" Act 767 "
    )
    await sqlite_world.policies.set(STAFF, PRISON, HOLIDAYS.name, ["2026-12-25"], "one fewer", valid_from=later)
    versions = await sqlite_world.policies.versions(STAFF, HOLIDAYS.name)
    assert [(each.version, each.value, each.authority) for each in versions] == [
        (1, ["2026-12-24", "2026-12-25"], "Act 767"),
        (2, ["2026-12-25"], None),
    ]
    assert versions[0].valid_to == later
    lines = {line.key.name: line for line in await sqlite_world.policies.lines(STAFF)}
    assert lines[HOLIDAYS.name].version == "prison.1"
    assert lines[HOLIDAYS.name].row is not None
    assert lines["callers.max"].version == "default"
    await sqlite_world.policies.set(SYSTEM_ACTOR, None, "callers.max", 2, "everywhere")
    lines = {line.key.name: line for line in await sqlite_world.policies.lines(STAFF)}
    assert (lines["callers.max"].version, lines["callers.max"].value) == ("service.1", 2)


async def test_a_set_in_a_policy_has_its_form(sqlite_world: World) -> None:
    wrong: list[tuple[str, object]] = [
        (HOLIDAYS.name, ["Christmas"]),
        (HOLIDAYS.name, "2026-12-25"),
        (HOLIDAYS.name, True),
        (ALERTS_IGNORED.name, ["a" * 70]),
        (ALERTS_IGNORED.name, [""]),
        (ALERTS_IGNORED.name, [7]),
        ("review.working_weekdays", ["FUNDAY"]),
        ("callers.max", ["2"]),
        ("non_association.whole_day", 1),
    ]
    for key, value in wrong:
        with pytest.raises(Invalid):
            await sqlite_world.policies.set(STAFF, PRISON, key, value, "x")  # type: ignore[arg-type]


async def test_why_finds_people_and_times_by_what_they_are_called(sqlite_world: World) -> None:
    await sqlite_world.grant(1)
    answer = await sqlite_world.why.ask(SYSTEM_ACTOR, "K-1", "Maija Mother", "2026-03-06 09:00")
    assert (answer.prisoner.id, answer.lead.id, answer.slot.key) == (PRISONER, MOTHER, KEY)
    assert answer.family.allowed
    for prisoner, contact, at in (
        (PRISONER, MOTHER, KEY),
        ("K-1", "mother@example.org", "2026-03-06T09:00"),
        ("K-1", "Mother, Maija", "2026-03-06T07:00+00:00"),
    ):
        assert (await sqlite_world.why.ask(STAFF, prisoner, contact, at)).slot.key == KEY
    lawyers = await sqlite_world.why.ask(STAFF, "K-1", "Lawyer", "2026-03-06 09:00")
    assert lawyers.template.id == LEGAL


NOT_FOUND = [
    ("K-9", "Mother", "2026-03-06 09:00", "There is no prisoner 'K-9'."),
    ("", "Mother", "2026-03-06 09:00", "There is no prisoner ''."),
    ("Aino Aalto", "Mother", "2026-03-06 09:00", "K-1 Aino Aalto; K-2 Aino Aalto"),
    ("K-1", "Nobody", "2026-03-06 09:00", "There is no contact 'Nobody' of K-1."),
    ("K-1", "Maija", "2026-03-06 09:00", "There are 4 for the contact 'Maija' of K-1"),
    ("K-1", "Mother", "2026-03-06 09:05", "Times on 2026-03-06: 09:00, 09:35"),
    ("K-1", "Mother", "2025-03-06 09:00", "There are no sessions on 2025-03-06."),
    ("K-1", "Mother", "2026-03-29 03:30", "the clocks skip it"),
    ("K-1", "Mother", "tomorrow", "Not a time: 'tomorrow'"),
    ("K-1", "Mother", "tpl_none@20260306T0700Z", "There is no such"),
]


async def test_why_says_what_it_cannot_find(sqlite_world: World) -> None:
    for prisoner, contact, at, says in NOT_FOUND:
        with pytest.raises(DomainError) as raised:
            await sqlite_world.why.ask(SYSTEM_ACTOR, prisoner, contact, at)
        assert says in raised.value.detail


async def test_why_is_not_for_families(sqlite_world: World) -> None:
    with pytest.raises(Forbidden):
        await sqlite_world.why.ask(family(MOTHER), "K-1", "Mother", "2026-03-06 09:00")
    with pytest.raises(Forbidden):
        await sqlite_world.why.booking(family(MOTHER), new_id("bkg"))
