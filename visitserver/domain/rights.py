"""The contact right itself: relationships, restrictions, non-associations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict


class RelationshipKind(StrEnum):
    """What the relationship is for. Approving one kind does not approve the other."""

    SOCIAL = "social"
    OFFICIAL = "official"


def kind_for(call_kind: CallKind) -> RelationshipKind:
    """The kind of relationship that a kind of call needs."""
    return RelationshipKind.SOCIAL if call_kind is CallKind.SOCIAL else RelationshipKind.OFFICIAL


class RelationshipState(StrEnum):
    """Where the prison's decision stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    ENDED = "ended"


class PrisonerAnswer(StrEnum):
    """What the prisoner said, in private."""

    UNANSWERED = "unanswered"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(eq=False)
class Relationship:
    """The link between one contact and one prisoner, of one kind: the contact right.

    Three people have a say: staff (`state`), the prisoner (`prisoner_answer`) and the contact (`withdrawn_at`).
    `relation` is what the contact says they are ("mother", "solicitor"). `call_kind` is the kind of call it gives a
    right to: what a call is, privileged or not, follows from what staff approved and never from what a booker asks.
    """

    id: str
    prisoner_id: str
    contact_id: str
    kind: RelationshipKind
    call_kind: CallKind
    relation: str
    requested_at: datetime
    state: RelationshipState = RelationshipState.REQUESTED
    prisoner_answer: PrisonerAnswer = PrisonerAnswer.UNANSWERED
    statement: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    reason: str | None = None
    answered_at: datetime | None = None
    withdrawn_at: datetime | None = None
    external_id: str | None = None
    external_source: str = ""

    def is_active(self, *, acceptance_required: bool) -> bool:
        """Approved, not withdrawn, and not refused by the prisoner (or accepted, where policy asks for that)."""
        answer_ok = (
            self.prisoner_answer is PrisonerAnswer.ACCEPTED
            if acceptance_required
            else self.prisoner_answer is not PrisonerAnswer.REFUSED
        )
        return self.state is RelationshipState.APPROVED and self.withdrawn_at is None and answer_ok

    def decide(self, state: RelationshipState, *, by: str, reason: str, at: datetime) -> None:
        """Approve, refuse or end it. Conflict when the present state does not lead there."""
        allowed = {
            RelationshipState.APPROVED: {
                RelationshipState.REQUESTED,
                RelationshipState.REFUSED,
                RelationshipState.ENDED,
            },
            RelationshipState.REFUSED: {RelationshipState.REQUESTED},
            RelationshipState.ENDED: {RelationshipState.APPROVED},
            RelationshipState.REQUESTED: set[RelationshipState](),
        }
        if self.state not in allowed[state]:
            raise Conflict(f"A relationship that is {self.state} cannot become {state}.", code="relationship_state")
        self.state, self.decided_by, self.decided_at, self.reason = state, by, at, reason

    def request_again(self, *, relation: str, statement: str | None, at: datetime) -> None:
        """The contact asks anew after a refusal, an end or their own withdrawal; else Conflict."""
        if self.state in (RelationshipState.REQUESTED, RelationshipState.APPROVED) and self.withdrawn_at is None:
            raise Conflict("This request has been made already.", code="relationship_exists")
        self.state = RelationshipState.REQUESTED
        self.relation, self.statement, self.requested_at = relation, statement, at
        self.withdrawn_at = self.decided_at = self.decided_by = self.reason = None

    def answer(self, answer: PrisonerAnswer, *, at: datetime) -> None:
        """The prisoner accepts or refuses; they may change their mind at any time."""
        self.prisoner_answer, self.answered_at = answer, at

    def withdraw(self, *, at: datetime) -> None:
        """The contact steps back. Doing it twice changes nothing."""
        self.withdrawn_at = self.withdrawn_at or at


class RestrictionScope(StrEnum):
    """Whom a restriction touches: a contact anywhere, one relationship, or a prisoner with everyone."""

    PERSON = "person"
    RELATIONSHIP = "relationship"
    PRISONER = "prisoner"


class RestrictionEffect(StrEnum):
    """What a restriction does to a call."""

    BLOCK = "block"
    LIVE_SUPERVISED = "live_supervised"
    REVIEW = "review"


# A type that is not in this table goes to review: a new code in a prison's own system never means "allowed".
EFFECT_OF_TYPE: dict[str, RestrictionEffect] = {
    "BAN": RestrictionEffect.BLOCK,
    "NON-CONTACT": RestrictionEffect.BLOCK,
    "COURT-ORDER": RestrictionEffect.BLOCK,
    "CLOSED": RestrictionEffect.LIVE_SUPERVISED,
    "CHILD": RestrictionEffect.REVIEW,
    "PRE-INFORM": RestrictionEffect.REVIEW,
    "RESTRICTED": RestrictionEffect.REVIEW,
    "ACCESS-REQUIREMENT": RestrictionEffect.REVIEW,
}

_SEVERITY = {RestrictionEffect.LIVE_SUPERVISED: 0, RestrictionEffect.REVIEW: 1, RestrictionEffect.BLOCK: 2}


@dataclass(eq=False)
class Restriction:
    """A limit on contact. `starts_on` and `ends_on` are days in the prison's zone, both included; no end means open.

    Exactly the ids that `scope` needs are set. `effect` can only make the type's own effect stricter. `prison_id` is
    the prison that made it: one on a person holds everywhere, and is that prison's alone to change. None: nobody wrote
    down which, or the system made it.
    """

    id: str
    scope: RestrictionScope
    type: str
    starts_on: date
    authority: str
    created_at: datetime
    created_by: str
    ends_on: date | None = None
    contact_id: str | None = None
    relationship_id: str | None = None
    prisoner_id: str | None = None
    effect: RestrictionEffect | None = None
    review_on: date | None = None
    note: str | None = None
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    external_id: str | None = None
    external_source: str = ""
    prison_id: str | None = None

    def made_elsewhere(self, prison_id: str | None) -> bool:
        """Whether it is on a person, and another prison's than this one."""
        return self.scope is RestrictionScope.PERSON and self.prison_id not in (None, prison_id)

    def applies_on(self, day: date) -> bool:
        """In force on `day`: from its first through its last day, unless lifted."""
        return self.lifted_at is None and self.starts_on <= day and (self.ends_on is None or day <= self.ends_on)

    @property
    def effective(self) -> RestrictionEffect:
        """The stricter of the type's effect and the row's own."""
        by_type = self._by_type
        return max(by_type, self.effect or by_type, key=_SEVERITY.__getitem__)

    @property
    def needs_officer(self) -> bool:
        """Whether an officer must watch live, by the type or by the row. Review beside it takes nothing of that away;
        what blocks leaves nothing to watch."""
        asks = RestrictionEffect.LIVE_SUPERVISED in (self._by_type, self.effect)
        return asks and self.effective is not RestrictionEffect.BLOCK

    @property
    def _by_type(self) -> RestrictionEffect:
        return EFFECT_OF_TYPE.get(self.type.upper().replace("_", "-"), RestrictionEffect.REVIEW)


@dataclass(eq=False)
class Alert:
    """A warning on a prisoner that the prison's own system keeps, under that system's `code`; days as in Restriction.

    Which codes ask for a person's look is a policy (`alerts.review_codes`), not a matter of the row.
    """

    id: str
    prisoner_id: str
    code: str
    starts_on: date
    created_at: datetime
    created_by: str
    ends_on: date | None = None
    note: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    external_id: str | None = None
    external_source: str = ""

    def applies_on(self, day: date) -> bool:
        """In force on `day`: from its first through its last day, unless closed."""
        return self.closed_at is None and self.starts_on <= day and (self.ends_on is None or day <= self.ends_on)


@dataclass(eq=False)
class NonAssociation:
    """Two prisoners who must not meet. Stored once, the smaller id first; dates as in Restriction."""

    id: str
    prisoner_a: str
    prisoner_b: str
    starts_on: date
    created_by: str
    ends_on: date | None = None
    created_at: datetime | None = None
    reason: str | None = None
    external_id: str | None = None
    external_source: str = ""

    def applies_on(self, day: date) -> bool:
        """In force on `day`, from its first through its last day."""
        return self.starts_on <= day and (self.ends_on is None or day <= self.ends_on)

    def other(self, prisoner_id: str) -> str:
        """The other one of the two."""
        return self.prisoner_b if prisoner_id == self.prisoner_a else self.prisoner_a


@dataclass(frozen=True, slots=True)
class NonAssociatedVisit:
    """A booking of a prisoner whom another one must not meet, with the days on which that holds.

    `wing_id` is where the other prisoner lives, `station_wing_id` where their call takes place; None when not known.
    """

    non_association_id: str
    booking_id: str
    prisoner_id: str
    starts_at: datetime
    ends_at: datetime
    starts_on: date
    ends_on: date | None = None
    wing_id: str | None = None
    station_wing_id: str | None = None

    def applies_on(self, day: date) -> bool:
        return self.starts_on <= day and (self.ends_on is None or day <= self.ends_on)


@dataclass(frozen=True, slots=True)
class CountedVisit:
    """A visit of the prisoner's own that counts towards limits and floors: booked, held, taken place, or stood up.

    `day` is the prison's. `earlier`: made before the booking that is looked at, where one is.
    """

    booking_id: str
    kind: CallKind
    starts_at: datetime
    ends_at: datetime
    day: date
    earlier: bool = True
