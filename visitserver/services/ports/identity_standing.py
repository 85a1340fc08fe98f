"""What booking needs to know of a contact's identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from visitserver.domain.rules.facts import IdentityStanding
from visitserver.services.ports.uow import UnitOfWork


class IdentityStandings(Protocol):
    """Reads the standing of contacts within a unit of work. Raises Unavailable when it cannot say."""

    async def __call__(self, u: UnitOfWork, contact_ids: Sequence[str]) -> dict[str, IdentityStanding]:
        """By contact id; a contact that is left out has no approved identity."""
        ...
