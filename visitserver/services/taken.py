"""What is taken during a stretch of time, put in order once and then asked for slot after slot."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from operator import itemgetter

from visitserver.domain.occupancy import Resource, ResourceKind, Span


class Taken:
    """Which resources are taken, and when."""

    def __init__(self, taken: Iterable[tuple[ResourceKind, Span, Sequence[str]]]) -> None:
        rows: dict[ResourceKind, list[tuple[datetime, datetime, Sequence[str]]]] = {}
        for kind, span, ids in taken:
            rows.setdefault(kind, []).append((span.starts_at, span.ends_at, ids))
        self._kinds = {kind: _Times(found) for kind, found in rows.items()}

    def during(self, kind: ResourceKind, span: Span) -> set[str]:
        """The ids of what is taken of the kind in some part of the span."""
        times = self._kinds.get(kind)
        return set() if times is None else times.during(span)

    def resources(self, span: Span) -> frozenset[Resource]:
        """All that is taken in some part of the span."""
        return frozenset(Resource(kind, each) for kind, times in self._kinds.items() for each in times.during(span))


class _Times:
    """In order of their beginning. Nothing lasts longer than `longest`, so what began earlier than that is over."""

    def __init__(self, rows: list[tuple[datetime, datetime, Sequence[str]]]) -> None:
        rows.sort(key=itemgetter(0))
        self._rows = rows
        self._starts = [starts_at for starts_at, _, _ in rows]
        self._longest = max((ends_at - starts_at for starts_at, ends_at, _ in rows), default=timedelta())

    def during(self, span: Span) -> set[str]:
        first = bisect_right(self._starts, span.starts_at - self._longest)
        return {
            id_
            for _, ends_at, ids in self._rows[first : bisect_left(self._starts, span.ends_at)]
            if ends_at > span.starts_at
            for id_ in ids
        }
