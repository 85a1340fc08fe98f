"""Policies: set with a reason and a day from which they hold; the old version stays, end-dated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.flagging import FLAG_OF_RULE
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.policies import KEYS, Policies, PolicyData, PolicyKey, PolicyValue
from visitserver.domain.rules.order import RULES
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.changes import ChangeKind, Changes
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

FLAGGING_POLICIES = frozenset(key.name for rule in RULES if rule.key in FLAG_OF_RULE for key in rule.uses)
"""The policies by which bookings that stand may come to be flagged."""

LONGEST_AUTHORITY = 200


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """A policy as it holds at a prison: its value (a set as a sorted list), and the version that says so.

    `version` is "prison.3", "service.1" or "default"; `row` is that version, None for the default. `value` is None
    where the stored one is of an older form of the key, which allows it no more: the rules that read it ask a person.
    """

    key: PolicyKey
    value: bool | int | list[str] | None
    version: str
    row: PolicyValue | None


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
        value: PolicyData | Sequence[str],
        reason: str,
        *,
        authority: str | None = None,
        valid_from: datetime | None = None,
        seen: int | None = None,
        request_id: str | None = None,
    ) -> PolicyValue:
        """Give a policy a new value from `valid_from` (default: now) on. `prison_id` None (system only): everywhere.

        A set of texts may come as any sequence. `authority` is whose word it is: a law, a court, a governor's order.
        `seen`: the number of the newest version that whoever sets it has looked at (0: none).
        Invalid for an unknown key, a value out of range or a past moment; Conflict when a later version is planned
        (`policy_planned`) or there is a newer one than they saw (`policy_changed`).
        """
        if key not in KEYS:
            raise Invalid("There is no such policy.", code="policy_key", field="key")
        stored, reason, now = KEYS[key].stored(value), need_reason(reason), self._clock()
        authority = (authority or "").strip() or None
        if authority is not None and len(authority) > LONGEST_AUTHORITY:
            raise Invalid(f"An authority has at most {LONGEST_AUTHORITY} characters.", field="authority")
        valid_from = valid_from or now
        if valid_from < now:
            raise Invalid("A policy cannot begin in the past.", field="valid_from")
        own_prison(actor, prison_id)
        async with self._uow() as u:
            await u.lock(f"policy:{prison_id}:{key}")
            versions = await u.policies.versions(prison_id, key)
            if seen is not None and seen != (versions[-1].version if versions else 0):
                raise Conflict("Somebody has set this policy meanwhile.", code="policy_changed")
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
                value=stored,
                valid_from=valid_from,
                created_at=now,
                created_by=actor.reference,
                reason=reason,
                authority=authority,
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

    async def to_come(self, actor: Actor) -> Sequence[PolicyValue]:
        """What has been set for later at the actor's prison, the soonest first."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.policies.to_come(actor.prison_id or "", self._clock())

    async def line(self, actor: Actor, key: str) -> PolicyLine:
        """One policy as it holds now at the actor's prison; NotFound for an unknown key."""
        if key not in KEYS:
            raise NotFound("There is no such policy.")
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            resolved = await u.policies.at(actor.prison_id or "", self._clock())
            return await self._line(u, actor.prison_id or "", resolved, KEYS[key])

    async def history(self, actor: Actor, key: str, page: PageRequest) -> Page[PolicyValue]:
        """What held, holds and is to hold at the actor's prison, the latest first: its own versions and general ones.

        NotFound for an unknown key.
        """
        own_prison(actor, actor.prison_id)
        if key not in KEYS:
            raise NotFound("There is no such policy.")
        async with self._uow(read_only=True) as u:
            return await u.policies.history(actor.prison_id or "", key, page)

    async def lines(self, actor: Actor, prison_id: str | None = None) -> list[PolicyLine]:
        """Every policy as it holds now at the prison (default: the actor's), in the order of the list of keys."""
        prison_id = prison_id or actor.prison_id or ""
        own_prison(actor, prison_id)
        async with self._uow(read_only=True) as u:
            now = self._clock()
            resolved = await u.policies.at(prison_id, now)
            return [await self._line(u, prison_id, resolved, key) for key in KEYS.values()]

    @staticmethod
    async def _line(u: UnitOfWork, prison_id: str, resolved: Policies, key: PolicyKey) -> PolicyLine:
        version = resolved.version(key)
        owner = None if version.startswith("service.") else prison_id
        rows = [] if version == "default" else await u.policies.versions(owner, key.name)
        row = next((each for each in rows if version.endswith(f".{each.version}")), None)
        try:
            value = key.stored(resolved.value(key))
        except Invalid:
            return PolicyLine(key, None, version, row)
        return PolicyLine(key, value, version, row)
