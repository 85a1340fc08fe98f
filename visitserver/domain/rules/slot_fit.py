"""Rule 14: whether this slot is for this visit."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.actors import ActorKind
from visitserver.domain.calls import CallKind
from visitserver.domain.people import Prisoner
from visitserver.domain.rules.engine import OTHER_TIME, Finding, refuse, rule
from visitserver.domain.rules.scope import SESSION, OfSession
from visitserver.domain.rules.slot_groups import NOT_FOR_THIS, outside
from visitserver.domain.scheduling import SessionTerms


@rule("slot_fit", "14", of=SESSION)
def slot_fit(facts: OfSession) -> Iterator[Finding]:
    """The template's kinds, its wings, and whether the public may book it."""
    yield from _unfit(facts.slot.terms, facts.kind, facts.prisoner, facts.asked_by)


def misfits(session: SessionTerms, kind: CallKind, prisoner: Prisoner, asked_by: ActorKind) -> Iterator[Finding]:
    """What this rule and the one about groups say, without the rest of the facts: what a list leaves out at once."""
    yield from _unfit(session, kind, prisoner, asked_by)
    yield from outside(session, kind, prisoner)


def _unfit(session: SessionTerms, kind: CallKind, prisoner: Prisoner, asked_by: ActorKind) -> Iterator[Finding]:
    if kind not in session.kinds:
        yield refuse(f"Not a session for {kind} calls.", NOT_FOR_THIS, OTHER_TIME, template=session.template_id)
    if not session.public and asked_by in (ActorKind.FAMILY, ActorKind.PRISONER):
        yield refuse("Only staff book this session.", NOT_FOR_THIS, OTHER_TIME, template=session.template_id)
    wing = prisoner.wing_id or ""
    if (session.include_wings and wing not in session.include_wings) or wing in session.exclude_wings:
        yield refuse("The session is not for the prisoner's wing.", NOT_FOR_THIS, OTHER_TIME, wing=wing)
