"""Rule 1 and the private half of rule 3: who has a right to this call."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.decisions import Words
from visitserver.domain.policies import ACCEPTANCE_REQUIRED
from visitserver.domain.rights import PrisonerAnswer, Relationship, RelationshipState, kind_for
from visitserver.domain.rules.engine import ASK_PRISON, NOT_POSSIBLE, Finding, refuse, rule
from visitserver.domain.rules.scope import PARTY, OfParty

NOT_ON_LIST = Words("The prison has not approved every caller for visits with this person.")
ASK_AND_WAIT = Words("It changes when the prison has approved each caller's request.")
WRONG_KIND = Words("This approval is for another kind of visit.")
APPROVE_KIND = Words("Ask the prison to approve this kind of visit.")


@rule("relationship", "1", ACCEPTANCE_REQUIRED, of=PARTY)
def relationship(facts: OfParty) -> Iterator[Finding]:
    """Every caller needs an active, approved relationship with this prisoner, of the kind of this call."""
    acceptance_required = facts.policies.flag(ACCEPTANCE_REQUIRED)
    for caller in facts.callers:
        link = caller.relationship
        inputs = {"relationship": link.id, "state": link.state, "answer": link.prisoner_answer}
        if link.prisoner_id != facts.prisoner.id or link.contact_id != caller.contact.id:
            yield refuse("The relationship belongs to other people.", NOT_ON_LIST, ASK_AND_WAIT, **inputs)
        elif link.kind is not kind_for(facts.kind) or link.call_kind is not facts.kind:
            yield refuse(f"Approved for {link.call_kind} calls, not {facts.kind}.", WRONG_KIND, APPROVE_KIND, **inputs)
        elif link.state in (RelationshipState.REFUSED, RelationshipState.ENDED):
            yield refuse(f"The relationship is {link.state}.", NOT_POSSIBLE, ASK_PRISON, **inputs)
        elif link.state is not RelationshipState.APPROVED:
            yield refuse(f"The relationship is {link.state}.", NOT_ON_LIST, ASK_AND_WAIT, **inputs)
        elif link.withdrawn_at is not None:
            yield refuse("The contact has withdrawn.", NOT_POSSIBLE, ASK_PRISON, **inputs)
        elif not link.is_active(acceptance_required=acceptance_required):
            yield refuse(_answer(link), NOT_POSSIBLE, ASK_PRISON, **inputs)


def _answer(link: Relationship) -> str:
    if link.prisoner_answer is PrisonerAnswer.REFUSED:
        return "The prisoner refuses this contact."
    return "The prisoner has not answered yet."
