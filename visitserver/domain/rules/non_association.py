"""Rule 6: two prisoners who must not meet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from visitserver.domain.policies import (
    NON_ASSOCIATION_MINUTES,
    NON_ASSOCIATION_SAME_WING,
    NON_ASSOCIATION_WHOLE_DAY,
)
from visitserver.domain.rights import NonAssociatedVisit
from visitserver.domain.rules.engine import NOT_AT_THIS_TIME, OTHER_TIME, Finding, refuse, remark, review, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.scope import VISIT


@rule(
    "non_association",
    "6",
    NON_ASSOCIATION_MINUTES,
    NON_ASSOCIATION_WHOLE_DAY,
    NON_ASSOCIATION_SAME_WING,
    of=VISIT,
)
def non_association(facts: Facts) -> Iterator[Finding]:
    """No call on the same wing while, or shortly before or after, the other prisoner has one.

    Where a wing is not known a person looks. A privileged call is never refused for it: the other call gives way.
    """
    for visit in facts.non_associated.need():
        if not visit.applies_on(facts.slot.day) or not _near(visit, facts):
            continue
        inputs: dict[str, Any] = {"non_association": visit.non_association_id, "booking": visit.booking_id}
        together = _same_wing(visit, facts)
        if facts.kind.privileged:
            yield remark("A prisoner they must not meet has a call then; privileged calls do not give way.", **inputs)
        elif together is None:
            yield review("A prisoner they must not meet has a call then, on a wing that is not known.", **inputs)
        elif together:
            yield refuse("A prisoner they must not meet has a call then.", NOT_AT_THIS_TIME, OTHER_TIME, **inputs)
        else:
            yield remark("A prisoner they must not meet has a call then, on another wing.", **inputs)


def _near(visit: NonAssociatedVisit, facts: Facts) -> bool:
    if facts.policies.flag(NON_ASSOCIATION_WHOLE_DAY):
        zone = facts.prison.zone
        return visit.starts_at.astimezone(zone).date() <= facts.slot.day <= visit.ends_at.astimezone(zone).date()
    apart = timedelta(minutes=facts.policies.number(NON_ASSOCIATION_MINUTES))
    return visit.starts_at < facts.slot.ends_at + apart and facts.slot.starts_at - apart < visit.ends_at


def _same_wing(visit: NonAssociatedVisit, facts: Facts) -> bool | None:
    """Whether both live or talk on one wing; None when it is not known where one of them lives."""
    if not facts.policies.flag(NON_ASSOCIATION_SAME_WING):
        return True
    stations = (facts.station_wings.get(each) for each in facts.slot.station_ids)
    here = {facts.prisoner.wing_id, *stations} - {None}
    there = {visit.wing_id, visit.station_wing_id} - {None}
    if here & there:
        return True
    return None if facts.prisoner.wing_id is None or visit.wing_id is None else False
