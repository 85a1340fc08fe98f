"""Who speaks when: from the audio level that browsers send with every packet (RFC 6464), else from how much Opus had
to say.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from recorder.opus import duration_ms
from recorder.rtp import one_byte_values

BIN_MS = 200
_LOUD = 45  # -dBov: below it is louder, and counts as speech where no voice flag says so
_HANG_MS = 600  # pauses within speech that do not end it
_SHORTEST_MS = 200
_LEARN = 200  # packets looked at to find out which extension element is the level
_FLOOR_SHARE = 0.1


class Span(NamedTuple):
    """A stretch of speech in ms of the recording's time line."""

    from_ms: int
    to_ms: int


class AudioActivity:
    """Fed a track's audio packets in order of arrival.

    Which extension identifier carries the level is negotiated per connection and not in the log, so it is found out:
    of the one-byte elements it is the one that changes (the other one in use, `mid`, never does).
    """

    def __init__(self) -> None:
        self._seen: dict[int, set[int]] = {}
        self._looked = 0
        self._levels: list[tuple[int, list[tuple[int, int]]]] = []  # (ns, elements)
        self._amounts: list[tuple[int, float]] = []  # (ns, payload bytes per 20 ms)

    def packet(self, mono_ns: int, payload: bytes, extension: bytes) -> None:
        """One packet."""
        length = duration_ms(payload)
        if length:
            self._amounts.append((mono_ns, len(payload) * 20 / length))
        if not extension:
            return
        values = one_byte_values(extension)
        if values:
            self._levels.append((mono_ns, values))
            if self._looked < _LEARN:
                self._looked += 1
                for identifier, value in values:
                    self._seen.setdefault(identifier, set()).add(value)

    @property
    def source(self) -> str:
        """Where the spans come from: `audio-level`, `opus-size`, or `none`."""
        if self._level_identifier() is not None:
            return "audio-level"
        return "opus-size" if self._amounts else "none"

    def spans(self, start_ns: int) -> list[Span]:
        """The stretches of speech, on the time line that begins at `start_ns`."""
        return _merge(self._active_bins(start_ns))

    def loudness(self, start_ns: int, duration_ms: int) -> list[int]:
        """The loudest level of every second in -dBov (0 loudest, 127 silence), for drawing; empty without audio
        levels.
        """
        identifier = self._level_identifier()
        if identifier is None:
            return []
        seconds = [127] * (duration_ms // 1000 + 1)
        for mono_ns, values in self._levels:
            second = (mono_ns - start_ns) // 1_000_000_000
            for found, value in values:
                if found == identifier and 0 <= second < len(seconds):
                    seconds[second] = min(seconds[second], value & 0x7F)
        return seconds

    def _level_identifier(self) -> int | None:
        changing = {identifier: len(values) for identifier, values in self._seen.items() if len(values) > 1}
        return max(changing, key=lambda identifier: changing[identifier]) if changing else None

    def _active_bins(self, start_ns: int) -> list[int]:
        identifier = self._level_identifier()
        votes: Counter[int] = Counter()
        if identifier is not None:
            flagged = any(value & 0x80 for _, values in self._levels for found, value in values if found == identifier)
            for mono_ns, values in self._levels:
                for found, value in values:
                    if found == identifier:
                        speech = value & 0x7F < _LOUD and (bool(value & 0x80) or not flagged)
                        votes[self._bin(mono_ns, start_ns)] += 1 if speech else -1
        elif self._amounts:
            amounts = sorted(amount for _, amount in self._amounts)
            floor = max(8.0, amounts[int(len(amounts) * _FLOOR_SHARE)])
            for mono_ns, amount in self._amounts:
                votes[self._bin(mono_ns, start_ns)] += 1 if amount > 2 * floor else -1
        return sorted(number for number, vote in votes.items() if vote >= 0 and number >= 0)

    @staticmethod
    def _bin(mono_ns: int, start_ns: int) -> int:
        return (mono_ns - start_ns) // (BIN_MS * 1_000_000)


def _merge(bins: list[int]) -> list[Span]:
    spans: list[Span] = []
    for number in bins:
        begin, end = number * BIN_MS, (number + 1) * BIN_MS
        if spans and begin - spans[-1].to_ms <= _HANG_MS:
            spans[-1] = Span(spans[-1].from_ms, end)
        else:
            spans.append(Span(begin, end))
    return [span for span in spans if span.to_ms - span.from_ms > _SHORTEST_MS or len(spans) == 1]
