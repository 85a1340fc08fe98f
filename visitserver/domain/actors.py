"""Who does something: a reference to a person or to the system, as services and the audit log know them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ActorKind(StrEnum):
    """What kind of somebody acts."""

    ANONYMOUS = "anonymous"
    FAMILY = "family"
    PRISONER = "prisoner"
    STAFF = "staff"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `id` is the contact's id (family), the prisoner's id, the staff account's id, or a job's name (system).

    `prison_id` is None for families, who belong to no prison. No names: an actor is written into audit rows.
    """

    kind: ActorKind
    id: str
    prison_id: str | None = None


SYSTEM: Final = Actor(ActorKind.SYSTEM, "system")
