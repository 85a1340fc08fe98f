"""Pages: every list that a service returns is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from visitserver.domain.errors import Invalid

T = TypeVar("T")

MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How much of a list is wanted: `limit` 1 to 200 items, after the opaque `cursor` of the page before."""

    limit: int = 50
    cursor: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise Invalid(f"A page holds 1 to {MAX_LIMIT} items.", field="limit")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; `next_cursor` is None on the last page."""

    items: Sequence[T]
    next_cursor: str | None = None
