"""Visit credits: what a prisoner has, grants by staff, the regular accrual, charging and refunding bookings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from visitserver.domain.actors import SYSTEM, Actor, ActorKind
from visitserver.domain.allowance import CreditState, CreditType, LedgerEvent
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.ledger import SPENDABLE, Ledger
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import Booking
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.accruals import next_credit_day
from visitserver.services.facts import FactsReader
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

REFUND_LASTS = timedelta(days=28)
"""How long a credit that our own fault cost lives at least, once given back."""


@dataclass(frozen=True, slots=True)
class AllowanceView:
    """What a prisoner has. `available` and `accumulated` can be spent; `balance` is negative after an override."""

    prisoner_id: str
    balance: int
    available: int
    accumulated: int
    privileged: int
    next_credit: date | None
    first_expiry: datetime | None


class AllowanceService:
    """The ledger's use cases."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts

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
            return AllowanceView(
                prisoner_id=prisoner_id,
                balance=ledger.balance,
                available=sum(credit.state is CreditState.AVAILABLE for credit in kept),
                accumulated=sum(credit.state is CreditState.ACCUMULATED for credit in kept),
                privileged=sum(credit.type is CreditType.PRIVILEGED for credit in kept),
                next_credit=next_credit_day(prisoner, prison, policies, now),
                first_expiry=min((credit.expires_at for credit in kept if credit.expires_at), default=None),
            )

    async def history(self, actor: Actor, prisoner_id: str, page: PageRequest) -> Page[LedgerEvent]:
        """The ledger's lines, newest first: for the prisoner and for staff of their prison."""
        async with self._uow(read_only=True) as u:
            if not (actor.is_prisoner and actor.id == prisoner_id):
                own_prison(actor, (await u.people.get_prisoner(prisoner_id)).prison_id)
            return await u.allowance.history(prisoner_id, page)

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
    ) -> None:
        """Staff give 1 to 26 credits with a reason. `event_key` names the happening: told twice it counts once."""
        reason = need_reason(reason, longest=200)
        if not 1 <= count <= 26:
            raise Invalid("Give 1 to 26 credits.", field="count")
        async with self._uow() as u:
            await u.lock(f"prisoner:{prisoner_id}")
            ledger = await self._load(u, actor, prisoner_id)
            for number in range(count):
                ledger.grant(
                    type_,
                    at=self._clock(),
                    actor=actor.reference,
                    reason=reason,
                    event_key=f"grant:{event_key}:{number}",
                    expires_at=expires_at,
                )
            u.allowance.append(ledger.new)
            u.audit.append("allowance.grant", actor, prisoner_id, {"type": type_, "count": count}, request_id)
            await u.commit()

    async def accrue(self, actor: Actor = SYSTEM, *, limit: int = 200) -> int:
        """The daily job: store what the calendar owes, one transaction per prisoner. Gives how many changed."""
        after: str | None = None
        changed = 0
        while True:
            async with self._uow(read_only=True) as u:
                ids: Sequence[str] = await u.allowance.prisoners_to_accrue(after, limit)
            for prisoner_id in ids:
                async with self._uow() as u:
                    await u.lock(f"prisoner:{prisoner_id}")
                    ledger = await self._load(u, actor, prisoner_id)
                    if ledger.new:
                        u.allowance.append(ledger.new)
                        await u.commit()
                        changed += 1
            if len(ids) < limit:
                return changed
            after = ids[-1]

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

    async def charge_within(self, u: UnitOfWork, actor: Actor, booking: Booking, *, overdraw: bool = False) -> None:
        """Within the caller's transaction, which holds the prisoner's lock: take the credit that the booking costs."""
        if booking.credit_type is None or booking.privileged or booking.charged:
            return
        ledger = await self._load(u, SYSTEM, booking.prisoner_id)
        ledger.spend(
            booking.id,
            booking.credit_type,
            at=self._clock(),
            actor=actor.reference,
            reason="booking",
            overdraw=overdraw,
        )
        u.allowance.append(ledger.new)
        booking.charged = True

    async def refund_within(
        self,
        u: UnitOfWork,
        actor: Actor,
        booking: Booking,
        cause: str,
        *,
        our_fault: bool = False,
        request_id: str | None = None,
    ) -> bool:
        """Within the caller's transaction, which holds the prisoner's lock: give back what the booking took, once."""
        if booking.privileged or not booking.charged:
            return False
        now = self._clock()
        ledger = await self._load(u, SYSTEM, booking.prisoner_id)
        given = ledger.refund(
            booking.id,
            at=now,
            actor=actor.reference,
            reason=cause,
            lasts_until=now + REFUND_LASTS if our_fault else None,
        )
        u.allowance.append(ledger.new)
        if given:
            u.audit.append(
                "allowance.refund", actor, booking.id, {"cause": cause}, request_id, prison_id=booking.prison_id
            )
        return given

    async def _load(self, u: UnitOfWork, actor: Actor, prisoner_id: str) -> Ledger:
        prisoner = await u.people.get_prisoner(prisoner_id)
        if actor.kind is not ActorKind.SYSTEM:
            own_prison(actor, prisoner.prison_id)
        if prisoner.prison_id is None:
            return await self._facts.stored_ledger(u, prisoner_id)
        prison = await u.people.get_prison(prisoner.prison_id)
        now = self._clock()
        return await self._facts.ledger(u, prisoner, prison, await u.policies.at(prison.id, now), now=now)

    async def _may_see(self, u: UnitOfWork, actor: Actor, prisoner_id: str) -> None:
        if actor.is_prisoner and actor.id == prisoner_id:
            return
        if actor.is_family:
            if await u.rights.has_approved(prisoner_id, actor.id):
                return
            raise NotFound("There is no such person.")
        own_prison(actor, (await u.people.get_prisoner(prisoner_id)).prison_id)
