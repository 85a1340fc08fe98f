"""From faces to a three-way verdict, or the reasons why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from visitserver.domain.identity import FacePolicy, Verdict
from visitserver.identity.worker.encode import Face, NoFace, Vector
from visitserver.services.ports.identity_engine import Liveness

_FRONTAL: Final = 0.22
"""Nose offset up to which a face counts as seen from the front."""
_SAME_SITTING: Final = 0.60
"""Distance between two frames of one sitting beyond which they may show different people."""
TURN_CHANGE: Final = 0.35
"""Change of the nose's offset that a flat or bent photograph does not reach when it is turned about (identity.md)."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The verdict of several frames against one vector. `faces` are the frames that were used."""

    verdict: Verdict
    distance: float | None
    distances: tuple[float, ...]
    reasons: tuple[str, ...]
    faces: tuple[Face, ...]


def compare(reference: Vector, looked: Sequence[Face | NoFace], policy: FacePolicy) -> Compared:
    """The median distance of the frames to `reference` under `policy`.

    Frames seen from the front are preferred where there are enough. Too few faces: could_not_check, with each frame's
    reason. Two people among the frames, or another face as large: the machine does not say agree.
    """
    faces = [face for face in looked if isinstance(face, Face)]
    reasons = [face.reason for face in looked if isinstance(face, NoFace)]
    if len(faces) < policy.enough:
        return Compared(Verdict.COULD_NOT_CHECK, None, (), _counted([*reasons, "too_few_faces"]), tuple(faces))
    frontal = [face for face in faces if abs(face.points.nose_offset) <= _FRONTAL]
    used = frontal if len(frontal) >= policy.enough else faces
    distances = tuple(round(float(np.linalg.norm(face.vector - reference)), 4) for face in used)
    distance = float(np.median(distances))
    verdict = policy.verdict(distance)
    if any(face.others for face in used):
        reasons.append("several_faces")
        verdict = _no_better_than_unsure(verdict)
    if any(np.linalg.norm(a.vector - b.vector) > _SAME_SITTING for a, b in combinations(used, 2)):
        reasons.append("frames_differ")
        verdict = _no_better_than_unsure(verdict)
    if verdict is not Verdict.AGREE:
        reasons.append("distance" if policy.verdict(distance) is not Verdict.AGREE else "doubt")
    return Compared(verdict, round(distance, 4), distances, _counted(reasons), tuple(used))


def template_of(faces: Sequence[Face]) -> Vector:
    """The mean of the faces' vectors, 128 float32."""
    return np.asarray(np.mean([face.vector for face in faces], axis=0), np.float32)


def liveness(looked: Sequence[Face | NoFace], prompts: Sequence[str]) -> Liveness:
    """Whether the head was seen to turn as asked. `prompts` name for each frame what was asked: straight, left, right.

    A person's own left is to the right in the camera's (unmirrored) picture. Without prompts: whether it turned at all.
    """
    offsets = [face.points.nose_offset if isinstance(face, Face) else None for face in looked]
    known = [offset for offset in offsets if offset is not None]
    if len(known) < 2:
        return Liveness("could_not_check")
    asked = list(zip(prompts, offsets, strict=False))
    straight = [offset for prompt, offset in asked if prompt == "straight" and offset is not None]
    base = float(np.median(straight)) if straight else float(np.median(known))
    if not {"left", "right"} & set(prompts):
        change = max(known) - min(known)
        return Liveness("turned" if change >= TURN_CHANGE else "not_turned", round(change, 3))
    changes = {
        prompt: (offset - base) * (1 if prompt == "left" else -1)
        for prompt, offset in asked
        if prompt in ("left", "right") and offset is not None
    }
    done = tuple(prompt for prompt, change in changes.items() if change >= TURN_CHANGE)
    wanted = {prompt for prompt in prompts if prompt in ("left", "right")}
    largest = round(max(changes.values(), default=0.0), 3)
    return Liveness("turned" if set(done) == wanted else "not_turned", largest, done)


def _no_better_than_unsure(verdict: Verdict) -> Verdict:
    return Verdict.UNSURE if verdict is Verdict.AGREE else verdict


def _counted(reasons: Sequence[str]) -> tuple[str, ...]:
    """Each reason once, in the order of their first mention."""
    return tuple(dict.fromkeys(reasons))
