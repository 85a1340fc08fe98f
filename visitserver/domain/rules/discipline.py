"""Rule 11: a punishment stops at the floor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from visitserver.domain.calls import CallKind
from visitserver.domain.policies import DISCIPLINARY_TYPES
from visitserver.domain.rules.engine import ASK_PRISON, NOT_POSSIBLE, Finding, refuse, remark, rule
from visitserver.domain.rules.floor import FLOORS, floor_with_room
from visitserver.domain.rules.restrictions import in_force, is_punishment
from visitserver.domain.rules.scope import DAY, OfDay


@rule("discipline", "11", DISCIPLINARY_TYPES, *FLOORS, of=DAY)
def discipline(facts: OfDay) -> Iterator[Finding]:
    """A disciplinary restriction stops social visits beyond the floor; it never touches other calls."""
    for each in in_force(facts):
        if not is_punishment(each, facts):
            continue
        inputs: dict[str, Any] = {"restriction": each.id, "type": each.type, "day": facts.slot.day}
        if facts.kind is not CallKind.SOCIAL:
            yield remark(f"{each.type} does not touch {facts.kind} calls.", **inputs)
        elif floor := floor_with_room(facts):
            yield remark(f"{each.type} stops at the floor of {floor.calls} a {floor.name}.", **inputs)
        else:
            yield refuse(f"{each.type}: the floor is used up.", NOT_POSSIBLE, ASK_PRISON, **inputs)
