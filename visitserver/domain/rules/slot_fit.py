"""Rule 14: whether this slot is for this visit."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.actors import ActorKind
from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Words
from visitserver.domain.people import Prisoner
from visitserver.domain.rules.engine import Finding, refuse, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.scheduling import Slot

NOT_FOR_THIS = Words("This time is not for this kind of visit.")
OTHER_TIME = Words("Choose another time.")


@rule("slot_fit", "14")
def slot_fit(facts: Facts) -> Iterator[Finding]:
    """The template's kinds, its wings, and whether the public may book it."""
    yield from misfits(facts.slot, facts.kind, facts.prisoner, facts.asked_by)


def misfits(slot: Slot, kind: CallKind, prisoner: Prisoner, asked_by: ActorKind) -> Iterator[Finding]:
    """The same without the rest of the facts: what a list leaves out at once."""
    if kind not in slot.kinds:
        yield refuse(f"Not a session for {kind} calls.", NOT_FOR_THIS, OTHER_TIME, template=slot.template_id)
    if not slot.public and asked_by in (ActorKind.FAMILY, ActorKind.PRISONER):
        yield refuse("Only staff book this session.", NOT_FOR_THIS, OTHER_TIME, template=slot.template_id)
    wing = prisoner.wing_id or ""
    if (slot.include_wings and wing not in slot.include_wings) or wing in slot.exclude_wings:
        yield refuse("The session is not for the prisoner's wing.", NOT_FOR_THIS, OTHER_TIME, wing=wing)
