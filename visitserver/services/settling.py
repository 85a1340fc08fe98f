"""What becomes of a booking once it is decided: charged, watched, told of; or its place and its credit given back."""

from __future__ import annotations

from datetime import timedelta

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Outcome
from visitserver.domain.errors import Conflict, Forbidden, NotFound
from visitserver.domain.policies import Policies
from visitserver.domain.scheduling import Booking, BookingState, SupervisionLevel
from visitserver.services.access_checks import need_reason, own_booking
from visitserver.services.allowance import AllowanceService
from visitserver.services.freed import note_freed
from visitserver.services.places import take_seat
from visitserver.services.placing import Considered, Placing, place_gone
from visitserver.services.ports.uow import UnitOfWork


class Settling:
    """Steps within the transactions of the booking services. The caller holds the prisoner's name."""

    def __init__(self, clock: Clock, placing: Placing, allowance: AllowanceService) -> None:
        self._clock = clock
        self._placing = placing
        self._allowance = allowance

    async def settle(
        self,
        u: UnitOfWork,
        actor: Actor,
        booking: Booking,
        considered: Considered,
        request_id: str | None,
        *,
        overdraw: bool = False,
    ) -> None:
        """A held booking becomes BOOKED, or REQUESTED when a person has to look; its credit is spent."""
        await self.watch(u, booking, considered)
        review = considered.decision.outcome is Outcome.REVIEW
        booking.move(BookingState.REQUESTED if review else BookingState.BOOKED)
        booking.hold_expires_at = booking.hold_kind = None
        booking.requested_at = self._clock() if review else None
        await self._allowance.charge_within(u, actor, booking, overdraw=overdraw, read=considered.background)
        self._placing.note(u, "booking.confirm", actor, booking, considered, request_id)
        self.tell(u, "booking.requested" if review else "booking.confirmed", booking, request_id)

    async def watch(self, u: UnitOfWork, booking: Booking, considered: Considered) -> None:
        """A restriction may have come since the hold that asks for an officer: then a seat is needed now."""
        newly = considered.supervision is SupervisionLevel.LIVE and booking.supervision is not SupervisionLevel.LIVE
        if newly and not await take_seat(u, booking, considered.slot, considered.background):
            raise place_gone(considered, booking.id)
        if not booking.privileged:
            booking.supervision = considered.supervision

    async def give_back(
        self, u: UnitOfWork, actor: Actor, booking: Booking, cause: str, request_id: str | None
    ) -> None:
        """The booking is over before it began: its place is free and its credit comes back."""
        await u.flush()
        await u.scheduling.release(booking.id)
        note_freed(u, booking, now=self._clock(), request_id=request_id)
        await self._allowance.refund_within(
            u, actor, booking, cause, our_fault=not actor.is_family and not actor.is_prisoner, request_id=request_id
        )

    def need_late_reason(self, policies: Policies, actor: Actor, booking: Booking, reason: str | None) -> str | None:
        """Rule 22: free until `booking.free_cancel_hours` before; later, and by anybody but the family, with a reason.

        Conflict (`visit_begun`) once the visit has begun, Invalid (`reason_required`).
        """
        now = self._clock()
        if now >= booking.starts_at:
            raise Conflict("This visit has begun.", code="visit_begun")
        free_until = booking.starts_at - timedelta(hours=policies.number(keys.FREE_CANCEL_HOURS))
        return need_reason(reason) if now >= free_until or not actor.is_family else reason

    @staticmethod
    def leads(actor: Actor, booking: Booking) -> None:
        """Its lead caller, or staff of its prison; NotFound for others, Forbidden for the prisoner."""
        own_booking(actor, booking)
        if actor.is_family and booking.lead.contact_id != actor.id:
            raise NotFound("There is no such booking.")
        if actor.is_prisoner:
            raise Forbidden("Visits are booked by the people outside, or by staff.")

    @staticmethod
    def tell(u: UnitOfWork, topic: str, booking: Booking, request_id: str | None) -> None:
        """Write what people are to be told, once for each revision."""
        u.outbox.add(
            topic,
            {"booking_id": booking.id, "prison_id": booking.prison_id, "revision": booking.revision},
            dedupe_key=f"{topic}:{booking.id}:{booking.revision}",
            request_id=request_id,
        )
