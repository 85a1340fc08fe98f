"""Rows of text on a page: quadrilaterals joined along their line, and the upright strip of a row."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from visitserver.identity.worker.ocr import Picture, Quad

_JOIN_GAP: Final = 4.0  # thicknesses between two parts of one row
_JOIN_ASIDE: Final = 0.5  # thicknesses by which a part may lie off the row's line


@dataclass(frozen=True, slots=True)
class Row:
    """A row's middle line from (x0, y0) to (x1, y1) and its thickness, in pixels of the picture it was found in."""

    x0: float
    y0: float
    x1: float
    y1: float
    thickness: float

    @property
    def length(self) -> float:
        """Pixels from end to end."""
        return math.hypot(self.x1 - self.x0, self.y1 - self.y0)

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of the row."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def aside(self, x: float, y: float) -> float:
        """How far the point lies below (positive) the row's line, in pixels."""
        ux, uy = (self.x1 - self.x0) / self.length, (self.y1 - self.y0) / self.length
        return ux * (y - self.y0) - uy * (x - self.x0)

    def along(self, x: float, y: float) -> float:
        """How far along the row's direction the point lies from the row's start, in pixels."""
        ux, uy = (self.x1 - self.x0) / self.length, (self.y1 - self.y0) / self.length
        return ux * (x - self.x0) + uy * (y - self.y0)

    def beside(self, pixels: float) -> Row:
        """The row that lies `pixels` below (negative: above)."""
        nx, ny = -(self.y1 - self.y0) / self.length * pixels, (self.x1 - self.x0) / self.length * pixels
        return Row(self.x0 + nx, self.y0 + ny, self.x1 + nx, self.y1 + ny, self.thickness)

    def within(self, width: float, height: float) -> Row:
        """The part of the row's line that lies in a picture of that size; the row itself where none does."""
        across = _clip(self.x0, self.x1 - self.x0, width)
        down = _clip(self.y0, self.y1 - self.y0, height)
        start, end = max(across[0], down[0], 0.0), min(across[1], down[1], 1.0)
        return self.reaching(start * self.length, end * self.length) if end > start else self

    def reaching(self, start: float, end: float) -> Row:
        """The same line from `start` to `end` pixels along it."""
        ux, uy = (self.x1 - self.x0) / self.length, (self.y1 - self.y0) / self.length
        return Row(self.x0 + ux * start, self.y0 + uy * start, self.x0 + ux * end, self.y0 + uy * end, self.thickness)


def _clip(start: float, change: float, limit: float) -> tuple[float, float]:
    """The range of t for which start + t * change lies in 0..limit."""
    if abs(change) < 1e-9:
        return -math.inf, math.inf
    ends = sorted((-start / change, (limit - start) / change))
    return ends[0], ends[1]


def row_of(quad: Quad) -> Row:
    """The row that a text detector's quadrilateral covers, read along its longer side and from left to right."""
    if np.linalg.norm(quad[1] - quad[0]) < np.linalg.norm(quad[3] - quad[0]):
        quad = np.roll(quad, 1, axis=0)
    left, right = (quad[0] + quad[3]) / 2, (quad[1] + quad[2]) / 2
    if right[0] < left[0]:
        left, right = right, left
    thickness = (np.linalg.norm(quad[3] - quad[0]) + np.linalg.norm(quad[2] - quad[1])) / 2
    return Row(float(left[0]), float(left[1]), float(right[0]), float(right[1]), float(thickness))


def join(rows: Iterable[Row]) -> list[Row]:
    """Rows with those parts made one that lie on one line with little between them, from the top of the page down."""
    waiting = sorted((row for row in rows if row.length > 0), key=lambda row: row.x0)
    joined: list[Row] = []
    for part in waiting:
        for number, row in enumerate(joined):
            # The longer of the two says best which way the line runs.
            guide, other = (row, part) if row.length >= part.length else (part, row)
            off = max(abs(guide.aside(other.x0, other.y0)), abs(guide.aside(other.x1, other.y1)))
            thickness = max(row.thickness, part.thickness)
            if (
                off <= _JOIN_ASIDE * thickness
                and part.x0 - row.x1 <= _JOIN_GAP * thickness
                and min(row.thickness, part.thickness) >= 0.5 * thickness
            ):
                joined[number] = Row(
                    row.x0,
                    row.y0,
                    max((part, row), key=lambda r: r.x1).x1,
                    max((part, row), key=lambda r: r.x1).y1,
                    thickness,
                )
                break
        else:
            joined.append(part)
    return sorted(joined, key=lambda row: row.middle[1])


def strip_of(picture: Picture, row: Row, *, above: float = 0.12, aside: float = 0.5) -> Picture:
    """The row upright, with `above` thicknesses more above and below it and `aside` thicknesses more at both ends."""
    wide = row.reaching(-aside * row.thickness, row.length + aside * row.thickness)
    height = max(8, round(row.thickness * (1 + 2 * above)))
    width = max(16, round(wide.length))
    ux, uy = (wide.x1 - wide.x0) / wide.length, (wide.y1 - wide.y0) / wide.length
    half = height / 2
    corners = [
        (wide.x0 + uy * half, wide.y0 - ux * half),
        (wide.x1 + uy * half, wide.y1 - ux * half),
        (wide.x0 - uy * half, wide.y0 + ux * half),
    ]
    target: npt.NDArray[np.float32] = np.array([(0, 0), (width, 0), (0, height)], np.float32)
    move = cv2.getAffineTransform(np.array(corners, np.float32), target)
    return np.asarray(
        cv2.warpAffine(picture, move, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )
