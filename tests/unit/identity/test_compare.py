"""From distances to words, and from a head's turn to an observation."""

from __future__ import annotations

import numpy as np
import pytest

from visitserver.domain.identity import FacePolicy, IdentityPolicy, Verdict
from visitserver.identity.worker.compare import compare, liveness, template_of
from visitserver.identity.worker.encode import Face, NoFace, Points
from visitserver.identity.worker.faces import Box

POLICY = IdentityPolicy()
ORIGIN = np.zeros(128, np.float32)
BLACK = np.zeros((10, 10, 3), np.uint8)


def at(distance: float, *, offset: float = 0.0, others: int = 0, axis: int = 0) -> Face:
    """A face whose vector lies `distance` from the origin, its nose `offset` eye distances aside."""
    vector = np.zeros(128, np.float32)
    vector[axis] = distance
    points = Points((100.0, 100.0), (200.0, 100.0), (150.0 + 100 * offset, 150.0))
    return Face(BLACK, Box(0, 0, 10, 10, 1.0), points, vector, others)


@pytest.mark.parametrize(
    ("distance", "enrolment", "door"),
    [
        (0.10, Verdict.AGREE, Verdict.AGREE),
        (0.40, Verdict.AGREE, Verdict.AGREE),
        (0.41, Verdict.AGREE, Verdict.UNSURE),
        (0.50, Verdict.AGREE, Verdict.UNSURE),
        (0.51, Verdict.UNSURE, Verdict.UNSURE),
        (0.55, Verdict.UNSURE, Verdict.UNSURE),
        (0.56, Verdict.UNSURE, Verdict.DISAGREE),
        (0.65, Verdict.UNSURE, Verdict.DISAGREE),
        (0.66, Verdict.DISAGREE, Verdict.DISAGREE),
    ],
)
def test_thresholds(distance: float, enrolment: Verdict, door: Verdict) -> None:
    faces = [at(distance)] * 5
    assert compare(ORIGIN, faces, POLICY.enrolment).verdict is enrolment
    assert compare(ORIGIN, faces, POLICY.door).verdict is door


def test_the_median_stands_against_two_bad_frames() -> None:
    result = compare(ORIGIN, [at(0.3), at(0.31), at(0.32), at(0.55), at(0.58)], POLICY.enrolment)
    assert (result.verdict, result.distance) == (Verdict.AGREE, 0.32)
    assert result.distances == (0.3, 0.31, 0.32, 0.55, 0.58)


def test_two_frames_are_too_few() -> None:
    looked = [at(0.1), NoFace("too_dark"), at(0.1), NoFace("no_face"), NoFace("too_dark")]
    result = compare(ORIGIN, looked, POLICY.enrolment)
    assert result.verdict is Verdict.COULD_NOT_CHECK
    assert result.reasons == ("too_dark", "no_face", "too_few_faces")
    assert result.distance is None


def test_turned_heads_are_left_out_where_enough_look_ahead() -> None:
    looked = [at(0.3), at(0.9, offset=0.5), at(0.3), at(0.9, offset=-0.5), at(0.3)]
    assert compare(ORIGIN, looked, POLICY.door).distances == (0.3, 0.3, 0.3)


def test_another_large_face_is_never_agreed_to() -> None:
    result = compare(ORIGIN, [at(0.1), at(0.1, others=1), at(0.1)], POLICY.door)
    assert result.verdict is Verdict.UNSURE
    assert "several_faces" in result.reasons


def test_two_people_in_one_sitting_are_never_agreed_to() -> None:
    looked = [at(0.35), at(0.35), at(0.35), at(0.45, axis=1), at(0.45, axis=1)]
    tight = FacePolicy("t", "e", agree=0.5, unsure=0.65, enough=3)
    assert compare(ORIGIN, looked, tight).verdict is Verdict.AGREE
    looked[4] = at(0.6, axis=1)
    result = compare(ORIGIN, looked, tight)
    assert result.verdict is Verdict.UNSURE
    assert "frames_differ" in result.reasons


def test_a_disagreement_stays_one_whatever_else_is_seen() -> None:
    assert compare(ORIGIN, [at(0.9, others=1)] * 5, POLICY.door).verdict is Verdict.DISAGREE


def test_a_template_is_the_mean() -> None:
    template = template_of([at(0.2), at(0.4)])
    assert template.dtype == np.float32
    assert template[0] == pytest.approx(0.3)


PROMPTS = ("straight", "left", "straight", "right", "closer")


def test_a_turn_as_asked() -> None:
    looked = [at(0, offset=o) for o in (0.0, 0.5, 0.02, -0.45, 0.0)]
    seen = liveness(looked, PROMPTS)
    assert (seen.observed, seen.directions) == ("turned", ("left", "right"))
    assert seen.change == pytest.approx(0.49, abs=0.02)


@pytest.mark.parametrize(
    "offsets",
    [
        (0.0, -0.5, 0.0, 0.5, 0.0),  # the other way round
        (0.0, 0.5, 0.0, 0.0, 0.0),  # only one of the two
        (0.0, 0.3, 0.0, -0.3, 0.0),  # what a bent photograph can do
        (0.0, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_no_turn_as_asked(offsets: tuple[float, ...]) -> None:
    assert liveness([at(0, offset=o) for o in offsets], PROMPTS).observed == "not_turned"


def test_without_prompts_any_real_turn_is_said() -> None:
    assert liveness([at(0, offset=0.0), at(0, offset=0.4)], ()).observed == "turned"
    assert liveness([at(0, offset=0.0), at(0, offset=0.2)], ()).observed == "not_turned"
    assert liveness([at(0, offset=0.0), NoFace("no_face")], ()).observed == "could_not_check"


def test_the_offset_of_a_nose_knows_a_tilted_head() -> None:
    straight = Points((100, 100), (200, 100), (150, 160))
    tilted = Points((100, 100), (170.7, 170.7), (135.35 - 42.4, 135.35 + 42.4))
    assert straight.nose_offset == pytest.approx(0)
    assert tilted.nose_offset == pytest.approx(0, abs=0.01)
