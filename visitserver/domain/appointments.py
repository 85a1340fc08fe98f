"""A prisoner's other appointments: what stands in the way of a call, and what outranks one (rule 19)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AppointmentKind(StrEnum):
    """What the prisoner has to be at. All but OTHER outrank a social call."""

    COURT = "court"
    MEDICAL = "medical"
    PAROLE = "parole"
    LEGAL = "legal"
    OTHER = "other"

    @property
    def outranks(self) -> bool:
        """Whether a social call has to give way to it."""
        return self is not AppointmentKind.OTHER


@dataclass(eq=False)
class Appointment:
    """A time at which a prisoner is elsewhere, from `starts_at` up to but not including `ends_at` (UTC).

    `external_id` is the one of the prison's own system, unique within the prison. `note` is for staff alone: it may
    name a court, a hospital, a person.
    """

    id: str
    prison_id: str
    prisoner_id: str
    kind: AppointmentKind
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    created_by: str
    external_id: str | None = None
    note: str | None = None
    cancelled_at: datetime | None = None

    @property
    def outranks(self) -> bool:
        """Whether a social call has to give way to it."""
        return self.kind.outranks

    @property
    def stands(self) -> bool:
        """Whether it has not been cancelled."""
        return self.cancelled_at is None

    def overlaps(self, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether some part of it lies between the two moments; a cancelled one is nowhere."""
        return self.stands and self.starts_at < ends_at and starts_at < self.ends_at
