"""Rules 7 and 11: which other visits count besides one."""

from __future__ import annotations

from collections.abc import Sequence

from visitserver.domain.rights import CountedVisit
from visitserver.domain.rules.scope import OfDay


def counted(facts: OfDay) -> Sequence[CountedVisit]:
    """The prisoner's other visits that count besides this one.

    While a booking stays on its day, those that were made before it: of several that are too many the first ones stay.
    On another day it is a new one, and all count. Raises SourceMissing when they could not be read.
    """
    visits = facts.visits.need()
    return visits if facts.slot.day != facts.own_day else [each for each in visits if each.earlier]
