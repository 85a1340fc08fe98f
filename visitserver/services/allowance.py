"""Visit credits: what a prisoner has, grants by staff, the regular accrual, charging and refunding bookings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Final

import structlog

from visitserver.domain.actors import SYSTEM, Actor
from visitserver.domain.allowance import CreditState, CreditType, LedgerEvent
from visitserver.domain.clock import Clock
from visitserver.domain.credits import SPENDABLE
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.floors import floors_of
from visitserver.domain.ledger import Ledger
from visitserver.domain.owed import MINUTE, OwedEvent
from visitserver.domain.paging import Page, PageRequest
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.accruals import next_credit_day
from visitserver.services.clock import today_at
from visitserver.services.facts import FactsReader
from visitserver.services.partly_failed import Turns
from visitserver.services.paying import Paying
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

log: Final = structlog.get_logger(__name__)

MOST_AT_ONCE: Final = 26
"""Credits that staff give or take in one go."""

GIVEN: Final = frozenset({CreditType.STANDARD, CreditType.PRIVILEGED, CreditType.COMPASSIONATE})
"""What staff give. Reception credits come by admission, floor credits by being needed."""


@dataclass(frozen=True, slots=True)
class AllowanceView:
    """What a prisoner has. `available` and `accumulated` can be spent; `balance` is negative after an override.

    `compassionate` and `reception` are part of them. `floor_left` is how many calls the floor still guarantees this
    week and month, whatever the balance; `floor_until` the day it ends. `minutes_owed` are those of whoever asks: a
    contact's own, or all that is owed to the prisoner's contacts; `owed` the latter by relationship, for prisoner and
    staff.
    """

    prisoner_id: str
    balance: int
    available: int
    accumulated: int
    privileged: int
    next_credit: date | None
    first_expiry: datetime | None
    compassionate: int = 0
    reception: int = 0
    floor_left: int = 0
    floor_until: date | None = None
    minutes_owed: int = 0
    owed: Mapping[str, int] = field(default_factory=dict)


class AllowanceService(Paying):
    """The ledger's use cases. What bookings take and give back is inherited."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader) -> None:
        super().__init__(clock, facts)
        self._uow = uow

    async def view(self, actor: Actor, prisoner_id: str) -> AllowanceView:
        """What there is now: for the prisoner, staff of their prison, and contacts with an approved relationship."""
        async with self._uow(read_only=True) as u:
            await self._may_see(u, actor, prisoner_id)
            now = self._clock()
            prisoner = await u.people.get_prisoner(prisoner_id)
            if prisoner.prison_id is None:
                raise NotFound("This person is at no prison now.", code="prisoner_moved")
            prison = await u.people.get_prison(prisoner.prison_id)
            policies = await u.policies.at(prison.id, now)
            ledger = await self._facts.ledger(u, prisoner, prison, policies, now=now)
            kept = [credit for credit in ledger.credits if credit.state in SPENDABLE]
            floors = floors_of(prisoner, prison, policies, today_at(prison, now))
            left = max(((ledger.floor_left(floor), floor.last) for floor in floors), default=(0, None))
            owed = await u.allowance.owed_by(prisoner_id, actor.id if actor.is_family else None)
            return AllowanceView(
                prisoner_id=prisoner_id,
                balance=ledger.balance,
                available=sum(credit.state is CreditState.AVAILABLE for credit in kept),
                accumulated=sum(credit.state is CreditState.ACCUMULATED for credit in kept),
                privileged=sum(credit.type is CreditType.PRIVILEGED for credit in kept),
                next_credit=next_credit_day(prisoner, prison, policies, now),
                first_expiry=min((credit.expires_at for credit in kept if credit.expires_at), default=None),
                compassionate=sum(credit.type is CreditType.COMPASSIONATE for credit in kept),
                reception=sum(credit.type is CreditType.RECEPTION for credit in kept),
                floor_left=left[0],
                floor_until=left[1],
                minutes_owed=sum(owed.values()) // MINUTE,
                owed={} if actor.is_family else {each: seconds // MINUTE for each, seconds in owed.items()},
            )

    async def history(self, actor: Actor, prisoner_id: str, page: PageRequest) -> Page[LedgerEvent]:
        """The ledger's lines, newest first: for the prisoner and for staff of their prison."""
        async with self._uow(read_only=True) as u:
            if not (actor.is_prisoner and actor.id == prisoner_id):
                own_prison(actor, (await u.people.get_prisoner(prisoner_id)).prison_id)
            return await u.allowance.history(prisoner_id, page)

    async def owed_history(self, actor: Actor, prisoner_id: str, page: PageRequest) -> Page[OwedEvent]:
        """The lines of the accounts of minutes owed, newest first: for the prisoner and for staff of their prison."""
        async with self._uow(read_only=True) as u:
            if not (actor.is_prisoner and actor.id == prisoner_id):
                own_prison(actor, (await u.people.get_prisoner(prisoner_id)).prison_id)
            return await u.allowance.owed_history(prisoner_id, page)

    async def grant(
        self,
        actor: Actor,
        prisoner_id: str,
        type_: CreditType,
        reason: str,
        *,
        count: int = 1,
        expires_at: datetime | None = None,
        event_key: str,
        request_id: str | None = None,
    ) -> int:
        """Staff give 1 to 26 standard, privileged or compassionate credits with a reason; the balance after it.

        `event_key` names the happening: told twice it counts once. Invalid for other types and for an end that is past.
        """
        if type_ not in GIVEN:
            raise Invalid(f"A {type_} credit is not given by hand.", code="credit_type", field="type")
        if expires_at is not None and expires_at <= self._clock():
            raise Invalid("This end is past.", code="expires_at", field="expires_at")
        change = partial(Ledger.grant, expires_at=expires_at)
        return await self._by_staff("grant", actor, prisoner_id, type_, reason, change, count, event_key, request_id)

    async def take_away(
        self,
        actor: Actor,
        prisoner_id: str,
        type_: CreditType,
        reason: str,
        *,
        count: int = 1,
        event_key: str,
        request_id: str | None = None,
    ) -> int:
        """Staff take 1 to 26 credits back with a reason, the oldest first; the balance after it.

        The floor stands below all of it. Conflict (`no_allowance`) when there are not as many; then none is taken.
        """
        change = Ledger.take_away
        return await self._by_staff(
            "take_away", actor, prisoner_id, type_, reason, change, count, event_key, request_id
        )

    async def _by_staff(
        self,
        verb: str,
        actor: Actor,
        prisoner_id: str,
        type_: CreditType,
        reason: str,
        change: Callable[..., None],
        count: int,
        event_key: str,
        request_id: str | None,
    ) -> int:
        """Append `change` to the ledger `count` times, once per event key; the balance after it."""
        reason = need_reason(reason, longest=200)
        if not (actor.is_staff or actor.is_system):
            raise NotFound("There is no such person.")
        if not 1 <= count <= MOST_AT_ONCE:
            raise Invalid(f"Choose 1 to {MOST_AT_ONCE} credits.", code="count", field="count")
        async with self._uow() as u:
            await u.lock(f"prisoner:{prisoner_id}")
            ledger = await self.load(u, actor, prisoner_id)
            # The prisoner is in the key: the same happening may concern several, each with a ledger of their own.
            keys = [f"{verb}:{prisoner_id}:{event_key}:{number}" for number in range(count)]
            if not ledger.has(keys[0]):
                for key in keys:
                    change(ledger, type_, at=self._clock(), actor=actor.reference, reason=reason, event_key=key)
                prison_id = (await u.people.get_prisoner(prisoner_id)).prison_id
                data = {"type": type_, "count": count}
                u.audit.append(f"allowance.{verb}", actor, prisoner_id, data, request_id, prison_id=prison_id)
                u.allowance.append(ledger.new)
                await u.commit()
            return ledger.balance

    async def accrue(self, actor: Actor = SYSTEM, *, limit: int = 200) -> int:
        """The daily job: store what the calendar owes, one transaction per prisoner. Gives how many changed.

        PartlyFailed, after everybody's turn, when it could not be done for some.
        """
        after: str | None = None
        turns, changed = Turns(), 0
        while True:
            async with self._uow(read_only=True) as u:
                ids: Sequence[str] = await u.allowance.prisoners_to_accrue(after, limit)
            for prisoner_id in ids:
                with turns.turn("credits not brought up to date", prisoner_id=prisoner_id):
                    changed += await self._accrue(actor, prisoner_id)
            if len(ids) < limit:
                break
            after = ids[-1]
        return turns.outcome(changed)

    async def _accrue(self, actor: Actor, prisoner_id: str) -> bool:
        async with self._uow() as u:
            await u.lock(f"prisoner:{prisoner_id}")
            ledger = await self.load(u, actor, prisoner_id)
            if ledger.new:
                u.allowance.append(ledger.new)
                await u.commit()
            return bool(ledger.new)

    async def refund_technical(
        self, actor: Actor, booking_id: str, cause: str, *, request_id: str | None = None
    ) -> bool:
        """Give a booking's credit back because of our own fault. Any number of times, in any order: once."""
        async with self._uow() as u:
            booking = await u.scheduling.get_booking(booking_id)
            await u.lock(f"prisoner:{booking.prisoner_id}")
            booking = await u.scheduling.get_booking(booking_id, for_update=True)
            given = await self.refund_within(u, actor, booking, cause, our_fault=True, request_id=request_id)
            await u.commit()
            return given

    async def _may_see(self, u: UnitOfWork, actor: Actor, prisoner_id: str) -> None:
        if actor.is_prisoner and actor.id == prisoner_id:
            return
        if actor.is_family:
            if await u.rights.has_approved(prisoner_id, actor.id):
                return
            raise NotFound("There is no such person.")
        own_prison(actor, (await u.people.get_prisoner(prisoner_id)).prison_id)
