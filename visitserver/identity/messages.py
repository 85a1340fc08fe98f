"""The jobs of the identity process and their results as messages: dataclasses to JSON headers and blobs, and back.

What comes back is checked while it is taken apart: a wrong type raises ValueError, KeyError or TypeError.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from visitserver.domain.identity import FacePolicy, Verdict
from visitserver.services.identity_reading import plain_of, reading_of
from visitserver.services.ports.identity_engine import (
    Claim,
    CleanPictures,
    DocumentReading,
    FaceComparison,
    Hint,
    Liveness,
)

Message = tuple[dict[str, Any], list[bytes]]


def claim_out(claim: Claim | None) -> dict[str, str] | None:
    """A claim as JSON."""
    if claim is None:
        return None
    return {"given": claim.given_name, "family": claim.family_name, "born_on": claim.born_on.isoformat()}


def claim_in(data: dict[str, str] | None) -> Claim | None:
    """The claim in JSON."""
    return Claim(data["given"], data["family"], date.fromisoformat(data["born_on"])) if data else None


def policy_out(policy: FacePolicy) -> dict[str, Any]:
    """A policy as JSON."""
    return {
        "version": policy.version,
        "encoder": policy.encoder,
        "agree": policy.agree,
        "unsure": policy.unsure,
        "enough": policy.enough,
    }


def policy_in(data: dict[str, Any]) -> FacePolicy:
    """The policy in JSON."""
    return FacePolicy(data["version"], data["encoder"], data["agree"], data["unsure"], data["enough"])


def reading_out(reading: DocumentReading) -> Message:
    """A reading; its pictures are the blobs."""
    return plain_of(reading), [reading.page, reading.portrait]


def reading_in(header: dict[str, Any], blobs: list[bytes]) -> DocumentReading:
    """The reading in a message."""
    return reading_of(header, page=blobs[0], portrait=blobs[1])


def comparison_out(comparison: FaceComparison) -> Message:
    """A comparison; the template, the face and the frames are the blobs."""
    header = {
        "verdict": comparison.verdict.value,
        "distances": list(comparison.distances),
        "distance": comparison.distance,
        "reasons": list(comparison.reasons),
        "template": comparison.template is not None,
        "model_version": comparison.model_version,
        "policy_version": comparison.policy_version,
        "liveness": [comparison.liveness.observed, comparison.liveness.change, list(comparison.liveness.directions)],
    }
    return header, [comparison.template or b"", comparison.face, *comparison.frames]


def comparison_in(header: dict[str, Any], blobs: list[bytes]) -> FaceComparison:
    """The comparison in a message."""
    observed, change, directions = header["liveness"]
    return FaceComparison(
        verdict=Verdict(header["verdict"]),
        distances=tuple(float(value) for value in header["distances"]),
        reasons=tuple(str(reason) for reason in header["reasons"]),
        template=blobs[0] if header["template"] else None,
        distance=None if header["distance"] is None else float(header["distance"]),
        model_version=str(header["model_version"]),
        policy_version=str(header["policy_version"]),
        liveness=Liveness(str(observed), float(change), tuple(str(direction) for direction in directions)),
        face=blobs[1],
        frames=tuple(blobs[2:]),
    )


def clean_out(pictures: list[bytes]) -> Message:
    """Pictures, as they are."""
    return {}, pictures


def clean_in(_: dict[str, Any], blobs: list[bytes]) -> CleanPictures:
    """The pictures in a message."""
    return CleanPictures(tuple(blobs))


def hints_out(hints: list[Hint]) -> Message:
    """Hints as JSON."""
    return {"hints": [[hint.code, hint.value] for hint in hints]}, []


def hints_in(header: dict[str, Any], _: list[bytes]) -> list[Hint]:
    """The hints in a message."""
    return [Hint(str(code), float(value)) for code, value in header["hints"]]
