"""Which of a publisher's packets are missing, and when to ask for them again (RFC 4585 section 6.2.1)."""

from __future__ import annotations

_MAX_TRIES = 10
_MAX_MISSING = 256  # more than this is not loss to repair but a break: a keyframe is cheaper
_WINDOW = 512  # older than this and no jitter buffer waits for it any more
_FIRST_WAIT = 0.010  # seconds: most packets that seem lost have only changed places
_SHORTEST = 0.020  # seconds between two requests for the same packet

# For a recording, which waits longer than people do (its reader: 12 s). Browsers keep what they sent for some seconds.
PATIENCE = 8.0  # seconds
_PATIENT_WINDOW = 4096
_PATIENT_WAIT = 0.25  # seconds between two requests once those for people are over


class _Missing:
    __slots__ = ("due", "since", "tries")

    def __init__(self, due: float, since: float) -> None:
        self.due = due
        self.since = since
        self.tries = 0


class NackTracker:
    """Missing packets by index (extended sequence number). Times are seconds of one monotonic clock.

    `patient`: something that records listens. Then a packet is asked for beyond the ten times that help a person,
    ever more slowly, for PATIENCE seconds in all.
    """

    def __init__(self) -> None:
        self._missing: dict[int, _Missing] = {}
        self.given_up = 0
        self.patient = False

    def __len__(self) -> int:
        return len(self._missing)

    def gap(self, previous: int, index: int, now: float) -> bool:
        """Packets between `previous` and `index` have not come. False when there are too many to ask for."""
        if index - previous - 1 + len(self._missing) > _MAX_MISSING:
            self._missing.clear()
            return False
        for absent in range(previous + 1, index):
            self._missing[absent] = _Missing(now + _FIRST_WAIT, now)
        return True

    def arrived(self, index: int) -> bool:
        """A packet that was not the newest has come; says whether it was missing."""
        return self._missing.pop(index, None) is not None

    def __contains__(self, index: int) -> bool:
        return index in self._missing

    def due(self, now: float, highest: int, round_trip: float) -> list[int]:
        """The sequence numbers to ask for now, in order.

        Each is asked for once per round trip, ten times at most; if `patient`, again after that.
        """
        if not self._missing:
            return []
        asked: list[int] = []
        window = _PATIENT_WINDOW if self.patient else _WINDOW
        for index, missing in list(self._missing.items()):
            over = missing.tries >= _MAX_TRIES
            if index < highest - window or (over and not (self.patient and now - missing.since < PATIENCE)):
                del self._missing[index]
                self.given_up += 1
            elif missing.due <= now:
                missing.tries += 1
                slower = min(max(missing.tries - _MAX_TRIES, 0), 4) * _PATIENT_WAIT
                missing.due = now + max(round_trip, _SHORTEST) + slower
                asked.append(index & 0xFFFF)
        return asked

    def clear(self) -> None:
        """Nothing is missing any more: a keyframe makes a new start."""
        self._missing.clear()
