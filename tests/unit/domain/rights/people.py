"""Rules 1 to 3 and identity: who may talk to whom."""

from __future__ import annotations

from datetime import UTC, date, datetime

from tests.fixtures.rights import CHILD, FRIEND, MOTHER
from tests.unit.domain.rights.world import (
    ALLOW,
    APPROVED,
    ASK_PRISON,
    NOT_ON_LIST,
    NOT_POSSIBLE,
    NOW,
    PROVE,
    PROVE_HOW,
    REFUSE,
    Row,
    both,
    consular,
    identity,
    identity_of,
    inspection,
    lead_born,
    legal,
    link,
    links_of,
    official,
    policy,
    prisoner,
    with_callers,
)
from visitserver.domain.calls import CallKind
from visitserver.domain.rights import PrisonerAnswer, RelationshipKind, RelationshipState
from visitserver.domain.rules.facts import IdentityStanding

CASES = [
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
        NOT_POSSIBLE,
        ASK_PRISON,
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
    Row("relationship", "a lawyer, approved as a lawyer", legal(), ALLOW),
    Row("relationship", "a consul, approved as a consul", consular(), ALLOW),
    Row("relationship", "an inspector, approved as an inspector", inspection(), ALLOW),
    Row("relationship", "a social worker, approved for official visits", official(), ALLOW),
    Row(
        "relationship",
        "an official approval opens no social visit",
        both(link(kind=RelationshipKind.OFFICIAL, call_kind=CallKind.OFFICIAL)),
        REFUSE,
        "This approval is for another kind of visit.",
        "Ask the prison to approve this kind of visit.",
    ),
    Row(
        "relationship",
        "one of several callers has no approval",
        both(with_callers(MOTHER, FRIEND), links_of(FRIEND, state=RelationshipState.REQUESTED)),
        REFUSE,
        NOT_ON_LIST,
        APPROVED,
    ),
    Row(
        "callers",
        "the lead turns 18 on the day of the visit",
        lead_born(date(2008, 3, 6)),
        ALLOW,
    ),
    Row(
        "callers",
        "the lead turns 18 the day after",
        lead_born(date(2008, 3, 7)),
        REFUSE,
        "The person who books must be 18 or older on the day of the visit.",
        "An adult on the list can book and bring the child along.",
    ),
    Row(
        "callers",
        "two adults, where policy allows two",
        both(with_callers(MOTHER, FRIEND), policy(callers__adults_max=2)),
        ALLOW,
    ),
    Row(
        "callers",
        "three adults, where policy allows two",
        both(with_callers(MOTHER, FRIEND, "con_a"), policy(callers__adults_max=2)),
        REFUSE,
        "At most 2 adults can be on the call.",
        "Leave an adult out of this visit.",
    ),
    Row("prisoner_here", "here", lambda f: f, ALLOW),
    Row(
        "prisoner_here",
        "at no prison",
        prisoner(prison_id=None),
        REFUSE,
        "The person you want to visit is not at this prison now.",
    ),
    Row(
        "prisoner_here",
        "the record was merged into another",
        prisoner(merged_into="prs_kept"),
        REFUSE,
        "The person you want to visit is not at this prison now.",
    ),
    Row("identity", "shown", lambda f: f, ALLOW),
    Row(
        "identity",
        "a child shows nothing",
        both(with_callers(MOTHER, CHILD), identity_of(CHILD, IdentityStanding(False))),
        ALLOW,
    ),
    Row(
        "identity",
        "one of two adults has not shown it",
        both(with_callers(MOTHER, FRIEND), identity_of(FRIEND, IdentityStanding(False))),
        REFUSE,
        PROVE,
        PROVE_HOW,
    ),
]
