"""Rule 11, as a question: is this visit one of those that nothing but the law can take away?"""

from __future__ import annotations

from visitserver.domain.calls import CallKind
from visitserver.domain.floors import Floor, floors_of
from visitserver.domain.policies import (
    FLOOR_ENHANCED,
    FLOOR_MINUTES,
    FLOOR_REMAND_WEEK,
    FLOOR_STANDARD,
    FLOOR_UNDER_18,
    PolicyKey,
)
from visitserver.domain.rules.counting import counted
from visitserver.domain.rules.scope import OfDay

FLOORS: tuple[PolicyKey, ...] = (FLOOR_STANDARD, FLOOR_ENHANCED, FLOOR_UNDER_18, FLOOR_REMAND_WEEK, FLOOR_MINUTES)
"""The policies that a rule reads which stops at the floor."""


def floor_with_room(facts: OfDay) -> Floor | None:
    """The floor that this social visit is still within, the most generous first; None when each is used up.

    Social visits of the week or month count, whoever paid; a visit shorter than the floor's counts in part.
    """
    if facts.kind is not CallKind.SOCIAL:
        return None
    for floor in floors_of(facts.prisoner, facts.prison, facts.policies, facts.slot.day):
        had = sum(
            min((visit.ends_at - visit.starts_at).total_seconds() / 60, floor.minutes)
            for visit in counted(facts)
            if visit.kind is CallKind.SOCIAL and floor.covers(visit.day)
        )
        if had < floor.calls * floor.minutes:
            return floor
    return None
