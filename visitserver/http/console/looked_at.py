"""What somebody has looked at before they do it: the form as it was, and which part of a long list they want to see."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from multidict import MultiMapping

AT_ONCE: Final = 50
"""So many affected bookings are listed at once."""
_NOT_THE_MATTER: Final = frozenset({"csrf_token", "seen", "part", "reason"})


def digest(posted: MultiMapping[Any], besides: Collection[str] = ()) -> str:
    """A form's matter in a word: the same exactly where it is filled in in the same way, but for the reason and the
    fields `besides`. Whoever changes something after having looked at what it does looks again."""
    skipped = _NOT_THE_MATTER.union(besides)
    texts = ((name, str(value).strip()) for name, value in posted.items() if name not in skipped)
    fields = sorted((name, text) for name, text in texts if text)
    return sha256(repr(fields).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a list: `shown` are items `first` to `last` (from 1) of `all`. `earlier` and `later` name the parts
    before and after it, None where there is none."""

    shown: Sequence[Any]
    first: int
    last: int
    all: int
    earlier: int | None
    later: int | None


def part_of(items: Sequence[Any], number: int) -> Part:
    """The part `number` (from 0); the last one where there are not so many."""
    number = min(max(number, 0), max(0, (len(items) - 1) // AT_ONCE))
    shown = items[number * AT_ONCE : (number + 1) * AT_ONCE]
    first = number * AT_ONCE + 1 if shown else 0
    last = number * AT_ONCE + len(shown)
    return Part(
        shown, first, last, len(items), number - 1 if number else None, number + 1 if last < len(items) else None
    )
