"""Rule 14: the groups of prisoners that a session is for."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Words
from visitserver.domain.people import Prisoner
from visitserver.domain.rules.engine import OTHER_TIME, Finding, refuse, rule
from visitserver.domain.rules.scope import SESSION, OfSession
from visitserver.domain.scheduling import Location, SessionTerms

NOT_FOR_THIS = Words("This time is not for this kind of visit.")


@rule("slot_groups", "14", of=SESSION)
def slot_groups(facts: OfSession) -> Iterator[Finding]:
    """Locations, categories, incentive levels and legal statuses; privileged calls have no incentive filter."""
    yield from outside(facts.slot.terms, facts.kind, facts.prisoner)


def outside(session: SessionTerms, kind: CallKind, prisoner: Prisoner) -> Iterator[Finding]:
    """The same without the rest of the facts: what a list leaves out at once."""

    def refused(staff: str, **inputs: object) -> Finding:
        return refuse(staff, NOT_FOR_THIS, OTHER_TIME, template=session.template_id, **inputs)

    location = prisoner.location
    if session.include_locations and not _within(location, session.include_locations):
        yield refused("The session is for other locations.", location=location)
    if _within(location, session.exclude_locations):
        yield refused("The session leaves out the prisoner's location.", location=location)
    category = prisoner.category or ""
    if session.include_categories and category not in session.include_categories:
        yield refused("The session is for other categories.", category=category)
    if category in session.exclude_categories:
        yield refused("The session leaves out the prisoner's category.", category=category)
    level = prisoner.incentive_level
    if session.incentive_levels and level not in session.incentive_levels and not kind.privileged:
        yield refused("The session is for other incentive levels.", level=level)
    status = prisoner.legal_status
    if session.legal_statuses and status not in session.legal_statuses:
        yield refused("The session is for another legal status.", status=status)


def _within(location: Location, paths: frozenset[Location]) -> bool:
    """Whether the location is one of the paths or below one; a location that is not known is within none."""
    return any(location[: len(path)] == path for path in paths)
