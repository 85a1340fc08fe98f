"""An identity engine that says what a test tells it to, without a process or a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from visitserver.domain.identity import FacePolicy, Verdict
from visitserver.services.ports.identity_engine import (
    Claim,
    CleanPictures,
    DocumentFields,
    DocumentReading,
    FaceComparison,
    FieldCheck,
    Hint,
    ImageRefused,
    Liveness,
    ProgressCallback,
    Purpose,
)

MODEL = "dlib_resnet_v1"
READING = DocumentReading(
    fields=DocumentFields(
        "P", "UTO", "L898902C3", "MOTHER", "MAIJA", "UTO", "F", date(1980, 1, 1), date(2027, 4, 15), ""
    ),
    mrz_type="TD3",
    lines=("P<UTO", "L898"),
    doubtful=(),
    checks=(FieldCheck("check_digit:number", True), FieldCheck("expiry", True, "2027-04-15")),
    problems=(),
    portrait_found=True,
    pixels_per_char=26.0,
    page=b"the page",
    portrait=b"the portrait",
)


@dataclass
class FakeIdentityEngine:
    """`reading` is what a document says; `verdict`, `distance` and `reasons` what a comparison does.

    A picture that is `b"broken"` is refused.
    """

    reading: DocumentReading = READING
    verdict: Verdict = Verdict.AGREE
    distance: float = 0.3
    reasons: tuple[str, ...] = ()
    template: bytes = b"t" * 512
    works: bool = True
    verified: list[bytes] = field(default_factory=list)
    """The templates that were compared with."""

    async def read_document(
        self, image: bytes, *, today: date, claim: Claim | None = None, progress: ProgressCallback | None = None
    ) -> DocumentReading:
        _refuse([image])
        if not self.works:
            return replace(self.reading, fields=None, page=b"", portrait=b"", problems=("engine_stopped",))
        return self.reading

    async def compare(
        self,
        document: bytes,
        selfies: Sequence[bytes],
        *,
        policy: FacePolicy,
        prompts: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> FaceComparison:
        _refuse(selfies)
        return self._said(selfies, policy, self.template)

    async def verify(
        self,
        template: bytes,
        frames: Sequence[bytes],
        *,
        policy: FacePolicy,
        model_version: str,
        prompts: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> FaceComparison:
        _refuse(frames)
        self.verified.append(template)
        return self._said(frames, policy, None)

    async def quality(self, image: bytes, purpose: Purpose) -> list[Hint]:
        return []

    async def clean(self, images: Sequence[bytes]) -> CleanPictures:
        _refuse(images)
        if not self.works:
            return CleanPictures((), ("engine_stopped",))
        return CleanPictures(tuple(b"clean " + image for image in images))

    def _said(self, frames: Sequence[bytes], policy: FacePolicy, template: bytes | None) -> FaceComparison:
        if not self.works:
            return FaceComparison(Verdict.COULD_NOT_CHECK, (), ("engine_stopped",), model_version=MODEL)
        unclear = self.verdict is Verdict.COULD_NOT_CHECK
        return FaceComparison(
            verdict=self.verdict,
            distances=() if unclear else (self.distance,) * len(frames),
            reasons=self.reasons,
            template=None if unclear else template,
            distance=None if unclear else self.distance,
            model_version=MODEL,
            policy_version=policy.version,
            liveness=Liveness("not_turned", 0.02),
            frames=tuple(b"clean " + frame for frame in frames),
            face=b"the face",
        )


def _refuse(pictures: Sequence[bytes]) -> None:
    if b"broken" in pictures:
        raise ImageRefused("This picture is damaged.", code="broken")
