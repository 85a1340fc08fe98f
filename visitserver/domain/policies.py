"""Policies: versioned, dated values per prison, each with a documented default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from visitserver.domain.errors import Invalid


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A value that a prison may set: its name with the unit in it, the default, and the range of numbers."""

    name: str
    default: bool | int
    lowest: int = 0
    highest: int = 10_000
    summary: str = ""

    def check(self, value: Any) -> bool | int:
        """`value` when it is one for this key; Invalid otherwise."""
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
        elif isinstance(value, int) and not isinstance(value, bool) and self.lowest <= value <= self.highest:
            return value
        raise Invalid(f"Not a value for the policy {self.name}.", code="policy_value", field=self.name)


ACCEPTANCE_REQUIRED: Final = PolicyKey(
    "relationship.prisoner_acceptance_required",
    True,
    summary="The prisoner must have accepted a contact (otherwise: must not have refused them).",
)
NOTICE_DAYS_MIN: Final = PolicyKey(
    "booking.notice_days_min", 2, 0, 28, "Whole days between the day of booking and the first day that can be booked."
)
NOTICE_DAYS_MAX: Final = PolicyKey("booking.notice_days_max", 28, 0, 365, "Whole days ahead that can be booked.")
NOTICE_MINUTES_PRIVILEGED: Final = PolicyKey(
    "booking.notice_minutes_privileged", 120, 0, 10_080, "Notice for legal, consular and inspection calls."
)
LATE_START_MINUTES: Final = PolicyKey(
    "booking.late_start_minutes", 0, 0, 240, "How long after its start a slot can still be booked."
)
HOLD_MINUTES: Final = PolicyKey("booking.hold_minutes", 10, 1, 60, "How long a hold keeps its place.")
FREE_CANCEL_HOURS: Final = PolicyKey(
    "booking.free_cancel_hours", 24, 0, 336, "Before this a cancellation needs no reason."
)
BUFFER_MINUTES: Final = PolicyKey("booking.buffer_minutes", 5, 0, 60, "Pause after a call, in steps of five minutes.")
CALLERS_MAX: Final = PolicyKey("callers.max", 4, 1, 4, "Callers on screen.")
ADULTS_MAX: Final = PolicyKey("callers.adults_max", 3, 1, 4, "Adults among them.")
IDENTITY_REQUIRED: Final = PolicyKey(
    "identity.required_to_book", True, summary="Adult callers need an approved identity before they book."
)
OFFICERS: Final = PolicyKey("supervision.officers", 1, 0, 500, "Officers who watch calls at one time.")
CALLS_PER_OFFICER: Final = PolicyKey("supervision.calls_per_officer", 8, 1, 32, "Live-watched calls per officer.")
ACCRUAL_DAYS_STANDARD: Final = PolicyKey("allowance.standard_days", 14, 1, 90, "Days between standard credits.")
ACCRUAL_DAYS_PRIVILEGED: Final = PolicyKey("allowance.privileged_days", 28, 1, 90, "Days between privileged credits.")
STANDARD_PER_ACCRUAL: Final = PolicyKey("allowance.standard_per_accrual", 1, 0, 26, "Standard credits each time.")
PRIVILEGED_PER_ACCRUAL: Final = PolicyKey(
    "allowance.privileged_per_accrual_enhanced", 1, 0, 26, "Privileged credits each time, at the enhanced level."
)
ACCUMULATE_DAYS: Final = PolicyKey("allowance.accumulate_days", 28, 1, 365, "Then available becomes accumulated.")
CREDIT_CAP: Final = PolicyKey("allowance.cap", 26, 1, 365, "Credits kept at most; the oldest go first.")
PRIVILEGED_EXPIRY_DAYS: Final = PolicyKey(
    "allowance.privileged_expiry_days", 28, 1, 365, "Life of a privileged credit."
)

RECORDING_REQUIRED: Final = PolicyKey(
    "call.recording_required", True, summary="Calls are recorded, and held while they are not. Never privileged ones."
)
WATCH_BANNER: Final = PolicyKey(
    "call.watch_banner", False, summary="The people in a call are told while an officer is watching."
)
LOBBY_MINUTES: Final = PolicyKey("call.lobby_minutes", 15, 5, 60, "How long before its start the waiting room opens.")

KEYS: Final[Mapping[str, PolicyKey]] = {
    key.name: key
    for key in (
        *(ACCEPTANCE_REQUIRED, NOTICE_DAYS_MIN, NOTICE_DAYS_MAX, NOTICE_MINUTES_PRIVILEGED, LATE_START_MINUTES),
        *(HOLD_MINUTES, FREE_CANCEL_HOURS, BUFFER_MINUTES, CALLERS_MAX, ADULTS_MAX, IDENTITY_REQUIRED),
        *(OFFICERS, CALLS_PER_OFFICER, ACCRUAL_DAYS_STANDARD, ACCRUAL_DAYS_PRIVILEGED, STANDARD_PER_ACCRUAL),
        *(PRIVILEGED_PER_ACCRUAL, ACCUMULATE_DAYS, CREDIT_CAP, PRIVILEGED_EXPIRY_DAYS),
        *(RECORDING_REQUIRED, WATCH_BANNER, LOBBY_MINUTES),
    )
}


@dataclass(eq=False)
class PolicyValue:
    """One version of one policy. `prison_id` None: for every prison without its own. Never edited, only superseded.

    `valid_to` is exclusive; None is open.
    """

    id: str
    prison_id: str | None
    key: str
    version: int
    value: bool | int
    valid_from: datetime
    created_at: datetime
    created_by: str
    reason: str
    valid_to: datetime | None = None

    def valid_at(self, at: datetime) -> bool:
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True)
class Policies:
    """The values in force for one prison at one moment. A key without a row has its default, version "default"."""

    values: Mapping[str, tuple[bool | int, str]] = field(default_factory=dict)

    @classmethod
    def resolve(cls, rows: list[PolicyValue], *, prison_id: str, at: datetime) -> Policies:
        """Pick from `rows` what holds at `at`: the prison's own before the general one, the highest version first."""
        chosen: dict[str, tuple[bool, int, PolicyValue]] = {}
        for row in rows:
            if row.prison_id not in (None, prison_id) or not row.valid_at(at):
                continue
            rank = (row.prison_id is not None, row.version)
            if row.key not in chosen or rank > chosen[row.key][:2]:
                chosen[row.key] = (*rank, row)
        return cls(
            {
                key: (row.value, f"{'prison' if own else 'service'}.{version}")
                for key, (own, version, row) in chosen.items()
            }
        )

    def number(self, key: PolicyKey) -> int:
        """The value of a numeric key."""
        return int(self._of(key)[0])

    def flag(self, key: PolicyKey) -> bool:
        """The value of a yes/no key."""
        return bool(self._of(key)[0])

    def used(self, *keys: PolicyKey) -> str:
        """`key@version` for each, for a decision's trace."""
        return " ".join(f"{key.name}@{self._of(key)[1]}" for key in keys)

    def _of(self, key: PolicyKey) -> tuple[bool | int, str]:
        value, version = self.values.get(key.name, (key.default, "default"))
        return key.check(value), version
