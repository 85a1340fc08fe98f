"""The one table from rules to flags, and what is raised, changed and closed from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from visitserver.domain.changes import Change, ChangeKind
from visitserver.domain.decisions import Outcome, RuleResult
from visitserver.domain.errors import Conflict
from visitserver.domain.flagging import FLAG_OF_RULE, NO_FLAG, Found, compare, reasons_of
from visitserver.domain.flags import Flag, FlagClosed, FlagType, Reason
from visitserver.domain.live_rights import Step, step_for
from visitserver.domain.rules.order import RULES

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_every_rule_flags_or_says_why_not() -> None:
    keys = {rule.key for rule in RULES}
    assert keys - FLAG_OF_RULE.keys() - NO_FLAG.keys() == set(), "a new rule needs a line in domain/flagging.py"
    assert FLAG_OF_RULE.keys() & NO_FLAG.keys() == set()
    assert (FLAG_OF_RULE.keys() | NO_FLAG.keys()) - keys == set(), "a rule that is gone"


def test_every_type_of_flag_can_come_of_some_rule() -> None:
    assert frozenset[FlagType]().union(*(meaning.types for meaning in FLAG_OF_RULE.values())) == set(FlagType)


REFUSE, REVIEW, ALLOW = Outcome.REFUSE, Outcome.REVIEW, Outcome.ALLOW

TABLE: list[tuple[str, Outcome, dict[str, Any], FlagType | None, bool]] = [
    # rule, what it says, about what, the flag, whether it binds
    ("relationship", REFUSE, {"relationship": "rel_1", "state": "ended"}, FlagType.CONTACT_UNAPPROVED, True),
    ("restrictions", REFUSE, {"restriction": "rst_1", "scope": "person"}, FlagType.CONTACT_RESTRICTION, True),
    ("restrictions", REFUSE, {"restriction": "rst_1", "scope": "relationship"}, FlagType.CONTACT_RESTRICTION, True),
    ("restrictions", REVIEW, {"restriction": "rst_1", "scope": "prisoner"}, FlagType.RESTRICTION_CHANGED, False),
    ("discipline", REFUSE, {"restriction": "rst_1"}, FlagType.RESTRICTION_CHANGED, False),
    ("callers", REFUSE, {"contact": "con_1", "born_in": 2009}, FlagType.CONTACT_UNAPPROVED, False),
    ("callers", REFUSE, {"adults": 4}, None, False),
    ("alerts", REVIEW, {"alert": "alr_1", "code": "X"}, FlagType.ALERT_CREATED, False),
    ("prisoner_here", REFUSE, {"prisoner": "prs_1", "released_at": "2026"}, FlagType.PRISONER_RELEASED, False),
    ("prisoner_here", REFUSE, {"prisoner": "prs_1", "prison": None}, FlagType.PRISONER_RELEASED, False),
    ("prisoner_here", REFUSE, {"prisoner": "prs_1", "prison": "prn_2"}, FlagType.PRISONER_TRANSFERRED, False),
    ("identity", REFUSE, {"contact": "con_1"}, FlagType.ID_EXPIRED, False),
    ("appointments", REFUSE, {"appointment": "app_1"}, FlagType.COURT_APPOINTMENT, False),
    ("non_association", REFUSE, {"non_association": "nas_1", "booking": "b"}, FlagType.NON_ASSOCIATION, False),
    ("officer_seat", REFUSE, {"seats": 0}, FlagType.OFFICER_CAPACITY_LOST, False),
    ("slot_fit", REFUSE, {"template": "tpl_1"}, FlagType.SESSION_BLOCKED, False),
    ("slot_fit", REFUSE, {"wing": "wng_1"}, FlagType.PRISONER_TRANSFERRED, False),
    ("slot_groups", REFUSE, {"template": "tpl_1", "location": ("A",)}, FlagType.PRISONER_TRANSFERRED, False),
    ("slot_groups", REFUSE, {"template": "tpl_1", "status": "remand"}, FlagType.LEGAL_STATUS_CHANGED, False),
    ("slot_groups", REFUSE, {"template": "tpl_1", "level": "basic"}, FlagType.LEGAL_STATUS_CHANGED, False),
    ("slot_groups", REFUSE, {"template": "tpl_1", "category": "B"}, FlagType.LEGAL_STATUS_CHANGED, False),
    ("blocks", REFUSE, {"block": "blk_1"}, None, False),  # the booking's own place says which
    ("station", REFUSE, {"stations": 0}, None, False),
    ("window", REFUSE, {}, None, False),
    ("allowance", REFUSE, {}, None, False),
    ("relationship", ALLOW, {}, None, False),
]


@pytest.mark.parametrize(("key", "outcome", "inputs", "type_", "binding"), TABLE)
def test_what_an_objection_means(
    key: str, outcome: Outcome, inputs: dict[str, Any], type_: FlagType | None, binding: bool
) -> None:
    reasons, unknown = reasons_of([RuleResult(key, outcome, "Why.", inputs=inputs)], [], watched=False)
    assert unknown == set()
    assert [(each.type, each.attributes["binding"]) for each in reasons] == (
        [] if type_ is None else [(type_, binding)]
    )


def test_what_was_accepted_is_no_reason_unless_it_binds() -> None:
    result = RuleResult("restrictions", REVIEW, "Look.", inputs={"restriction": "rst_1", "scope": "prisoner"})
    accepted = [{**result.as_data(), "staff_text": "Look. Set aside by staff: fine"}]
    assert reasons_of([result], accepted, watched=False)[0] == []
    assert len(reasons_of([replace(result, inputs={"restriction": "rst_2"})], accepted, watched=False)[0]) == 1
    refused = replace(result, outcome=REFUSE)
    assert len(reasons_of([refused], [refused.as_data()], watched=False)[0]) == 1


def test_a_source_that_failed_says_nothing_of_its_types() -> None:
    result = RuleResult(
        "identity", REVIEW, "Could not be checked.", inputs={"source": "identity", "why": "TimeoutError"}
    )
    assert reasons_of([result], [], watched=False) == ([], {FlagType.ID_EXPIRED})


def test_an_officer_is_asked_for_only_where_none_has_a_seat() -> None:
    inputs = {"restriction": "rst_1", "scope": "prisoner"}
    result = RuleResult("restrictions", ALLOW, "Watch.", inputs=inputs, live_supervision=True)
    assert [each.attributes["outcome"] for each in reasons_of([result], [], watched=False)[0]] == ["live"]
    assert reasons_of([result], [], watched=True)[0] == []


def test_what_must_be_looked_at_and_watched_is_both() -> None:
    inputs = {"restriction": "rst_1", "scope": "prisoner"}
    result = RuleResult("restrictions", REVIEW, "Look, and watch.", inputs=inputs, live_supervision=True)
    (unwatched,) = reasons_of([result], [], watched=False)[0]
    assert (unwatched.attributes["outcome"], unwatched.attributes["review"]) == ("live", True)
    (watched,) = reasons_of([result], [], watched=True)[0]
    assert watched.attributes["outcome"] == "review"
    change = Change("chg_1", NOW, ChangeKind.RESTRICTION_ADDED, "staff:s")
    for reason in (unwatched, watched):
        step, _ = step_for(change, Found((reason,)), watched=True, ends=True, privileged=False)
        assert step is Step.PAUSE, "who watches has not decided yet"


def flag(key: str = "k", **values: Any) -> Flag:
    return Flag("flg_1", "prn_1", "bkg_1", FlagType.ID_EXPIRED, key, NOW, NOW, {"why": "a"}, **values)


def reason(key: str = "k", **attributes: Any) -> Reason:
    return Reason(FlagType.ID_EXPIRED, key, {"why": "a", **attributes})


def test_the_difference_between_flags_and_reasons() -> None:
    kept = flag(closed_at=NOW, closed_how=FlagClosed.KEPT)
    resolved = flag(closed_at=NOW, closed_how=FlagClosed.RESOLVED)
    assert compare([], Found((reason(),)), NOW).new == (reason(),)
    assert not compare([flag()], Found((reason(),)), NOW)
    assert not compare([flag()], Found((reason(seats=3),)), NOW), "a count that moves is not another reason"
    assert len(compare([flag()], Found((reason(code="X"),)), NOW).changed) == 1
    assert len(compare([flag()], Found((reason(),)), NOW.replace(hour=10)).changed) == 1, "it follows the booking"
    assert len(compare([flag()], Found(()), NOW).gone) == 1
    assert not compare([flag()], Found((), frozenset({FlagType.ID_EXPIRED})), NOW), "nobody knows: it stays"
    assert not compare([kept], Found((reason(),)), NOW)
    assert len(compare([kept], Found(()), NOW).lapsed) == 1
    assert compare([resolved], Found((reason(),)), NOW).new == (reason(),)
    stricter = compare([kept], Found((reason(code="X"),)), NOW)
    assert (len(stricter.new), len(stricter.lapsed)) == (1, 1)


def test_a_closed_flag_takes_no_further_decision() -> None:
    closed = flag(closed_at=NOW, closed_how=FlagClosed.MOVED)
    for attempt in (
        lambda: closed.acknowledge(by="staff:x", at=NOW),
        lambda: closed.keep(by="staff:x", reason="why", at=NOW),
        lambda: closed.close(FlagClosed.CANCELLED, by="staff:x", at=NOW),
    ):
        with pytest.raises(Conflict):
            attempt()


BINDING = Reason(FlagType.CONTACT_UNAPPROVED, "rel_1", {"binding": True, "outcome": "refuse"})
DOUBT = Reason(FlagType.RESTRICTION_CHANGED, "rst_1", {"binding": False, "outcome": "review"})
WATCH = Reason(FlagType.RESTRICTION_CHANGED, "rst_1", {"binding": False, "outcome": "live"})
PLACE = Reason(FlagType.STATION_OUT, "stn_1", {"binding": False, "outcome": "refuse"})


@pytest.mark.parametrize(
    ("by", "reasons", "watched", "ends", "step"),
    [
        ("prisoner:p", (BINDING,), False, True, Step.END),
        ("family:c", (DOUBT, BINDING), False, True, Step.END),
        ("staff:s", (BINDING,), False, False, Step.PAUSE),  # the policy leaves it to officers
        ("system:import", (BINDING,), False, True, Step.PAUSE),  # no program ends a call
        ("client:other", (BINDING,), False, True, Step.PAUSE),
        ("staff:s", (DOUBT,), True, True, Step.PAUSE),
        ("staff:s", (WATCH,), False, True, Step.PAUSE),
        ("staff:s", (WATCH,), True, True, Step.GO_ON),
        ("staff:s", (PLACE,), False, True, Step.GO_ON),
        ("staff:s", (), False, True, Step.GO_ON),
    ],
)
def test_what_follows_for_a_call_that_people_are_in(
    by: str, reasons: tuple[Reason, ...], watched: bool, ends: bool, step: Step
) -> None:
    change = Change("chg_1", NOW, ChangeKind.RESTRICTION_ADDED, by)
    assert step_for(change, Found(reasons), watched=watched, ends=ends, privileged=False)[0] is step


@pytest.mark.parametrize(
    ("by", "reasons", "step"),
    [
        ("staff:s", (DOUBT,), Step.GO_ON),
        ("system:import", (DOUBT, WATCH), Step.GO_ON),
        ("staff:s", (DOUBT, BINDING), Step.END),
        ("system:import", (BINDING,), Step.PAUSE),
    ],
)
def test_a_privileged_call_stops_for_nothing_but_a_right_that_is_gone(
    by: str, reasons: tuple[Reason, ...], step: Step
) -> None:
    change = Change("chg_1", NOW, ChangeKind.RESTRICTION_ADDED, by)
    assert step_for(change, Found(reasons), watched=False, ends=True, privileged=True)[0] is step
