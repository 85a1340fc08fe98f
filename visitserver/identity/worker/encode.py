"""A face as numbers, and the geometry of its five points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import dlib
import numpy as np
import numpy.typing as npt

from visitserver.identity.worker import light
from visitserver.identity.worker.faces import Box, FaceDetector
from visitserver.identity.worker.ocr import Picture
from visitserver.identity.worker.weights import face_model

Vector = npt.NDArray[np.float32]
_SMALLEST: Final = 28.0
"""Pixels of eye distance below which a face has too little in it to compare."""
_CROP: Final = 320


@dataclass(frozen=True, slots=True)
class Points:
    """Five points in pixels: the middles of both eyes as seen in the picture, left one first, and the base of the
    nose.
    """

    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    nose: tuple[float, float]

    @property
    def eye_distance(self) -> float:
        """Pixels between the eyes."""
        return float(np.hypot(self.right_eye[0] - self.left_eye[0], self.right_eye[1] - self.left_eye[1]))

    @property
    def nose_offset(self) -> float:
        """How far the nose lies aside of the middle between the eyes, along the line of the eyes, in eye distances.

        About 0 for a face seen from the front; positive when the nose is further right in the picture.
        """
        ux, uy = self.right_eye[0] - self.left_eye[0], self.right_eye[1] - self.left_eye[1]
        length = max(self.eye_distance, 1e-6)
        mx, my = (self.left_eye[0] + self.right_eye[0]) / 2, (self.left_eye[1] + self.right_eye[1]) / 2
        return float(((self.nose[0] - mx) * ux + (self.nose[1] - my) * uy) / length**2)


class FaceEncoder(Protocol):
    """Turns a face into a vector whose L2 distance to another says how alike they are."""

    model_version: str

    def points(self, picture: Picture, box: Box) -> Points: ...

    def encode(self, picture: Picture, box: Box) -> Vector: ...


class DlibEncoder:
    """dlib's ResNet by the weights that face-recognition carries: 128 figures, same person mostly below 0.5."""

    model_version = "dlib_resnet_v1"

    def __init__(self) -> None:
        self._five: Any = dlib.shape_predictor(face_model("five_points"))
        self._net: Any = dlib.face_recognition_model_v1(face_model("encoder"))

    def points(self, picture: Picture, box: Box) -> Points:
        """dlib's five points: the corners of each eye, and below the nose."""
        shape = self._shape(_rgb(picture), box)
        at = [(float(shape.part(i).x), float(shape.part(i).y)) for i in range(5)]
        middles = [((at[i][0] + at[j][0]) / 2, (at[i][1] + at[j][1]) / 2) for i, j in ((0, 1), (2, 3))]
        eyes = sorted(middles, key=lambda eye: eye[0])
        return Points(eyes[0], eyes[1], at[4])

    def encode(self, picture: Picture, box: Box) -> Vector:
        """The face in `box` of a BGR picture as 128 float32."""
        rgb = _rgb(light.lightened(picture))
        return np.array(self._net.compute_face_descriptor(rgb, self._shape(rgb, box)), np.float32)

    def _shape(self, rgb: Picture, box: Box) -> Any:
        return self._five(rgb, dlib.rectangle(round(box.left), round(box.top), round(box.right), round(box.bottom)))


@dataclass(frozen=True, slots=True)
class Face:
    """A face that can be compared, and the picture (upright) it is in."""

    picture: Picture
    box: Box
    points: Points
    vector: Vector
    others: int

    def crop(self, side: int = _CROP) -> Picture:
        """Head and some of the shoulders, square, `side` pixels: the same framing for a document and for a selfie."""
        cx, cy = (self.box.left + self.box.right) / 2, (self.box.top + self.box.bottom) / 2
        half = max(self.points.eye_distance * 2.3, self.box.size * 0.95)
        scale = side / (2 * half)
        move = np.array([[scale, 0, side / 2 - cx * scale], [0, scale, side / 2 - cy * scale]])
        return np.asarray(
            cv2.warpAffine(self.picture, move, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            np.uint8,
        )


@dataclass(frozen=True, slots=True)
class NoFace:
    """Why there is none to compare: no_face, too_dark, too_bright, blurred, too_small."""

    reason: str


def look(picture: Picture, detector: FaceDetector, encoder: FaceEncoder) -> Face | NoFace:
    """The largest face of the picture. Darkness and blur are said as such, never as absence."""
    found = detector.detect(picture)
    if not found.boxes:
        poor = _poor(picture)
        return NoFace(poor or "no_face")
    upright = np.ascontiguousarray(np.rot90(picture, -found.quarter_turns)) if found.quarter_turns else picture
    box = found.boxes[0]
    points = encoder.points(upright, box)
    if points.eye_distance < _SMALLEST:
        return NoFace("too_small")
    others = sum(1 for other in found.boxes[1:] if other.size > 0.6 * box.size)
    return Face(upright, box, points, encoder.encode(upright, box), others)


def _poor(picture: Picture) -> str | None:
    mean = light.luma(picture)
    if mean < light.DARK:
        return "too_dark"
    if mean > light.BRIGHT:
        return "too_bright"
    return "blurred" if light.sharpness(picture, 480) < 12 else None


def _rgb(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[:, :, ::-1])
