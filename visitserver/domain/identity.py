"""Knowing who is at the other end: enrolments, templates, checks at the door. A person decides; a program only
reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from visitserver.domain.errors import Conflict


class Verdict(StrEnum):
    """What a comparison of faces says. It never refuses anybody."""

    AGREE = "agree"
    UNSURE = "unsure"
    DISAGREE = "disagree"
    COULD_NOT_CHECK = "could_not_check"


class EnrolmentRoute(StrEnum):
    """The two equal ways to show who one is; nobody gives a reason for choosing either."""

    FACE = "face"
    ATTENDED = "attended"


class EnrolmentState(StrEnum):
    """How far an enrolment is. `document` and `selfie` mean that those pictures have arrived."""

    INVITED = "invited"
    INFORMED = "informed"
    DOCUMENT = "document"
    SELFIE = "selfie"
    SUBMITTED = "submitted"
    MORE_INFORMATION = "more_information"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"


_S = EnrolmentState
_COLLECTING: Final = frozenset({_S.INFORMED, _S.DOCUMENT, _S.SELFIE, _S.MORE_INFORMATION})
_NEXT: Final[dict[EnrolmentState, frozenset[EnrolmentState]]] = {
    _S.INVITED: frozenset({_S.INFORMED, _S.EXPIRED}),
    _S.INFORMED: frozenset({_S.INFORMED, _S.DOCUMENT, _S.SUBMITTED, _S.EXPIRED}),
    _S.DOCUMENT: frozenset({_S.DOCUMENT, _S.SELFIE, _S.INFORMED, _S.EXPIRED}),
    _S.SELFIE: frozenset({_S.DOCUMENT, _S.SELFIE, _S.SUBMITTED, _S.INFORMED, _S.EXPIRED}),
    _S.SUBMITTED: frozenset({_S.APPROVED, _S.MORE_INFORMATION, _S.REFUSED, _S.EXPIRED}),
    _S.MORE_INFORMATION: frozenset({_S.DOCUMENT, _S.SELFIE, _S.SUBMITTED, _S.INFORMED, _S.EXPIRED}),
    # An approval is withdrawn by the person, or runs out; a refusal is reopened by an appeal.
    _S.APPROVED: frozenset({_S.EXPIRED}),
    _S.REFUSED: frozenset({_S.SUBMITTED, _S.EXPIRED}),
    _S.EXPIRED: frozenset(),
}


class PictureKind(StrEnum):
    """What is kept, encrypted, of an enrolment or a check."""

    DOCUMENT = "document"
    DOCUMENT_FACE = "document_face"
    SELFIE = "selfie"
    SELFIE_FACE = "selfie_face"
    DOOR = "door"
    READING = "reading"
    TEMPLATE = "template"


@dataclass(eq=False)
class Enrolment:
    """One attempt of a contact to show who they are, from consent to a person's decision.

    Holds codes and figures; pictures, what the document says and the template are sealed items. `expires_at`: until
    when it must be handed in, and after approval until when it holds. `face_distances` may be shown only after a
    decision.
    """

    id: str
    contact_id: str
    route: EnrolmentRoute
    state: EnrolmentState
    created_at: datetime
    expires_at: datetime
    notice_version: str
    informed_at: datetime | None = None
    document_problems: tuple[str, ...] = ()
    document_valid_until: datetime | None = None
    face_verdict: Verdict | None = None
    face_reasons: tuple[str, ...] = ()
    face_distances: tuple[float, ...] = ()
    liveness: str | None = None
    policy_version: str | None = None
    model_version: str | None = None
    submitted_at: datetime | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    decision_reason: str | None = None
    words_for_caller: str | None = None
    scores_revealed_at: datetime | None = None
    scores_revealed_to: str | None = None
    appealed_at: datetime | None = None
    appeal: str | None = None

    def move(self, state: EnrolmentState) -> None:
        """Go to `state`; Conflict when there is no way from the present one."""
        if state not in _NEXT[self.state]:
            raise Conflict(f"This cannot be done now: the check is {self.state.value}.", code="enrolment_state")
        self.state = state

    @property
    def collecting(self) -> bool:
        """Whether pictures may be sent."""
        return self.state in _COLLECTING

    @property
    def decided(self) -> bool:
        """Whether a person has decided, so that the machine's figures may be seen."""
        return self.state in (_S.APPROVED, _S.REFUSED)

    def holds_at(self, now: datetime) -> bool:
        """Whether it is an approval that has not run out at `now`."""
        return self.state is _S.APPROVED and now < self.expires_at


class CheckState(StrEnum):
    """A check at the door. `retake`: the pictures were no good, new ones are asked for; nobody need look yet."""

    PASSED = "passed"
    REVIEW = "review"
    RETAKE = "retake"
    REFUSED = "refused"


@dataclass(eq=False)
class IdentityCheck:
    """One person's check before one visit. REFUSED is always an officer's word."""

    id: str
    booking_id: str
    prison_id: str
    contact_id: str
    state: CheckState
    route: EnrolmentRoute
    created_at: datetime
    enrolment_id: str | None = None
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    distances: tuple[float, ...] = ()
    liveness: str | None = None
    policy_version: str | None = None
    model_version: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    decision_reason: str | None = None

    def decide(self, *, passed: bool, by: str, at: datetime, reason: str) -> None:
        """An officer's decision of a check in review; Conflict when it is not there."""
        if self.state is not CheckState.REVIEW:
            raise Conflict("This check is not waiting for a decision.", code="check_state")
        self.state = CheckState.PASSED if passed else CheckState.REFUSED
        self.decided_by, self.decided_at, self.decision_reason = by, at, reason


@dataclass(eq=False)
class PersonKey:
    """A contact's own key, wrapped by the master key. Without it nothing sealed for them can be read again."""

    contact_id: str
    wrapped: bytes
    created_at: datetime


@dataclass(eq=False)
class SealedItem:
    """Something of a person, encrypted with their key. `owner_id` is an enrolment or a check; `number` counts within
    a kind.

    `sha256` is of the plain content (hex). `delete_after` None: until revoked or unused (templates).
    """

    id: str
    contact_id: str
    owner_id: str
    kind: PictureKind
    number: int
    sealed: bytes
    sha256: str
    created_at: datetime
    delete_after: datetime | None
    model_version: str = ""
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FacePolicy:
    """Distances up to which a comparison agrees or is unsure, with the encoder they were measured on.

    `enough` of the frames must show a face. Never changed in place: a new one has a new `version`.
    """

    version: str
    encoder: str
    agree: float
    unsure: float
    enough: int

    def verdict(self, distance: float) -> Verdict:
        """What the distance says; up to and including a bound belongs to it."""
        if distance <= self.agree:
            return Verdict.AGREE
        return Verdict.UNSURE if distance <= self.unsure else Verdict.DISAGREE


@dataclass(frozen=True, slots=True)
class IdentityPolicy:
    """Everything about identity that a prison service may set, as one version."""

    version: str = "2026-1"
    notice_version: str = "2026-1"
    hand_in_days: int = 30
    picture_days: int = 30
    approval_days: int = 730
    template_unused_days: int = 365
    door_retakes: int = 2
    enrolment: FacePolicy = field(
        default=FacePolicy("dlib-enrolment-1", "dlib_resnet_v1", agree=0.50, unsure=0.65, enough=3)
    )
    door: FacePolicy = field(default=FacePolicy("dlib-door-1", "dlib_resnet_v1", agree=0.40, unsure=0.55, enough=3))
