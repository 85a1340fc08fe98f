"""How a booking ends before its time, or is closed after it: its place and its credit come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, DomainError, Forbidden, Invalid
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.access_checks import family_words, need_reason, own_booking
from visitserver.services.allowance import AllowanceService
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.settling import Settling

MOST_AT_ONCE: Final = 500
"""How many bookings `cancel_many` takes."""

_CANCELLED_BY = {
    ActorKind.FAMILY: OutcomeCode.VISITOR_CANCELLED,
    ActorKind.PRISONER: OutcomeCode.PRISONER_CANCELLED,
    ActorKind.STAFF: OutcomeCode.ESTABLISHMENT_CANCELLED,
    ActorKind.SYSTEM: OutcomeCode.ADMINISTRATIVE_CANCELLATION,
}

# What staff may say besides, when they cancel.
_STAFF_OUTCOMES = frozenset(
    {
        OutcomeCode.ADMINISTRATIVE_CANCELLATION,
        OutcomeCode.ADMINISTRATIVE_ERROR,
        OutcomeCode.BATCH_CANCELLATION,
        OutcomeCode.ESTABLISHMENT_CANCELLED,
        OutcomeCode.PRISONER_CANCELLED,
        OutcomeCode.PRISONER_REFUSED,
        OutcomeCode.VISITOR_CANCELLED,
        OutcomeCode.BOOKER_CANCELLED,
    }
)


@dataclass(frozen=True, slots=True)
class CancelledMany:
    """What became of a bulk cancellation: those cancelled (by now, twice changes nothing), and the others' reasons."""

    cancelled: tuple[str, ...]
    refused: Mapping[str, str]


class Cancelling:
    """The use cases; see BookingService for what each promises."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, allowance: AllowanceService, settling: Settling) -> None:
        self._uow = uow
        self._clock = clock
        self._allowance = allowance
        self._settling = settling

    async def cancel(
        self,
        actor: Actor,
        booking_id: str,
        *,
        reason: str | None = None,
        outcome: OutcomeCode | None = None,
        words: str | None = None,
        request_id: str | None = None,
    ) -> Booking:
        """See BookingService.cancel."""
        if outcome is not None and (outcome not in _STAFF_OUTCOMES or actor.is_family or actor.is_prisoner):
            raise Invalid("A cancellation has no such outcome.", code="outcome", field="outcome")
        async with self._uow() as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_booking(actor, booking)
            if actor.is_family:
                self._settling.leads(actor, booking)
            await u.lock(f"prisoner:{booking.prisoner_id}")
            booking = await u.scheduling.get_booking(booking_id, for_update=True)
            if booking.state in (BookingState.CANCELLED, BookingState.WITHDRAWN):
                return booking
            if not booking.open:
                raise Conflict("This booking is over.", code="booking_state")
            now = self._clock()
            if booking.state is not BookingState.HELD:
                policies = await u.policies.at(booking.prison_id, now)
                reason = self._settling.need_late_reason(policies, actor, booking, reason)
            told = booking.state is not BookingState.HELD
            withdrawn = booking.state is BookingState.HELD or (
                actor.is_family and booking.state is BookingState.REQUESTED
            )
            booking.move(BookingState.WITHDRAWN if withdrawn else BookingState.CANCELLED)
            booking.family_words = None if actor.is_family or actor.is_prisoner else family_words(words)
            booking.reason, booking.outcome = reason, (outcome or _CANCELLED_BY[actor.kind]).value
            booking.decided_by, booking.decided_at = actor.reference, now
            booking.revision += 1
            await self._settling.give_back(u, actor, booking, "cancelled", request_id)
            u.audit.append(
                "booking.cancel",
                actor,
                booking.id,
                {"outcome": booking.outcome},
                request_id,
                prison_id=booking.prison_id,
            )
            if told:
                self._settling.tell(u, "booking.cancelled", booking, request_id)
            await u.commit()
            return booking

    async def cancel_many(
        self,
        actor: Actor,
        booking_ids: Sequence[str],
        reason: str,
        outcome: OutcomeCode = OutcomeCode.BATCH_CANCELLATION,
        *,
        words: str | None = None,
        request_id: str | None = None,
    ) -> CancelledMany:
        """See BookingService.cancel_many."""
        if not (actor.is_staff or actor.is_system):
            raise Forbidden("Only staff cancel many at once.")
        if len(booking_ids) > MOST_AT_ONCE:
            raise Invalid(f"Choose at most {MOST_AT_ONCE} bookings.", code="too_many", field="bookings")
        reason, words = need_reason(reason), family_words(words)
        done: list[str] = []
        refused: dict[str, str] = {}
        for booking_id in dict.fromkeys(booking_ids):
            try:
                await self.cancel(actor, booking_id, reason=reason, outcome=outcome, words=words, request_id=request_id)
            except DomainError as error:
                refused[booking_id] = error.code
            else:
                done.append(booking_id)
        return CancelledMany(tuple(done), refused)

    async def close_within(
        self,
        u: UnitOfWork,
        actor: Actor,
        booking_id: str,
        state: BookingState,
        outcome: OutcomeCode,
        *,
        refund: bool,
        owed: int = 0,
        request_id: str | None = None,
    ) -> Booking:
        """See BookingService.close_within."""
        if state not in (BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED):
            raise ValueError(state)
        booking = await u.scheduling.get_booking(booking_id)
        await u.lock(f"prisoner:{booking.prisoner_id}")
        booking = await u.scheduling.get_booking(booking_id, for_update=True)
        if booking.state in (BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED):
            return booking
        booking.move(state)
        booking.outcome = outcome.value
        # What is over takes up nobody any more.
        await u.flush()
        await u.scheduling.release(booking.id)
        if refund:
            await self._allowance.refund_within(u, actor, booking, outcome.value, our_fault=True, request_id=request_id)
        await self._allowance.owe_within(u, actor, booking, owed, outcome.value)
        u.audit.append(
            "booking.close",
            actor,
            booking.id,
            {"state": state.value, "outcome": outcome.value, "refund": refund},
            request_id,
            prison_id=booking.prison_id,
        )
        return booking
