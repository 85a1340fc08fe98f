"""Every row of the table of cases, and what holds for all rules together."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from babel.messages.pofile import read_po

from tests.fixtures.requirements import REPOSITORY
from tests.fixtures.rights import FRIEND, PRISONER
from tests.unit.domain.rights.table import CASES
from tests.unit.domain.rights.world import (
    ALLOW,
    ASK_PRISON,
    NO_CREDIT,
    NO_FLOOR,
    NOT_NOW,
    NOT_POSSIBLE,
    NOW,
    OTHER,
    PUNISHED,
    REFUSE,
    REVIEW,
    Row,
    alert,
    appointment,
    at,
    block,
    both,
    enemy,
    facts_with,
    fine,
    lawyers_visit,
    link,
    policy,
    restricted,
    room,
    week_of_visits,
)
from visitserver.domain import rules
from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.decisions import Decision, Outcome, RuleResult, Words
from visitserver.domain.errors import Invalid
from visitserver.domain.rights import PrisonerAnswer, RelationshipState
from visitserver.domain.rules.engine import Finding, Rule, decide
from visitserver.domain.rules.facts import Facts, Missing, Room
from visitserver.domain.rules.order import RULES, decide_visit


@pytest.mark.parametrize("row", CASES, ids=lambda row: f"{row.rule}: {row.situation}")
def test_rule(row: Row) -> None:
    decision = decide_visit(row.make(fine()))
    asked = [result for result in decision.trace if result.key == row.rule]
    worst = Decision(tuple(asked))
    assert worst.outcome is row.outcome
    assert worst.safe_words == ([row.words] if row.words else [])
    assert worst.what_would_change == ([row.change] if row.change else [])
    assert worst.live_supervision is row.live


def test_a_visit_that_is_fine_is_allowed_and_every_rule_was_asked() -> None:
    decision = decide_visit(fine())
    assert decision.allowed
    assert decision.safe_words == []
    assert list(dict.fromkeys(result.key for result in decision.trace)) == [rule.key for rule in RULES]


def test_a_lawyers_visit_is_allowed() -> None:
    assert decide_visit(lawyers_visit()).allowed


# What each rule may say. REVIEW by a source that fails is not among them: the table has that for each source besides.
SAYS = {
    "relationship": {ALLOW, REFUSE},
    "callers": {ALLOW, REFUSE, REVIEW},
    "prisoner_here": {ALLOW, REFUSE},
    "restrictions": {ALLOW, REFUSE, REVIEW},
    "discipline": {ALLOW, REFUSE, REVIEW},
    "alerts": {ALLOW, REVIEW},
    "non_association": {ALLOW, REFUSE, REVIEW},
    "week_limit": {ALLOW, REFUSE, REVIEW},
    "reception": {ALLOW, REFUSE, REVIEW},
    "identity": {ALLOW, REFUSE, REVIEW},
    "slot_fit": {ALLOW, REFUSE},
    "slot_groups": {ALLOW, REFUSE},
    "blocks": {ALLOW, REFUSE, REVIEW},
    "begun": {ALLOW, REFUSE},
    "window": {ALLOW, REFUSE, REVIEW},
    "allowance": {ALLOW, REFUSE, REVIEW},
    "one_at_a_time": {ALLOW, REFUSE, REVIEW},
    "appointments": {ALLOW, REFUSE, REVIEW},
    "free_place": {ALLOW, REFUSE, REVIEW},
    "station": {ALLOW, REFUSE, REVIEW},
    "officer_seat": {ALLOW, REFUSE, REVIEW},
    "media_capacity": {ALLOW, REFUSE, REVIEW},
    "time_to_review": {ALLOW, REFUSE},
}


def test_the_table_shows_every_answer_that_each_rule_gives() -> None:
    """A rule that no row of the table makes allow, refuse or ask would be a rule that nobody tests."""
    shown: dict[str, set[Outcome]] = {}
    for row in CASES:
        shown.setdefault(row.rule, set()).add(row.outcome)
    assert shown == SAYS
    assert list(SAYS) == [rule.key for rule in RULES]


def test_the_table_is_long_enough_and_says_nothing_twice() -> None:
    assert len(CASES) >= 120
    assert len({(row.rule, row.situation) for row in CASES}) == len(CASES)


@pytest.mark.parametrize("left_out", RULES, ids=lambda rule: rule.key)
def test_each_rule_alone_is_what_refuses(left_out: Any) -> None:
    """Taking any one rule out of the list makes an answer milder than the table says."""
    rest = tuple(rule for rule in RULES if rule is not left_out)
    slipped = [
        row
        for row in CASES
        if row.rule == left_out.key
        and row.outcome is not ALLOW
        and decide(row.make(fine()), rest).outcome is not row.outcome
    ]
    assert slipped


def test_a_refusal_beats_a_review_and_says_its_own_words_alone() -> None:
    facts = both(NO_FLOOR, NO_CREDIT, restricted("XQ-17"))(fine())
    decision = decide_visit(facts)
    assert decision.outcome is REFUSE
    assert decision.safe_words == ["There is no visit left in this period."]


def test_the_trace_names_the_version_of_each_policy() -> None:
    decision = decide_visit(policy(booking__notice_days_min=1)(fine()))
    used = decision.result("window").policy_version.split()
    assert "booking.notice_days_min@prison.3" in used
    assert "booking.notice_days_max@default" in used


# What would tell of a victim, another prisoner, a court, a doctor or what the prison has heard.
HINTS = re.compile(
    r"victim|other prisoner|another prisoner|associat|enem|protect|danger|risk|alert|intelligence|police|court|order|"
    r"hospital|doctor|medical|parole|lawyer|legal|hearing|appointment|punish|disciplin|confine|wing|cell|categor|"
    r"remand|convict|incentive|restrict|child protection|safeguard|refuse",
    re.IGNORECASE,
)


def test_the_words_for_a_family_name_nobody() -> None:
    for row in CASES:
        decision = decide_visit(row.make(fine()))
        told = " ".join(decision.safe_words + decision.what_would_change)
        for hidden in ("Aalto", "Maija", "rst_1", "XQ-17", "COURT", "NON-CONTACT", "CLOSED", FRIEND, PRISONER):
            assert hidden not in told, row.situation
        assert not HINTS.search(told), f"{row.situation}: {told}"


def test_nobody_learns_whose_no_it_was() -> None:
    """A prisoner's no or silence, a caller's second thoughts, the prison's refusal and a court's order read alike."""
    changes = (
        link(prisoner_answer=PrisonerAnswer.REFUSED),
        link(prisoner_answer=PrisonerAnswer.UNANSWERED),
        link(state=RelationshipState.REFUSED),
        link(state=RelationshipState.ENDED),
        link(withdrawn_at=NOW),
        restricted("NON-CONTACT"),
    )
    decisions = [decide_visit(change(fine())) for change in changes]
    assert {(*each.safe_words, *each.what_would_change) for each in decisions} == {(NOT_POSSIBLE, ASK_PRISON)}
    reasons = [[line.staff_text for line in each.trace if line.outcome is REFUSE] for each in decisions]
    assert reasons[0] == ["The prisoner refuses this contact."]
    assert reasons[1] == ["The prisoner has not answered yet."]
    assert len({tuple(each) for each in reasons}) == len(changes)


def test_whatever_stands_in_the_way_at_one_time_reads_alike() -> None:
    """Another prisoner, a court, a doctor, a lawyer, another visit, a closed prison: the family hears one sentence."""
    changes = (
        enemy(at(9)),
        room(prisoner_busy=True),
        block(),
        *(appointment(kind, at(8), at(12)) for kind in AppointmentKind if kind.outranks),
    )
    decisions = [decide_visit(change(fine())) for change in changes]
    assert {(*each.safe_words, *each.what_would_change) for each in decisions} == {(NOT_NOW, OTHER)}
    assert len({each.deciding[0].key for each in decisions}) == 4


def test_a_punishment_reads_like_any_other_reason_of_the_prison() -> None:
    punished = decide_visit(both(NO_FLOOR, PUNISHED, week_of_visits(1))(fine()))
    ordered = decide_visit(restricted("COURT-ORDER")(fine()))
    assert punished.safe_words == ordered.safe_words == [NOT_POSSIBLE]
    assert punished.what_would_change == ordered.what_would_change == [ASK_PRISON]


def test_everything_that_a_person_looks_at_reads_alike() -> None:
    changes = (
        restricted("CHILD"),
        alert("PROTECTED-PERSON"),
        enemy(at(9), wing=None),
        facts_with(alerts=row_of_failure()),
    )
    assert len({tuple(decide_visit(change(fine())).safe_words) for change in changes}) == 1


def row_of_failure() -> Missing:
    return Missing("alerts", "TimeoutError")


def sentences() -> set[str]:
    """Every sentence for families that stands in the rules' modules, also those that no row makes them say."""
    return {
        value.template
        for module in pkgutil.iter_modules(rules.__path__, f"{rules.__name__}.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, Words)
    } | {
        words.template for row in CASES for result in decide_visit(row.make(fine())).trace for words in said_by(result)
    }


def said_by(result: RuleResult) -> list[Words]:
    return [each for each in (result.safe, result.change) if each is not None]


def test_no_sentence_of_the_rules_hints_at_what_must_not_be_told() -> None:
    assert len(sentences()) > 30
    assert [each for each in sentences() if HINTS.search(each)] == []


@pytest.mark.parametrize("locale", ["fi", "sv"])
def test_every_sentence_of_the_rules_is_translated(locale: str) -> None:
    with (REPOSITORY / "web" / "locale" / locale / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalogue = read_po(file, locale=locale)
    missing = [each for each in sentences() if (found := catalogue.get(each)) is None or not found.string]
    assert missing == []


def test_staff_read_why_in_words_and_by_reference() -> None:
    """Each objection has a text for staff that is not the family's, and names what it rests on."""
    for row in CASES:
        for result in decide_visit(row.make(fine())).trace:
            if result.outcome is not ALLOW:
                assert result.staff_text
                assert result.staff_text != result.safe_text, row.situation
                assert result.safe is not None, row.situation


def test_every_rule_says_in_a_sentence_what_it_is_about() -> None:
    for rule in RULES:
        assert rule.summary.endswith("."), rule.key
        assert rule.number


@pytest.mark.parametrize(
    ("room", "watched", "free"),
    [
        (Room(False, frozenset(), 3, 4, 5, 6), True, 3),
        (Room(False, frozenset(), 3, 2, 5, 6), False, 2),
        (Room(False, frozenset(), 3, 4, 1, 6), True, 1),
        (Room(False, frozenset(), 3, 4, 1, 6), False, 3),
        (Room(False, frozenset(), 3, 4, 5, 1), False, 1),
        (Room(False, frozenset(), 3, 4, 5, 6, 2), True, 2),
        (Room(False, frozenset(), 3, 4, 5, 6, 2), False, 3),
        (Room(False, frozenset(), -1, 4, 5, 6), False, 0),
    ],
)
def test_free_places_are_the_least_of_what_a_visit_needs(room: Room, watched: bool, free: int) -> None:
    assert room.free(watched=watched) == free


def test_an_empty_trace_is_not_an_allowance() -> None:
    assert Decision(()).outcome is REVIEW


def test_a_decision_is_plain_data_for_the_store() -> None:
    for row in CASES:
        json.dumps(decide_visit(row.make(fine())).as_data())


@pytest.mark.parametrize("error", [OverflowError("no such day"), KeyError("x"), Invalid("a wrong number")])
def test_a_rule_that_fails_asks_a_person_and_says_where(error: Exception) -> None:
    def check(facts: Facts) -> Iterator[Finding]:
        raise error
        yield

    (result,) = decide(fine(), [Rule("broken", "0", check, overridable=True)]).trace
    assert result.outcome is REVIEW
    assert result.inputs["why"] == type(error).__name__
    assert str(result.inputs["at"]).startswith("test_rules.py:")
    assert str(error) not in str(result.as_data()), "what it was about may be personal"
    overridden = replace(fine(), overrides={"broken": "it is fine"})
    assert decide(overridden, [Rule("broken", "0", check, overridable=True)]).outcome is REVIEW
