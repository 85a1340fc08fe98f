"""A line of evenly spaced characters out of the recogniser's steps.

The network says for each step along the strip how likely each character is, or none ("blank"). Read greedily, as is
usual, it now and then swallows a character or says one twice. The print of a zone is evenly spaced, so the greedy
reading is used to lay a grid, and each cell of the grid is then read by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<"
FILLER: Final = "<"
Floats = npt.NDArray[np.float32]
_MIN_CHARACTERS: Final = 6
_RUN_CLEAR: Final = 0.3
_CELL_PART: Final = 0.8  # of a cell's width belongs to it; the rest may carry a neighbour's traces
_MAX_OFF_GRID: Final = 0.42  # pitches by which a character may lie off its cell's middle


@dataclass(frozen=True, slots=True)
class Line:
    """A line of characters of ALPHABET. `chances` has a row per character: how likely each of ALPHABET is there (a row
    need not sum to 1: the rest is "blank"). `centres` are the characters' middles as fractions (0 to 1) of the strip's
    width. `even` says that they lie on a grid."""

    text: str
    chances: Floats
    centres: Floats
    even: bool

    @property
    def mean(self) -> float:
        """The mean likelihood of the characters, 0 for an empty line."""
        return float(self.chances.max(axis=1).mean()) if self.text else 0.0

    @property
    def pitch(self) -> float:
        """From one character to the next, as a fraction of the strip's width; 0 for fewer than two characters."""
        if len(self.text) < 2:
            return 0.0
        return float(self.centres[-1] - self.centres[0]) / (len(self.text) - 1)


def line_of(steps: Floats) -> Line:
    """The line in `steps` (rows: steps along the strip; columns: blank, then ALPHABET)."""
    characters, centres = _greedy(steps)
    if len(characters) < _MIN_CHARACTERS:
        return _line(steps, centres, half=1.0, even=False)
    gaps = np.diff(centres)
    pitch = float(np.median(gaps))
    # The median of small whole numbers of steps is coarse: the mean of the ordinary gaps is finer.
    pitch = float(gaps[np.abs(gaps - pitch) <= 0.5 * pitch].mean())
    cells = np.concatenate([[0], np.cumsum(np.rint(gaps / pitch))])
    curve = np.polyfit(cells, centres, 2 if len(cells) > 12 else 1)
    off = np.abs(np.polyval(curve, cells) - centres)
    grid = np.asarray(np.polyval(curve, np.arange(int(cells[-1]) + 1)), np.float64)
    return _line(steps, grid, half=pitch / 2, even=bool(off.max() <= _MAX_OFF_GRID * pitch))


def extended(line: Line, before: int, after: int) -> Line:
    """The line with `before` and `after` further cells on its grid, of which nothing is known."""
    places = np.arange(len(line.text))
    curve = np.polyfit(places, line.centres, 2 if len(places) > 12 else 1)
    centres = np.polyval(curve, np.arange(-before, len(line.text) + after)).astype(np.float32)
    unknown = np.full((1, len(ALPHABET)), 1e-3, np.float32)
    chances = np.concatenate([unknown.repeat(before, 0), line.chances, unknown.repeat(after, 0)])
    return Line(FILLER * before + line.text + FILLER * after, chances, centres, line.even)


def longest_run(line: Line) -> tuple[int, int] | None:
    """The first and last place of the longest run of cells that have a character, one unclear cell allowed within."""
    clear = line.chances.max(axis=1) >= _RUN_CLEAR if line.text else np.zeros(0, bool)
    best: tuple[int, int] | None = None
    start: int | None = None
    last = 0
    for place, good in enumerate(clear):
        if good:
            start = place if start is None else start
            last = place
        elif start is not None and place - last > 1:
            start = None
        if start is not None and (best is None or last - start > best[1] - best[0]):
            best = (start, last)
    return best


def _greedy(steps: Floats) -> tuple[list[int], npt.NDArray[np.float64]]:
    """Equal neighbours are one character, blanks separate: the characters and the middles of their runs, in steps."""
    best = steps.argmax(axis=1)
    characters: list[int] = []
    centres: list[float] = []
    start = 0
    for end in range(1, len(best) + 1):
        if end < len(best) and best[end] == best[start]:
            continue
        if best[start] != 0:
            characters.append(int(best[start]))
            centres.append((start + end - 1) / 2)
        start = end
    return characters, np.array(centres, np.float64)


def _line(steps: Floats, middles: npt.NDArray[np.float64], *, half: float, even: bool) -> Line:
    """Each cell read by itself: the likeliest character of the steps that are its own."""
    chances = np.zeros((len(middles), len(ALPHABET)), np.float32)
    for number, middle in enumerate(middles):
        first = max(0, int(np.ceil(middle - _CELL_PART * half)))
        last = min(len(steps) - 1, int(np.floor(middle + _CELL_PART * half)))
        if last >= first:
            chances[number] = steps[first : last + 1, 1:].max(axis=0)
    text = "".join(ALPHABET[best] for best in chances.argmax(axis=1)) if len(middles) else ""
    return Line(text, chances, ((middles + 0.5) / len(steps)).astype(np.float32), even)
