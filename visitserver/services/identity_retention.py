"""Nothing of a person is kept longer than it is needed."""

from __future__ import annotations

from datetime import timedelta

from visitserver.domain.actors import system_actor
from visitserver.domain.clock import Clock
from visitserver.domain.identity import EnrolmentState, IdentityPolicy, PictureKind
from visitserver.services.ports.uow import UnitOfWorkFactory

BATCH = 200
_ACTOR = system_actor("identity-retention")


class IdentityRetention:
    """Runs in short transactions, so that it never holds anybody up."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, policy: IdentityPolicy) -> None:
        self._uow = uow
        self._clock = clock
        self._policy = policy

    async def run_once(self) -> int:
        """Pictures past their day, templates that nobody used, enrolments never handed in; how many items went."""
        gone = await self._templates() + await self._pictures()
        await self._enrolments()
        return gone

    async def _pictures(self) -> int:
        total = 0
        while True:
            async with self._uow() as u:
                count = await u.identity.delete_due_items(self._clock(), BATCH)
                if count:
                    u.audit.append("identity.purge", _ACTOR, "pictures", {"items": count})
                    await u.commit()
            total += count
            if count < BATCH:
                return total

    async def _templates(self) -> int:
        since = self._clock() - timedelta(days=self._policy.template_unused_days)
        total = 0
        while True:
            async with self._uow() as u:
                unused = await u.identity.unused_templates(since, BATCH)
                for item in unused:
                    await u.identity.delete_items(item.owner_id, frozenset({PictureKind.TEMPLATE}))
                    u.audit.append("identity.purge", _ACTOR, item.owner_id, {"kind": "template"})
                if unused:
                    await u.commit()
            total += len(unused)
            if len(unused) < BATCH:
                return total

    async def _enrolments(self) -> None:
        while True:
            async with self._uow() as u:
                overdue = await u.identity.overdue_enrolments(self._clock(), BATCH)
                for enrolment in overdue:
                    approved = enrolment.state is EnrolmentState.APPROVED
                    enrolment.move(EnrolmentState.EXPIRED)
                    # An approval's pictures have their own day; what was never handed in goes at once.
                    kinds = frozenset({PictureKind.TEMPLATE}) if approved else frozenset(PictureKind)
                    await u.identity.delete_items(enrolment.id, kinds)
                    u.audit.append("identity.expire", _ACTOR, enrolment.id, {})
                if overdue:
                    await u.commit()
            if len(overdue) < BATCH:
                return
