"""Who is asking: made from the session (and, at a terminal, from the enrolled station), once per request."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from visitserver.domain.access import Role


class PrincipalKind(StrEnum):
    """On which side of the house somebody stands."""

    ANONYMOUS = "anonymous"
    FAMILY = "family"
    PRISONER = "prisoner"
    STAFF = "staff"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Principal:
    """The person behind a request. `name` is for showing back to that person only, never for a log.

    `station_id` is set at every request from an enrolled terminal, signed in or not. A machine client has no role: its
    `actions` are what its token names, and `account_id` is the client's id.
    """

    kind: PrincipalKind
    account_id: str = ""
    contact_id: str | None = None
    prisoner_id: str | None = None
    staff_id: str | None = None
    roles: frozenset[Role] = field(default_factory=frozenset)
    prison_id: str | None = None
    station_id: str | None = None
    name: str = ""
    actions: frozenset[str] = field(default_factory=frozenset)

    @property
    def signed_in(self) -> bool:
        """Whether there is a person behind this request."""
        return self.kind is not PrincipalKind.ANONYMOUS

    def has(self, *roles: Role | str) -> bool:
        """Whether the person has any of `roles`; for showing or hiding a link, never for deciding an access."""
        return any(role in self.roles for role in roles)


ANONYMOUS: Final = Principal(PrincipalKind.ANONYMOUS)
