"""What has changed that bookings rest on: noted in the transaction of the change, worked off after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class ChangeKind(StrEnum):
    """What kind of thing has changed. The kind says who wrote it, not what follows: the rules are asked for that."""

    RELATIONSHIP_ENDED = "relationship_ended"
    RELATIONSHIP_REFUSED = "relationship_refused"  # by the prisoner
    RELATIONSHIP_WITHDRAWN = "relationship_withdrawn"  # by the contact
    RELATIONSHIP_RESTORED = "relationship_restored"
    RESTRICTION_ADDED = "restriction_added"
    RESTRICTION_CHANGED = "restriction_changed"
    RESTRICTION_LIFTED = "restriction_lifted"
    PRISONER_RELEASED = "prisoner_released"
    PRISONER_TRANSFERRED = "prisoner_transferred"
    PRISONER_STATUS_CHANGED = "prisoner_status_changed"  # what rules rest on: status, level, category, age, place
    CONTACT_CHANGED = "contact_changed"  # the contact's age
    ALERT_CREATED = "alert_created"
    ALERT_UPDATED = "alert_updated"
    ALERT_ENDED = "alert_ended"
    APPOINTMENT_ADDED = "appointment_added"
    APPOINTMENT_CHANGED = "appointment_changed"
    APPOINTMENT_CANCELLED = "appointment_cancelled"
    BLOCK_ADDED = "block_added"
    BLOCK_LIFTED = "block_lifted"
    IDENTITY_CHANGED = "identity_changed"
    STATION_OUT = "station_out"
    STATION_BACK = "station_back"
    POLICY_CHANGED = "policy_changed"
    TEMPLATE_CHANGED = "template_changed"
    NON_ASSOCIATION_ADDED = "non_association_added"
    NON_ASSOCIATION_ENDED = "non_association_ended"
    PEOPLE_MERGED = "people_merged"


@dataclass(eq=False)
class Change:
    """One noted change, by reference. Whom it touches: every id that is set, together; with none but `prison_id`, the
    whole prison. `prison_id` beside another id says only where it was noted.

    `from_at` and `to_at` bound the bookings by their time; None is open. `by` is the Actor's reference of the person
    (or program) that made the change. `cursor` is how far through the bookings it has been worked off; `calls_done_at`
    is set once the calls under way are seen to, `done_at` once everything is. `attempts` counts tries that failed.
    """

    id: str
    at: datetime
    kind: ChangeKind
    by: str
    prison_id: str | None = None
    prisoner_id: str | None = None
    contact_id: str | None = None
    relationship_id: str | None = None
    station_id: str | None = None
    template_id: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    cursor: str | None = None
    attempts: int = 0
    due_at: datetime | None = None
    calls_done_at: datetime | None = None
    done_at: datetime | None = None
