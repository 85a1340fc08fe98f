"""Who does something: a reference to a person or to the system, as services and the audit log know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class ActorKind(StrEnum):
    """What kind of somebody acts."""

    ANONYMOUS = "anonymous"
    FAMILY = "family"
    PRISONER = "prisoner"
    STAFF = "staff"
    SYSTEM = "system"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. `id` is the Contact's id (family), the Prisoner's, the Staff's, a job's name (system),
    or the ApiClient's (client: a prison's own system).

    `prison_id` is None for families, who belong to no prison. No names: an actor is written into audit rows.
    """

    kind: ActorKind
    id: str
    prison_id: str | None = None
    roles: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_staff(self) -> bool:
        return self.kind is ActorKind.STAFF

    @property
    def is_family(self) -> bool:
        return self.kind is ActorKind.FAMILY

    @property
    def is_prisoner(self) -> bool:
        return self.kind is ActorKind.PRISONER

    @property
    def is_client(self) -> bool:
        return self.kind is ActorKind.CLIENT

    @property
    def is_system(self) -> bool:
        return self.kind is ActorKind.SYSTEM

    @property
    def reference(self) -> str:
        """`kind:id`, as stored with what the actor did."""
        return f"{self.kind}:{self.id}"


def system_actor(component: str) -> Actor:
    """The actor of a component that acts by itself: a worker, an import, a nightly job."""
    return Actor(ActorKind.SYSTEM, component)


SYSTEM: Final = Actor(ActorKind.SYSTEM, "system")
