"""A second opinion about single characters: how much a cell of the strip looks like each glyph of OCR-B.

The recogniser reads words; between the twins O and 0, or I and 1, it goes by the neighbours, and a document number has
no meaningful neighbours. OCR-B draws the twins differently (ISO 1073-2), so here a cell is compared with the drawn
glyph.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

FONT: Final = Path(__file__).parent / "data" / "OCRB.otf"
CELL: Final = 24  # pixels of pitch that strips are scaled to for comparing
_HEIGHT: Final = 36
_SHIFTS: Final = 3  # pixels a glyph may lie aside of where the row's geometry says

Picture = npt.NDArray[np.uint8]
Grey = npt.NDArray[np.float32]


@lru_cache(maxsize=256)
def _template(char: str, blur: float) -> Grey:
    """The glyph, dark on light turned to light on dark, at CELL pitch, baseline at a fixed row, blurred."""
    at_100 = ImageFont.truetype(str(FONT), 100).getlength("<")
    scale = 4
    font = ImageFont.truetype(str(FONT), scale * CELL * 100 / at_100)
    large = Image.new("L", (CELL * scale, _HEIGHT * scale), 0)
    ImageDraw.Draw(large).text((CELL * scale / 2, (_HEIGHT - 6) * scale), char, font=font, fill=255, anchor="ms")
    small = np.asarray(large.resize((CELL, _HEIGHT), Image.Resampling.BOX), np.float32)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), blur), np.float32)


class RowGlyphs:
    """One row of a zone, laid on the grid of its pitch; asks which of some characters a cell looks like."""

    def __init__(self, strip: Picture, centres: npt.NDArray[np.float32], text: str) -> None:
        """`strip` is BGR; `centres` are fractions of its width, one per character of `text` as first read."""
        width = strip.shape[1]
        places = np.arange(len(centres), dtype=np.float64)
        # Seen at an angle the pitch grows along the row: a parabola takes that up, and smooths the network's coarse
        # steps.
        curve = np.polyfit(places, centres * width, 2 if len(places) > 8 else 1)
        self._middles = np.polyval(curve, places)
        pitch = float((self._middles[-1] - self._middles[0]) / max(len(places) - 1, 1))
        scale = CELL / pitch
        grey = cv2.cvtColor(strip, cv2.COLOR_BGR2GRAY)
        scaled = cv2.resize(
            grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        )
        pad = CELL
        self._row = np.pad(255.0 - scaled.astype(np.float32), pad, mode="edge")
        self._middles = self._middles * scale + pad
        self._blur = 0.8 if scale < 1 else min(2.2, 0.6 + 0.7 * scale)
        self._top, self._side = self._align(text)

    def likeness(self, place: int, char: str) -> float:
        """Normalised correlation (-1 to 1) of the cell at `place` with the glyph `char`, best over small shifts."""
        return self._match(place, char, self._top, self._side, _SHIFTS, 2)[0]

    def _match(self, place: int, char: str, top: int, side: int, sideways: int, up: int) -> tuple[float, int, int]:
        left = round(self._middles[place] - CELL / 2) + side
        y0, y1 = max(top - up, 0), top + _HEIGHT + up
        x0, x1 = max(left - sideways, 0), left + CELL + sideways
        window = self._row[y0:y1, x0:x1]
        if window.shape[0] < _HEIGHT or window.shape[1] < CELL:
            return -1.0, top, side
        found = cv2.matchTemplate(window, _template(char, self._blur), cv2.TM_CCOEFF_NORMED)
        _, best, _, (dx, dy) = cv2.minMaxLoc(found)
        return float(best), y0 + dy, side + x0 + dx - left

    def _align(self, text: str) -> tuple[int, int]:
        """Where the row's glyphs lie: the medians over the characters of the best place of each as read."""
        room = self._row.shape[0] - _HEIGHT
        middle = room // 2
        found = [self._match(i, char, middle, 0, 6, middle) for i, char in enumerate(text) if char != "<"] or [
            self._match(i, char, middle, 0, 6, middle) for i, char in enumerate(text)
        ]
        good = [match for match in found if match[0] > 0.5] or found
        return int(np.median([m[1] for m in good])), int(np.median([m[2] for m in good]))
