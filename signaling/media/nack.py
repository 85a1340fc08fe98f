"""Which of a publisher's packets are missing, and when to ask for them again (RFC 4585 section 6.2.1)."""

from __future__ import annotations

_MAX_TRIES = 10
_MAX_MISSING = 256  # more than this is not loss to repair but a break: a keyframe is cheaper
_WINDOW = 512  # older than this and no jitter buffer waits for it any more
_FIRST_WAIT = 0.010  # seconds: most packets that seem lost have only changed places


class _Missing:
    __slots__ = ("due", "tries")

    def __init__(self, due: float) -> None:
        self.due = due
        self.tries = 0


class NackTracker:
    """Missing packets by index (extended sequence number). Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._missing: dict[int, _Missing] = {}
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._missing)

    def gap(self, previous: int, index: int, now: float) -> bool:
        """Packets between `previous` and `index` have not come. False when there are too many to ask for."""
        if index - previous - 1 + len(self._missing) > _MAX_MISSING:
            self._missing.clear()
            return False
        for absent in range(previous + 1, index):
            self._missing[absent] = _Missing(now + _FIRST_WAIT)
        return True

    def arrived(self, index: int) -> None:
        """A packet that was not the newest has come."""
        self._missing.pop(index, None)

    def due(self, now: float, highest: int, round_trip: float) -> list[int]:
        """The sequence numbers to ask for now, in order; each is asked for once per round trip, ten times at most."""
        if not self._missing:
            return []
        asked: list[int] = []
        for index, missing in list(self._missing.items()):
            if index < highest - _WINDOW or missing.tries >= _MAX_TRIES:
                del self._missing[index]
                self.given_up += 1
            elif missing.due <= now:
                missing.tries += 1
                missing.due = now + max(round_trip, 0.020)
                asked.append(index & 0xFFFF)
        return asked

    def clear(self) -> None:
        """Nothing is missing any more: a keyframe makes a new start."""
        self._missing.clear()
