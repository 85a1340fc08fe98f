"""Finding faces in the dark, small and covered; telling people apart; never agreeing to the wrong one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.media_factory import PortraitMissing, camera_frames, make_td3_page, portrait_path
from visitserver.domain.identity import IdentityPolicy
from visitserver.identity.worker import light
from visitserver.identity.worker.compare import liveness
from visitserver.identity.worker.encode import DlibEncoder, Face, NoFace, look
from visitserver.identity.worker.faces import CascadeDetector, FaceDetector
from visitserver.identity.worker.ocr import Picture
from visitserver.services.ports.identity_engine import Purpose

POLICY = IdentityPolicy()


def dark(picture: Picture) -> Picture:
    """Exposure times 0.18, with a sensor's noise."""
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(picture.astype(np.float32) * 0.18 + noise, 0, 255).astype(np.uint8)


def small(picture: Picture) -> Picture:
    """The face (about 100 of 250 pixels in this set) at 28 pixels, somewhere in a frame."""
    shrunk = cv2.resize(picture, None, fx=0.28, fy=0.28, interpolation=cv2.INTER_AREA)
    frame = np.full((240, 320, 3), 110, np.uint8)
    frame[60 : 60 + shrunk.shape[0], 100 : 100 + shrunk.shape[1]] = shrunk
    return frame


def covered(picture: Picture) -> Picture:
    """The lower half of the face behind a cloth."""
    height, width = picture.shape[:2]
    frame = picture.copy()
    frame[int(height * 0.58) : int(height * 0.85), int(width * 0.2) : int(width * 0.8)] = (150, 140, 120)
    return frame


@pytest.fixture(scope="module")
def people(testdata: Path) -> dict[str, list[Picture]]:
    """A few photos of each of ten people."""
    return {
        folder.name: [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))[:4]]
        for folder in sorted((testdata / "faces" / "lfw10").iterdir())
    }


@pytest.mark.parametrize(
    ("change", "least"), [(lambda picture: picture, 0.99), (dark, 0.95), (small, 0.80), (covered, 0.95)]
)
def test_faces_are_found(
    detector: FaceDetector, people: dict[str, list[Picture]], change: Callable[[Picture], Picture], least: float
) -> None:
    pictures = [change(picture) for photos in people.values() for picture in photos[:2]]
    found = sum(bool(detector.detect(picture).boxes) for picture in pictures)
    assert found >= least * len(pictures)


def test_nobody_is_taken_for_another_at_the_door(
    cascade: CascadeDetector, encoder: DlibEncoder, people: dict[str, list[Picture]]
) -> None:
    vectors = [
        (name, face.vector)
        for name, photos in people.items()
        for picture in photos
        if isinstance(face := look(picture, cascade, encoder), Face)
    ]
    wrong: dict[str, int] = defaultdict(int)
    for (name, one), (other, two) in itertools.combinations(vectors, 2):
        if name != other and float(np.linalg.norm(one - two)) <= POLICY.door.agree:
            wrong[name] += 1
    assert len(vectors) >= 38
    assert dict(wrong) == {}


def test_one_person_is_mostly_the_same(cascade: CascadeDetector, encoder: DlibEncoder, testdata: Path) -> None:
    folder = testdata / "faces" / "portraits"
    faces = {
        name: look(cv2.imread(str(folder / name)), cascade, encoder)
        for name in ("obama.jpg", "obama2.jpg", "biden.jpg")
    }
    assert all(isinstance(face, Face) for face in faces.values())
    a, b, c = (face.vector for face in faces.values() if isinstance(face, Face))
    assert np.linalg.norm(a - b) < 0.5 < np.linalg.norm(a - c)


def test_lying_on_the_side(detector: FaceDetector, people: dict[str, list[Picture]]) -> None:
    # Photos whose detection upright is certain; some faces lie half turned already.
    pictures = [photos[0] for photos in people.values()]
    found = [detector.detect(np.ascontiguousarray(np.rot90(picture))) for picture in pictures]
    assert sum(bool(one.boxes) for one in found) >= 9


def test_a_dark_picture_is_poor_never_absent(cascade: CascadeDetector, encoder: DlibEncoder) -> None:
    black = np.full((240, 320, 3), 6, np.uint8)
    assert look(black, cascade, encoder) == NoFace("too_dark")
    assert look(np.full((240, 320, 3), 250, np.uint8), cascade, encoder) == NoFace("too_bright")
    flat = np.full((240, 320, 3), 128, np.uint8)
    assert look(flat, cascade, encoder) == NoFace("blurred")
    wall = np.random.default_rng(0).integers(60, 190, (240, 320, 3), np.uint8).astype(np.uint8)
    assert look(wall, cascade, encoder) == NoFace("no_face")


def test_eyes_that_wander_are_no_turn(cascade: CascadeDetector, encoder: DlibEncoder, testdata: Path) -> None:
    # In this clip the eyes look aside and back; the head stays where it is.
    clip = cv2.VideoCapture(str(testdata / "clips" / "selfie_turn.mp4"))
    frames = [clip.read()[1] for _ in range(360)][::60]
    seen = liveness([look(frame, cascade, encoder) for frame in frames], ())
    assert seen.observed == "not_turned"
    assert seen.change < 0.1


def test_a_real_turn_is_seen(cascade: CascadeDetector, encoder: DlibEncoder, testdata: Path) -> None:
    folder = testdata / "faces" / "lfw10" / "Arnold_Schwarzenegger"
    looked = [look(cv2.imread(str(folder / f"Arnold_Schwarzenegger_000{n}.jpg")), cascade, encoder) for n in (2, 1)]
    # Half to his right, half to his left: seen in the picture, the nose goes from the left to the right.
    offsets = [face.points.nose_offset for face in looked if isinstance(face, Face)]
    assert offsets[0] < -0.2 and offsets[1] > 0.3
    assert liveness(looked, ()).observed == "turned"


@pytest.fixture(scope="module")
def astronaut() -> str:
    try:
        portrait_path("astronaut")
        portrait_path("admiral")
    except PortraitMissing as error:
        pytest.skip(str(error))
    return "astronaut"


def test_a_made_page_and_a_made_camera_show_one_person(
    cascade: CascadeDetector, encoder: DlibEncoder, astronaut: str
) -> None:
    page = look(cv2.imdecode(np.frombuffer(make_td3_page(astronaut), np.uint8), 1), cascade, encoder)
    frame = look(next(iter(camera_frames(astronaut, seconds=1))), cascade, encoder)
    other = look(next(iter(camera_frames("admiral", seconds=1))), cascade, encoder)
    assert isinstance(page, Face) and isinstance(frame, Face) and isinstance(other, Face)
    assert np.linalg.norm(page.vector - frame.vector) <= POLICY.enrolment.agree
    assert np.linalg.norm(page.vector - other.vector) > POLICY.enrolment.unsure
    assert page.crop().shape == frame.crop().shape == (320, 320, 3)


def test_guidance(astronaut: str) -> None:
    good = next(iter(camera_frames(astronaut, seconds=1)))
    assert light.hints(good, Purpose.SELFIE) == []
    blurred = cv2.GaussianBlur(good, (0, 0), 6)
    assert [hint.code for hint in light.hints(blurred, Purpose.SELFIE)] == ["blurred"]
    assert "too_dark" in [hint.code for hint in light.hints(dark(good), Purpose.SELFIE)]
    page = cv2.imdecode(np.frombuffer(make_td3_page(astronaut), np.uint8), 1)
    assert light.hints(page, Purpose.DOCUMENT) == []
    lamp = page.copy()
    cv2.circle(lamp, (lamp.shape[1] // 2, lamp.shape[0] // 2), lamp.shape[0] // 6, (255, 255, 255), -1)
    assert "glare" in [hint.code for hint in light.hints(lamp, Purpose.DOCUMENT)]
