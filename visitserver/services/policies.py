"""Policies: set with a reason and a day from which they hold; the old version stays, end-dated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.flagging import FLAG_OF_RULE
from visitserver.domain.policies import KEYS, Policies, PolicyData, PolicyValue
from visitserver.domain.rules.order import RULES
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.changes import ChangeKind, Changes
from visitserver.services.ports.uow import UnitOfWorkFactory

FLAGGING_POLICIES = frozenset(key.name for rule in RULES if rule.key in FLAG_OF_RULE for key in rule.uses)
"""The policies by which bookings that stand may come to be flagged."""


class PolicyService:
    """The use cases of a policy."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes | None = None) -> None:
        self._uow = uow
        self._clock = clock
        self._changes = changes or Changes(clock)

    async def set(
        self,
        actor: Actor,
        prison_id: str | None,
        key: str,
        value: PolicyData,
        reason: str,
        *,
        valid_from: datetime | None = None,
        request_id: str | None = None,
    ) -> PolicyValue:
        """Give a policy a new value from `valid_from` (default: now) on. `prison_id` None (system only): everywhere.

        Invalid for an unknown key, a value out of range or a past moment; Conflict when a later version is planned.
        """
        if key not in KEYS:
            raise Invalid("There is no such policy.", code="policy_key", field="key")
        value, reason, now = KEYS[key].check(value), need_reason(reason), self._clock()
        valid_from = valid_from or now
        if valid_from < now:
            raise Invalid("A policy cannot begin in the past.", field="valid_from")
        own_prison(actor, prison_id)
        async with self._uow() as u:
            await u.lock(f"policy:{prison_id}:{key}")
            versions = await u.policies.versions(prison_id, key)
            if versions and versions[-1].valid_from > valid_from:
                raise Conflict("A later version is planned already.", code="policy_planned")
            for old in versions:
                if old.valid_to is None:
                    old.valid_to = valid_from
            new = PolicyValue(
                id=new_id("pol"),
                prison_id=prison_id,
                key=key,
                version=len(versions) + 1,
                value=value,
                valid_from=valid_from,
                created_at=now,
                created_by=actor.reference,
                reason=reason,
            )
            u.policies.add(new)
            shown = sorted(value) if isinstance(value, frozenset) else value
            u.audit.append(
                "policy.set", actor, new.id, {"key": key, "version": new.version, "value": shown}, request_id
            )
            if key in FLAGGING_POLICIES:
                # One that holds later is found by the nightly scan once it does.
                self._changes.note(u, ChangeKind.POLICY_CHANGED, by=actor, prison_id=prison_id, policy=key)
            await u.commit()
        await self._changes.after_commit()
        return new

    async def now(self, actor: Actor) -> Policies:
        """What holds at the actor's prison now."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.policies.at(actor.prison_id or "", self._clock())

    async def versions(self, actor: Actor, key: str) -> Sequence[PolicyValue]:
        """Every version of one key at the actor's prison, oldest first."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.policies.versions(actor.prison_id, key)
