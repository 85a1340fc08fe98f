"""Finding the machine-readable zone on a picture of a document and reading it, character by character.

Two readers that work in different ways look at each row: the recogniser's network, and the comparison of each cell
with the drawn glyphs of OCR-B. Where they disagree the character is *doubtful* and said to be so. Check digits are
never used to choose a character: they would make a wrong reading look right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from visitserver.identity.worker.glyphs import RowGlyphs
from visitserver.identity.worker.line import ALPHABET, Line, extended, longest_run
from visitserver.identity.worker.ocr import Picture, Quad, TextReader
from visitserver.identity.worker.rows import Row, join, row_of, strip_of
from visitserver.identity.worker.zone_grammar import admitted

SEARCH_SIDE: Final = 960  # longest side of the picture that text is searched in, pixels
_LENGTHS: Final = (30, 36, 44)
_MIN_ASPECT: Final = 11.0
_PART_ASPECT: Final = 5.0
_SHORT_ROW: Final = 33  # characters: a row of a card has 30, other documents have two rows of 36 or 44
_SHORTEST_RUN: Final = 20
_SPACINGS: Final = (1.8, 2.1, 2.5)  # pitches from line to line, as documents really have them
_ROWS_TRIED: Final = 7
_TWINS: Final = ("O0QD", "I1", "S5", "B8", "Z2", "G6", "UV", "VY", "1L", "KX", "MN", "<K")
_TWIN_MARGIN: Final = 0.02  # likeness by which a glyph must win over its twin
_ODDS_MARGIN: Final = 0.06  # likeness by which any other glyph must win to make the network's character doubtful
_CLEAR: Final = 0.45  # likelihood below which the network alone does not settle a character
_FEW: Final = 3
_LIKE: Final = 0.75  # likeness below which a cell does not look like the character that the network says
_PRINTED: Final = 0.7  # likeness from which a cell has a character in it
_MOST_ADDED: Final = 2
_COARSE: Final = 9.0  # pixels a character below which print hardly tells twins apart
_GLYPHS_FIT: Final = 0.8  # median likeness below which the row is not in OCR-B, or too blurred to compare


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Zone:
    """What was read. `doubtful` are (line, place) where the readers disagree or are unsure, `by_place` those where
    only a letter or only a digit can stand and that decided between twins. `quarter_turns` is how the picture had to
    be turned clockwise to be upright. `pixels_per_char` is the pitch in the picture as given."""

    lines: tuple[str, ...]
    doubtful: tuple[tuple[int, int], ...]
    by_place: tuple[tuple[int, int], ...]
    pixels_per_char: float
    quarter_turns: int
    top: float
    likelihood: float


@dataclass(frozen=True, slots=True)
class _Read:
    """A strip and its line; `pitch` in pixels of the picture."""

    strip: Picture
    line: Line
    pitch: float
    row: Row


class ZoneReader:
    """Finds and reads zones with a TextReader."""

    def __init__(self, text: TextReader) -> None:
        self._text = text

    def read(self, picture: Picture) -> Zone | None:
        """The zone of a BGR picture in any of its four orientations, None when there is none to be seen."""
        quads = self._search(picture)
        long = [row for row in map(row_of, quads) if row.length > 4 * row.thickness]
        lying = sum(row.length for row in long if abs(row.x1 - row.x0) >= abs(row.y1 - row.y0))
        standing = sum(row.length for row in long) - lying
        best: Zone | None = None
        for turns in (0, 2, 1, 3) if lying >= standing else (1, 3, 0, 2):
            turned = np.ascontiguousarray(np.rot90(picture, -turns))
            # The detector sees lying lines whole, standing ones in parts: it looks again at what lay on its side.
            rows = [row_of(_turn(quad, turns, picture.shape[:2])) for quad in quads]
            if turns % 2 and long:
                rows = [row_of(quad) for quad in self._search(turned)]
            found = self._read_upright(turned, rows, turns)
            if found is not None and (best is None or found.likelihood > best.likelihood):
                best = found
            if best is not None and best.likelihood > 0.8:
                break
        return best

    def _search(self, picture: Picture) -> list[Quad]:
        """Quadrilaterals of text, searched in a picture of SEARCH_SIDE pixels, in pixels of the picture given."""
        factor = min(SEARCH_SIDE / max(picture.shape[:2]), 4.0)
        how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how)
        return [quad / factor for quad in self._text.find(np.asarray(small, np.uint8))]

    def _read_upright(self, picture: Picture, rows: list[Row], turns: int) -> Zone | None:
        lying = [row for row in rows if abs(row.x1 - row.x0) > abs(row.y1 - row.y0)]
        candidates = [row for row in join(lying) if row.length >= _MIN_ASPECT * row.thickness][-_ROWS_TRIED:]
        likely = [read for row in reversed(candidates) if _is_zone_like((read := self._read_row(picture, row)).line)]
        block = _block(likely)
        if block is None or (len(block) == 2 and max(len(read.line.text) for read in block) < _SHORT_ROW):
            # None found, or a card's zone of which one line was not seen.
            block = self._grown(picture, join(lying)) or block
        if block is None:
            return None
        expected = _expected_length(block)
        reads = [self._best_of(picture, read, block, expected) for read in block]
        lines, doubtful, by_place = [], [], []
        kind = (len(reads), expected)
        for number, read in enumerate(reads):
            text, unsure, placed = _settle(read, kind, number, reads[0].line.text[:1] == "V")
            lines.append(text)
            doubtful += [(number, place) for place in unsure]
            by_place += [(number, place) for place in placed]
        return Zone(
            lines=tuple(lines),
            doubtful=tuple(doubtful),
            by_place=tuple(by_place),
            pixels_per_char=round(float(np.median([read.pitch for read in reads])), 1),
            quarter_turns=turns,
            top=min(min(read.row.y0, read.row.y1) - read.row.thickness for read in reads),
            likelihood=float(np.mean([read.line.mean for read in reads])),
        )

    def _grown(self, picture: Picture, rows: list[Row]) -> list[_Read] | None:
        """A zone of which the text detector saw only parts: each grown along its line, then the lines beside it."""
        parts = [row for row in rows if row.length >= _PART_ASPECT * row.thickness][-_ROWS_TRIED:]
        seeds = [read for row in parts if _is_part((read := self._read_row(picture, row)).line)]
        for seed in reversed(seeds):
            pitch = seed.pitch
            own = self._trimmed(picture, seed.row.reaching(-44 * pitch, seed.row.length + 44 * pitch), pitch)
            if own is None:
                continue
            near = [self._beside(picture, own.row, step, pitch) for step in (-2, -1, 1, 2)]
            found = [own, *(read for read in near if read is not None)]
            found.sort(key=lambda read: own.row.aside(*read.row.middle), reverse=True)
            if (block := _block(found)) is not None:
                return block
        return None

    def _beside(self, picture: Picture, row: Row, step: int, pitch: float) -> _Read | None:
        """The row `step` lines below (negative: above), at the line spacing that reads best."""
        tried = [self._trimmed(picture, row.beside(step * spacing * pitch), pitch) for spacing in _SPACINGS]
        return max((read for read in tried if read is not None), key=lambda read: read.line.mean, default=None)

    def _trimmed(self, picture: Picture, reach: Row, pitch: float) -> _Read | None:
        """The row within `reach` from its first to its last character; None when there are too few for a zone's."""
        wide = self._read_row(picture, reach.within(picture.shape[1], picture.shape[0]), aside=0.0)
        span = longest_run(wide.line)
        if span is None or span[1] - span[0] < _SHORTEST_RUN:
            return None
        first, last = (float(wide.line.centres[place]) * wide.row.length for place in span)
        read = self._read_row(picture, wide.row.reaching(first - 0.7 * pitch, last + 0.7 * pitch), aside=0.2)
        return read if _is_zone_like(read.line) else None

    def _read_row(
        self, picture: Picture, row: Row, *, above: float = 0.12, aside: float = 0.5, plain: bool = True
    ) -> _Read:
        strip = strip_of(picture, row, above=above, aside=aside)
        line = self._text.read(strip if plain else _even(strip))
        return _Read(strip, line, line.pitch * strip.shape[1], row)

    def _best_of(self, picture: Picture, first: _Read, block: list[_Read], expected: int) -> _Read:
        """The first reading that has all characters, evenly spaced and few unclear; else the best of several."""
        best = first
        for read in chain([first], self._variants(picture, first, block)):
            if _quality(read, expected) > _quality(best, expected):
                best = read
            if best.line.even and len(best.line.text) == expected and _unclear(best.line) <= _FEW:
                break
        return _completed(best, expected)

    def _variants(self, picture: Picture, first: _Read, block: list[_Read]) -> Iterator[_Read]:
        """The row again: with other margins, evened contrast, and as far as its neighbours reach."""
        row = first.row
        yield self._read_row(picture, row, above=0.25, aside=1.0)
        starts = [row.along(other.row.x0, other.row.y0) for other in block]
        ends = [row.along(other.row.x1, other.row.y1) for other in block]
        reach = row.reaching(min(starts), max(ends))
        yield self._read_row(picture, reach)
        yield self._read_row(picture, reach, above=0.2, aside=0.8, plain=False)
        yield self._read_row(picture, reach, above=0.0, aside=0.3)
        yield self._read_row(picture, reach, above=0.4, aside=1.5, plain=False)


def _settle(read: _Read, kind: tuple[int, int], number: int, visa: bool) -> tuple[str, list[int], list[int]]:
    """The row's text after the second opinion, the doubtful places, and those settled by what can stand there."""
    text, chances = read.line.text, read.line.chances
    if len(text) < 8:
        return text, list(range(len(text))), []
    glyphs = RowGlyphs(read.strip, read.line.centres, text)
    own = [glyphs.likeness(place, char) for place, char in enumerate(text)]
    told = [value for value, char in zip(own, text, strict=True) if char != "<"] or own
    comparable = float(np.median(told)) >= _GLYPHS_FIT
    settled, doubtful, placed = [], [], []
    for place, char in enumerate(text):
        allowed = admitted(kind, number, place, visa) if len(text) == kind[1] else ALPHABET
        settle = _by_glyph if comparable else _by_chance
        margin = _TWIN_MARGIN if read.pitch >= _COARSE else 3 * _TWIN_MARGIN
        chosen, sure, by_place = settle(glyphs, place, char, own[place], chances[place], allowed, margin)
        settled.append(chosen)
        if not sure:
            doubtful.append(place)
        if by_place:
            placed.append(place)
    return "".join(settled), doubtful, placed


def _by_glyph(
    glyphs: RowGlyphs, place: int, char: str, own: float, chance: Floats, allowed: str, margin: float
) -> tuple[str, bool, bool]:
    """The character at `place`, whether it is sure, and whether it took the rules of the place to tell twins apart."""
    clear = float(chance.max()) >= _CLEAR
    twins = _twins(char)
    if clear and own > _LIKE:
        rivals = twins | {ALPHABET[i] for i in np.argsort(chance)[-4:] if chance[i] > 0.02}
    else:
        rivals = set(ALPHABET)
    likeness = {rival: glyphs.likeness(place, rival) for rival in rivals - {char} if rival in allowed}
    if not likeness:
        return char, clear and char in allowed, False
    rival = max(likeness, key=lambda other: likeness[other])
    ahead = likeness[rival] - own
    if char not in allowed:
        if rival in twins and ahead > -4 * _TWIN_MARGIN:
            return rival, True, True
        return (rival, False, True) if ahead > 0 else (char, False, False)
    if not clear:
        return (rival if ahead > 0 else char), abs(ahead) > _ODDS_MARGIN / 2 and max(own, likeness[rival]) > 0.8, False
    if rival in twins:
        # Coarse print must speak clearly to overrule the network; fine print decides by itself.
        overruled = ahead > (0 if margin == _TWIN_MARGIN else margin)
        return (rival if overruled else char), abs(ahead) > margin, False
    if own < _LIKE and likeness[rival] > _LIKE and ahead > _ODDS_MARGIN:
        return rival, ahead > 2 * _ODDS_MARGIN, False
    if ahead > 2 * _ODDS_MARGIN:
        return rival, False, False
    return char, ahead <= _ODDS_MARGIN, False


def _by_chance(
    _glyphs: RowGlyphs, _place: int, char: str, _own: float, chance: Floats, allowed: str, margin: float
) -> tuple[str, bool, bool]:
    """As `_by_glyph`, where the print cannot be compared: by the network alone."""
    twins = [twin for twin in _twins(char) if twin in allowed]
    if char not in allowed and twins:
        return max(twins, key=lambda twin: float(chance[ALPHABET.index(twin)])), False, True
    return char, float(chance.max()) >= 0.6 and char in allowed, False


def _twins(char: str) -> set[str]:
    return {twin for group in _TWINS if char in group for twin in group} - {char}


def _quality(read: _Read, expected: int) -> float:
    """Higher is better: the right number of characters first, then even spacing, then likelihood."""
    right = len(read.line.text) == expected
    return -abs(len(read.line.text) - expected) + (2.0 if right and read.line.even else 0.0) + read.line.mean


def _unclear(line: Line) -> int:
    return int((line.chances.max(axis=1) < _CLEAR).sum())


def _completed(read: _Read, expected: int) -> _Read:
    """A row that lacks a character or two at an end, with the cells added that have print in them."""
    missing = expected - len(read.line.text)
    if not read.line.even or not 1 <= missing <= _MOST_ADDED or len(read.line.text) < 20:
        return read
    options = [extended(read.line, before, missing - before) for before in range(missing + 1)]
    printed = [_print_in_added(read.strip, line, before) for before, line in enumerate(options)]
    best = int(np.argmax(printed))
    if printed[best] < _PRINTED:
        return read
    return _Read(read.strip, options[best], read.pitch, read.row)


def _print_in_added(strip: Picture, line: Line, before: int) -> float:
    """How much the least printed of the added cells looks like its best glyph."""
    glyphs = RowGlyphs(strip, line.centres, line.text)
    added = [*range(before), *range(len(line.text) - _added_after(line, before), len(line.text))]
    return min(max(glyphs.likeness(place, char) for char in ALPHABET) for place in added)


def _added_after(line: Line, before: int) -> int:
    unknown = int((line.chances.max(axis=1) <= 1e-3).sum())
    return unknown - before


def _is_zone_like(line: Line) -> bool:
    digits = sum(char.isdigit() for char in line.text)
    return len(line.text) >= 22 and line.mean >= 0.6 and (line.text.count("<") >= 2 or digits >= 10)


def _is_part(line: Line) -> bool:
    digits = sum(char.isdigit() for char in line.text)
    return len(line.text) >= 9 and line.mean >= 0.85 and line.even and ("<" in line.text or digits >= 5)


def _block(likely: list[_Read]) -> list[_Read] | None:
    """The two or three neighbouring rows, lowest first in `likely`, that make a zone; returned from the top down."""
    for start in range(len(likely)):
        block = [likely[start]]
        for read in likely[start + 1 :]:
            low = block[-1]
            gap = abs(read.row.aside(*low.row.middle))
            same = 0.75 < read.row.length / low.row.length < 1.33
            if same and 0.7 * low.row.thickness < gap < 4.5 * low.row.thickness:
                block.append(read)
        if len(block) >= 3 and np.median([len(read.line.text) for read in block[:3]]) < _SHORT_ROW:
            return block[2::-1]
        if len(block) >= 2:
            return block[1::-1]
    return None


def _expected_length(block: list[_Read]) -> int:
    longest = max((len(read.line.text) for read in block if read.line.even), default=0) or max(
        len(read.line.text) for read in block
    )
    lengths = (30,) if len(block) == 3 else _LENGTHS[1:]
    return min(lengths, key=lambda length: abs(length - longest))


def _even(strip: Picture) -> Picture:
    """The strip in grey with its contrast evened, for shadows and faint print."""
    grey = cv2.cvtColor(strip, cv2.COLOR_BGR2GRAY)
    evened = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(1, 8)).apply(grey)
    return np.asarray(cv2.cvtColor(evened, cv2.COLOR_GRAY2BGR), np.uint8)


def _turn(quad: npt.NDArray[np.float32], turns: int, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The corners after `turns` quarter turns clockwise of a picture of (height, width) `size`."""
    height, width = size
    for _ in range(turns):
        quad = np.stack([height - quad[:, 1], quad[:, 0]], axis=1)
        height, width = width, height
    return quad
