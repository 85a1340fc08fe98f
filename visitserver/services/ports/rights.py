"""What services need of the store about rights."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from visitserver.domain.decisions import DecisionRecord
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rights import (
    Alert,
    NonAssociation,
    Relationship,
    RelationshipKind,
    RelationshipState,
    Restriction,
)


class Rights(Protocol):
    """Relationships, restrictions, alerts, non-associations, kept decisions.

    `get_…` raises NotFound; `find_…` gives None.
    """

    def add(self, right: Relationship | Restriction | Alert | NonAssociation | DecisionRecord) -> None: ...

    async def get_relationship(self, relationship_id: str, *, fresh: bool = False) -> Relationship:
        """`fresh` reads it anew even when this unit of work has seen it: after taking a lock."""
        ...

    async def find_relationship(
        self, prisoner_id: str, contact_id: str, kind: RelationshipKind
    ) -> Relationship | None: ...

    async def has_approved(self, prisoner_id: str, contact_id: str) -> bool:
        """Whether the contact has an approved relationship of any kind, not withdrawn, with the prisoner."""
        ...

    async def known_at_prison(self, contact_id: str, prison_id: str) -> bool:
        """Whether the contact has (or had) a relationship with somebody who is at the prison."""
        ...

    async def relationships_of_contact(self, contact_id: str, page: PageRequest) -> Page[Relationship]:
        """Newest request first."""
        ...

    async def relationships_of_prisoner(self, prisoner_id: str, page: PageRequest) -> Page[Relationship]:
        """Newest request first."""
        ...

    async def review_queue(self, prison_id: str, state: RelationshipState, page: PageRequest) -> Page[Relationship]:
        """Those of prisoners at the prison, oldest request first, without the withdrawn."""
        ...

    async def get_restriction(self, restriction_id: str, *, fresh: bool = False) -> Restriction:
        """`fresh` as in `get_relationship`."""
        ...

    async def restrictions_of(self, subject_id: str, page: PageRequest) -> Page[Restriction]:
        """All restrictions (past ones too) on a contact, a relationship or a prisoner, newest first."""
        ...

    async def get_alert(self, alert_id: str, *, fresh: bool = False) -> Alert:
        """`fresh` as in `get_relationship`."""
        ...

    async def alerts_of(self, prisoner_id: str, *, first: date, last: date) -> Sequence[Alert]:
        """Every alert on the prisoner in force on some day (the prison's) from `first` to `last`."""
        ...

    async def alerts(self, prisoner_id: str, page: PageRequest) -> Page[Alert]:
        """All alerts (past ones too) on the prisoner, newest first."""
        ...

    async def get_non_association(self, non_association_id: str, *, fresh: bool = False) -> NonAssociation:
        """`fresh` as in `get_relationship`."""
        ...

    async def non_associations_of(self, prisoner_id: str, *, first: date, last: date) -> Sequence[NonAssociation]:
        """Those of the prisoner with anybody, in force on some day from `first` to `last`."""
        ...

    async def decisions_of_booking(self, booking_id: str) -> Sequence[DecisionRecord]:
        """Oldest first."""
        ...
