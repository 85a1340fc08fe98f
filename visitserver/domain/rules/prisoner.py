"""Rule 3: where the prisoner is."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.decisions import Words
from visitserver.domain.rules.engine import Finding, refuse, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.scope import VISIT

MOVED = Words("The person you want to visit is not at this prison now.")
LOOK_THERE = Words("Look for visits again: you will see the times of the prison where they are.")


@rule("prisoner_here", "3", of=VISIT)
def prisoner_here(facts: Facts) -> Iterator[Finding]:
    """The prisoner must be at the prison that offers the slot."""
    if facts.prisoner.merged_into is not None:
        yield refuse(
            "This record was merged into another one.",
            MOVED,
            prisoner=facts.prisoner.id,
            merged_into=facts.prisoner.merged_into,
        )
    elif facts.prisoner.released_at is not None and facts.prisoner.released_at <= facts.slot.starts_at:
        yield refuse("Released by then.", MOVED, prisoner=facts.prisoner.id, released_at=facts.prisoner.released_at)
    elif facts.prisoner.prison_id != facts.slot.prison_id:
        yield refuse(
            "At another prison, or at none.",
            MOVED,
            LOOK_THERE if facts.prisoner.prison_id is not None else None,
            prisoner=facts.prisoner.id,
            prison=facts.prisoner.prison_id,
        )
