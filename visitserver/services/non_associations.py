"""Non-associations: two prisoners of one prison who must not meet, kept by staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import MAX_LIMIT
from visitserver.domain.rights import NonAssociation
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.changes import ChangeKind, Changes
from visitserver.services.clock import today_at
from visitserver.services.day_checks import need_days
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory


class NonAssociationService:
    """Adds, ends and lists them. The bookings of both are looked at at once."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes | None = None) -> None:
        self._uow = uow
        self._clock = clock
        self._changes = changes or Changes(clock)

    async def add(
        self,
        actor: Actor,
        one_id: str,
        other_id: str,
        *,
        reason: str,
        starts_on: date | None = None,
        ends_on: date | None = None,
        request_id: str | None = None,
    ) -> NonAssociation:
        """Keep the two apart from `starts_on` (default: today) through `ends_on`, in the prison's days.

        At least one of them is at the actor's prison: else NotFound. Invalid for one person twice or days in the wrong
        order or out of reach; Conflict (`non_association_exists`) where one stands for some of these days.
        """
        reason = need_reason(reason)
        if one_id == other_id:
            raise Invalid("Choose two different people.", field="other_id")
        need_days(starts_on=starts_on, ends_on=ends_on)
        first, second = sorted((one_id, other_id))
        async with self._uow() as u:
            starts_on = starts_on or await self._today(u, actor)
            if ends_on is not None and ends_on < starts_on:
                raise Invalid("The last day comes before the first.", field="ends_on")
            await self._own(u, actor, first, second)
            await u.lock(f"prisoner:{first}", f"prisoner:{second}")
            known = await u.rights.non_associations_of(first, first=starts_on, last=ends_on or date.max)
            if any({each.prisoner_a, each.prisoner_b} == {first, second} for each in known):
                raise Conflict("These two are kept apart already.", code="non_association_exists")
            made = NonAssociation(
                id=new_id("nas"),
                prisoner_a=first,
                prisoner_b=second,
                starts_on=starts_on,
                ends_on=ends_on,
                created_by=actor.reference,
                created_at=self._clock(),
                reason=reason,
            )
            u.rights.add(made)
            u.audit.append(
                "non_association.add",
                actor,
                made.id,
                {"prisoners": [first, second]},
                request_id,
                prison_id=actor.prison_id,
            )
            self._note(u, ChangeKind.NON_ASSOCIATION_ADDED, actor, made)
            await u.commit()
        await self._changes.after_commit()
        return made

    async def end(
        self, actor: Actor, non_association_id: str, reason: str, *, request_id: str | None = None
    ) -> NonAssociation:
        """They may meet from now on: yesterday was its last day. Conflict when it is over already."""
        reason = need_reason(reason)
        async with self._uow() as u:
            found = await u.rights.get_non_association(non_association_id)
            await self._own(u, actor, found.prisoner_a, found.prisoner_b)
            await u.lock(f"prisoner:{found.prisoner_a}", f"prisoner:{found.prisoner_b}")
            found = await u.rights.get_non_association(non_association_id, fresh=True)
            today = await self._today(u, actor)
            if found.ends_on is not None and found.ends_on < today:
                raise Conflict("It has ended already.", code="non_association_ended")
            found.ends_on = today - timedelta(days=1)
            found.starts_on = min(found.starts_on, found.ends_on)
            u.audit.append(
                "non_association.end", actor, found.id, {"reason": reason}, request_id, prison_id=actor.prison_id
            )
            self._note(u, ChangeKind.NON_ASSOCIATION_ENDED, actor, found)
            await u.commit()
        await self._changes.after_commit()
        return found

    async def of(self, actor: Actor, prisoner_id: str) -> Sequence[NonAssociation]:
        """One prisoner's at the actor's prison, those that are over too; MAX_LIMIT at most."""
        async with self._uow(read_only=True) as u:
            own_prison(actor, (await u.people.get_prisoner(prisoner_id)).prison_id)
            return (await u.rights.non_associations_of(prisoner_id, first=date.min, last=date.max))[:MAX_LIMIT]

    async def _own(self, u: UnitOfWork, actor: Actor, *prisoner_ids: str) -> None:
        """One of them is here; who the other is, elsewhere, is known to whoever wrote the two down."""
        found = await u.people.prisoners(list(prisoner_ids))
        if len(found) < len(set(prisoner_ids)):
            raise NotFound("There is no such person.")
        if actor.is_system:
            return
        if not actor.is_staff or all(each.prison_id != actor.prison_id for each in found.values()):
            raise NotFound("There is no such person.")

    async def _today(self, u: UnitOfWork, actor: Actor) -> date:
        if actor.prison_id is None:
            return self._clock().date()
        return today_at(await u.people.get_prison(actor.prison_id), self._clock())

    def _note(self, u: UnitOfWork, kind: ChangeKind, actor: Actor, about: NonAssociation) -> None:
        for prisoner_id in (about.prisoner_a, about.prisoner_b):
            self._changes.note(
                u, kind, by=actor, prison_id=actor.prison_id, prisoner_id=prisoner_id, non_association=about.id
            )
