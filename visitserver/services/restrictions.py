"""Restrictions: added and lifted by staff, with an authority and a reason."""

from __future__ import annotations

from datetime import date

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Forbidden, Invalid, NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.rights import Restriction, RestrictionEffect, RestrictionScope
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.changes import ChangeKind, Changes
from visitserver.services.day_checks import need_days
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory


class RestrictionService:
    """The use cases of a restriction."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes | None = None) -> None:
        self._uow = uow
        self._clock = clock
        self._changes = changes or Changes(clock)

    async def add(
        self,
        actor: Actor,
        *,
        scope: RestrictionScope,
        subject_id: str,
        type: str,
        authority: str,
        starts_on: date,
        ends_on: date | None = None,
        effect: RestrictionEffect | None = None,
        review_on: date | None = None,
        note: str | None = None,
        request_id: str | None = None,
    ) -> Restriction:
        """Restrict a contact anywhere (PERSON), one relationship, or a prisoner: `subject_id` is the id of that.

        Days are the prison's, both included. `effect` can only be stricter than the type's own. Invalid for days in the
        wrong order or out of reach (an order without an end has no `ends_on`); NotFound for a subject that has nothing
        to do with the actor's prison.
        """
        type, authority = type.strip().upper(), authority.strip()
        if not type or len(type) > 64:
            raise Invalid("Name the type of restriction.", field="type")
        if not authority or len(authority) > 200:
            raise Invalid("Name the authority that ordered it.", field="authority")
        need_days(starts_on=starts_on, ends_on=ends_on, review_on=review_on)
        if ends_on is not None and ends_on < starts_on:
            raise Invalid("The last day comes before the first.", field="ends_on")
        async with self._uow() as u:
            locks = await self._subject_locks(u, actor, scope, subject_id)
            await u.lock(*locks)
            restriction = Restriction(
                id=new_id("rst"),
                scope=scope,
                type=type,
                starts_on=starts_on,
                ends_on=ends_on,
                authority=authority,
                created_at=self._clock(),
                created_by=actor.reference,
                contact_id=subject_id if scope is RestrictionScope.PERSON else None,
                relationship_id=subject_id if scope is RestrictionScope.RELATIONSHIP else None,
                prisoner_id=subject_id if scope is RestrictionScope.PRISONER else None,
                prison_id=actor.prison_id,
                effect=effect,
                review_on=review_on,
                note=note,
            )
            u.rights.add(restriction)
            u.audit.append(
                "restriction.add", actor, restriction.id, {"type": type, "scope": scope, "on": subject_id}, request_id
            )
            u.outbox.add("restriction.changed", {"restriction_id": restriction.id}, request_id=request_id)
            self._note(u, ChangeKind.RESTRICTION_ADDED, actor, restriction)
            await u.commit()
        await self._changes.after_commit()
        return restriction

    async def lift(
        self, actor: Actor, restriction_id: str, reason: str, *, request_id: str | None = None
    ) -> Restriction:
        """End it now. Conflict when it is lifted already; Forbidden when it is on a person and another prison's."""
        reason = need_reason(reason)
        async with self._uow() as u:
            restriction = await u.rights.get_restriction(restriction_id)
            subject = restriction.contact_id or restriction.relationship_id or restriction.prisoner_id or ""
            await u.lock(*await self._subject_locks(u, actor, restriction.scope, subject))
            # A colleague may have lifted it while we waited.
            restriction = await u.rights.get_restriction(restriction_id, fresh=True)
            if not actor.is_system and restriction.made_elsewhere(actor.prison_id):
                raise Forbidden("Only the prison that made this restriction can lift it.")
            if restriction.lifted_at is not None:
                raise Conflict("This restriction is lifted already.", code="restriction_state")
            restriction.lifted_at, restriction.lifted_by = self._clock(), actor.reference
            restriction.note = f"{restriction.note or ''}\n{reason}".strip()
            u.audit.append("restriction.lift", actor, restriction.id, None, request_id)
            u.outbox.add("restriction.changed", {"restriction_id": restriction.id}, request_id=request_id)
            self._note(u, ChangeKind.RESTRICTION_LIFTED, actor, restriction)
            await u.commit()
        await self._changes.after_commit()
        return restriction

    def _note(self, u: UnitOfWork, kind: ChangeKind, actor: Actor, restriction: Restriction) -> None:
        self._changes.note(
            u,
            kind,
            by=actor,
            prison_id=actor.prison_id,
            prisoner_id=restriction.prisoner_id,
            contact_id=restriction.contact_id,
            relationship_id=restriction.relationship_id,
            restriction=restriction.id,
        )

    async def of(self, actor: Actor, scope: RestrictionScope, subject_id: str, page: PageRequest) -> Page[Restriction]:
        """All restrictions on a contact, relationship or prisoner, past ones too, newest first. Staff only."""
        async with self._uow(read_only=True) as u:
            await self._subject_locks(u, actor, scope, subject_id)
            return await u.rights.restrictions_of(subject_id, page)

    async def _subject_locks(
        self, u: UnitOfWork, actor: Actor, scope: RestrictionScope, subject_id: str
    ) -> tuple[str, ...]:
        match scope:
            case RestrictionScope.PRISONER:
                own_prison(actor, (await u.people.get_prisoner(subject_id)).prison_id)
                return (f"prisoner:{subject_id}",)
            case RestrictionScope.RELATIONSHIP:
                link = await u.rights.get_relationship(subject_id)
                own_prison(actor, (await u.people.get_prisoner(link.prisoner_id)).prison_id)
                return (f"prisoner:{link.prisoner_id}", f"contact:{link.contact_id}")
            case RestrictionScope.PERSON:
                await u.people.get_contact(subject_id)
                if actor.is_staff and not await u.rights.known_at_prison(subject_id, actor.prison_id or ""):
                    raise NotFound("There is no such person.")
                if not actor.is_staff:
                    own_prison(actor, None)
                return (f"contact:{subject_id}",)
