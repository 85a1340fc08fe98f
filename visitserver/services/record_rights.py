"""Records of relationships, restrictions and alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.calls import CallKind
from visitserver.domain.changes import ChangeKind
from visitserver.domain.errors import Conflict
from visitserver.domain.importing import ImportKind, Outcome
from visitserver.domain.rights import (
    Alert,
    Relationship,
    RelationshipState,
    Restriction,
    RestrictionEffect,
    RestrictionScope,
    kind_for,
)
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.records import Keeper, Put, holds, knows_contact, not_here, refuse

_DECIDED = frozenset({RelationshipState.APPROVED, RelationshipState.REFUSED, RelationshipState.ENDED})
_NO_REASON = "As the prison's own system says."


class RelationshipKeeper(Keeper[Relationship]):
    """Relationships: the prison's decision alone. What the prisoner answered is theirs, and no column tells it."""

    kind = ImportKind.RELATIONSHIPS
    fixed = frozenset({"prisoner_external_id", "contact_external_id"})

    async def find(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> Relationship | None:
        found: Relationship | None = await u.records.find(self.kind, values["external_id"])
        if found is not None:
            prisoner = await u.people.get_prisoner(found.prisoner_id)
            if not holds(actor, prisoner.prison_id):
                not_here()
            return found
        if not {"prisoner_external_id", "contact_external_id", "call_kind"} <= set(values):
            return None
        prisoner = await self.own_prisoner(u, actor, values["prisoner_external_id"], "prisoner_external_id")
        contact = await self.own_contact(u, actor, values["contact_external_id"], "contact_external_id")
        same = await u.rights.find_relationship(prisoner.id, contact.id, kind_for(CallKind(values["call_kind"])))
        if same is not None and self.identifier(u, same) is not None:
            refuse("external_id", "exists", "The two have a relationship of this kind under another identifier.")
        return same

    async def describe(self, u: UnitOfWork, record: Relationship) -> dict[str, Any]:
        prisoners = await u.records.external_ids(ImportKind.PRISONERS, [record.prisoner_id])
        contacts = await u.records.external_ids(ImportKind.CONTACTS, [record.contact_id])
        return {
            "external_id": self.identifier(u, record),
            "prisoner_external_id": prisoners[record.prisoner_id],
            "contact_external_id": contacts[record.contact_id],
            "call_kind": record.call_kind,
            "relation": record.relation,
            "state": record.state,
            "reason": record.reason,
        }

    async def create(self, u: UnitOfWork, put: Put, values: Mapping[str, Any]) -> Relationship:
        prisoner = await self.own_prisoner(u, put.actor, values["prisoner_external_id"], "prisoner_external_id")
        contact = await self.own_contact(u, put.actor, values["contact_external_id"], "contact_external_id")
        now, call_kind, state = self._clock(), CallKind(values["call_kind"]), RelationshipState(values["state"])
        link = Relationship(
            id=new_id("rel"),
            prisoner_id=prisoner.id,
            contact_id=contact.id,
            kind=kind_for(call_kind),
            call_kind=call_kind,
            relation=values["relation"],
            requested_at=now,
            state=state,
            external_id=values["external_id"],
            external_source=u.records.source,
        )
        if state in _DECIDED:
            link.decided_at, link.decided_by = now, put.actor.reference
            link.reason = values.get("reason", _NO_REASON)
        u.rights.add(link)
        if state is RelationshipState.APPROVED:
            u.outbox.add("relationship.approved", {"relationship_id": link.id}, request_id=put.request_id)
        return link

    async def change(
        self, u: UnitOfWork, put: Put, record: Relationship, before: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Outcome:
        call_kind = CallKind(fields.get("call_kind", record.call_kind))
        if kind_for(call_kind) is not record.kind:
            refuse("call_kind", "call_kind", "A social and an official relationship are records of their own.")
        state = RelationshipState(fields.get("state", record.state))
        if state is not record.state:
            reason = fields.get("reason") or _NO_REASON
            try:
                record.decide(state, by=put.actor.reference, reason=reason, at=self._clock())
            except Conflict as error:
                refuse("state", error.code, error.detail)
            approved = state is RelationshipState.APPROVED
            refused = state is RelationshipState.REFUSED
            u.outbox.add(
                "relationship.approved" if approved else "relationship.refused" if refused else "relationship.ended",
                {"relationship_id": record.id},
                request_id=put.request_id,
            )
        elif "reason" in fields:
            record.reason = fields["reason"]
        record.call_kind = call_kind
        record.relation = fields.get("relation", record.relation)
        if "external_id" in fields:
            record.external_id, record.external_source = fields["external_id"], u.records.source
        if "state" in fields or "call_kind" in fields:
            restored = state is RelationshipState.APPROVED and "call_kind" not in fields
            self._changes.note(
                u,
                ChangeKind.RELATIONSHIP_RESTORED if restored else ChangeKind.RELATIONSHIP_ENDED,
                by=put.actor,
                prison_id=await self.prison_of(u, record),
                prisoner_id=record.prisoner_id,
                contact_id=record.contact_id,
                relationship_id=record.id,
            )
        return Outcome.ENDED if fields.get("state") == RelationshipState.ENDED else Outcome.CHANGED

    async def prison_of(self, u: UnitOfWork, record: Relationship) -> str | None:
        return (await u.people.get_prisoner(record.prisoner_id)).prison_id


class RestrictionKeeper(Keeper[Restriction]):
    """Restrictions, each on one contact, relationship or prisoner. One on a contact holds at every prison: those that
    know the contact read it, the one that made it changes it."""

    kind = ImportKind.RESTRICTIONS
    fixed = frozenset({"scope", "subject_external_id"})
    ends = "lifted"

    async def find(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> Restriction | None:
        found: Restriction | None = await u.records.find(self.kind, values["external_id"])
        if found is not None and not await self._own(u, actor, found):
            not_here()
        return found

    async def describe(self, u: UnitOfWork, record: Restriction) -> dict[str, Any]:
        kind, subject = _subject(record)
        return {
            "external_id": self.identifier(u, record),
            "scope": record.scope,
            "subject_external_id": (await u.records.external_ids(kind, [subject]))[subject],
            "type": record.type,
            "starts_on": record.starts_on,
            "ends_on": record.ends_on,
            "authority": record.authority,
            "effect": record.effect,
            "review_on": record.review_on,
            "note": record.note,
            "lifted": record.lifted_at is not None,
        }

    def settle(self, values: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        """Types are written in capitals."""
        return {**values, "type": values["type"].upper()} if "type" in values else values

    async def create(self, u: UnitOfWork, put: Put, values: Mapping[str, Any]) -> Restriction:
        scope, named = RestrictionScope(values["scope"]), values["subject_external_id"]
        contact_id = relationship_id = prisoner_id = None
        match scope:
            case RestrictionScope.PERSON:
                contact_id = (await self.own_contact(u, put.actor, named, "subject_external_id")).id
            case RestrictionScope.PRISONER:
                prisoner_id = (await self.own_prisoner(u, put.actor, named, "subject_external_id")).id
            case RestrictionScope.RELATIONSHIP:
                link: Relationship | None = await u.records.find(ImportKind.RELATIONSHIPS, named)
                if link is None or not holds(put.actor, (await u.people.get_prisoner(link.prisoner_id)).prison_id):
                    refuse("subject_external_id", "reference", "There is no such relationship here.")
                relationship_id = link.id
        restriction = Restriction(
            id=new_id("rst"),
            scope=scope,
            type=values["type"],
            starts_on=values["starts_on"],
            authority=values["authority"],
            created_at=self._clock(),
            created_by=put.actor.reference,
            ends_on=values.get("ends_on"),
            effect=_effect(values.get("effect")),
            review_on=values.get("review_on"),
            note=values.get("note"),
            external_id=values["external_id"],
            external_source=u.records.source,
            contact_id=contact_id,
            relationship_id=relationship_id,
            prisoner_id=prisoner_id,
            prison_id=put.actor.prison_id,
        )
        if values.get("lifted"):
            restriction.lifted_at, restriction.lifted_by = self._clock(), put.actor.reference
        u.rights.add(restriction)
        if restriction.lifted_at is None:
            self._tell(u, put, restriction, ChangeKind.RESTRICTION_ADDED)
        return restriction

    async def change(
        self, u: UnitOfWork, put: Put, record: Restriction, before: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Outcome:
        if not put.actor.is_system and record.made_elsewhere(put.actor.prison_id):
            refuse("external_id", "other_prison", "Only the prison that made this restriction can change it.")
        for name in ("type", "starts_on", "ends_on", "authority", "review_on", "note"):
            if name in fields:
                setattr(record, name, fields[name])
        if "effect" in fields:
            record.effect = _effect(fields["effect"])
        if fields.get("lifted"):
            record.lifted_at, record.lifted_by = self._clock(), put.actor.reference
            self._tell(u, put, record, ChangeKind.RESTRICTION_LIFTED)
            return Outcome.ENDED
        self._tell(u, put, record, ChangeKind.RESTRICTION_CHANGED)
        return Outcome.CHANGED

    async def prison_of(self, u: UnitOfWork, record: Restriction) -> str | None:
        prisoner_id = record.prisoner_id
        if record.relationship_id is not None:
            prisoner_id = (await u.rights.get_relationship(record.relationship_id)).prisoner_id
        return None if prisoner_id is None else (await u.people.get_prisoner(prisoner_id)).prison_id

    async def _own(self, u: UnitOfWork, actor: Actor, record: Restriction) -> bool:
        if record.contact_id is not None:
            return await knows_contact(u, actor, await u.people.get_contact(record.contact_id))
        return holds(actor, await self.prison_of(u, record))

    def _tell(self, u: UnitOfWork, put: Put, record: Restriction, kind: ChangeKind) -> None:
        u.outbox.add("restriction.changed", {"restriction_id": record.id}, request_id=put.request_id)
        self._changes.note(
            u,
            kind,
            by=put.actor,
            prisoner_id=record.prisoner_id,
            contact_id=record.contact_id,
            relationship_id=record.relationship_id,
            restriction_id=record.id,
        )


class AlertKeeper(Keeper[Alert]):
    """Alerts about prisoners."""

    kind = ImportKind.ALERTS
    fixed = frozenset({"prisoner_external_id"})
    ends = "closed"

    async def find(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> Alert | None:
        found: Alert | None = await u.records.find(self.kind, values["external_id"])
        if found is not None and not holds(actor, await self.prison_of(u, found)):
            not_here()
        if found is None and {"prisoner_external_id", "code", "starts_on"} <= set(values):
            return await self._came_along(u, actor, values)
        return found

    async def _came_along(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> Alert | None:
        """The same alert, which another source named, and which came along with a prisoner who was handed over."""
        prisoner = await self.own_prisoner(u, actor, values["prisoner_external_id"], "prisoner_external_id")
        day = values["starts_on"]
        return next(
            (
                each
                for each in await u.rights.alerts_of(prisoner.id, first=day, last=day)
                if (each.code, each.starts_on) == (values["code"], day)
                and each.external_source != u.records.source
                and each.external_id is not None
            ),
            None,
        )

    async def describe(self, u: UnitOfWork, record: Alert) -> dict[str, Any]:
        prisoners = await u.records.external_ids(ImportKind.PRISONERS, [record.prisoner_id])
        return {
            "external_id": self.identifier(u, record),
            "prisoner_external_id": prisoners[record.prisoner_id],
            "code": record.code,
            "starts_on": record.starts_on,
            "ends_on": record.ends_on,
            "note": record.note,
            "closed": record.closed_at is not None,
        }

    async def create(self, u: UnitOfWork, put: Put, values: Mapping[str, Any]) -> Alert:
        prisoner = await self.own_prisoner(u, put.actor, values["prisoner_external_id"], "prisoner_external_id")
        alert = Alert(
            id=new_id("alr"),
            prisoner_id=prisoner.id,
            code=values["code"],
            starts_on=values["starts_on"],
            created_at=self._clock(),
            created_by=put.actor.reference,
            ends_on=values.get("ends_on"),
            note=values.get("note"),
            external_id=values["external_id"],
            external_source=u.records.source,
        )
        if values.get("closed"):
            alert.closed_at, alert.closed_by = self._clock(), put.actor.reference
        u.rights.add(alert)
        if alert.closed_at is None:
            await self._tell(u, put, alert, ChangeKind.ALERT_CREATED)
        return alert

    async def change(
        self, u: UnitOfWork, put: Put, record: Alert, before: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Outcome:
        for name in ("code", "starts_on", "ends_on", "note"):
            if name in fields:
                setattr(record, name, fields[name])
        if "external_id" in fields:
            record.external_id, record.external_source = fields["external_id"], u.records.source
        if fields.get("closed"):
            record.closed_at, record.closed_by = self._clock(), put.actor.reference
            await self._tell(u, put, record, ChangeKind.ALERT_ENDED)
            return Outcome.ENDED
        if set(fields) == {"external_id"}:
            return Outcome.CHANGED
        await self._tell(u, put, record, ChangeKind.ALERT_UPDATED)
        return Outcome.CHANGED

    async def prison_of(self, u: UnitOfWork, record: Alert) -> str | None:
        return (await u.people.get_prisoner(record.prisoner_id)).prison_id

    async def _tell(self, u: UnitOfWork, put: Put, record: Alert, kind: ChangeKind) -> None:
        prison_id = await self.prison_of(u, record)
        self._changes.note(
            u, kind, by=put.actor, prison_id=prison_id, prisoner_id=record.prisoner_id, alert_id=record.id
        )


def _subject(record: Restriction) -> tuple[ImportKind, str]:
    if record.contact_id is not None:
        return ImportKind.CONTACTS, record.contact_id
    if record.relationship_id is not None:
        return ImportKind.RELATIONSHIPS, record.relationship_id
    return ImportKind.PRISONERS, record.prisoner_id or ""


def _effect(value: str | None) -> RestrictionEffect | None:
    return None if value is None else RestrictionEffect(value)
