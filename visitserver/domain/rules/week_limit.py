"""Rule 7: how many social visits a week, by why the prisoner is held and how old they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Words
from visitserver.domain.people import ADULT_AGE, LegalStatus, age_on
from visitserver.domain.policies import (
    WEEK_LIMIT_CIVIL,
    WEEK_LIMIT_CONVICTED,
    WEEK_LIMIT_REMAND,
    WEEK_LIMIT_UNDER_18,
    PolicyKey,
)
from visitserver.domain.rules.counting import counted
from visitserver.domain.rules.engine import Finding, refuse, remark, rule
from visitserver.domain.rules.floor import FLOORS, floor_with_room
from visitserver.domain.rules.scope import DAY, OfDay

WEEK_FULL = Words("There is no visit left in this week.")
OTHER_WEEK = Words("You can book visits for {day} and later.")

_LIMIT = {
    LegalStatus.REMAND: WEEK_LIMIT_REMAND,
    LegalStatus.CONVICTED: WEEK_LIMIT_CONVICTED,
    LegalStatus.CIVIL: WEEK_LIMIT_CIVIL,
}


@rule("week_limit", "7", *_LIMIT.values(), WEEK_LIMIT_UNDER_18, *FLOORS, of=DAY, overridable=True)
def week_limit(facts: OfDay) -> Iterator[Finding]:
    """Remand, convicted, civil and under-18 prisoners have their own number of social visits from Monday to Sunday."""
    if facts.kind is not CallKind.SOCIAL:
        return
    monday = facts.slot.day - timedelta(days=facts.slot.day.weekday())
    sunday = monday + timedelta(days=6)
    had = sum(visit.kind is CallKind.SOCIAL and monday <= visit.day <= sunday for visit in counted(facts))
    key = limit_of(facts)
    most = facts.policies.number(key)
    inputs: dict[str, Any] = {"visits": had, "limit": most, "policy": key.name, "week": monday}
    if had < most:
        return
    if floor := floor_with_room(facts):
        yield remark(f"The limit stops at the floor of {floor.calls} a {floor.name}.", **inputs)
        return
    yield refuse(
        f"{had} social visits in the week already, of {most}.",
        WEEK_FULL,
        Words(OTHER_WEEK.template, {"day": sunday + timedelta(days=1)}),
        **inputs,
    )


def limit_of(facts: OfDay) -> PolicyKey:
    """The policy that holds for the prisoner: under 18 on the day of the visit, or else by legal status."""
    if age_on(facts.prisoner.born_on, facts.slot.day) < ADULT_AGE:
        return WEEK_LIMIT_UNDER_18
    return _LIMIT[facts.prisoner.legal_status]
