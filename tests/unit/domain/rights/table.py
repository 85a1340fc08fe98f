"""The whole table of cases, in the order of the rules."""

from __future__ import annotations

from tests.unit.domain.rights import credits, limits, people, sessions, sources, times
from tests.unit.domain.rights.world import Row
from visitserver.domain.rules.order import RULES

_ORDER = {rule.key: number for number, rule in enumerate(RULES)}

CASES: list[Row] = sorted(
    [*people.CASES, *limits.CASES, *sessions.CASES, *times.CASES, *credits.CASES, *sources.CASES],
    key=lambda row: _ORDER[row.rule],
)
