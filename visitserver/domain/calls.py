"""Kinds of calls and how they end."""

from __future__ import annotations

from enum import StrEnum


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
