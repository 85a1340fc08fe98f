"""Light, sharpness and glare: is this picture worth looking at, and what would make it better?"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from visitserver.identity.worker.ocr import Picture
from visitserver.services.ports.identity_engine import Hint, Purpose

DARK: Final = 45.0
"""Mean luma (0 to 255) below which a picture is too dark to judge."""
BRIGHT: Final = 235.0
_EVEN: Final = 115.0
_SHARP: Final = {Purpose.DOCUMENT: 40.0, Purpose.SELFIE: 25.0}
_SHARP_WIDTH: Final = {Purpose.DOCUMENT: 1000, Purpose.SELFIE: 480}
_SMALLEST: Final = {Purpose.DOCUMENT: 900, Purpose.SELFIE: 320}
_GLARE_PART: Final = 0.01


def luma(picture: Picture) -> float:
    """Mean brightness of a BGR picture, 0 to 255."""
    return float(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).mean())


def sharpness(picture: Picture, width: int) -> float:
    """Variance of the Laplacian of the picture scaled to `width` pixels: below about 30 nothing has an edge."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    factor = width / grey.shape[1]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=how)
    return float(cv2.Laplacian(scaled, cv2.CV_64F).var())


def lightened(picture: Picture) -> Picture:
    """The picture with the gamma that brings a dark one to ordinary brightness; a bright enough one as it is."""
    mean = luma(picture)
    if mean >= 80:
        return picture
    gamma = float(np.log(_EVEN / 255) / np.log(max(mean, 2.0) / 255))
    table = np.clip(255 * (np.arange(256) / 255) ** gamma, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table), np.uint8)


def evened(picture: Picture) -> Picture:
    """Grey, lightened, with local contrast evened (CLAHE): what the fallback face detectors look at."""
    grey = cv2.cvtColor(lightened(picture), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(grey), np.uint8)


def hints(picture: Picture, purpose: Purpose) -> list[Hint]:
    """What to do better, most important first."""
    found = []
    mean = luma(picture)
    if mean < DARK:
        found.append(Hint("too_dark", round(mean, 1)))
    if mean > BRIGHT and purpose is Purpose.SELFIE:
        found.append(Hint("too_bright", round(mean, 1)))
    if max(picture.shape[:2]) < _SMALLEST[purpose]:
        found.append(Hint("too_small", max(picture.shape[:2])))
    sharp = sharpness(lightened(picture), _SHARP_WIDTH[purpose])
    if sharp < _SHARP[purpose]:
        found.append(Hint("blurred", round(sharp, 1)))
    if purpose is Purpose.DOCUMENT and (part := _glare(picture)) > _GLARE_PART:
        found.append(Hint("glare", round(part, 3)))
    return found


def _glare(picture: Picture) -> float:
    """The part of the picture that is one burnt-out blotch: all channels full, smooth edges, darker around it."""
    small = cv2.resize(picture, (320, max(1, 320 * picture.shape[0] // picture.shape[1])), interpolation=cv2.INTER_AREA)
    full = np.asarray((small.min(axis=2) >= 252), np.uint8)
    if not full.any() or full.mean() > 0.3:  # a scan on white paper is no glare
        return 0.0
    _, _, stats, _ = cv2.connectedComponentsWithStats(full)
    blobs = [
        int(area)
        for x, y, w, h, area in stats[1:]
        if area > 0.6 * w * h and x > 0 and y > 0 and x + w < small.shape[1] and y + h < small.shape[0]
    ]
    return max(blobs, default=0) / float(full.size)
