"""Rule 7: the first days after admission have a limit of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Words
from visitserver.domain.policies import RECEPTION_DAYS, RECEPTION_LIMIT
from visitserver.domain.rules.counting import counted
from visitserver.domain.rules.engine import Finding, refuse, remark, rule
from visitserver.domain.rules.floor import FLOORS, floor_with_room
from visitserver.domain.rules.scope import DAY, OfDay

NONE_LEFT = Words("There is no visit left before {day}.")
FROM_THEN = Words("You can book visits for {day} and later.")


@rule("reception", "7", RECEPTION_DAYS, RECEPTION_LIMIT, *FLOORS, of=DAY, overridable=True)
def reception(facts: OfDay) -> Iterator[Finding]:
    """In the reception phase there are only so many social visits; the floor is among them."""
    admitted = facts.prisoner.admitted_at.astimezone(facts.prison.zone).date()
    after = admitted + timedelta(days=facts.policies.number(RECEPTION_DAYS))
    if facts.kind is not CallKind.SOCIAL or facts.slot.day >= after:
        return
    had = sum(visit.kind is CallKind.SOCIAL and admitted <= visit.day < after for visit in counted(facts))
    most = facts.policies.number(RECEPTION_LIMIT)
    inputs: dict[str, Any] = {"visits": had, "limit": most, "until": after}
    if had < most:
        yield remark(f"Reception phase: {had} of {most}.", **inputs)
    elif floor := floor_with_room(facts):
        yield remark(f"The limit stops at the floor of {floor.calls} a {floor.name}.", **inputs)
    else:
        yield refuse(
            f"{had} social visits in the reception phase already, of {most}.",
            Words(NONE_LEFT.template, {"day": after}),
            Words(FROM_THEN.template, {"day": after}),
            **inputs,
        )
