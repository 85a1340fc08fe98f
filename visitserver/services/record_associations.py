"""Records of who must not meet whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.changes import ChangeKind
from visitserver.domain.importing import ImportKind, Outcome
from visitserver.domain.rights import NonAssociation
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.records import Keeper, Put, holds, not_here, refuse

_PAIR = ("prisoner_external_id", "other_external_id")


class NonAssociationKeeper(Keeper[NonAssociation]):
    """Non-associations, each of two prisoners, whichever a line names first. Both must be at the prison that writes one
    down; after that it is the record of every prison where one of them is."""

    kind = ImportKind.NON_ASSOCIATIONS
    fixed = frozenset(_PAIR)

    async def find(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> NonAssociation | None:
        found: NonAssociation | None = await u.records.find(self.kind, values["external_id"])
        if found is not None:
            if not await self._own(u, actor, found):
                not_here()
            return found
        if not {*_PAIR, "starts_on"} <= set(values):
            return None
        first, second = await self._pair(u, actor, values)
        known = await self._standing(u, first, second, values["starts_on"], values.get("ends_on"))
        # Written down by staff, and now under the prison's own identifier.
        same = next((each for each in known if each.starts_on == values["starts_on"]), None)
        if known and (same is None or self.identifier(u, same) is not None):
            refuse("external_id", "exists", "These two are kept apart already, under another identifier.")
        return same

    async def describe(self, u: UnitOfWork, record: NonAssociation) -> dict[str, Any]:
        pair = (record.prisoner_a, record.prisoner_b)
        named = await u.records.external_ids(ImportKind.PRISONERS, pair)
        return {
            "external_id": self.identifier(u, record),
            **dict(zip(_PAIR, (named[each] for each in pair), strict=True)),
            "starts_on": record.starts_on,
            "ends_on": record.ends_on,
            "reason": record.reason,
        }

    def settle(self, values: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        """The two have no order: a line that names them the other way round says the same."""
        named = {name: values[name] for name in _PAIR if name in values}
        if before and named and set(named.values()) <= {before[name] for name in _PAIR}:
            return {**values, **{name: before[name] for name in named}}
        return values

    async def create(self, u: UnitOfWork, put: Put, values: Mapping[str, Any]) -> NonAssociation:
        first, second = await self._pair(u, put.actor, values)
        made = NonAssociation(
            id=new_id("nas"),
            prisoner_a=first,
            prisoner_b=second,
            starts_on=values["starts_on"],
            ends_on=values.get("ends_on"),
            created_by=put.actor.reference,
            created_at=self._clock(),
            reason=values["reason"],
            external_id=values["external_id"],
            external_source=u.records.source,
        )
        u.rights.add(made)
        self._tell(u, put, made, ChangeKind.NON_ASSOCIATION_ADDED)
        return made

    async def change(
        self, u: UnitOfWork, put: Put, record: NonAssociation, before: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Outcome:
        starts_on, ends_on = fields.get("starts_on", record.starts_on), fields.get("ends_on", record.ends_on)
        known = await self._standing(u, record.prisoner_a, record.prisoner_b, starts_on, ends_on)
        if any(each.id != record.id for each in known):
            refuse("starts_on", "exists", "These two are kept apart already, under another identifier.")
        shorter = (ends_on or date.max) < (record.ends_on or date.max) and starts_on >= record.starts_on
        record.starts_on, record.ends_on = starts_on, ends_on
        record.reason = fields.get("reason", record.reason)
        if "external_id" in fields:
            record.external_id, record.external_source = fields["external_id"], u.records.source
        if {"starts_on", "ends_on"} & set(fields):
            kind = ChangeKind.NON_ASSOCIATION_ENDED if shorter else ChangeKind.NON_ASSOCIATION_ADDED
            self._tell(u, put, record, kind)
        return Outcome.CHANGED

    async def prison_of(self, u: UnitOfWork, record: NonAssociation) -> str | None:
        return (await u.people.get_prisoner(record.prisoner_a)).prison_id

    async def _own(self, u: UnitOfWork, actor: Actor, record: NonAssociation) -> bool:
        people = await u.people.prisoners([record.prisoner_a, record.prisoner_b])
        return any(holds(actor, each.prison_id) for each in people.values())

    async def _pair(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> tuple[str, str]:
        """Our identifiers of the two, the smaller first."""
        found = [(await self.own_prisoner(u, actor, values[name], name)).id for name in _PAIR]
        if found[0] == found[1]:
            refuse(_PAIR[1], "same", "These are one and the same person.")
        return min(found), max(found)

    async def _standing(
        self, u: UnitOfWork, first: str, second: str, starts_on: date, ends_on: date | None
    ) -> list[NonAssociation]:
        """What keeps the two apart on some of these days."""
        known = await u.rights.non_associations_of(first, first=starts_on, last=ends_on or date.max)
        return [each for each in known if each.other(first) == second]

    def _tell(self, u: UnitOfWork, put: Put, record: NonAssociation, kind: ChangeKind) -> None:
        for prisoner_id in (record.prisoner_a, record.prisoner_b):
            self._changes.note(u, kind, by=put.actor, prisoner_id=prisoner_id, non_association=record.id)
