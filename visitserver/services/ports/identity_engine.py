"""What services need of whatever reads documents and compares faces. It reports; it decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol

from visitserver.domain.errors import Invalid
from visitserver.domain.identity import FacePolicy, Verdict


class ImageRefused(Invalid):
    """A picture that cannot be taken. `code` is stable; `detail` are plain words for the person who sent it.

    Codes: too_large, not_a_picture, too_many_pixels, too_small, animated, truncated, broken, too_slow, too_much_memory.
    """

    default_code = "image_refused"


class Purpose(StrEnum):
    """What a picture is to show."""

    DOCUMENT = "document"
    SELFIE = "selfie"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: `done` of `total` steps, and what comes now (a code: decode, read, find_face, compare)."""

    step: str
    done: int
    total: int


ProgressCallback = Callable[[Progress], None]
"""Called in the event loop's thread; must be quick."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the caller typed about themselves."""

    given_name: str
    family_name: str
    born_on: date


@dataclass(frozen=True, slots=True)
class FieldCheck:
    """One check of a document: `check` is a code (check_digit:number, expiry, name_agrees ...), `detail` for officers.

    `ok` None: could not be checked.
    """

    check: str
    ok: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DocumentFields:
    """What the zone says. Nationality, sex and names have no check digit: a person reads them."""

    document_code: str
    issuer: str
    number: str
    family_name: str
    given_names: str
    nationality: str
    sex: str
    birth_date: date | None
    expires: date | None
    optional: str


@dataclass(frozen=True, slots=True)
class DocumentReading:
    """What was read of a document. `fields` None: no zone was found, or it is none.

    `problems` are codes; those in RETAKE mean that a better picture is worth asking for. `page` is the picture
    re-encoded (upright, without metadata), `portrait` the face on it; both JPEG, empty when there is none.
    """

    fields: DocumentFields | None
    mrz_type: str | None
    lines: tuple[str, ...]
    doubtful: tuple[tuple[int, int], ...]
    checks: tuple[FieldCheck, ...]
    problems: tuple[str, ...]
    portrait_found: bool
    pixels_per_char: float | None = None
    page: bytes = b""
    portrait: bytes = b""

    @property
    def wants_retake(self) -> bool:
        """Whether a better picture would help."""
        return not RETAKE.isdisjoint(self.problems)


RETAKE = frozenset(
    {"no_zone", "zone_too_small", "zone_unclear", "too_dark", "too_bright", "blurred", "glare", "no_portrait"}
)
"""Problems of a picture rather than of a document."""


@dataclass(frozen=True, slots=True)
class Liveness:
    """What was seen of an answer to prompts: an observation for the officer, never a verdict.

    `observed`: turned, not_turned, could_not_check. `change` is the largest change of the nose's offset between the
    eyes, in eye distances. A replayed video of the right turn, or a virtual camera, shows the same.
    """

    observed: str
    change: float = 0.0
    directions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FaceComparison:
    """One person against themselves. `distances` has one figure per frame that had a usable face; `distance` is their
    median. `template` (only from `compare`) is 128 little-endian float32. `reasons` are codes."""

    verdict: Verdict
    distances: tuple[float, ...]
    reasons: tuple[str, ...]
    template: bytes | None = None
    distance: float | None = None
    model_version: str = ""
    policy_version: str = ""
    liveness: Liveness = field(default_factory=lambda: Liveness("could_not_check"))
    frames: tuple[bytes, ...] = ()
    face: bytes = b""


@dataclass(frozen=True, slots=True)
class Hint:
    """Guidance about one picture: a code such as too_dark, blurred, too_small, no_face, several_faces."""

    code: str
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class CleanPictures:
    """Pictures for a person to look at: JPEG, upright, without metadata. `problems` are codes; then there is none."""

    pictures: tuple[bytes, ...]
    problems: tuple[str, ...] = ()


class IdentityEngine(Protocol):
    """Reads and compares. A picture that is none raises ImageRefused; everything else that fails is reported in the
    result (`could_not_check`, problem `engine_stopped`, `engine_busy` or `too_slow`), so nothing fails open or is
    lost.
    """

    async def read_document(
        self, image: bytes, *, today: date, claim: Claim | None = None, progress: ProgressCallback | None = None
    ) -> DocumentReading: ...

    async def compare(
        self,
        document: bytes,
        selfies: Sequence[bytes],
        *,
        policy: FacePolicy,
        prompts: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> FaceComparison:
        """The face on a document (page or portrait) with a handful of selfies; `prompts` say what each frame was asked
        for (straight, left, right, closer), in the frames' order."""
        ...

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
        """Fresh frames with a template made by the encoder `model_version`; another encoder's is could_not_check."""
        ...

    async def quality(self, image: bytes, purpose: Purpose) -> list[Hint]: ...

    async def clean(self, images: Sequence[bytes]) -> CleanPictures:
        """Decode and encode anew, in the same order. No face is looked for, and nothing is compared."""
        ...
