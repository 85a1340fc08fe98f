"""The jobs of the identity process: all models loaded once, each job a method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import cv2
import numpy as np

from visitserver.domain.identity import FacePolicy, Verdict
from visitserver.identity import messages
from visitserver.identity.limits import DOCUMENT_SIDE, SELFIE_SIDE
from visitserver.identity.worker import light
from visitserver.identity.worker.compare import Compared, compare, liveness, template_of
from visitserver.identity.worker.documents import read_document
from visitserver.identity.worker.encode import DlibEncoder, Face, NoFace, Vector, look
from visitserver.identity.worker.faces import make_detector
from visitserver.identity.worker.images import ImageDecoder, jpeg
from visitserver.identity.worker.ocr import Picture, TextReader
from visitserver.identity.worker.zone import ZoneReader
from visitserver.services.ports.identity_engine import FaceComparison, Purpose

Report = Callable[[str, int, int], None]
"""Called with the step that comes now, the steps done and their total."""


class Jobs:
    """Loads every model. `yunet_model` is the path of YuNet's file, None for the cascade that needs none."""

    def __init__(self, *, yunet_model: str | None = None, threads: int = 1) -> None:
        cv2.setNumThreads(threads)  # its own pool would take every core from the calls
        self._decoder = ImageDecoder()
        self._zones = ZoneReader(TextReader(threads=threads))
        self._detector = make_detector(yunet_model)
        self._encoder = DlibEncoder()

    def run(self, job: dict[str, Any], blobs: list[bytes], report: Report) -> messages.Message:
        """The result of the job `job["op"]`. Raises ImageRefused; KeyError for a job there is not."""
        method: Callable[[dict[str, Any], list[bytes], Report], messages.Message] = {
            "read_document": self._read_document,
            "compare": self._compare,
            "verify": self._verify,
            "quality": self._quality,
            "clean": self._clean,
        }[job["op"]]
        return method(job, blobs, report)

    def close(self) -> None:
        """End the decoder."""
        self._decoder.close()

    def _read_document(self, job: dict[str, Any], blobs: list[bytes], report: Report) -> messages.Message:
        report("decode", 0, 2)
        picture = self._decoder.decode(blobs[0], DOCUMENT_SIDE)
        report("read", 1, 2)
        reading, _ = read_document(
            picture,
            self._zones,
            self._detector,
            self._encoder,
            today=date.fromisoformat(job["today"]),
            claim=messages.claim_in(job["claim"]),
        )
        return messages.reading_out(reading)

    def _compare(self, job: dict[str, Any], blobs: list[bytes], report: Report) -> messages.Message:
        policy = messages.policy_in(job["policy"])
        steps = len(blobs) + 1
        report("find_face", 0, steps)
        document = look(self._decoder.decode(blobs[0], DOCUMENT_SIDE), self._detector, self._encoder)
        looked, pictures = self._look_at(blobs[1:], report, steps)
        report("compare", steps - 1, steps)
        if isinstance(document, NoFace):
            reasons = (f"document:{document.reason}",)
            return self._result(Compared(Verdict.COULD_NOT_CHECK, None, (), reasons, ()), looked, pictures, job, policy)
        compared = compare(document.vector, looked, policy)
        template = template_of(compared.faces).astype("<f4").tobytes() if compared.distances else None
        return self._result(compared, looked, pictures, job, policy, template)

    def _verify(self, job: dict[str, Any], blobs: list[bytes], report: Report) -> messages.Message:
        policy = messages.policy_in(job["policy"])
        steps = len(blobs)
        looked, pictures = self._look_at(blobs[1:], report, steps)
        report("compare", steps - 1, steps)
        template = _template(blobs[0])
        if job["model_version"] != self._encoder.model_version or policy.encoder != self._encoder.model_version:
            compared = Compared(Verdict.COULD_NOT_CHECK, None, (), ("other_model",), ())
        elif template is None:
            compared = Compared(Verdict.COULD_NOT_CHECK, None, (), ("template_damaged",), ())
        else:
            compared = compare(template, looked, policy)
        return self._result(compared, looked, pictures, job, policy)

    def _quality(self, job: dict[str, Any], blobs: list[bytes], report: Report) -> messages.Message:
        purpose = Purpose(job["purpose"])
        picture = self._decoder.decode(blobs[0], DOCUMENT_SIDE if purpose is Purpose.DOCUMENT else SELFIE_SIDE)
        return messages.hints_out(light.hints(picture, purpose))

    def _clean(self, job: dict[str, Any], blobs: list[bytes], report: Report) -> messages.Message:
        """For a person to look at: no face is looked for. The sides are those of documents, whose print is small."""
        return messages.clean_out([jpeg(self._decoder.decode(data, DOCUMENT_SIDE)) for data in blobs])

    def _look_at(
        self, frames: Sequence[bytes], report: Report, steps: int
    ) -> tuple[list[Face | NoFace], list[Picture]]:
        looked: list[Face | NoFace] = []
        pictures: list[Picture] = []
        for number, data in enumerate(frames):
            report("find_face", steps - 1 - len(frames) + number, steps)
            pictures.append(self._decoder.decode(data, SELFIE_SIDE))
            looked.append(look(pictures[-1], self._detector, self._encoder))
        return looked, pictures

    def _result(
        self,
        compared: Compared,
        looked: Sequence[Face | NoFace],
        pictures: Sequence[Picture],
        job: dict[str, Any],
        policy: FacePolicy,
        template: bytes | None = None,
    ) -> messages.Message:
        shown = compared.faces or [face for face in looked if isinstance(face, Face)]
        best = min(shown, key=lambda face: abs(face.points.nose_offset), default=None)
        return messages.comparison_out(
            FaceComparison(
                verdict=compared.verdict,
                distances=compared.distances,
                reasons=compared.reasons,
                template=template,
                distance=compared.distance,
                model_version=self._encoder.model_version,
                policy_version=policy.version,
                liveness=liveness(looked, job["prompts"]),
                frames=tuple(jpeg(picture) for picture in pictures),
                face=jpeg(best.crop()) if best else b"",
            )
        )


def _template(data: bytes) -> Vector | None:
    """The vector in a template; None when it is none."""
    if len(data) != 128 * 4:
        return None
    vector = np.frombuffer(data, "<f4").astype(np.float32)
    return vector if np.isfinite(vector).all() and vector.any() else None
