"""Finding faces. Two detectors behind one port: YuNet where an operator has put its file, else a cascade of dlib's
own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import dlib
import numpy as np

from visitserver.identity.worker import light
from visitserver.identity.worker.ocr import Picture
from visitserver.identity.worker.weights import face_model

_HOG_SIDE: Final = 640
_FINE_SIDE: Final = 800
_MMOD_SIDE: Final = 512
_YUNET_SIDE: Final = 640


@dataclass(frozen=True, slots=True)
class Box:
    """A face's box in pixels of the picture, and the detector's confidence in its own unit (not comparable between
    two).
    """

    left: float
    top: float
    right: float
    bottom: float
    score: float

    @property
    def size(self) -> float:
        """The geometric mean of width and height."""
        return float(np.sqrt(max(self.right - self.left, 0) * max(self.bottom - self.top, 0)))

    def scaled(self, factor: float) -> Box:
        """The box in a picture that is `factor` times as large."""
        return Box(self.left * factor, self.top * factor, self.right * factor, self.bottom * factor, self.score)


@dataclass(frozen=True, slots=True)
class Found:
    """Faces, largest first, in the picture turned clockwise by `quarter_turns`."""

    boxes: tuple[Box, ...]
    quarter_turns: int = 0


class FaceDetector(Protocol):
    """Finds every face in a BGR picture."""

    name: str

    def detect(self, picture: Picture) -> Found: ...


class YuNetDetector:
    """YuNet by OpenCV's loader; `model` is the path of its ONNX file (OpenCV carries the loader, not the weights)."""

    name = "yunet"

    def __init__(self, model: str) -> None:
        self._net: Any = cv2.FaceDetectorYN.create(model, "", (_YUNET_SIDE, _YUNET_SIDE), 0.6, 0.3, 500)

    def detect(self, picture: Picture) -> Found:
        """At 640 pixels; on a miss lightened, then turned by a quarter either way."""
        for turns, turned in _ways(picture):
            for version in (turned, light.lightened(turned)) if light.luma(turned) < 80 else (turned,):
                if boxes := self._once(version):
                    return Found(boxes, turns)
        return Found(())

    def _once(self, picture: Picture) -> tuple[Box, ...]:
        small, factor = _to_side(picture, _YUNET_SIDE)
        self._net.setInputSize((small.shape[1], small.shape[0]))
        _, rows = self._net.detect(small)
        return _sorted(
            Box(*_corners(row), score=float(row[14])).scaled(1 / factor) for row in (rows if rows is not None else ())
        )


class CascadeDetector:
    """dlib's detectors, cheap ones first: HOG on the evened picture, HOG on it twice as large, then the CNN (mmod)."""

    name = "dlib_cascade"

    def __init__(self) -> None:
        self._hog: Any = dlib.get_frontal_face_detector()
        self._mmod: Any = dlib.cnn_face_detection_model_v1(face_model("mmod"))

    def detect(self, picture: Picture) -> Found:
        """Nobody is called absent before all three have looked, upright and turned by a quarter either way."""
        if boxes := self._by_hog(picture, _HOG_SIDE, 0):
            return Found(boxes)
        if boxes := self._by_hog(picture, _FINE_SIDE // 2, 1) or self._by_hog(picture, _FINE_SIDE, 1):
            return Found(boxes)
        if boxes := self._by_mmod(picture, _MMOD_SIDE):
            return Found(boxes)
        for turns, turned in _ways(picture):
            if turns and (boxes := self._by_hog(turned, _HOG_SIDE, 0) or self._by_mmod(turned, _MMOD_SIDE // 2)):
                return Found(boxes, turns)
        return Found(())

    def _by_hog(self, picture: Picture, side: int, upsample: int) -> tuple[Box, ...]:
        small, factor = _to_side(picture, side)
        boxes, scores, _ = self._hog.run(light.evened(small), upsample, 0.0)
        return _sorted(_of(box, score).scaled(1 / factor) for box, score in zip(boxes, scores, strict=True))

    def _by_mmod(self, picture: Picture, side: int) -> tuple[Box, ...]:
        small, factor = _to_side(picture, side)
        rgb = np.ascontiguousarray(light.lightened(small)[:, :, ::-1])
        return _sorted(_of(found.rect, found.confidence).scaled(1 / factor) for found in self._mmod(rgb, 0))


def make_detector(yunet_model: str | None) -> FaceDetector:
    """YuNet when its file is configured, else the cascade."""
    return YuNetDetector(yunet_model) if yunet_model else CascadeDetector()


def _ways(picture: Picture) -> Iterator[tuple[int, Picture]]:
    yield 0, picture
    for turns in (1, 3):
        yield turns, np.ascontiguousarray(np.rot90(picture, -turns))


def _to_side(picture: Picture, side: int) -> tuple[Picture, float]:
    """The picture with its longest side at `side`, up to three times enlarged, and the factor."""
    factor = min(side / max(picture.shape[:2]), 3.0)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=how), np.uint8), factor


def _of(rect: Any, score: float) -> Box:
    return Box(rect.left(), rect.top(), rect.right(), rect.bottom(), float(score))


def _corners(row: Any) -> tuple[float, float, float, float]:
    """YuNet gives left, top, width, height."""
    left, top, width, height = (float(value) for value in row[:4])
    return left, top, left + width, top + height


def _sorted(boxes: Any) -> tuple[Box, ...]:
    return tuple(sorted(boxes, key=lambda box: box.size, reverse=True))
