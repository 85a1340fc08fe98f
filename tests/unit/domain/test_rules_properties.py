"""What holds for the rules whatever the visit is: more in the way is never milder, and nothing unread is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.rights import MOTHER, PRISONER
from tests.unit.domain.rights.table import CASES
from tests.unit.domain.rights.world import (
    FRIDAY,
    MONDAY,
    NOW,
    alert,
    appointment,
    at,
    block,
    both,
    enemy,
    fine,
    visits,
)
from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.policies import HOLIDAYS, KEYS, REVIEW_WORKING_DAYS, WEEKDAYS, WORKING_DAYS, Policies
from visitserver.domain.rights import EFFECT_OF_TYPE, Restriction, RestrictionEffect, RestrictionScope
from visitserver.domain.rules.facts import Facts, Known, Missing
from visitserver.domain.rules.order import RULES, decide_visit
from visitserver.domain.working_days import WorkingDays, first_review_day

SEVERITY = {Outcome.ALLOW: 0, Outcome.REVIEW: 1, Outcome.REFUSE: 2}
OVERRIDABLE = {rule.key for rule in RULES if rule.overridable}
SOURCES = [name for name in (field.name for field in fields(Facts)) if isinstance(getattr(fine(), name), Known)]

# time_to_review is asked only when somebody has to look; where every station is blocked, `blocks` speaks for `station`.
TAKES_OVER = {"time_to_review", "station"}

cases = st.sampled_from(CASES)
days = st.dates(date(2026, 2, 1), date(2026, 4, 30))
types = st.sampled_from([*EFFECT_OF_TYPE, "LOSS-OF-VISITS", "XQ-17", "court_order"])


@st.composite
def restriction(draw: st.DrawFn) -> Restriction:
    first = draw(days)
    scope = draw(st.sampled_from(RestrictionScope))
    return Restriction(
        id="rst_more",
        scope=scope,
        type=draw(types),
        starts_on=first,
        authority="Governor",
        created_at=NOW,
        created_by="test",
        ends_on=draw(st.none() | st.dates(first, date(2026, 5, 31))),
        contact_id=MOTHER if scope is RestrictionScope.PERSON else None,
        relationship_id="rel_mother_aalto" if scope is RestrictionScope.RELATIONSHIP else None,
        prisoner_id=PRISONER if scope is RestrictionScope.PRISONER else None,
        effect=draw(st.none() | st.sampled_from(RestrictionEffect)),
    )


def add_restriction(made: Restriction) -> Callable[[Facts], Facts]:
    def change(facts: Facts) -> Facts:
        if isinstance(facts.restrictions, Missing):
            return facts
        return replace(facts, restrictions=Known([*facts.restrictions.value, made]))

    return change


more_in_the_way = st.one_of(
    restriction().map(add_restriction),
    st.sampled_from(["HIGH-RISK", "ZZ9", "DIET"]).map(alert),
    st.sampled_from([AppointmentKind.COURT, AppointmentKind.OTHER]).map(lambda kind: appointment(kind, at(8), at(12))),
    st.sampled_from([at(9), at(10), at(8, 30)]).map(enemy),
    st.sampled_from([(), ("stn_1",), ("stn_1", "stn_2")]).map(lambda ids: block(*ids)),
    st.lists(st.sampled_from([MONDAY, FRIDAY, date(2026, 3, 20)]), max_size=15).map(lambda on: visits(*on)),
)


def unless_read(change: Callable[[Facts], Facts]) -> Callable[[Facts], Facts]:
    """`change` where it adds to what there is; nothing where its source could not be read or has something already."""

    def changed(facts: Facts) -> Facts:
        for name in ("alerts", "appointments", "non_associated", "blocks", "visits"):
            known = getattr(facts, name)
            if isinstance(known, Missing) or (name != "alerts" and known.value):
                return facts
        return change(facts)

    return changed


def check_more_is_never_milder(row: Any, changes: list[Callable[[Facts], Facts]]) -> None:
    before = decide_visit(row.make(fine()))
    after = decide_visit(both(row.make, *(unless_read(change) for change in changes))(fine()))
    assert SEVERITY[after.outcome] >= SEVERITY[before.outcome]
    for rule in RULES:
        if rule.key not in TAKES_OVER:
            assert SEVERITY[said(after, rule.key)] >= SEVERITY[said(before, rule.key)]


def said(decision: Decision, key: str) -> Outcome:
    return Decision(tuple(result for result in decision.trace if result.key == key)).outcome


@given(cases, st.lists(more_in_the_way, min_size=1, max_size=4))
@settings(max_examples=300)
def test_more_in_the_way_is_never_milder(row: Any, changes: list[Callable[[Facts], Facts]]) -> None:
    check_more_is_never_milder(row, changes)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@given(cases, st.lists(more_in_the_way, min_size=1, max_size=4))
@settings(max_examples=10_000)
def test_more_in_the_way_is_never_milder_all_night(row: Any, changes: list[Callable[[Facts], Facts]]) -> None:
    check_more_is_never_milder(row, changes)


def unread(facts: Facts, source: str) -> Facts:
    """The same facts, but for one source that gives no answer."""
    values: dict[str, Any] = {source: Missing(source, "TimeoutError")}
    return replace(facts, **values)


def check_unread_is_never_allowed(row: Any, source: str) -> None:
    """A source that fails makes no answer milder than it was, and where a rule asks it nothing is allowed."""
    facts = row.make(fine())
    missing = unread(facts, source)
    before, after = decide_visit(facts), decide_visit(missing)
    asked = any(result.inputs.get("source") == source for result in after.trace)
    if asked:
        assert not after.allowed
    else:
        assert after.outcome is before.outcome


@given(cases, st.sampled_from(SOURCES))
@settings(max_examples=300)
def test_what_cannot_be_read_is_never_allowed(row: Any, source: str) -> None:
    check_unread_is_never_allowed(row, source)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@given(cases, st.sampled_from(SOURCES))
@settings(max_examples=10_000)
def test_what_cannot_be_read_is_never_allowed_all_night(row: Any, source: str) -> None:
    check_unread_is_never_allowed(row, source)


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_is_asked_about_an_ordinary_visit(source: str) -> None:
    """Nine sources stand behind a social visit; the owed minutes are asked only when nothing else pays."""
    decision = decide_visit(unread(fine(), source))
    assert decision.allowed is (source == "owed_minutes")


@given(cases, st.sets(st.sampled_from([rule.key for rule in RULES])))
@settings(max_examples=300)
def test_only_what_may_be_set_aside_is_set_aside(row: Any, keys: set[str]) -> None:
    """Overriding changes the outcome of overridable rules alone; every other objection stays word for word."""
    facts = replace(row.make(fine()), overrides={})
    before = decide_visit(facts)
    after = decide_visit(replace(facts, overrides=dict.fromkeys(keys, "a reason")))
    for rule in RULES:
        if rule.key in keys & OVERRIDABLE:
            gap = any("source" in result.inputs for result in after.trace if result.key == rule.key)
            assert said(after, rule.key) is (Outcome.REVIEW if gap else Outcome.ALLOW)
            continue
        if not rule.on_review:
            mine = [result for result in before.trace if result.key == rule.key]
            assert [result for result in after.trace if result.key == rule.key] == mine


def test_what_may_be_set_aside_is_a_short_list() -> None:
    """Nothing that protects a person is on it: no restriction, alert, non-association, identity, court, block."""
    assert {"week_limit", "reception", "window", "allowance", "free_place"} == OVERRIDABLE


@given(cases, st.sampled_from(LegalStatus), st.sampled_from(IncentiveLevel))
@settings(max_examples=300)
def test_a_privileged_call_never_pays_and_is_never_punished(
    row: Any, status: LegalStatus, level: IncentiveLevel
) -> None:
    facts = row.make(fine())
    if not facts.kind.privileged:
        return
    facts.prisoner.legal_status, facts.prisoner.incentive_level = status, level
    decision = decide_visit(facts)
    for key in ("allowance", "week_limit", "reception", "non_association"):
        result = decision.result(key)
        assert result.outcome is not Outcome.REFUSE
    assert said(decision, "discipline") is not Outcome.REFUSE


@given(
    st.dates(date(2020, 1, 1), date(2100, 1, 1)),
    st.integers(0, 20),
    st.sets(st.sampled_from(WEEKDAYS), min_size=1),
    st.sets(st.dates(date(2020, 1, 1), date(2020, 3, 1)), max_size=20),
)
@settings(max_examples=300)
def test_a_visit_offered_for_review_leaves_that_many_working_days(
    today: date, ahead: int, weekdays: set[str], holidays: set[date]
) -> None:
    policies = Policies(
        {
            WORKING_DAYS.name: (sorted(weekdays), "prison.1"),
            HOLIDAYS.name: ([each.isoformat() for each in holidays], "prison.1"),
            REVIEW_WORKING_DAYS.name: (ahead, "prison.1"),
        }
    )
    first = first_review_day(today, policies)
    working = WorkingDays.of(policies)
    after = [today + timedelta(days=number) for number in range(1, (first - today).days + 1)]
    assert sum(working.works_on(day) for day in after) == ahead
    assert ahead == 0 or working.works_on(first)


def test_every_default_is_a_value_of_its_own_key() -> None:
    for key in KEYS.values():
        assert key.check(key.default) == key.default
        assert key.check(key.stored(key.default)) == key.default
        assert key.summary.endswith("."), key.name
