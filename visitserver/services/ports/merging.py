"""What services need of the store for finding and merging two records of one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from visitserver.domain.merging import HintReason
from visitserver.domain.occupancy import ResourceKind
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import Relationship


class Merging(Protocol):
    """Everything that names a contact or a prisoner. Logs that only grow keep the name they were written with."""

    async def hints(
        self, prison_id: str, page: PageRequest
    ) -> tuple[Sequence[tuple[str, str, HintReason]], str | None]:
        """Pairs of contacts (ids, the smaller first) known at the prison who may be one person; and the next cursor."""
        ...

    async def relationships_of(
        self, *, contact_id: str | None = None, prisoner_id: str | None = None
    ) -> Sequence[Relationship]:
        """All of one contact or of one prisoner, read anew."""
        ...

    async def prisons_of_contact(self, contact_id: str) -> set[str]:
        """Where the prisoners are with whom the contact has (or had) a relationship."""
        ...

    async def shared_bookings(self, first: str, second: str) -> int:
        """In how many bookings both contacts are."""
        ...

    async def clashes(self, first: str, second: str, *, kind: ResourceKind) -> int:
        """How many five-minute cells both occupy (kind: CONTACT, PRISONER)."""
        ...

    async def open_calls(self, prisoner_id: str) -> int:
        """How many calls of the prisoner's have their waiting room open, or are on."""
        ...

    async def counts(self, *, contact_id: str | None = None, prisoner_id: str | None = None) -> dict[str, int]:
        """How many rows of each table name the contact or the prisoner, without the empty ones."""
        ...

    async def move_relationship(self, goes: str, stays: str) -> None:
        """Let everything that names one relationship name the other."""
        ...

    async def move_contact(self, goes: str, stays: str) -> None:
        """Let everything name the other contact but relationships, accounts and what is sealed.

        Whoever waits or wishes with themselves as a guest then, or with one guest twice, does so no more.
        """
        ...

    async def move_prisoner(self, goes: str, stays: str) -> Mapping[str, str | None]:
        """Let everything name the other prisoner but relationships, accounts and logs that only grow.

        Gives the non-associations that are dropped, each with the one that says it now: the same two were kept apart
        from the same day on twice. None: it was between the two records themselves.
        """
        ...

    async def move_account(self, *, kind: str, goes: str, stays: str) -> bool:
        """Give `stays` the account (kind: contact, prisoner), or delete it where they have one. Whether it moved."""
        ...
