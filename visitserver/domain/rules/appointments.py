"""Rule 19: what a social call gives way to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from visitserver.domain.calls import CallKind
from visitserver.domain.rules.engine import NOT_AT_THIS_TIME, OTHER_TIME, Finding, refuse, remark, review, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.scope import VISIT


@rule("appointments", "19", of=VISIT)
def appointments(facts: Facts) -> Iterator[Finding]:
    """Court, medical, parole and legal appointments outrank social calls; beside other calls a person decides."""
    for each in facts.appointments.need():
        if each.prisoner_id != facts.prisoner.id or not each.overlaps(facts.slot.starts_at, facts.slot.ends_at):
            continue
        inputs: dict[str, Any] = {"appointment": each.id, "kind": each.kind}
        if not each.outranks:
            yield remark("The prisoner has something else then, which gives way.", **inputs)
        elif facts.kind is CallKind.SOCIAL:
            yield refuse(f"A {each.kind} appointment comes first.", NOT_AT_THIS_TIME, OTHER_TIME, **inputs)
        else:
            yield review(f"The prisoner has a {each.kind} appointment then.", **inputs)
