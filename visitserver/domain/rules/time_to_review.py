"""Rule 21: a visit that a person must look at is offered only when there is time to look."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.actors import ActorKind
from visitserver.domain.decisions import Words
from visitserver.domain.policies import HOLIDAYS, REVIEW_WORKING_DAYS, WORKING_DAYS
from visitserver.domain.rules.engine import Finding, refuse, remark, rule
from visitserver.domain.rules.scope import DAY, OfDay
from visitserver.domain.working_days import first_review_day

TOO_SOON_TO_LOOK = Words("A member of staff must look at this visit first, and there is too little time for it.")
FROM_THEN = Words("You can book visits for {day} and later.")
ASK = Words("Ask the prison.")


@rule("time_to_review", "21", REVIEW_WORKING_DAYS, WORKING_DAYS, HOLIDAYS, of=DAY, on_review=True)
def time_to_review(facts: OfDay) -> Iterator[Finding]:
    """A visit for review is first offered two working days ahead; privileged calls and staff's own are exempt."""
    if facts.kind.privileged or facts.asked_by not in (ActorKind.FAMILY, ActorKind.PRISONER) or facts.standing:
        yield remark("A person looks, whenever it is.")
        return
    first = first_review_day(facts.today, facts.policies)
    if facts.slot.day >= first:
        return
    change = ASK if first == first.max else Words(FROM_THEN.template, {"day": first})
    yield refuse(
        "For review, and fewer working days ahead than a review takes.",
        TOO_SOON_TO_LOOK,
        change,
        day=facts.slot.day,
        first=first,
    )
