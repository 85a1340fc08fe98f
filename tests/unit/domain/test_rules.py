"""The rules of a visit as a table that a lawyer can read: the situation, the decision, the words for the family.

Every row changes one thing about a visit that is otherwise fine: a mother of 46 who is approved, accepted and known,
visits her child at Kuura prison on Friday 6 March 2026 at nine in the morning; today is Monday 2 March.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

import pytest

from tests.fixtures.rights import (
    CHILD,
    FRIEND,
    LAWYER,
    LEGAL,
    MOTHER,
    PRISON,
    PRISONER,
    make_contact,
    make_link,
    make_prisoner,
    make_template,
)
from visitserver.domain.actors import ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.ledger import Ledger
from visitserver.domain.people import Prison
from visitserver.domain.policies import Policies
from visitserver.domain.rights import (
    PrisonerAnswer,
    RelationshipState,
    Restriction,
    RestrictionEffect,
    RestrictionScope,
)
from visitserver.domain.rules.engine import decide
from visitserver.domain.rules.facts import Caller, Facts, IdentityStanding, Known, Missing, Room
from visitserver.domain.rules.order import RULES, decide_visit
from visitserver.domain.scheduling import Slot, SupervisionLevel
from visitserver.domain.slots import slot_at, to_utc

KUURA = Prison(PRISON, "Kuura", "Europe/Helsinki", "KUU")
MONDAY = date(2026, 3, 2)
FRIDAY = date(2026, 3, 6)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FREE = Room(False, frozenset(), 2, 2, 8)

Change = Callable[[Facts], Facts]
ALLOW, REVIEW, REFUSE = Outcome.ALLOW, Outcome.REVIEW, Outcome.REFUSE


def numbered() -> Callable[[str], str]:
    numbers = count(1)
    return lambda prefix: f"{prefix}_{next(numbers)}"


def ledger(credits: int = 1, type_: CreditType = CreditType.STANDARD) -> Ledger:
    made = Ledger(PRISONER, new_id=numbered())
    for number in range(credits):
        made.grant(type_, at=NOW - timedelta(days=1), actor="test", reason="test", event_key=f"grant:{number}")
    return made


def slot(day: date = FRIDAY, at: time = time(9), **template: Any) -> Slot:
    starts_at = to_utc(datetime.combine(day, at), KUURA.zone)
    assert starts_at is not None
    made = slot_at(make_template(**template), KUURA.zone, starts_at, buffer=timedelta(minutes=5))
    assert made is not None
    return made


def caller(contact_id: str = MOTHER, *, lead: bool = False, call_kind: CallKind = CallKind.SOCIAL) -> Caller:
    contact = make_contact(contact_id, date(2015, 6, 1) if contact_id.startswith(CHILD) else date(1980, 1, 1))
    return Caller(contact, make_link(contact_id, call_kind=call_kind), lead, Known(IdentityStanding(True)))


def fine() -> Facts:
    return Facts(
        now=NOW,
        today=MONDAY,
        prison=KUURA,
        prisoner=make_prisoner(PRISONER, "K-1"),
        slot=slot(),
        kind=CallKind.SOCIAL,
        asked_by=ActorKind.FAMILY,
        callers=(caller(lead=True),),
        policies=Policies(),
        restrictions=Known([]),
        ledger=Known(ledger()),
        room=Known(FREE),
        alerts=Known([]),
        non_associated=Known([]),
        visits=Known([]),
        appointments=Known([]),
        blocks=Known([]),
        next_credit=date(2026, 3, 13),
    )


def lawyers_visit() -> Facts:
    return replace(
        fine(),
        kind=CallKind.LEGAL,
        callers=(caller(LAWYER, lead=True, call_kind=CallKind.LEGAL),),
        slot=slot(template_id=LEGAL, kinds=frozenset({CallKind.LEGAL}), credit_type=None),
        ledger=Known(ledger(0)),
    )


# How to change one thing ---------------------------------------------------------------------------------------------


def legal(change: Change = lambda facts: facts) -> Change:
    return lambda _: change(lawyers_visit())


def link(**changes: Any) -> Change:
    def change(facts: Facts) -> Facts:
        relationship = facts.callers[0].relationship
        for name, value in changes.items():
            setattr(relationship, name, value)
        return facts

    return change


def with_callers(*contact_ids: str) -> Change:
    return lambda facts: replace(
        facts, callers=tuple(caller(each, lead=number == 0) for number, each in enumerate(contact_ids))
    )


def prisoner(**changes: Any) -> Change:
    def change(facts: Facts) -> Facts:
        for name, value in changes.items():
            setattr(facts.prisoner, name, value)
        return facts

    return change


def restricted(type_: str, scope: RestrictionScope = RestrictionScope.PERSON, **changes: Any) -> Change:
    ids = {
        RestrictionScope.PERSON: {"contact_id": MOTHER},
        RestrictionScope.RELATIONSHIP: {"relationship_id": "rel_mother_aalto"},
        RestrictionScope.PRISONER: {"prisoner_id": PRISONER},
    }
    values: dict[str, Any] = {
        "id": "rst_1",
        "scope": scope,
        "type": type_,
        "starts_on": date(2026, 3, 1),
        "authority": "Governor",
        "created_at": NOW,
        "created_by": "test",
        **ids[scope],
        **changes,
    }
    return lambda facts: replace(facts, restrictions=Known([Restriction(**values)]))


def facts_with(**changes: Any) -> Change:
    return lambda facts: replace(facts, **changes)


def policy(**values: int | bool) -> Change:
    named = {key.replace("__", "."): (value, "prison.3") for key, value in values.items()}
    return lambda facts: replace(facts, policies=Policies(named))


def identity(standing: IdentityStanding | Missing) -> Change:
    known = standing if isinstance(standing, Missing) else Known(standing)
    return lambda facts: replace(facts, callers=(replace(facts.callers[0], identity=known),))


def both(*changes: Change) -> Change:
    def change(facts: Facts) -> Facts:
        for each in changes:
            facts = each(facts)
        return facts

    return change


def failing(source: str) -> Missing:
    return Missing(source, "TimeoutError")


# The table -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """`words` and `change` are what the family reads; None: nothing is said."""

    rule: str
    situation: str
    make: Change
    outcome: Outcome
    words: str | None = None
    change: str | None = None
    live: bool = False


NOT_ON_LIST = "The prison has not approved every caller for visits with this person."
APPROVED = "It changes when the prison has approved each caller's request."
NOT_POSSIBLE = "Visits with this person are not possible at this time."
ASK_PRISON = "If you think this is wrong, ask the prison."
STAFF_LOOKS = "A member of staff looks at this first and then tells you."
PROVE = "Every adult on the call must first show who they are."
PROVE_HOW = "Send a picture of your document and of your face, or ask to be checked by an officer instead."
TAKEN = "This time is taken."
OTHER = "Choose another time."
TOO_SOON = "This visit is too soon to book."
FROM_4 = "Visits can be booked for 4 March 2026 and later."

TABLE = [
    # 1 · every caller has an active, approved relationship of this kind
    Row("relationship", "approved and accepted", lambda f: f, ALLOW),
    Row(
        "relationship", "asked for, not decided", link(state=RelationshipState.REQUESTED), REFUSE, NOT_ON_LIST, APPROVED
    ),
    Row(
        "relationship", "refused by the prison", link(state=RelationshipState.REFUSED), REFUSE, NOT_POSSIBLE, ASK_PRISON
    ),
    Row("relationship", "approval taken back", link(state=RelationshipState.ENDED), REFUSE, NOT_POSSIBLE, ASK_PRISON),
    Row(
        "relationship",
        "approved for social visits, this is a legal one",
        legal(link(call_kind=CallKind.SOCIAL)),
        REFUSE,
        "This approval is for another kind of visit.",
        "Ask the prison to approve this kind of visit.",
    ),
    Row(
        "relationship",
        "a consul's approval opens no lawyer's visit",
        legal(link(call_kind=CallKind.CONSULAR)),
        REFUSE,
        "This approval is for another kind of visit.",
        "Ask the prison to approve this kind of visit.",
    ),
    Row("relationship", "it is somebody else's", link(contact_id=FRIEND), REFUSE, NOT_ON_LIST, APPROVED),
    Row("relationship", "it is with another prisoner", link(prisoner_id="prs_x"), REFUSE, NOT_ON_LIST, APPROVED),
    Row(
        "relationship",
        "the contact has stepped back",
        link(withdrawn_at=NOW),
        REFUSE,
        "Somebody on this booking no longer wants these visits.",
        "They can ask for visits again.",
    ),
    # 3 · the prisoner may refuse any contact, in private: it reads like no answer, and like the prison's own reasons
    Row(
        "relationship",
        "prisoner says no",
        link(prisoner_answer=PrisonerAnswer.REFUSED),
        REFUSE,
        NOT_POSSIBLE,
        ASK_PRISON,
    ),
    Row(
        "relationship",
        "prisoner has not answered",
        link(prisoner_answer=PrisonerAnswer.UNANSWERED),
        REFUSE,
        NOT_POSSIBLE,
        ASK_PRISON,
    ),
    Row(
        "relationship",
        "prisoner has not answered, and policy asks for no answer",
        both(link(prisoner_answer=PrisonerAnswer.UNANSWERED), policy(relationship__prisoner_acceptance_required=False)),
        ALLOW,
    ),
    Row(
        "relationship",
        "prisoner says no, and policy asks for no answer: a no is a no",
        both(link(prisoner_answer=PrisonerAnswer.REFUSED), policy(relationship__prisoner_acceptance_required=False)),
        REFUSE,
        NOT_POSSIBLE,
        ASK_PRISON,
    ),
    # 2 · who sits in front of the camera
    Row("callers", "mother and child", with_callers(MOTHER, CHILD), ALLOW),
    Row(
        "callers",
        "a child books alone",
        with_callers(CHILD),
        REFUSE,
        "The person who books must be 18 or older on the day of the visit.",
        "An adult on the list can book and bring the child along.",
    ),
    Row("callers", "three adults and a child", with_callers(MOTHER, "con_a", "con_b", CHILD), ALLOW),
    Row(
        "callers",
        "four adults",
        with_callers(MOTHER, "con_a", "con_b", "con_c"),
        REFUSE,
        "At most 3 adults can be on the call.",
        "Leave an adult out of this visit.",
    ),
    Row(
        "callers",
        "five people",
        with_callers(MOTHER, CHILD, CHILD + "2", CHILD + "3", CHILD + "4"),
        REFUSE,
        "At most 4 people can be on the call.",
        "Leave somebody out of this visit.",
    ),
    # 3 · where the prisoner is
    Row(
        "prisoner_here",
        "moved to another prison",
        prisoner(prison_id="prn_other"),
        REFUSE,
        "The person you want to visit is not at this prison now.",
        "Look for visits again: you will see the times of the prison where they are.",
    ),
    Row(
        "prisoner_here",
        "released before the visit",
        prisoner(released_at=datetime(2026, 3, 5, tzinfo=UTC)),
        REFUSE,
        "The person you want to visit is not at this prison now.",
    ),
    Row("prisoner_here", "released after the visit", prisoner(released_at=datetime(2026, 3, 7, tzinfo=UTC)), ALLOW),
    # 4 · restrictions
    Row(
        "restrictions",
        "a ban, on its last day",
        restricted("BAN", ends_on=FRIDAY),
        REFUSE,
        "You cannot visit until 6 March 2026.",
        "You can book visits for 7 March 2026 and later.",
    ),
    Row("restrictions", "a ban, the day after its last day", restricted("BAN", ends_on=date(2026, 3, 5)), ALLOW),
    Row("restrictions", "a ban that begins the day after", restricted("BAN", starts_on=date(2026, 3, 7)), ALLOW),
    Row("restrictions", "a ban without an end", restricted("BAN"), REFUSE, NOT_POSSIBLE, ASK_PRISON),
    Row("restrictions", "a ban that was lifted", restricted("BAN", lifted_at=NOW), ALLOW),
    Row("restrictions", "a ban on somebody else", restricted("BAN", contact_id=FRIEND), ALLOW),
    Row(
        "restrictions",
        "a ban on one of the others: theirs is not told",
        both(with_callers(MOTHER, FRIEND), restricted("BAN", contact_id=FRIEND, ends_on=date(2026, 4, 1))),
        REFUSE,
        NOT_POSSIBLE,
        ASK_PRISON,
    ),
    Row("restrictions", "non-contact", restricted("NON-CONTACT"), REFUSE, NOT_POSSIBLE, ASK_PRISON),
    Row(
        "restrictions",
        "non-contact cannot be made milder",
        restricted("NON-CONTACT", effect=RestrictionEffect.REVIEW),
        REFUSE,
        NOT_POSSIBLE,
        ASK_PRISON,
    ),
    Row(
        "restrictions",
        "a court order about the prisoner",
        restricted("COURT-ORDER", RestrictionScope.PRISONER),
        REFUSE,
        NOT_POSSIBLE,
        ASK_PRISON,
    ),
    Row("restrictions", "closed visits", restricted("CLOSED", RestrictionScope.RELATIONSHIP), ALLOW, live=True),
    Row(
        "restrictions",
        "closed visits, and a lawyer: nobody may watch, so a person decides",
        legal(restricted("CLOSED", RestrictionScope.PRISONER)),
        REVIEW,
        STAFF_LOOKS,
    ),
    *(
        Row("restrictions", f"{type_}: a person looks", restricted(type_), REVIEW, STAFF_LOOKS)
        for type_ in ("CHILD", "PRE-INFORM", "RESTRICTED", "ACCESS-REQUIREMENT", "child", "PRE_INFORM")
    ),
    Row("restrictions", "a type that nobody knows", restricted("XQ-17"), REVIEW, STAFF_LOOKS),
    Row(
        "restrictions",
        "an effect may be stricter than its type",
        restricted("CLOSED", effect=RestrictionEffect.BLOCK),
        REFUSE,
        NOT_POSSIBLE,
        ASK_PRISON,
    ),
    # 5 · a source that fails never means "allowed"
    Row("restrictions", "cannot be read", facts_with(restrictions=failing("restrictions")), REVIEW, STAFF_LOOKS),
    Row("identity", "cannot be read", identity(failing("identity")), REVIEW, STAFF_LOOKS),
    Row("allowance", "the ledger cannot be read", facts_with(ledger=failing("ledger")), REVIEW, STAFF_LOOKS),
    Row("one_at_a_time", "occupancy cannot be read", facts_with(room=failing("occupancy")), REVIEW, STAFF_LOOKS),
    Row("free_place", "occupancy cannot be read", facts_with(room=failing("occupancy")), REVIEW, STAFF_LOOKS),
    # identity
    Row("identity", "not shown yet", identity(IdentityStanding(False)), REFUSE, PROVE, PROVE_HOW),
    Row(
        "identity",
        "ends before the visit",
        identity(IdentityStanding(True, datetime(2026, 3, 6, 7, 0, tzinfo=UTC))),
        REFUSE,
        "Somebody's proof of identity ends before this visit.",
        "It changes when they have shown again who they are.",
    ),
    Row("identity", "ends later", identity(IdentityStanding(True, datetime(2026, 3, 6, 7, 1, tzinfo=UTC))), ALLOW),
    Row(
        "identity",
        "not shown, and this prison does not ask before booking",
        both(identity(IdentityStanding(False)), policy(identity__required_to_book=False)),
        ALLOW,
    ),
    # 8 to 12 · the ledger
    Row(
        "allowance",
        "no credit",
        facts_with(ledger=Known(ledger(0))),
        REFUSE,
        "There is no visit left in this period.",
        "The next credit comes on 13 March 2026.",
    ),
    Row(
        "allowance",
        "no credit, and none will come by itself",
        facts_with(ledger=Known(ledger(0)), next_credit=None),
        REFUSE,
        "There is no visit left in this period.",
        "Ask the prison when the next one comes.",
    ),
    Row(
        "allowance",
        "no credit, and a session that costs none",
        facts_with(ledger=Known(ledger(0)), slot=slot(credit_type=None)),
        ALLOW,
    ),
    Row(
        "allowance",
        "no credit, set aside by staff",
        facts_with(ledger=Known(ledger(0)), overrides={"allowance": "birth"}),
        ALLOW,
    ),
    Row("allowance", "no credit, and a lawyer", legal(), ALLOW),
    Row("allowance", "paid already", facts_with(ledger=Known(ledger(0)), already_charged=True), ALLOW),
    Row(
        "allowance",
        "a privileged credit pays a standard visit",
        facts_with(ledger=Known(ledger(1, CreditType.PRIVILEGED))),
        ALLOW,
    ),
    Row(
        "allowance",
        "a standard credit does not pay a privileged visit",
        facts_with(slot=slot(credit_type=CreditType.PRIVILEGED)),
        REFUSE,
        "There is no visit left in this period.",
        "The next credit comes on 13 March 2026.",
    ),
    # 14 · the session
    Row(
        "slot_fit",
        "a session of another kind",
        facts_with(slot=slot(kinds=frozenset({CallKind.OFFICIAL}))),
        REFUSE,
        "This time is not for this kind of visit.",
        OTHER,
    ),
    Row(
        "slot_fit",
        "only staff book this session",
        facts_with(slot=slot(public=False)),
        REFUSE,
        "This time is not for this kind of visit.",
        OTHER,
    ),
    Row("slot_fit", "staff book it", facts_with(slot=slot(public=False), asked_by=ActorKind.STAFF), ALLOW),
    Row(
        "slot_fit",
        "for another wing",
        facts_with(slot=slot(include_wings=frozenset({"wng_b"}))),
        REFUSE,
        "This time is not for this kind of visit.",
        OTHER,
    ),
    Row(
        "slot_fit",
        "not for this wing",
        facts_with(slot=slot(exclude_wings=frozenset({"wng_a"}))),
        REFUSE,
        "This time is not for this kind of visit.",
        OTHER,
    ),
    # 16 · the booking window, in the prison's days
    Row("window", "two days ahead", facts_with(slot=slot(date(2026, 3, 4))), ALLOW),
    Row("window", "tomorrow", facts_with(slot=slot(date(2026, 3, 3))), REFUSE, TOO_SOON, FROM_4),
    Row("window", "28 days ahead", facts_with(slot=slot(date(2026, 3, 30))), ALLOW),
    Row(
        "window",
        "29 days ahead",
        facts_with(slot=slot(date(2026, 3, 31))),
        REFUSE,
        "This visit is too far ahead to book.",
        "You can book it from 3 March 2026 on.",
    ),
    Row(
        "begun",
        "it has begun",
        both(policy(booking__notice_days_min=0), facts_with(slot=slot(MONDAY, time(10, 45)))),
        REFUSE,
        "This time has passed.",
        "Choose a later time.",
    ),
    Row(
        "window",
        "it has begun, and this prison lets people in late",
        both(
            policy(booking__notice_days_min=0, booking__late_start_minutes=20),
            facts_with(slot=slot(MONDAY, time(10, 45))),
        ),
        ALLOW,
    ),
    Row(
        "window",
        "tomorrow, set aside by staff",
        facts_with(slot=slot(date(2026, 3, 3)), overrides={"window": "x"}),
        ALLOW,
    ),
    Row("window", "a lawyer, two hours ahead", legal(facts_with(slot=slot(MONDAY, time(13, 5)))), ALLOW),
    Row(
        "window",
        "a lawyer, after the start, at a prison without notice that lets people in late",
        both(
            legal(facts_with(slot=slot(MONDAY, time(10, 45)))),
            policy(booking__notice_minutes_privileged=0, booking__late_start_minutes=20),
        ),
        ALLOW,
    ),
    Row(
        "window",
        "a lawyer, less than two hours ahead",
        legal(facts_with(slot=slot(MONDAY, time(12, 30)))),
        REFUSE,
        TOO_SOON,
        "Choose a later time.",
    ),
    Row("window", "a lawyer, half a year ahead", legal(facts_with(slot=slot(date(2026, 9, 1)))), ALLOW),
    Row(
        "begun",
        "it has begun, and staff set the window aside: no reason brings a time back",
        facts_with(slot=slot(MONDAY, time(10, 45)), overrides={"window": "x"}),
        REFUSE,
        "This time has passed.",
        "Choose a later time.",
    ),
    Row(
        "begun",
        "it was yesterday, and staff try to set every rule aside",
        facts_with(slot=slot(date(2026, 3, 1)), overrides={"window": "x", "begun": "x"}),
        REFUSE,
        "This time has passed.",
        "Choose a later time.",
    ),
    Row(
        "begun",
        "it is over, at a prison that lets people in late for longer than it lasts",
        both(policy(booking__late_start_minutes=60), facts_with(slot=slot(MONDAY, time(10, 10)))),
        REFUSE,
        "This time has passed.",
        "Choose a later time.",
    ),
    Row(
        "begun",
        "a lawyer, after the start",
        legal(facts_with(slot=slot(MONDAY, time(10, 45)))),
        REFUSE,
        "This time has passed.",
        "Choose a later time.",
    ),
    Row("begun", "it begins in twenty minutes", facts_with(slot=slot(MONDAY, time(11, 20))), ALLOW),
    # 15 and 18 · room
    Row(
        "one_at_a_time",
        "the prisoner is busy: with what is not told",
        facts_with(room=Known(replace(FREE, prisoner_busy=True))),
        REFUSE,
        "This visit is not possible at this time.",
        OTHER,
    ),
    Row(
        "one_at_a_time",
        "the mother has another visit then",
        facts_with(room=Known(replace(FREE, busy_contacts=frozenset({MOTHER})))),
        REFUSE,
        "Somebody on this booking has another visit at this time.",
        OTHER,
    ),
    Row("free_place", "capacity used up", facts_with(room=Known(replace(FREE, free_places=0))), REFUSE, TAKEN, OTHER),
    Row("free_place", "no station free", facts_with(room=Known(replace(FREE, free_stations=0))), REFUSE, TAKEN, OTHER),
    Row("free_place", "no officer free, none needed", facts_with(room=Known(replace(FREE, free_seats=0))), ALLOW),
    Row(
        "free_place",
        "no officer free for a live-watched session",
        facts_with(room=Known(replace(FREE, free_seats=0)), slot=slot(supervision=SupervisionLevel.LIVE)),
        REFUSE,
        TAKEN,
        OTHER,
    ),
    Row(
        "free_place",
        "no officer free for closed visits",
        both(restricted("CLOSED"), facts_with(room=Known(replace(FREE, free_seats=0)))),
        REFUSE,
        TAKEN,
        OTHER,
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.rule}: {row.situation}")
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


def test_every_rule_of_the_list_has_a_row_that_refuses_or_reviews() -> None:
    """A rule that no row of the table makes object would be a rule that nobody tests."""
    objecting = {row.rule for row in TABLE if row.outcome is not ALLOW}
    assert objecting == {rule.key for rule in RULES}


@pytest.mark.parametrize("left_out", RULES, ids=lambda rule: rule.key)
def test_each_rule_alone_is_what_refuses(left_out: Any) -> None:
    """Taking any one rule out of the list lets something through that the table forbids."""
    rest = tuple(rule for rule in RULES if rule is not left_out)
    slipped = [
        row
        for row in TABLE
        if row.rule == left_out.key and row.outcome is not ALLOW and decide(row.make(fine()), rest).allowed
    ]
    assert slipped


def test_a_refusal_beats_a_review_and_says_its_own_words_alone() -> None:
    facts = both(restricted("XQ-17"), facts_with(ledger=Known(ledger(0))))(fine())
    decision = decide_visit(facts)
    assert decision.outcome is REFUSE
    assert decision.safe_words == ["There is no visit left in this period."]


def test_the_trace_names_the_version_of_each_policy() -> None:
    decision = decide_visit(policy(booking__notice_days_min=1)(fine()))
    used = decision.result("window").policy_version.split()
    assert "booking.notice_days_min@prison.3" in used
    assert "booking.notice_days_max@default" in used


def test_the_words_for_a_family_name_nobody() -> None:
    for row in TABLE:
        decision = decide_visit(row.make(fine()))
        told = " ".join(decision.safe_words + decision.what_would_change)
        for hidden in ("Aalto", "Maija", "rst_1", "XQ-17", "COURT", "NON-CONTACT", "CLOSED", FRIEND, PRISONER):
            assert hidden not in told, row.situation


def test_nobody_learns_that_it_was_the_prisoner() -> None:
    """A prisoner's no, their silence, the prison's own refusal and a court's order read alike; staff see which."""
    changes = (
        link(prisoner_answer=PrisonerAnswer.REFUSED),
        link(prisoner_answer=PrisonerAnswer.UNANSWERED),
        link(state=RelationshipState.REFUSED),
        link(state=RelationshipState.ENDED),
        restricted("NON-CONTACT"),
    )
    decisions = [decide_visit(change(fine())) for change in changes]
    assert {(*each.safe_words, *each.what_would_change) for each in decisions} == {(NOT_POSSIBLE, ASK_PRISON)}
    reasons = [[line.staff_text for line in each.trace if line.outcome is REFUSE] for each in decisions]
    assert reasons[0] == ["The prisoner refuses this contact."]
    assert reasons[1] == ["The prisoner has not answered yet."]
    assert len({tuple(each) for each in reasons}) == len(changes)


def test_an_empty_trace_is_not_an_allowance() -> None:
    assert Decision(()).outcome is REVIEW


def test_a_decision_is_plain_data_for_the_store() -> None:
    for row in TABLE:
        json.dumps(decide_visit(row.make(fine())).as_data())
