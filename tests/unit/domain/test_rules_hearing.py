"""What is asked once for many visits is what each of them would have been told, word for word."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import date, time
from types import SimpleNamespace
from typing import Any, NoReturn, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.rights import LEGAL, MOTHER
from tests.unit.domain.rights.table import CASES
from tests.unit.domain.rights.world import (
    FRIDAY,
    MONDAY,
    NO_FLOOR,
    ON_REMAND,
    PUNISHED,
    Change,
    alert,
    appointment,
    asked_on,
    at,
    block,
    both,
    enemy,
    facts_with,
    fine,
    lawyers_visit,
    paid_visits,
    policy,
    reception_credit,
    restricted,
    slot,
    visits,
    with_callers,
)
from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Decision, Outcome, RuleResult
from visitserver.domain.errors import Invalid
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.rules.engine import Finding, Hearing, Rule, decide, review
from visitserver.domain.rules.facts import Facts, Known, Missing, Room, SourceMissing
from visitserver.domain.rules.order import RULES
from visitserver.domain.rules.scope import (
    DAY,
    PARTY,
    ROOM,
    SCOPES,
    SESSION,
    VISIT,
    OfDay,
    OfParty,
    OfRoom,
    OfSession,
    Scope,
)
from visitserver.domain.scheduling import Slot, SupervisionLevel

# Every rule asked about every visit, and nothing shared: the plain way, to compare with -------------------------------


def afresh(facts: Facts) -> Decision:
    """What the engine must say about one visit, written down without regard to what it costs."""
    trace = [result for rule in RULES if not rule.on_review for result in asked(rule, facts)]
    for rule in RULES:
        if rule.on_review and any(result.outcome is Outcome.REVIEW for result in trace):
            trace += asked(rule, facts)
        elif rule.on_review:
            trace.append(as_result(rule, facts, Finding(Outcome.ALLOW, "Nobody has to look at it first.")))
    return Decision(tuple(trace))


def asked(rule: Rule, facts: Facts) -> list[RuleResult]:
    try:
        findings = list(rule.check(facts)) or [Finding(Outcome.ALLOW, "Met.")]
    except SourceMissing as missing:
        findings = [unread(missing.source, why=missing.why)]
    except Invalid as error:
        assert error.code == "policy_value"
        findings = [unread("policies", policy=error.field)]
    return [as_result(rule, facts, each) for each in findings]


def unread(source: str, **inputs: Any) -> Finding:
    found = review(f"Could not be checked: {source} gave no answer.", **inputs, source=source)
    return replace(found, unread=True)


def as_result(rule: Rule, facts: Facts, found: Finding) -> RuleResult:
    aside = None
    if found.outcome is not Outcome.ALLOW and not found.unread and rule.overridable:
        aside = facts.overrides.get(rule.key)
    return RuleResult(
        key=rule.key,
        outcome=found.outcome if aside is None else Outcome.ALLOW,
        staff_text=found.staff if aside is None else f"{found.staff} Set aside by staff: {aside}",
        safe=found.safe,
        change=found.change,
        policy_version=" ".join(f"{key.name}@{facts.policies.version(key)}" for key in rule.uses),
        inputs=found.inputs,
        live_supervision=found.live,
        set_aside=aside,
    )


# The times and rooms that the parties look at -------------------------------------------------------------------------

SLOTS: Sequence[Slot] = (
    slot(),
    slot(FRIDAY, time(9, 35)),
    slot(MONDAY, time(9)),
    slot(MONDAY, time(14), template_id="tpl_late", starts_at=time(14), ends_at=time(16)),
    slot(date(2026, 3, 13), time(9)),
    slot(date(2026, 3, 14), time(10, 10)),
    slot(date(2026, 4, 17), time(9)),
    slot(FRIDAY, template_id="tpl_other", supervision=SupervisionLevel.LIVE, capacity_supervised=1),
    slot(FRIDAY, template_id="tpl_staff", public=False, include_categories=frozenset({"C"})),
    slot(date(2026, 3, 13), time(9), version=2, exclude_wings=frozenset({"wng_a"})),
    slot(FRIDAY, template_id=LEGAL, kinds=frozenset({CallKind.LEGAL}), credit_type=None),
)
ROOMS: Sequence[Known[Room] | Missing] = (
    Known(Room(False, frozenset(), 2, 2, 8)),
    Known(Room(False, frozenset(), 0, 2, 8)),
    Known(Room(True, frozenset(), 2, 0, 8, 0)),
    Known(Room(False, frozenset({MOTHER}), 1, 1, 0, 1, 0)),
    Missing("occupancy", "TimeoutError"),
)

Time = tuple[Slot, Known[Room] | Missing]
times = st.lists(st.tuples(st.sampled_from(SLOTS), st.sampled_from(ROOMS)), min_size=1, max_size=12)

SITUATIONS: Sequence[Change] = (
    lambda facts: facts,
    lambda _: lawyers_visit(),
    PUNISHED,
    NO_FLOOR,
    ON_REMAND,
    restricted("CLOSED", ends_on=FRIDAY),
    restricted("BAN", ends_on=MONDAY),
    restricted("CHILD", RestrictionScope.RELATIONSHIP, starts_on=date(2026, 3, 10)),
    alert("HIGH-RISK", ends_on=FRIDAY),
    alert("ZZ9", starts_on=date(2026, 3, 12)),
    enemy(at(9)),
    enemy(at(9), wing="wng_b"),
    enemy(at(9), wing=None),
    appointment(AppointmentKind.COURT, at(8), at(12)),
    appointment(AppointmentKind.OTHER, at(8), at(12)),
    block(),
    block("stn_1"),
    block("stn_1", "stn_2", words="Training."),
    visits(MONDAY, FRIDAY, date(2026, 3, 13), date(2026, 3, 14)),
    both(visits(FRIDAY, FRIDAY, FRIDAY), policy(limits__week_convicted=2), facts_with(own_day=FRIDAY)),
    paid_visits(2),
    reception_credit(at(9, 20)),
    with_callers(MOTHER, "con_friend", "con_child"),
    asked_on(date(2026, 3, 12)),
    policy(booking__notice_days_min=["NO-NUMBER"]),
    policy(limits__week_convicted=0),
    facts_with(overrides={"window": "a reason", "free_place": "another"}),
    facts_with(already_charged=True, standing=True, own_day=FRIDAY),
    facts_with(deciding=True),
    facts_with(station_wings={"stn_1": "wng_b"}),
)
GAPS = ("restrictions", "ledger", "alerts", "non_associated", "visits", "appointments", "blocks", "owed_minutes")


@st.composite
def situations(draw: st.DrawFn) -> Change:
    """Some things that are so at once, and perhaps sources that gave no answer."""
    some = draw(st.lists(st.sampled_from(SITUATIONS), min_size=1, max_size=4))
    missing = draw(st.sets(st.sampled_from(GAPS), max_size=2))
    gaps: dict[str, Any] = {name: Missing(name, "TimeoutError") for name in missing}
    return both(*some, facts_with(**gaps))


def check_same(party: Facts, asked_about: Sequence[Time]) -> None:
    hearing = Hearing(RULES)
    for made, room in asked_about:
        facts = replace(party, slot=made, room=room)
        assert hearing.decide(facts) == decide(facts, RULES) == afresh(facts)


@given(situations(), times)
@settings(max_examples=100)
def test_many_visits_asked_together_get_the_answers_of_each_asked_alone(
    situation: Change, asked_about: list[Time]
) -> None:
    check_same(situation(fine()), asked_about)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@given(situations(), times)
@settings(max_examples=10_000)
def test_many_visits_asked_together_get_the_answers_of_each_asked_alone_all_night(
    situation: Change, asked_about: list[Time]
) -> None:
    check_same(situation(fine()), asked_about)


def test_each_named_case_is_the_same_among_other_visits_of_its_party() -> None:
    for number, row in enumerate(CASES):
        facts = row.make(fine())
        around = [(each, ROOMS[(number + place) % len(ROOMS)]) for place, each in enumerate(SLOTS)]
        first = number % 4
        check_same(facts, [*around[first::4], (facts.slot, facts.room), *around[first + 1 :: 4]])


@given(st.lists(st.tuples(st.sampled_from(CASES), times), min_size=2, max_size=4))
@settings(max_examples=50)
def test_a_hearing_begins_anew_with_another_party(parties: list[tuple[Any, list[Time]]]) -> None:
    hearing = Hearing(RULES)
    for row, asked_about in parties:
        party = row.make(fine())
        for made, room in asked_about:
            facts = replace(party, slot=made, room=room)
            assert hearing.decide(facts) == afresh(facts)


# That a rule looks at no more than it says ----------------------------------------------------------------------------


class Closed:
    """What must not be looked at."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __getattr__(self, name: str) -> NoReturn:
        pytest.fail(f"looked at {self._what}.{name}")


def narrowed(facts: Facts, rule: Rule) -> Any:
    """Of the facts what the rule says that it looks at."""
    parts = {each.name: getattr(facts, each.name) for each in fields(Facts)}
    if any(caller.lead for caller in facts.callers):
        parts["lead"] = facts.lead
    parts["slot"] = Closed("slot")
    if rule.of is DAY:
        parts["slot"] = SimpleNamespace(day=facts.slot.day)
    elif rule.of is SESSION:
        parts["slot"] = SimpleNamespace(terms=facts.slot.terms)
    if rule.of is not ROOM:
        parts["room"] = Closed("room")
    return SimpleNamespace(**parts)


def findings(rule: Rule, facts: Any) -> list[Finding] | str:
    try:
        return list(rule.check(facts))
    except (SourceMissing, Invalid) as error:
        return repr(error)


def test_a_rule_looks_at_no_more_than_its_scope() -> None:
    """The type checker proves it of the code; this, of what runs."""
    for row in CASES:
        facts = row.make(fine())
        for rule in RULES:
            if rule.of is not VISIT:
                assert findings(rule, narrowed(facts, rule)) == findings(rule, facts), (rule.key, row.situation)


@pytest.mark.parametrize(
    ("key", "wider"), [("window", DAY), ("callers", PARTY), ("allowance", ROOM), ("blocks", SESSION)]
)
def test_a_rule_that_says_too_little_of_what_it_looks_at_is_found_out(key: str, wider: Scope[Any]) -> None:
    """So the comparisons above can fail."""
    wrong = [replace(rule, of=wider) if rule.key == key else rule for rule in RULES]
    party = both(block(), visits(FRIDAY), reception_credit(at(9, 20)), with_callers("con_child"))(fine())
    party.lead.contact.born_on = date(2008, 3, 10)
    hearing = Hearing(wrong)
    every = [replace(party, slot=made, room=ROOMS[0]) for made in SLOTS]
    assert [hearing.decide(facts) for facts in every] != [afresh(facts) for facts in every]


def test_what_a_check_takes_is_what_its_rule_says() -> None:
    kinds = {PARTY: OfParty, DAY: OfDay, SESSION: OfSession, ROOM: OfRoom, VISIT: Facts}
    assert set(kinds) == set(SCOPES)
    for rule in RULES:
        (name,) = inspect.signature(rule.check).parameters
        assert get_type_hints(rule.check)[name] is kinds[rule.of], rule.key


def test_a_scope_has_all_that_the_facts_of_a_party_have() -> None:
    party = {each.name for each in fields(Facts)} - {"slot", "room"}
    assert {name for name, value in vars(OfParty).items() if isinstance(value, property)} == party | {"lead"}


def test_each_rule_is_asked_as_seldom_as_its_scope_allows() -> None:
    """Otherwise nothing is wrong but the time it takes."""
    times_asked: Counter[str] = Counter()

    def counting(name: str) -> Callable[[Any], Iterator[Finding]]:
        def check(facts: Any) -> Iterator[Finding]:
            times_asked[name] += 1
            yield from ()

        return check

    rules = [Rule(scope.name, "0", counting(scope.name), of=scope) for scope in SCOPES]
    rules.append(Rule("late", "0", counting("late"), of=DAY, on_review=True))
    hearing = Hearing(rules)
    days = [slot(date(2026, 3, day)) for day in (9, 10, 11)]
    for made in days * 4:
        for room in ROOMS:
            hearing.decide(replace(fine_party, slot=made, room=room))
    visits_asked = len(days) * 4 * len(ROOMS)
    assert times_asked == {"party": 1, "day": 3, "session": 1, "room": len(ROOMS), "visit": visits_asked}
    hearing.decide(replace(fine_party, kind=CallKind.OFFICIAL))
    assert times_asked["party"] == 2


fine_party = fine()


def test_what_is_the_same_is_one_object_and_nobody_can_change_it() -> None:
    hearing = Hearing(RULES)
    first, second = (hearing.decide(replace(fine_party, slot=each)) for each in SLOTS[:2])
    assert first.result("relationship") is second.result("relationship")
    assert first.result("callers") is second.result("callers")
    with pytest.raises(AttributeError):
        first.result("callers").outcome = Outcome.REFUSE  # type: ignore[misc]


PLENTY: Known[Room] = Known(Room(False, frozenset(), 9, 9, 9, 9))


@given(situations(), times)
@settings(max_examples=100)
def test_what_is_refused_with_plenty_of_room_is_refused_with_any(situation: Change, asked_about: list[Time]) -> None:
    """So a list of free times may leave out what nothing but room could not mend, before it looks for room."""
    party, hearing = situation(fine()), Hearing(RULES)
    for made, room in asked_about:
        plenty = hearing.decide(replace(party, slot=made, room=PLENTY))
        real = hearing.decide(replace(party, slot=made, room=room))
        assert real.refused or not plenty.refused
        assert plenty.allowed or not real.allowed
