"""Stations, session templates, slots, bookings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property

from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.rejections import RejectionReason

Location = tuple[str, ...]
"""A path of one to four levels within a prison, outermost first: wing, landing, cell, bed."""

LOCATION_LEVELS = 4


class StationKind(StrEnum):
    """Where a prisoner sits for a call."""

    TERMINAL = "terminal"
    BOOTH = "booth"
    ROOM = "room"


@dataclass(eq=False)
class Station:
    """A terminal, booth or room from which a prisoner joins."""

    id: str
    prison_id: str
    name: str
    kind: StationKind = StationKind.TERMINAL
    wing_id: str | None = None
    active: bool = True


class SupervisionLevel(StrEnum):
    """How a call is watched. LIVE takes an officer's seat."""

    NONE = "none"
    SAMPLE = "sample"
    LIVE = "live"


@dataclass(eq=False)
class SessionTemplate:
    """When calls can take place: on `weekdays` (Monday is 0), from `starts_at` to `ends_at`, local time of the prison.

    The session is cut into slots of `duration_minutes` with the buffer between them. It recurs every `every_weeks`
    weeks counted from the week of `valid_from`, until `valid_to` (included). A template is never edited once bookings
    stand on it: `version` grows, `supersedes` names the row before, which is end-dated.

    Who may use it: the prisoner must be in every `include_…` group that is not empty and in no `exclude_…` group. A
    location is a path of one to four levels, outermost first; it means everybody below it too. Empty `incentive_levels`
    and `legal_statuses` mean all of them. `capacity_supervised` is how many of its calls may be watched live at a time.
    """

    id: str
    prison_id: str
    name: str
    weekdays: tuple[int, ...]
    starts_at: time
    ends_at: time
    duration_minutes: int
    capacity: int
    station_ids: tuple[str, ...]
    valid_from: date
    valid_to: date | None = None
    every_weeks: int = 1
    capacity_supervised: int | None = None
    kinds: frozenset[CallKind] = frozenset({CallKind.SOCIAL})
    supervision: SupervisionLevel = SupervisionLevel.SAMPLE
    credit_type: CreditType | None = CreditType.STANDARD
    public: bool = True
    include_wings: frozenset[str] = field(default_factory=frozenset)
    exclude_wings: frozenset[str] = field(default_factory=frozenset)
    version: int = 1
    supersedes: str | None = None
    created_by: str = ""
    created_at: datetime | None = None
    include_locations: frozenset[Location] = field(default_factory=frozenset)
    exclude_locations: frozenset[Location] = field(default_factory=frozenset)
    include_categories: frozenset[str] = field(default_factory=frozenset)
    exclude_categories: frozenset[str] = field(default_factory=frozenset)
    incentive_levels: frozenset[IncentiveLevel] = field(default_factory=frozenset)
    legal_statuses: frozenset[LegalStatus] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What all slots of one version of a template have in common: see SessionTemplate for the fields.

    Immutable, so that what was found out about one slot's terms holds for every slot that has the same.
    """

    template_id: str
    template_version: int
    prison_id: str
    capacity: int
    capacity_supervised: int | None
    station_ids: tuple[str, ...]
    kinds: frozenset[CallKind]
    supervision: SupervisionLevel
    credit_type: CreditType | None
    public: bool
    include_wings: frozenset[str] = frozenset()
    exclude_wings: frozenset[str] = frozenset()
    include_locations: frozenset[Location] = frozenset()
    exclude_locations: frozenset[Location] = frozenset()
    include_categories: frozenset[str] = frozenset()
    exclude_categories: frozenset[str] = frozenset()
    incentive_levels: frozenset[IncentiveLevel] = frozenset()
    legal_statuses: frozenset[LegalStatus] = frozenset()

    def __hash__(self) -> int:
        # Equal terms are of one version of one template; hashing the rest would cost more than it tells apart.
        return hash((self.template_id, self.template_version))

    @classmethod
    def of(cls, template: SessionTemplate) -> SessionTerms:
        """The template's, as it is now."""
        return cls(
            template_id=template.id,
            template_version=template.version,
            prison_id=template.prison_id,
            capacity=template.capacity,
            capacity_supervised=template.capacity_supervised,
            station_ids=template.station_ids,
            kinds=template.kinds,
            supervision=template.supervision,
            credit_type=template.credit_type,
            public=template.public,
            include_wings=template.include_wings,
            exclude_wings=template.exclude_wings,
            include_locations=template.include_locations,
            exclude_locations=template.exclude_locations,
            include_categories=template.include_categories,
            exclude_categories=template.exclude_categories,
            incentive_levels=template.incentive_levels,
            legal_statuses=template.legal_statuses,
        )


@dataclass(frozen=True)
class Slot:
    """One time of one template, computed, never stored. `starts_at` and `ends_at` are UTC; `day` is the prison's."""

    terms: SessionTerms
    starts_at: datetime
    ends_at: datetime
    day: date

    @cached_property
    def key(self) -> str:
        """Names the slot in URLs and rows: `<template id>@<start, UTC, minutes>`."""
        return f"{self.terms.template_id}@{minute_text(self.starts_at)}"

    @property
    def duration(self) -> timedelta:
        return self.ends_at - self.starts_at

    @property
    def template_id(self) -> str:
        return self.terms.template_id

    @property
    def template_version(self) -> int:
        return self.terms.template_version

    @property
    def prison_id(self) -> str:
        return self.terms.prison_id

    @property
    def capacity(self) -> int:
        return self.terms.capacity

    @property
    def capacity_supervised(self) -> int | None:
        return self.terms.capacity_supervised

    @property
    def station_ids(self) -> tuple[str, ...]:
        return self.terms.station_ids

    @property
    def kinds(self) -> frozenset[CallKind]:
        return self.terms.kinds

    @property
    def supervision(self) -> SupervisionLevel:
        return self.terms.supervision

    @property
    def credit_type(self) -> CreditType | None:
        return self.terms.credit_type

    @property
    def public(self) -> bool:
        return self.terms.public


def minute_text(moment: datetime) -> str:
    """A moment (UTC) to the minute as slot keys and cursors have it: 20260306T0700Z."""
    text = moment.isoformat()
    return f"{text[:4]}{text[5:7]}{text[8:13]}{text[14:16]}Z"


class BookingState(StrEnum):
    """A booking's life. HELD lasts minutes; a flag is an overlay, not a state."""

    HELD = "held"
    REQUESTED = "requested"
    BOOKED = "booked"
    REJECTED = "rejected"
    AUTO_REJECTED = "auto_rejected"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    COMPLETED = "completed"
    NO_SHOW = "no_show"
    FAILED = "failed"


OPEN_STATES = frozenset({BookingState.HELD, BookingState.REQUESTED, BookingState.BOOKED})


class HoldKind(StrEnum):
    """Why a place is kept: its booker is about to confirm it (minutes), or the waiting list offers it (hours)."""

    BOOKER = "booker"
    OFFER = "offer"


_NEXT: dict[BookingState, frozenset[BookingState]] = {
    BookingState.HELD: frozenset(
        {BookingState.REQUESTED, BookingState.BOOKED, BookingState.EXPIRED, BookingState.WITHDRAWN}
    ),
    BookingState.REQUESTED: frozenset(
        {
            BookingState.BOOKED,
            BookingState.REJECTED,
            BookingState.AUTO_REJECTED,
            BookingState.WITHDRAWN,
            BookingState.CANCELLED,
        }
    ),
    BookingState.BOOKED: frozenset(
        {
            BookingState.REQUESTED,  # moved to another time that a person must look at first
            BookingState.CANCELLED,
            BookingState.COMPLETED,
            BookingState.NO_SHOW,
            BookingState.FAILED,
        }
    ),
}


@dataclass(eq=False)
class BookingParticipant:
    """A caller of a booking. Exactly one is the lead."""

    booking_id: str
    contact_id: str
    relationship_id: str
    lead: bool = False


@dataclass(eq=False)
class Booking:
    """A call that is held for somebody, asked for, or booked. Times are UTC.

    `id` is also the hold's id while the state is HELD. `revision` counts what people must be told of (the SEQUENCE of
    a calendar invitation). `outcome` is a code of calls.OutcomeCode once there is one.
    `acknowledged_at`: when the prisoner said at a terminal that they have seen it and will come.
    `hold_kind` is set while it is HELD. `overbook_reason`: why staff placed it beyond the session's capacity, if they
    did. `rejection`, `rejection_day`, `family_words`: what the family is told when staff reject or cancel it, by code
    and in words of their own. `requested_at`: since when a person has to decide it; `escalated_at`: when a supervisor
    was told that the request is about to lapse.
    A booking that moves to another time keeps its id (and so the UID of its invitation); see BookingChange.
    """

    id: str
    prison_id: str
    prisoner_id: str
    kind: CallKind
    state: BookingState
    template_id: str
    slot_key: str
    starts_at: datetime
    ends_at: datetime
    supervision: SupervisionLevel
    created_at: datetime
    created_by: str
    station_id: str
    participants: list[BookingParticipant] = field(default_factory=list)
    credit_type: CreditType | None = None
    hold_expires_at: datetime | None = None
    hold_extended: bool = False
    charged: bool = False
    outcome: str | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    revision: int = 0
    acknowledged_at: datetime | None = None
    hold_kind: HoldKind | None = None
    overbook_reason: str | None = None
    requested_at: datetime | None = None
    escalated_at: datetime | None = None
    rejection: RejectionReason | None = None
    rejection_day: date | None = None
    family_words: str | None = None

    @property
    def privileged(self) -> bool:
        return self.kind.privileged

    @property
    def lead(self) -> BookingParticipant:
        return next(participant for participant in self.participants if participant.lead)

    @property
    def contact_ids(self) -> tuple[str, ...]:
        """The lead first, then the others by id."""
        ordered = sorted(self.participants, key=lambda participant: (not participant.lead, participant.contact_id))
        return tuple(participant.contact_id for participant in ordered)

    @property
    def open(self) -> bool:
        """Whether it still takes its place."""
        return self.state in OPEN_STATES

    def move(self, state: BookingState) -> None:
        """Go to `state`; Conflict when the present state does not lead there."""
        if state not in _NEXT.get(self.state, frozenset()):
            raise Conflict(f"A booking that is {self.state} cannot become {state}.", code="booking_state")
        self.state = state


@dataclass(eq=False)
class BookingChange:
    """What a booking was before it was moved: the time that its revision `revision` took the place of.

    `outcome` says what became of the old time (calls.OutcomeCode: superseded, details_changed).
    """

    id: str
    booking_id: str
    revision: int
    at: datetime
    actor: str
    outcome: str
    from_slot_key: str
    from_starts_at: datetime
    from_ends_at: datetime
    from_station_id: str
    to_slot_key: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A place kept for a few minutes. `id` becomes the booking's id when it is confirmed."""

    id: str
    slot: Slot
    expires_at: datetime
    may_extend: bool
