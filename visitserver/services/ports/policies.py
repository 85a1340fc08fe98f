"""What services need of the store about policies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.policies import Policies as ResolvedPolicies
from visitserver.domain.policies import PolicyValue


class Policies(Protocol):
    """Versioned policy values."""

    def add(self, value: PolicyValue) -> None: ...

    async def at(self, prison_id: str, at: datetime) -> ResolvedPolicies:
        """What holds for the prison at that moment."""
        ...

    async def versions(self, prison_id: str | None, key: str) -> Sequence[PolicyValue]:
        """Every version of one key for one prison (None: the general one), oldest first."""
        ...

    async def history(self, prison_id: str, key: str, page: PageRequest) -> Page[PolicyValue]:
        """Every version of one key that holds or held for the prison, the general ones too, the latest first."""
        ...

    async def to_come(self, prison_id: str, after: datetime) -> Sequence[PolicyValue]:
        """The versions, of all keys, that will begin to hold for the prison, general ones too, the soonest first."""
        ...
