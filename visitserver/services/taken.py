"""What is taken during a stretch of time, put in order once and then asked for slot after slot."""

from __future__ import annotations

from collections.abc import Iterable

from visitserver.domain.occupancy import Resource, ResourceKind, Span


class Taken:
    """Which resources are taken, by five-minute cell."""

    def __init__(self, taken: Iterable[tuple[Resource, Span]]) -> None:
        self._cells: dict[int, dict[ResourceKind, set[str]]] = {}
        for resource, span in taken:
            for cell in span.cells:
                self._cells.setdefault(cell, {}).setdefault(resource.kind, set()).add(resource.id)

    def during(self, span: Span) -> dict[ResourceKind, set[str]]:
        """The ids of what is taken in some cell of the span, by kind. A kind of which nothing is taken has no entry."""
        found: dict[ResourceKind, set[str]] = {}
        for cell in span.cells:
            for kind, ids in self._cells.get(cell, _NOTHING).items():
                found.setdefault(kind, set()).update(ids)
        return found


_NOTHING: dict[ResourceKind, set[str]] = {}
