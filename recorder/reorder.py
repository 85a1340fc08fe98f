"""Packets of a recorded track in order: a reader of the whole log knows which late packets do come, and waits for no
others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Reorder(Generic[T]):
    """`absent` are the ranges (first, last), in order, of the numbers that never come.

    Numbers are counted on, not 16 bits.
    """

    def __init__(self, absent: Sequence[tuple[int, int]]) -> None:
        self._absent = absent
        self._range = 0
        self._next = -1
        self._gap = False  # something is missing before the next packet that will be given
        self._waiting: dict[int, T] = {}

    def push(self, number: int, item: T) -> list[tuple[bool, T]]:
        """Give what is in order now, each with whether packets are missing before it. Duplicates are dropped."""
        if self._next < 0:
            self._next = number
            self._skip()
        if number < self._next or number in self._waiting:
            return []
        if number == self._next and not self._waiting:
            ready = [(self._gap, item)]
            self._advance()
            return ready
        self._waiting[number] = item
        ready = []
        while self._next in self._waiting:
            ready.append((self._gap, self._waiting.pop(self._next)))
            self._advance()
        return ready

    def _advance(self) -> None:
        self._gap = False
        self._next += 1
        if self._range < len(self._absent) and self._absent[self._range][0] <= self._next:
            self._skip()

    def _skip(self) -> None:
        """Pass over what never comes."""
        while self._range < len(self._absent) and self._absent[self._range][0] <= self._next:
            last = self._absent[self._range][1]
            self._range += 1
            if last >= self._next:
                self._next = last + 1
                self._gap = True
