"""What services need of the store, and of whoever keeps keys, about identity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from visitserver.domain.identity import (
    Enrolment,
    EnrolmentState,
    IdentityCheck,
    PersonKey,
    PictureKind,
    SealedItem,
)
from visitserver.domain.paging import Page, PageRequest


class Identity(Protocol):
    """Enrolments, checks, keys of persons and what is sealed with them. `get_…` raises NotFound; `find_…` gives
    None.
    """

    def add(self, item: Enrolment | IdentityCheck | PersonKey | SealedItem) -> None: ...

    async def get_enrolment(self, enrolment_id: str, *, fresh: bool = False) -> Enrolment:
        """`fresh` reads it anew even when this unit of work has seen it: after taking a lock."""
        ...

    async def latest_enrolment(self, contact_id: str) -> Enrolment | None:
        """The newest, in whatever state."""
        ...

    async def approved_enrolments(self, contact_ids: Sequence[str]) -> dict[str, Enrolment]:
        """By contact: the approved enrolment that lasts longest. One that ran out may be among them."""
        ...

    async def enrolments(
        self, prison_id: str | None, states: frozenset[EnrolmentState], page: PageRequest
    ) -> Page[Enrolment]:
        """Those of contacts with a relationship to somebody at the prison, longest waiting first."""
        ...

    async def concerns_prison(self, contact_id: str, prison_id: str) -> bool:
        """Whether the contact has, or has asked for, a relationship to somebody at the prison."""
        ...

    async def get_check(self, check_id: str, *, fresh: bool = False) -> IdentityCheck:
        """`fresh` as in `get_enrolment`."""
        ...

    async def checks_of_booking(self, booking_id: str) -> Sequence[IdentityCheck]:
        """Oldest first."""
        ...

    async def checks_in_review(self, prison_id: str | None, page: PageRequest) -> Page[IdentityCheck]:
        """Longest waiting first."""
        ...

    async def find_key(self, contact_id: str) -> PersonKey | None: ...

    async def delete_key(self, contact_id: str) -> None:
        """Erase: nothing sealed for the person opens again. Their sealed items go, too."""
        ...

    async def items(self, owner_id: str, kind: PictureKind | None = None) -> Sequence[SealedItem]:
        """What is kept of an enrolment or a check, by kind and number."""
        ...

    async def items_of(self, contact_id: str) -> Sequence[SealedItem]:
        """Everything that is sealed for a contact."""
        ...

    async def delete_items(self, owner_id: str, kinds: frozenset[PictureKind]) -> None: ...

    async def keep_pictures_until(self, owner_id: str, moment: datetime) -> None:
        """Set when the pictures and the reading of `owner_id` go; its template is left alone."""
        ...

    async def delete_due_items(self, now: datetime, limit: int) -> int:
        """Delete at most `limit` items whose time is over; how many there were."""
        ...

    async def template_used(self, item_id: str, at: datetime) -> None:
        """Note that a template was compared with; never turns the time back."""
        ...

    async def unused_templates(self, since: datetime, limit: int) -> Sequence[SealedItem]:
        """Templates neither made nor used after `since`."""
        ...

    async def overdue_enrolments(self, now: datetime, limit: int) -> Sequence[Enrolment]:
        """Those past `expires_at` that are not in a final state, and approvals that ran out."""
        ...


class Vault(Protocol):
    """Keeps what belongs to one person unreadable without that person's key."""

    def new_key(self, contact_id: str) -> bytes:
        """A new key for the person, wrapped by the master key."""
        ...

    def seal(self, contact_id: str, wrapped: bytes, plain: bytes, context: str) -> bytes:
        """`plain` encrypted with the person's key; it opens only with the same person and the same `context`."""
        ...

    def open(self, contact_id: str, wrapped: bytes, sealed: bytes, context: str) -> bytes:
        """Raises ValueError when it was changed, is another person's, or belongs to another context."""
        ...
