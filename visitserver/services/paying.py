"""What bookings take from the ledger and the accounts of minutes owed, and what comes back. Each step within the
transaction of whoever knows about the booking, who holds the prisoner's name; each any number of times, with one
effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from signaling.ids import new_id
from visitserver.domain import policies as keys
from visitserver.domain.actors import SYSTEM, Actor, ActorKind
from visitserver.domain.allowance import Occasion
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.clock import Clock
from visitserver.domain.credits import Means
from visitserver.domain.errors import Unavailable
from visitserver.domain.floors import floors_of
from visitserver.domain.ledger import Ledger
from visitserver.domain.owed import MINUTE, OwedAccount
from visitserver.domain.people import Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.domain.rules.facts import Missing
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.access_checks import own_prison
from visitserver.services.background import Background
from visitserver.services.facts import FactsReader
from visitserver.services.ports.uow import UnitOfWork

REFUND_LASTS: Final = timedelta(days=28)
"""How long a credit that our own fault cost lives at least, once given back."""

CALLED_OFF: Final = frozenset(
    {
        OutcomeCode.BATCH_CANCELLATION,
        OutcomeCode.ESTABLISHMENT_CANCELLED,
        OutcomeCode.ADMINISTRATIVE_ERROR,
        OutcomeCode.TECHNICAL_FAILURE,
    }
)
"""Outcomes of a cancellation that are the prison's: a lockdown, too few staff, a mistake, a fault."""

VISIT: Final = "visit"
"""What minutes owed are used for: a whole visit."""


class Paying:
    """Charging, refunding, owing."""

    def __init__(self, clock: Clock, facts: FactsReader) -> None:
        self._clock = clock
        self._facts = facts

    async def charge_within(
        self, u: UnitOfWork, actor: Actor, booking: Booking, *, overdraw: bool = False, read: Background | None = None
    ) -> None:
        """Take what the booking costs: a credit, minutes owed, or a call of the floor (see Ledger.payment).

        A booking that has paid already and was moved counts on its new day. Conflict (`no_allowance`) when nothing
        pays, unless staff `overdraw`. `read`: what was read in this transaction to decide, under the prisoner's name.
        Unavailable when the ledger could not be read: nothing is booked that nobody can account for.
        """
        if booking.credit_type is None or booking.privileged:
            return
        now = self._clock()
        means = _means_of(booking, read) or await self._means(u, booking, now)
        prisoner, prison, policies = means.prisoner, means.prison, means.policies
        ledger, account = means.ledger, means.account
        occasion = occasion_of(booking, prison)
        if booking.charged:
            key = f"move:{booking.id}:{booking.revision}"
            ledger.rebook(booking.id, occasion, at=now, actor=actor.reference, event_key=key)
            if 0 < (paid := account.used_by(booking.id) // MINUTE) < occasion.minutes:
                more = occasion.minutes - paid
                account.use(booking.id, more, purpose=f"longer:{booking.revision}", at=now, actor=actor.reference)
            u.allowance.append(ledger.new)
            u.allowance.append(account.new)
            return
        floors = floors_of(prisoner, prison, policies, occasion.day)
        payment = ledger.payment(
            booking.credit_type, at=now, occasion=occasion, floors=floors, owed_minutes=account.minutes
        )
        if payment is not None and payment.means is Means.OWED_MINUTES:
            account.use(booking.id, occasion.minutes, purpose=VISIT, at=now, actor=actor.reference)
            u.allowance.append(account.new)
        else:
            ledger.spend(
                booking.id,
                booking.credit_type,
                at=now,
                actor=actor.reference,
                reason="booking",
                overdraw=overdraw,
                occasion=occasion,
                floors=floors,
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
        """Give back what the booking took, once: a credit or minutes owed. False when there was nothing to give.

        What the prison calls off at short notice owes its minutes, too (policy `allowance.owed_notice_hours`).
        """
        if booking.privileged:
            return False
        now = self._clock()
        if our_fault and booking.state is BookingState.CANCELLED and booking.outcome in CALLED_OFF:
            notice = (await u.policies.at(booking.prison_id, now)).number(keys.OWED_NOTICE_HOURS)
            if booking.starts_at - now < timedelta(hours=notice):
                lost = int((booking.ends_at - booking.starts_at).total_seconds())
                await self.owe_within(u, actor, booking, lost, booking.outcome)
        if not booking.charged:
            return False
        ledger = await self.load(u, SYSTEM, booking.prisoner_id)
        given = ledger.refund(
            booking.id,
            at=now,
            actor=actor.reference,
            reason=cause,
            lasts_until=now + REFUND_LASTS if our_fault else None,
        )
        u.allowance.append(ledger.new)
        account = await self.account(u, booking.prisoner_id, booking.lead.relationship_id)
        given |= account.give_back(booking.id, at=now, actor=actor.reference, reason=cause)
        u.allowance.append(account.new)
        if given:
            u.audit.append(
                "allowance.refund", actor, booking.id, {"cause": cause}, request_id, prison_id=booking.prison_id
            )
        return given

    async def owe_within(self, u: UnitOfWork, actor: Actor, booking: Booking, seconds: int, cause: str) -> bool:
        """Note time that the visit lost without its callers' doing, once per booking. Nothing for privileged calls,
        which are unlimited anyway."""
        if booking.privileged or seconds <= 0:
            return False
        # What is waiting to be written counts: the account is read anew.
        await u.flush()
        account = await self.account(u, booking.prisoner_id, booking.lead.relationship_id)
        noted = account.earn(booking.id, seconds, at=self._clock(), actor=actor.reference, reason=cause)
        u.allowance.append(account.new)
        if noted:
            data = {"seconds": seconds, "cause": cause}
            u.audit.append("allowance.owe", actor, booking.id, data, prison_id=booking.prison_id)
        return noted

    async def account(self, u: UnitOfWork, prisoner_id: str, relationship_id: str) -> OwedAccount:
        """The account of minutes owed to a relationship."""
        await u.flush()
        events = await u.allowance.owed_events(relationship_id)
        return OwedAccount(prisoner_id, relationship_id, events, new_id=new_id)

    async def load(self, u: UnitOfWork, actor: Actor, prisoner_id: str) -> Ledger:
        """The ledger as of now. NotFound for staff of another prison than the prisoner's."""
        prisoner = await u.people.get_prisoner(prisoner_id)
        if actor.kind is not ActorKind.SYSTEM:
            own_prison(actor, prisoner.prison_id)
        if prisoner.prison_id is None:
            return await self._facts.stored_ledger(u, prisoner_id)
        prison = await u.people.get_prison(prisoner.prison_id)
        now = self._clock()
        return await self._facts.ledger(u, prisoner, prison, await u.policies.at(prison.id, now), now=now)

    async def _means(self, u: UnitOfWork, booking: Booking, now: datetime) -> _Means:
        prison = await u.people.get_prison(booking.prison_id)
        return _Means(
            prisoner=await u.people.get_prisoner(booking.prisoner_id),
            prison=prison,
            policies=await u.policies.at(prison.id, now),
            ledger=await self.load(u, SYSTEM, booking.prisoner_id),
            account=await self.account(u, booking.prisoner_id, booking.lead.relationship_id),
        )


@dataclass(frozen=True, slots=True)
class _Means:
    """What a booking can be paid with."""

    prisoner: Prisoner
    prison: Prison
    policies: Policies
    ledger: Ledger
    account: OwedAccount


def _means_of(booking: Booking, read: Background | None) -> _Means | None:
    """What was read already, if it is about this booking's people. Unavailable where the ledger could not be read.

    Minutes owed that could not be read pay for nothing; a credit still does.
    """
    if read is None:
        return None
    party, lead = read.party, booking.lead.relationship_id
    if (party.prisoner.id, party.prison.id) != (booking.prisoner_id, booking.prison_id):
        return None
    if party.relationships[0].id != lead:
        return None
    if isinstance(read.ledger, Missing):
        raise Unavailable("The visits that are left cannot be looked at now. Please ask the prison.", code="ledger")
    owed = (
        OwedAccount(party.prisoner.id, lead, (), new_id=new_id) if isinstance(read.owed, Missing) else read.owed.value
    )
    return _Means(party.prisoner, party.prison, read.policies, read.ledger.value, owed)


def occasion_of(booking: Booking, prison: Prison) -> Occasion:
    """The call of a booking, as the ledger counts it."""
    minutes = int((booking.ends_at - booking.starts_at).total_seconds()) // 60
    return Occasion(booking.starts_at, booking.starts_at.astimezone(prison.zone).date(), minutes)
