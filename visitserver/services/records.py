"""Putting one record of a prison's own system into the house: what every kind has in common.

A record is what the prison's system says about one thing, by column (domain/importing.py). Putting it twice changes
nothing the second time. Everything that can be refused is found before anything is written.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Final, Generic, NoReturn, TypeVar

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, DomainError
from visitserver.domain.importing import Change, Fault, ImportKind, LineRefused, Outcome, in_order, missing
from visitserver.domain.people import Contact, Prisoner
from visitserver.services.changes import Changes
from visitserver.services.ports.uow import UnitOfWork

T = TypeVar("T")


class Stale(DomainError):
    """The record is not (or no longer) the one that the caller has seen."""

    default_code = "precondition_failed"


@dataclass(frozen=True, slots=True)
class Put:
    """Who puts, and on which condition: `if_match` is the etag that the caller has seen, or `*` for any."""

    actor: Actor
    request_id: str | None = None
    if_match: str | None = None
    if_none_match: bool = False
    source: str = ""


class Keeper(ABC, Generic[T]):
    """Finds, describes, makes and changes the records of one kind."""

    kind: ClassVar[ImportKind]
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Columns that never change once the record is made."""
    ends: ClassVar[str | None] = None
    """The flag that ends a record for good."""

    def __init__(self, clock: Clock, changes: Changes) -> None:
        self._clock = clock
        self._changes = changes

    @abstractmethod
    async def find(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> T | None:
        """The record that `values` names, read anew; None when it is new. LineRefused when it is not the actor's."""

    @abstractmethod
    async def describe(self, u: UnitOfWork, record: T) -> dict[str, Any]:
        """Its value for every column."""

    @abstractmethod
    async def create(self, u: UnitOfWork, put: Put, values: Mapping[str, Any]) -> T:
        """Make it. LineRefused before anything is written."""

    @abstractmethod
    async def change(
        self, u: UnitOfWork, put: Put, record: T, before: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Outcome:
        """Write `fields`, which differ from `before`. LineRefused before anything is written."""

    @abstractmethod
    async def prison_of(self, u: UnitOfWork, record: T) -> str | None:
        """The prison in whose audit log the change belongs."""

    def settle(self, values: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        """`values` without what says nothing here; for what one column says about another."""
        return values

    async def put(self, u: UnitOfWork, put: Put, values: dict[str, Any]) -> tuple[Change, T]:
        """Make or change the record within the unit of work, whose locks are taken. LineRefused, Stale."""
        record = await self.find(u, put.actor, values)
        if record is None:
            return await self._make(u, put, values)
        before = await self.describe(u, record)
        if put.if_none_match or (put.if_match not in (None, "*", etag_of(before))):
            raise Stale("The record was changed, or made, in the meantime. Read it again.")
        values = self.settle(values, before)
        fields = {name: value for name, value in values.items() if before[name] != value}
        for name in self.fixed & set(fields):
            if await _merged_into(u, name, fields[name], before):
                del fields[name]
        if not fields:
            return Change(self.kind, values["external_id"], Outcome.UNCHANGED), record
        self._check(before, fields)
        outcome = await self.change(u, put, record, before, fields)
        after = await self.describe(u, record)
        difference = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
        await self._note(u, put, record, outcome, difference)
        return Change(self.kind, values["external_id"], outcome, difference), record

    async def _make(self, u: UnitOfWork, put: Put, values: dict[str, Any]) -> tuple[Change, T]:
        if put.if_match is not None:
            raise Stale("There is no such record to be changed.")
        values = self.settle(values, {})
        if faults := missing(self.kind, values) + in_order(values):
            raise LineRefused(*faults)
        record = await self.create(u, put, values)
        after = await self.describe(u, record)
        difference = {name: (None, value) for name, value in after.items() if value not in (None, ())}
        await self._note(u, put, record, Outcome.CREATED, difference)
        return Change(self.kind, values["external_id"], Outcome.CREATED, difference), record

    def _check(self, before: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        faults = [
            Fault(name, "fixed", "This cannot change: give the new record a new identifier.")
            for name in sorted(self.fixed & set(fields))
        ]
        if self.ends is not None and before[self.ends]:
            faults.append(Fault(self.ends, "ended", "The record has ended: give the new one a new identifier."))
        faults += in_order({**before, **fields})
        if faults:
            raise LineRefused(*faults)

    async def _note(
        self, u: UnitOfWork, put: Put, record: Any, outcome: Outcome, difference: Mapping[str, tuple[Any, Any]]
    ) -> None:
        data = {"outcome": outcome, "fields": sorted(difference)}
        prison_id = await self.prison_of(u, record) or put.actor.prison_id
        u.audit.append(f"record.{self.kind}", put.actor, record.id, data, put.request_id, prison_id=prison_id)

    @staticmethod
    def identifier(u: UnitOfWork, record: Any) -> str | None:
        """The record's identifier in the source that is read now."""
        own = record.external_source == u.records.source
        return record.external_id if own else None

    async def own_prisoner(self, u: UnitOfWork, actor: Actor, external_id: str, column: str) -> Prisoner:
        """The prisoner of that identifier who is at the actor's prison; LineRefused otherwise."""
        found: Prisoner | None = await u.records.find(ImportKind.PRISONERS, external_id)
        if found is not None and found.merged_into is not None:
            found = await u.people.get_prisoner(found.merged_into)
        if found is None or not holds(actor, found.prison_id) or found.prison_id is None:
            refuse(column, "reference", "There is no such prisoner here.")
        return found

    async def own_contact(self, u: UnitOfWork, actor: Actor, external_id: str, column: str) -> Contact:
        """The contact of that identifier whom the actor's prison knows; LineRefused otherwise."""
        found: Contact | None = await u.records.find(ImportKind.CONTACTS, external_id)
        if found is not None and found.merged_into is not None:
            found = await u.people.get_contact(found.merged_into)
        if found is None or not await knows_contact(u, actor, found):
            refuse(column, "reference", "There is no such contact here.")
        return found


_REFERENCES: Final = {
    "prisoner_external_id": ImportKind.PRISONERS,
    "other_external_id": ImportKind.PRISONERS,
    "contact_external_id": ImportKind.CONTACTS,
}
_SUBJECTS: Final = {"person": ImportKind.CONTACTS, "prisoner": ImportKind.PRISONERS}


async def _merged_into(u: UnitOfWork, column: str, value: Any, before: Mapping[str, Any]) -> bool:
    """Whether the identifier is that of a record which was merged into the one that is named now."""
    kind = _SUBJECTS.get(before["scope"]) if column == "subject_external_id" else _REFERENCES.get(column)
    if kind is None:
        return False
    found: Prisoner | Contact | None = await u.records.find(kind, value)
    if found is None or found.merged_into is None:
        return False
    survivor = (await u.records.external_ids(kind, [found.merged_into]))[found.merged_into]
    return survivor is not None and survivor == before[column]


def holds(actor: Actor, prison_id: str | None) -> bool:
    """Whether the actor acts for the prison; the system acts for every one, and for people who are in none."""
    return actor.is_system or (prison_id is not None and actor.prison_id == prison_id)


async def knows_contact(u: UnitOfWork, actor: Actor, contact: Contact) -> bool:
    """Whether the contact is one of the actor's prison."""
    return actor.is_system or await u.records.contact_known_at(contact.id, actor.prison_id or "")


def refuse(column: str | None, code: str, message: str) -> NoReturn:
    """Refuse the line for one reason."""
    raise LineRefused(Fault(column, code, message))


def not_here() -> NoReturn:
    """Refuse a record of another prison, or of nobody's: the two are never told apart."""
    refuse("external_id", NOT_HERE, "There is no such record here.")


NOT_HERE: Final = "not_found"


def as_fault(error: LineRefused | DomainError, column: str | None = None) -> tuple[Fault, ...]:
    """What a line was refused for, as faults."""
    if isinstance(error, LineRefused):
        return error.faults
    return (Fault(column or getattr(error, "field", None), error.code, error.detail),)


def plain(value: Any) -> Any:
    """A value as JSON data."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def etag_of(description: Mapping[str, Any]) -> str:
    """A short hash of a record's values: the same as long as none of them changes."""
    text = json.dumps({name: plain(value) for name, value in description.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


__all__ = ["Conflict", "Keeper", "Put", "Stale", "as_fault", "etag_of", "holds", "knows_contact", "plain", "refuse"]
