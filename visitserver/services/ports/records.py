"""What imports and the REST interface need of the store: records by the prison's own identifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from visitserver.domain.appointments import Appointment
from visitserver.domain.importing import ImportKind
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact, Prisoner
from visitserver.domain.rights import Alert, NonAssociation, Relationship, Restriction

Recorded = Prisoner | Contact | Relationship | Restriction | Alert | NonAssociation | Appointment


class Records(Protocol):
    """Everything that a prison's own system knows under an identifier of its own.

    `source` is the numbering by which this unit of work reads and writes identifiers (see Prison.record_source); the
    identifiers of others are not found, and not shown.
    """

    source: str

    async def use_source_of(self, prison_id: str) -> None:
        """Read and write identifiers as that prison's record systems do."""
        ...

    async def find(self, kind: ImportKind, external_id: str, *, prison_id: str | None = None) -> Any:
        """The record, read anew, or None. Appointments are looked for at `prison_id`, which they need."""
        ...

    async def lock_names(self, kind: ImportKind, values: Mapping[str, Any]) -> set[str]:
        """The names (see UnitOfWork.lock) of every prisoner and contact that a line touches; reads no entity."""
        ...

    async def external_ids(self, kind: ImportKind, ids: Sequence[str]) -> dict[str, str | None]:
        """By our id, of those that exist; None for one that has no identifier of this source."""
        ...

    async def page(self, kind: ImportKind, prison_id: str, page: PageRequest) -> Page[Any]:
        """The records of a prison, by our id: its prisoners, whom they are about, and the contacts known there."""
        ...

    async def wing(self, prison_id: str, name: str) -> str | None:
        """The id of the wing of that name."""
        ...

    async def contact_known_at(self, contact_id: str, prison_id: str) -> bool:
        """Whether the contact was registered by the prison, or has (or had) a relationship with somebody there."""
        ...

    async def contact_approved_at(self, contact_id: str, prison_id: str) -> bool:
        """Whether the contact has an approved relationship, not withdrawn, with somebody at the prison."""
        ...
