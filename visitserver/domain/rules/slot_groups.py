"""Rule 14: the groups of prisoners that a session is for."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Words
from visitserver.domain.people import Prisoner
from visitserver.domain.rules.engine import OTHER_TIME, Finding, refuse, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.scheduling import Location, Slot

NOT_FOR_THIS = Words("This time is not for this kind of visit.")


@rule("slot_groups", "14")
def slot_groups(facts: Facts) -> Iterator[Finding]:
    """Locations, categories, incentive levels and legal statuses; privileged calls have no incentive filter."""
    yield from outside(facts.slot, facts.kind, facts.prisoner)


def outside(slot: Slot, kind: CallKind, prisoner: Prisoner) -> Iterator[Finding]:
    """The same without the rest of the facts: what a list leaves out at once."""

    def refused(staff: str, **inputs: object) -> Finding:
        return refuse(staff, NOT_FOR_THIS, OTHER_TIME, template=slot.template_id, **inputs)

    location = prisoner.location
    if slot.include_locations and not _within(location, slot.include_locations):
        yield refused("The session is for other locations.", location=location)
    if _within(location, slot.exclude_locations):
        yield refused("The session leaves out the prisoner's location.", location=location)
    category = prisoner.category or ""
    if slot.include_categories and category not in slot.include_categories:
        yield refused("The session is for other categories.", category=category)
    if category in slot.exclude_categories:
        yield refused("The session leaves out the prisoner's category.", category=category)
    level = prisoner.incentive_level
    if slot.incentive_levels and level not in slot.incentive_levels and not kind.privileged:
        yield refused("The session is for other incentive levels.", level=level)
    status = prisoner.legal_status
    if slot.legal_statuses and status not in slot.legal_statuses:
        yield refused("The session is for another legal status.", status=status)


def _within(location: Location, paths: frozenset[Location]) -> bool:
    """Whether the location is one of the paths or below one; a location that is not known is within none."""
    return any(location[: len(path)] == path for path in paths)
