"""A session and its versions belong together: a series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from visitserver.domain.scheduling import SessionTemplate


def series_of(templates: Sequence[SessionTemplate], chosen: Iterable[str]) -> frozenset[str]:
    """The ids of the chosen templates and of all their earlier and later versions among `templates`."""
    found = set(chosen)
    while True:
        later = {each.id for each in templates if each.supersedes in found}
        earlier = {each.supersedes for each in templates if each.id in found and each.supersedes is not None}
        known = {each.id for each in templates}
        more = (later | (earlier & known)) - found
        if not more:
            return frozenset(found)
        found |= more
