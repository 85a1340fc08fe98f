"""The contact right: asked for by the family, decided by staff, answered by the prisoner, withdrawn by either."""

from __future__ import annotations

from dataclasses import dataclass

from signaling.ids import new_id
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import CallKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Forbidden, Invalid, NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact, Prisoner
from visitserver.domain.rights import PrisonerAnswer, Relationship, RelationshipState, kind_for
from visitserver.services.access_checks import need_reason, own_prison, own_relationship
from visitserver.services.changes import ChangeKind, Changes
from visitserver.services.guests import GuestLookup
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class RelationshipView:
    """A relationship with the people it is about."""

    relationship: Relationship
    prisoner: Prisoner
    contact: Contact


class RelationshipService(GuestLookup):
    """The use cases of a relationship. Finding further callers of a visit is inherited."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes | None = None) -> None:
        super().__init__(uow, clock)
        self._changes = changes or Changes(clock)

    async def request(
        self,
        actor: Actor,
        *,
        prisoner_number: str,
        prisoner_family_name: str,
        relation: str,
        call_kind: CallKind = CallKind.SOCIAL,
        statement: str | None = None,
        request_id: str | None = None,
    ) -> Relationship:
        """A contact says whom they want to visit, as what, and (optionally) why.

        The number and the family name must belong to the same person: otherwise Invalid `prisoner_unknown`, the same
        whichever was wrong. `call_kind` is a wish that staff confirm or change. Conflict when it is asked or approved
        already.
        """
        if actor.kind is not ActorKind.FAMILY:
            raise Forbidden("Visits are asked for by the people outside.")
        relation = _short(relation, "relation", 100)
        if statement is not None and len(statement) > 2000:
            raise Invalid("Write at most 2000 characters.", code="too_long", field="statement")
        async with self._uow() as u:
            contact = await u.people.get_contact(actor.id)
            prisoner = await u.people.find_prisoner_by_number(prisoner_number.strip())
            wanted = prisoner_family_name.strip().casefold()
            if prisoner is None or prisoner.prison_id is None or prisoner.family_name.casefold() != wanted:
                raise Invalid(
                    "No person with this number and family name was found. Check both.",
                    code="prisoner_unknown",
                    field="prisoner_number",
                )
            await u.lock(f"prisoner:{prisoner.id}", f"contact:{contact.id}")
            kind = kind_for(call_kind)
            now = self._clock()
            found = await u.rights.find_relationship(prisoner.id, contact.id, kind)
            if found is None:
                found = Relationship(
                    id=new_id("rel"),
                    prisoner_id=prisoner.id,
                    contact_id=contact.id,
                    kind=kind,
                    call_kind=call_kind,
                    relation=relation,
                    requested_at=now,
                    statement=statement,
                )
                u.rights.add(found)
            else:
                found.request_again(relation=relation, statement=statement, at=now)
                found.call_kind = call_kind
            self._note(u, "relationship.request", actor, found, prisoner, request_id)
            await u.commit()
            return found

    async def approve(
        self,
        actor: Actor,
        relationship_id: str,
        reason: str,
        *,
        call_kind: CallKind | None = None,
        request_id: str | None = None,
    ) -> Relationship:
        """Staff approve, for the kind of call they confirm (of the same kind of relationship; Invalid otherwise)."""
        async with self._uow() as u:
            found, prisoner = await self._of_own_prison(u, actor, relationship_id)
            if call_kind is not None:
                if kind_for(call_kind) is not found.kind:
                    raise Invalid(
                        "A social and an official relationship are approved apart.", code="call_kind", field="call_kind"
                    )
                found.call_kind = call_kind
            found.decide(RelationshipState.APPROVED, by=actor.reference, reason=need_reason(reason), at=self._clock())
            self._note(u, "relationship.approve", actor, found, prisoner, request_id)
            u.outbox.add("relationship.approved", {"relationship_id": found.id}, request_id=request_id)
            self._change(u, ChangeKind.RELATIONSHIP_RESTORED, actor, found, prisoner)
            await u.commit()
        await self._changes.after_commit()
        return found

    async def refuse(
        self, actor: Actor, relationship_id: str, reason: str, *, request_id: str | None = None
    ) -> Relationship:
        """Staff refuse a request. The reason is for staff; the family hears that it was refused and how to ask why."""
        return await self._decide(actor, relationship_id, RelationshipState.REFUSED, reason, request_id)

    async def end(
        self, actor: Actor, relationship_id: str, reason: str, *, request_id: str | None = None
    ) -> Relationship:
        """Staff take an approval back."""
        return await self._decide(actor, relationship_id, RelationshipState.ENDED, reason, request_id)

    async def answer(
        self, actor: Actor, relationship_id: str, *, accept: bool, request_id: str | None = None
    ) -> Relationship:
        """The prisoner says yes or no, any time, without a reason. Nobody outside is told which."""
        async with self._uow() as u:
            found = await u.rights.get_relationship(relationship_id)
            if not (actor.is_prisoner and found.prisoner_id == actor.id):
                raise NotFound("There is no such relationship.")
            found, prisoner = await self._fresh(u, found)
            found.answer(PrisonerAnswer.ACCEPTED if accept else PrisonerAnswer.REFUSED, at=self._clock())
            self._note(u, "relationship.answer", actor, found, prisoner, request_id)
            kind = ChangeKind.RELATIONSHIP_RESTORED if accept else ChangeKind.RELATIONSHIP_REFUSED
            self._change(u, kind, actor, found, prisoner)
            await u.commit()
        await self._changes.after_commit()
        return found

    async def withdraw(self, actor: Actor, relationship_id: str, *, request_id: str | None = None) -> Relationship:
        """The contact steps back, any time, without a reason."""
        async with self._uow() as u:
            found = await u.rights.get_relationship(relationship_id)
            if not (actor.is_family and found.contact_id == actor.id):
                raise NotFound("There is no such relationship.")
            found, prisoner = await self._fresh(u, found)
            found.withdraw(at=self._clock())
            self._note(u, "relationship.withdraw", actor, found, prisoner, request_id)
            self._change(u, ChangeKind.RELATIONSHIP_WITHDRAWN, actor, found, prisoner)
            await u.commit()
        await self._changes.after_commit()
        return found

    async def get(self, actor: Actor, relationship_id: str) -> RelationshipView:
        """One relationship, for its contact, its prisoner and staff where the prisoner is."""
        async with self._uow(read_only=True) as u:
            found = await u.rights.get_relationship(relationship_id)
            prisoner = await u.people.get_prisoner(found.prisoner_id)
            own_relationship(actor, found, prisoner)
            return RelationshipView(found, prisoner, await u.people.get_contact(found.contact_id))

    async def mine(self, actor: Actor, page: PageRequest) -> Page[RelationshipView]:
        """A contact's or a prisoner's own, newest request first."""
        async with self._uow(read_only=True) as u:
            if actor.is_family:
                found = await u.rights.relationships_of_contact(actor.id, page)
            elif actor.is_prisoner:
                found = await u.rights.relationships_of_prisoner(actor.id, page)
            else:
                raise NotFound("There is no such list.")
            return await self._views(u, found)

    async def of_prisoner(self, actor: Actor, prisoner_id: str, page: PageRequest) -> Page[RelationshipView]:
        """All of one prisoner's, for staff of their prison."""
        async with self._uow(read_only=True) as u:
            own_prison(actor, (await u.people.get_prisoner(prisoner_id)).prison_id)
            return await self._views(u, await u.rights.relationships_of_prisoner(prisoner_id, page))

    async def queue(
        self, actor: Actor, page: PageRequest, *, state: RelationshipState = RelationshipState.REQUESTED
    ) -> Page[RelationshipView]:
        """What waits at the actor's prison, longest wait first."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await self._views(u, await u.rights.review_queue(actor.prison_id or "", state, page))

    async def _decide(
        self, actor: Actor, relationship_id: str, state: RelationshipState, reason: str, request_id: str | None
    ) -> Relationship:
        async with self._uow() as u:
            found, prisoner = await self._of_own_prison(u, actor, relationship_id)
            found.decide(state, by=actor.reference, reason=need_reason(reason), at=self._clock())
            self._note(u, f"relationship.{state}", actor, found, prisoner, request_id)
            u.outbox.add(f"relationship.{state}", {"relationship_id": found.id}, request_id=request_id)
            self._change(u, ChangeKind.RELATIONSHIP_ENDED, actor, found, prisoner)
            await u.commit()
        await self._changes.after_commit()
        return found

    async def _of_own_prison(self, u: UnitOfWork, actor: Actor, relationship_id: str) -> tuple[Relationship, Prisoner]:
        found, prisoner = await self._fresh(u, await u.rights.get_relationship(relationship_id))
        own_prison(actor, prisoner.prison_id)
        return found, prisoner

    async def _fresh(self, u: UnitOfWork, found: Relationship) -> tuple[Relationship, Prisoner]:
        """Whoever books holds the same locks, so no booking is confirmed on a right that is changing."""
        await u.lock(f"prisoner:{found.prisoner_id}", f"contact:{found.contact_id}")
        return (
            await u.rights.get_relationship(found.id, fresh=True),
            await u.people.get_prisoner(found.prisoner_id),
        )

    async def _views(self, u: UnitOfWork, found: Page[Relationship]) -> Page[RelationshipView]:
        prisoners = await u.people.prisoners([each.prisoner_id for each in found.items])
        contacts = await u.people.contacts([each.contact_id for each in found.items])
        views = [RelationshipView(each, prisoners[each.prisoner_id], contacts[each.contact_id]) for each in found.items]
        return Page(views, found.next_cursor)

    def _change(self, u: UnitOfWork, kind: ChangeKind, actor: Actor, found: Relationship, prisoner: Prisoner) -> None:
        self._changes.note(u, kind, by=actor, prison_id=prisoner.prison_id, relationship_id=found.id)

    @staticmethod
    def _note(
        u: UnitOfWork, action: str, actor: Actor, found: Relationship, prisoner: Prisoner, request_id: str | None
    ) -> None:
        data = {"state": found.state, "answer": found.prisoner_answer, "call_kind": found.call_kind}
        u.audit.append(action, actor, found.id, data, request_id, prison_id=prisoner.prison_id)


def _short(text: str, field: str, longest: int) -> str:
    text = text.strip()
    if not 1 <= len(text) <= longest:
        raise Invalid(f"Write 1 to {longest} characters.", code="length", field=field)
    return text
