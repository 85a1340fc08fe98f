"""What services need of the store about people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact, Prison, Prisoner, Staff, Wing


class People(Protocol):
    """Prisons, wings, prisoners, contacts, staff. `get_…` raises NotFound; `find_…` gives None."""

    def add(self, person: Prison | Wing | Prisoner | Contact | Staff) -> None:
        """Put a new one into the unit of work."""
        ...

    async def get_prison(self, prison_id: str) -> Prison: ...

    async def find_prison_by_code(self, code: str) -> Prison | None: ...

    async def record_sources(self) -> set[str]:
        """Every prison's `record_source`."""
        ...

    async def prisons(self, page: PageRequest) -> Page[Prison]: ...

    async def wings(self, prison_id: str) -> Sequence[Wing]: ...

    async def get_prisoner(self, prisoner_id: str) -> Prisoner: ...

    async def find_prisoner_by_number(self, number: str) -> Prisoner | None: ...

    async def search_prisoners(self, prison_id: str, text: str, page: PageRequest) -> Page[Prisoner]:
        """Those at the prison whose number, given or family name begins with `text` (any case)."""
        ...

    async def get_contact(self, contact_id: str) -> Contact: ...

    async def contacts(self, contact_ids: Sequence[str]) -> dict[str, Contact]:
        """Those that exist, by id."""
        ...

    async def prisoners(self, prisoner_ids: Sequence[str]) -> dict[str, Prisoner]:
        """Those that exist, by id."""
        ...

    async def search_contacts(self, prison_id: str, text: str, page: PageRequest) -> Page[Contact]:
        """Those with a relationship to somebody at the prison whose given or family name begins with `text`."""
        ...

    async def get_staff(self, staff_id: str) -> Staff: ...
