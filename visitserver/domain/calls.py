"""Kinds of calls and how they end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class CallKind(StrEnum):
    """What a call is. Privileged kinds are never watched, never recorded and cost nothing."""

    SOCIAL = "social"
    OFFICIAL = "official"
    LEGAL = "legal"
    CONSULAR = "consular"
    INSPECTION = "inspection"

    @property
    def privileged(self) -> bool:
        return self in (CallKind.LEGAL, CallKind.CONSULAR, CallKind.INSPECTION)


class OutcomeCode(StrEnum):
    """Why a booking or call ended as it did."""

    ADMINISTRATIVE_CANCELLATION = "administrative_cancellation"
    ADMINISTRATIVE_ERROR = "administrative_error"
    BATCH_CANCELLATION = "batch_cancellation"
    ESTABLISHMENT_CANCELLED = "establishment_cancelled"
    COMPLETED_NORMALLY = "completed_normally"
    NO_ALLOWANCE = "no_allowance"
    PRISONER_CANCELLED = "prisoner_cancelled"
    PRISONER_COMPLETED_EARLY = "prisoner_completed_early"
    PRISONER_REFUSED = "prisoner_refused"
    TERMINATED_BY_STAFF = "terminated_by_staff"
    VISITOR_CANCELLED = "visitor_cancelled"
    VISITOR_COMPLETED_EARLY = "visitor_completed_early"
    VISITOR_DECLINED = "visitor_declined"
    VISITOR_DID_NOT_ARRIVE = "visitor_did_not_arrive"
    VISITOR_FAILED_CHECKS = "visitor_failed_checks"
    SUPERSEDED = "superseded"
    DETAILS_CHANGED = "details_changed"
    BOOKER_CANCELLED = "booker_cancelled"
    REQUEST_WITHDRAWN = "request_withdrawn"
    TECHNICAL_FAILURE = "technical_failure"


class CallPhase(StrEnum):
    """Where a call is, as the media nodes know it (signaling.calls.Phase has the same values)."""

    SCHEDULED = "scheduled"
    LOBBY_OPEN = "lobby_open"
    READY = "ready"
    LIVE = "live"
    HELD = "held"
    WAITING_MONITOR = "waiting_monitor"
    RECONNECTING = "reconnecting"
    ENDING = "ending"
    ENDED = "ended"
    TERMINATED = "terminated"
    NO_SHOW = "no_show"
    FAILED = "failed"


FINAL_PHASES: Final = frozenset({CallPhase.ENDED, CallPhase.TERMINATED, CallPhase.NO_SHOW, CallPhase.FAILED})


class WatchGround(StrEnum):
    """Why an officer watches a call. Every watch names one, and is logged with it."""

    POLICY = "policy"  # the call must be watched
    SAMPLE = "sample"  # the prison's sampling
    AUTHORISATION = "authorisation"  # an order that names the prisoner or the contact
    CONCERN = "concern"  # something was seen or reported during the call


@dataclass(eq=False)
class Call:
    """The call of one booking, from the opening of its room to its outcome. Times are UTC.

    `id` begins with `priv_` for a privileged call, with `call_` for any other, and decides it. `recording_id` is the
    latest part's. `last_sequence` is the last event that is stored. `connected_seconds` counts live time only.
    `lost_seconds` is the scheduled time that was not connected although everybody who was there wanted to talk (see
    call_telemetry.py). `outcome` is set with the final phase, and `lost_seconds` with it.
    """

    id: str
    booking_id: str
    prison_id: str
    prisoner_id: str
    kind: CallKind
    lobby_opens_at: datetime
    starts_at: datetime
    ends_at: datetime
    recorded: bool
    supervision: str
    watch_banner: bool
    policy_version: str
    created_at: datetime
    phase: CallPhase = CallPhase.SCHEDULED
    recording_id: str | None = None
    last_sequence: int = 0
    connected_seconds: int = 0
    lost_seconds: int = 0
    outcome: OutcomeCode | None = None
    cause: str | None = None
    ended_at: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether it has its outcome."""
        return self.phase in FINAL_PHASES

    @property
    def privileged(self) -> bool:
        """Whether it is privileged: by its identifier alone."""
        return self.id.startswith("priv_")

    @property
    def owed_seconds(self) -> int:
        """Scheduled time that was lost without the callers' doing, once the call is over.

        Nothing is owed for what somebody chose: to leave early, not to come, or (a member of staff) to end it.
        """
        return self.lost_seconds if self.over and self.outcome in OWING else 0


OWING: Final = frozenset(
    {
        OutcomeCode.ADMINISTRATIVE_ERROR,
        OutcomeCode.ESTABLISHMENT_CANCELLED,
        OutcomeCode.TECHNICAL_FAILURE,
        OutcomeCode.COMPLETED_NORMALLY,
    }
)
"""Outcomes whose unconnected minutes are owed (rule 13 of contact-rights.md)."""


@dataclass(eq=False)
class StoredCallEvent:
    """One event of a call as its media node published it; rows are only ever added. See signaling.calls.CallEvent."""

    call_id: str
    sequence: int
    at: datetime
    type: str
    actor_kind: str
    actor_id: str
    cause: str
    data: dict[str, Any] = field(default_factory=dict)
