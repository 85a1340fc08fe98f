"""Two records of one person: what becomes of their rights when they are made one. Never done by a program alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from visitserver.domain.people import Contact, Prisoner
from visitserver.domain.rights import NonAssociation, PrisonerAnswer, Relationship, RelationshipState

_STRICTNESS = {
    RelationshipState.APPROVED: 0,
    RelationshipState.REQUESTED: 0,
    RelationshipState.REFUSED: 1,
    RelationshipState.ENDED: 2,
}


class HintReason(StrEnum):
    """Why two records may be of one person."""

    NAME_AND_BIRTH = "name_and_birth"
    EMAIL = "email"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class DuplicateHint:
    """Two contacts who may be one person. A hint for staff, who look and decide; nothing follows by itself."""

    first: Contact
    second: Contact
    reasons: tuple[HintReason, ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why two records cannot be merged (now)."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class MergePreview:
    """What a merge would do. `counts` says how many of each thing move; `token` stands for exactly this state."""

    stays: Contact | Prisoner
    goes: Contact | Prisoner
    counts: Mapping[str, int]
    obstacles: tuple[Obstacle, ...] = ()
    notes: tuple[str, ...] = ()
    token: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


def combine(stays: Relationship, goes: Relationship) -> None:
    """Make `stays` what both were together: the stricter of each decision, whoever made it.

    Refused or ended goes before asked or approved, a prisoner's no before a yes, a withdrawal before none. An approval
    goes before a request that nobody has decided yet.
    """
    decided = (stays.state, goes.state) == (RelationshipState.REQUESTED, RelationshipState.APPROVED)
    if decided or _STRICTNESS[goes.state] > _STRICTNESS[stays.state]:
        stays.state, stays.reason = goes.state, goes.reason
        stays.decided_at, stays.decided_by = goes.decided_at, goes.decided_by
    answers = {stays.prisoner_answer, goes.prisoner_answer}
    for answer in (PrisonerAnswer.REFUSED, PrisonerAnswer.ACCEPTED):
        if answer in answers:
            stays.prisoner_answer = answer
            break
    stays.answered_at = max(filter(None, (stays.answered_at, goes.answered_at)), default=None)
    stays.withdrawn_at = stays.withdrawn_at or goes.withdrawn_at


def outlast(stays: NonAssociation, goes: NonAssociation) -> None:
    """Let `stays` stand for both, of the same two people from the same day on: to the later end, or without one."""
    stays.ends_on = None if stays.ends_on is None or goes.ends_on is None else max(stays.ends_on, goes.ends_on)
    if stays.external_id is None:
        stays.external_id, stays.external_source = goes.external_id, goes.external_source


def identifier_for(
    stays: Contact | Prisoner | Relationship, goes: Contact | Prisoner | Relationship
) -> tuple[str | None, str]:
    """The identifier, and its source, of the record that stays: its own, or else that of the one that goes, which loses
    it. One that both had stays where it is: the prison's own system may still refer to it."""
    if stays.external_id is not None:
        return stays.external_id, stays.external_source
    found = goes.external_id, goes.external_source
    goes.external_id = None
    return found
