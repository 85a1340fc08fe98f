"""Flags: what has come up against a booking after it was made. An overlay, never a state; a person decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from visitserver.domain.errors import Conflict


class FlagType(StrEnum):
    """Why a booking is flagged. An alert about the prisoner is new or has been changed: one reason, two names."""

    NON_ASSOCIATION = "non_association"
    PRISONER_RELEASED = "prisoner_released"
    PRISONER_TRANSFERRED = "prisoner_transferred"
    RESTRICTION_CHANGED = "restriction_changed"
    ALERT_CREATED = "alert_created"
    ALERT_UPDATED = "alert_updated"
    CONTACT_RESTRICTION = "contact_restriction"
    CONTACT_UNAPPROVED = "contact_unapproved"
    DATE_BLOCKED = "date_blocked"
    SESSION_BLOCKED = "session_blocked"
    COURT_APPOINTMENT = "court_appointment"
    ID_EXPIRED = "id_expired"
    STATION_OUT = "station_out"
    OFFICER_CAPACITY_LOST = "officer_capacity_lost"
    LEGAL_STATUS_CHANGED = "legal_status_changed"


class FlagClosed(StrEnum):
    """How a flag was closed: by a person who kept the booking as it is, moved or cancelled it; or by itself."""

    KEPT = "kept"
    MOVED = "moved"
    CANCELLED = "cancelled"
    RESOLVED = "resolved"


@dataclass(eq=False)
class Flag:
    """One reason against one booking. There is at most one open flag per booking, type and key.

    `starts_at` is the booking's. `key` names what it is about (the restriction, the block, the caller): a reference.
    `attributes` are references and codes only. `lapsed_at`: when the reason for which a booking was kept held no more;
    should it come back, it is a new flag.
    """

    id: str
    prison_id: str
    booking_id: str
    type: FlagType
    key: str
    starts_at: datetime
    raised_at: datetime
    attributes: dict[str, Any] = field(default_factory=dict)
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    kept_by: str | None = None
    kept_at: datetime | None = None
    kept_reason: str | None = None
    closed_at: datetime | None = None
    closed_how: FlagClosed | None = None
    closed_by: str | None = None
    lapsed_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it still waits for somebody."""
        return self.closed_at is None

    @property
    def stands_kept(self) -> bool:
        """Whether a person has kept the booking in spite of it, and the reason is still the same one."""
        return self.closed_how is FlagClosed.KEPT and self.lapsed_at is None

    @property
    def identity(self) -> tuple[FlagType, str]:
        """What there is one open flag of per booking."""
        return self.type, self.key

    @property
    def keepable(self) -> bool:
        """Whether a person may keep the booking in spite of it. What a court, a ban or a person's own no stands
        against, nobody can decide away."""
        return not self.attributes.get("binding", False)

    def acknowledge(self, *, by: str, at: datetime) -> bool:
        """Somebody has seen it and looks after it. False when somebody has before: the first one stays."""
        self._need_open()
        if self.acknowledged_at is not None:
            return False
        self.acknowledged_by, self.acknowledged_at = by, at
        return True

    def keep(self, *, by: str, reason: str, at: datetime) -> None:
        """The booking stays as it is, for this reason. Conflict (`flag_binding`) where nobody may decide that."""
        self._need_open()
        if not self.keepable:
            raise Conflict("This cannot be set aside: cancel or move the booking.", code="flag_binding")
        self.kept_by, self.kept_at, self.kept_reason = by, at, reason
        self._acknowledged(by, at)
        self.close(FlagClosed.KEPT, by=by, at=at)

    def close(self, how: FlagClosed, *, by: str, at: datetime) -> None:
        """It waits for nobody any more. Conflict (`flag_closed`) when it is closed already."""
        self._need_open()
        self.closed_how, self.closed_by, self.closed_at = how, by, at

    def _acknowledged(self, by: str, at: datetime) -> None:
        self.acknowledged_by = self.acknowledged_by or by
        self.acknowledged_at = self.acknowledged_at or at

    def _need_open(self) -> None:
        if not self.open:
            raise Conflict("This has been seen to already.", code="flag_closed")


@dataclass(frozen=True, slots=True)
class Reason:
    """What stands against a booking now, as it would be flagged."""

    type: FlagType
    key: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[FlagType, str]:
        """See `Flag.identity`."""
        return self.type, self.key


@dataclass(eq=False)
class FlagScan:
    """One night's look at all bookings of a prison. `cursor` is how far it has come; figures are counts of bookings
    (`checked`, `failed`) and of flags (`raised`, `resolved`)."""

    prison_id: str
    night: date
    started_at: datetime
    cursor: str | None = None
    checked: int = 0
    failed: int = 0
    raised: int = 0
    resolved: int = 0
    finished_at: datetime | None = None
