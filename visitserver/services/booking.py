"""Hold, confirm, cancel; bookings by staff; requests that a person decides. Each is one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Outcome
from visitserver.domain.errors import Conflict, Forbidden, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import Booking, BookingState, Hold, SupervisionLevel
from visitserver.services.access_checks import need_reason, own_booking, own_prison
from visitserver.services.allowance import AllowanceService
from visitserver.services.guests import Declining
from visitserver.services.places import take_seat
from visitserver.services.placing import HOLDS_AT_ONCE, OVERRIDABLE, Considered, Placing, clear_lapsed_holds, place_gone
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

_CANCELLED_BY = {
    ActorKind.FAMILY: OutcomeCode.VISITOR_CANCELLED,
    ActorKind.PRISONER: OutcomeCode.PRISONER_CANCELLED,
    ActorKind.STAFF: OutcomeCode.ESTABLISHMENT_CANCELLED,
    ActorKind.SYSTEM: OutcomeCode.ADMINISTRATIVE_CANCELLATION,
}


class BookingService(Declining):
    """A booking's life until its call, and how it ends. A guest's declining is inherited."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, placing: Placing, allowance: AllowanceService) -> None:
        super().__init__(uow, clock)
        self._placing = placing
        self._allowance = allowance

    async def hold(
        self,
        actor: Actor,
        relationship_id: str,
        slot_key: str,
        *,
        guests: Sequence[str] = (),
        request_id: str | None = None,
    ) -> Hold:
        """Keep a place of the slot for a few minutes (policy `booking.hold_minutes`).

        `relationship_id` is the lead's, `guests` are the relationships of further callers with the same prisoner.
        A family keeps one place at a time: whoever chooses another gives the first back.
        Raises DecisionRefused with words for the family, NotFound for a stranger's relationship, Conflict for a time
        that is not offered.
        """

        async def work(u: UnitOfWork) -> Hold:
            links = await self._placing.links(u, actor, relationship_id, guests, slot_key)
            if actor.is_family:
                await self._release_own_holds(u, actor, request_id)
            considered = await self._placing.consider(u, actor, links, slot_key)
            booking = await self._placing.place(u, actor, considered)
            minutes = considered.background.policies.number(keys.HOLD_MINUTES)
            booking.hold_expires_at = self._clock() + timedelta(minutes=minutes)
            self._placing.note(u, "booking.hold", actor, booking, considered, request_id)
            await u.commit()
            return Hold(booking.id, considered.slot, booking.hold_expires_at, may_extend=True)

        return await self._placing.run(actor, "hold", request_id, work)

    async def extend(self, actor: Actor, hold_id: str, *, request_id: str | None = None) -> Booking:
        """Keep the place for another few minutes from now, once. Conflict the second time and when it has lapsed."""
        async with self._uow() as u:
            booking = await self._held(u, actor, hold_id)
            if booking.hold_extended:
                raise Conflict("A place can be kept longer only once.", code="hold_extended")
            now = self._clock()
            policies = await u.policies.at(booking.prison_id, now)
            booking.hold_extended = True
            booking.hold_expires_at = now + timedelta(minutes=policies.number(keys.HOLD_MINUTES))
            u.audit.append("booking.hold_extend", actor, booking.id, None, request_id, prison_id=booking.prison_id)
            await u.commit()
            return booking

    async def confirm(self, actor: Actor, hold_id: str, *, request_id: str | None = None) -> Booking:
        """Turn a hold into a booking: everything is checked again and the credit spent, all in one transaction.

        The result is BOOKED, or REQUESTED when a person has to look first. Confirming what is confirmed already gives
        the same booking. Raises DecisionRefused, or Conflict (`hold_expired`).
        """

        async def work(u: UnitOfWork) -> Booking:
            booking = await u.scheduling.get_booking(hold_id)
            self._leads(actor, booking)
            links = await self._placing.links_of(u, booking)
            booking = await u.scheduling.get_booking(hold_id, for_update=True)
            if booking.state in (BookingState.BOOKED, BookingState.REQUESTED):
                return booking
            self._not_lapsed(booking)
            considered = await self._placing.consider(u, actor, links, booking.slot_key, booking=booking)
            await self._settle(u, actor, booking, considered, request_id)
            await u.commit()
            return booking

        return await self._placing.run(actor, "confirm", request_id, work)

    async def book(
        self,
        actor: Actor,
        relationship_id: str,
        slot_key: str,
        *,
        guests: Sequence[str] = (),
        overrides: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> Booking:
        """Staff book for somebody in one step. `overrides` sets rules aside, each with a reason; only some can be.

        Raises Forbidden for families, Invalid for a rule that cannot be set aside, otherwise as `hold`.
        """
        if not (actor.is_staff or actor.is_system):
            raise Forbidden("Only staff book in one step.")
        chosen = {key: need_reason(reason) for key, reason in (overrides or {}).items()}
        if unknown := sorted(set(chosen) - OVERRIDABLE):
            raise Invalid(f"This rule cannot be set aside: {unknown[0]}.", code="override", field="overrides")

        async def work(u: UnitOfWork) -> Booking:
            links = await self._placing.links(u, actor, relationship_id, guests, slot_key)
            considered = await self._placing.consider(u, actor, links, slot_key, overrides=chosen)
            booking = await self._placing.place(u, actor, considered)
            await self._settle(u, actor, booking, considered, request_id, overdraw="allowance" in chosen)
            await u.commit()
            return booking

        return await self._placing.run(actor, "book", request_id, work)

    async def decide(
        self, actor: Actor, booking_id: str, *, approve: bool, reason: str, request_id: str | None = None
    ) -> Booking:
        """A person decides a REQUESTED booking. Approving checks everything again: a refusal stays a refusal."""
        reason = need_reason(reason)

        async def work(u: UnitOfWork) -> Booking:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            links = await self._placing.links_of(u, booking)
            booking = await u.scheduling.get_booking(booking_id, for_update=True)
            if booking.state is not BookingState.REQUESTED:
                raise Conflict("This booking waits for no decision.", code="booking_state")
            booking.decided_by, booking.decided_at, booking.reason = actor.reference, self._clock(), reason
            booking.revision += 1
            if approve:
                considered = await self._placing.consider(u, actor, links, booking.slot_key, booking=booking)
                await self._watch(u, booking, considered)
                booking.move(BookingState.BOOKED)
                self._placing.note(u, "booking.approve", actor, booking, considered, request_id)
                self._tell(u, "booking.confirmed", booking, request_id)
            else:
                booking.move(BookingState.REJECTED)
                await self._give_back(u, actor, booking, "rejected", request_id)
                u.audit.append("booking.reject", actor, booking.id, None, request_id, prison_id=booking.prison_id)
                self._tell(u, "booking.rejected", booking, request_id)
            await u.commit()
            return booking

        return await self._placing.run(actor, "approve", request_id, work)

    async def cancel(
        self, actor: Actor, booking_id: str, *, reason: str | None = None, request_id: str | None = None
    ) -> Booking:
        """Give the place and the credit back. Late (policy `booking.free_cancel_hours`), and by staff, with a reason.

        Raises Invalid (`reason_required`) and Conflict when the call has begun or the booking is over. Cancelling what
        is cancelled gives it back unchanged: one refund.
        """
        async with self._uow() as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_booking(actor, booking)
            if actor.is_family:
                self._leads(actor, booking)
            await u.lock(f"prisoner:{booking.prisoner_id}")
            booking = await u.scheduling.get_booking(booking_id, for_update=True)
            if booking.state in (BookingState.CANCELLED, BookingState.WITHDRAWN):
                return booking
            if not booking.open:
                raise Conflict("This booking is over.", code="booking_state")
            now = self._clock()
            if booking.state is not BookingState.HELD:
                if now >= booking.starts_at:
                    raise Conflict("This visit has begun.", code="visit_begun")
                policies = await u.policies.at(booking.prison_id, now)
                free_until = booking.starts_at - timedelta(hours=policies.number(keys.FREE_CANCEL_HOURS))
                if now >= free_until or not actor.is_family:
                    reason = need_reason(reason)
            told = booking.state is not BookingState.HELD
            withdrawn = booking.state is BookingState.HELD or (
                actor.is_family and booking.state is BookingState.REQUESTED
            )
            booking.move(BookingState.WITHDRAWN if withdrawn else BookingState.CANCELLED)
            booking.reason, booking.outcome = reason, _CANCELLED_BY[actor.kind].value
            booking.decided_by, booking.decided_at = actor.reference, now
            booking.revision += 1
            await self._give_back(u, actor, booking, "cancelled", request_id)
            u.audit.append(
                "booking.cancel",
                actor,
                booking.id,
                {"outcome": booking.outcome},
                request_id,
                prison_id=booking.prison_id,
            )
            if told:
                self._tell(u, "booking.cancelled", booking, request_id)
            await u.commit()
            return booking

    async def close_within(
        self,
        u: UnitOfWork,
        actor: Actor,
        booking_id: str,
        state: BookingState,
        outcome: OutcomeCode,
        *,
        refund: bool,
        request_id: str | None = None,
    ) -> Booking:
        """Within the transaction of whoever knows how the call went: COMPLETED, NO_SHOW or FAILED, with its code.

        `refund` gives the credit back as our own fault. Closing what is closed changes nothing, so events may come
        twice.
        """
        if state not in (BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED):
            raise ValueError(state)
        booking = await u.scheduling.get_booking(booking_id)
        await u.lock(f"prisoner:{booking.prisoner_id}")
        booking = await u.scheduling.get_booking(booking_id, for_update=True)
        if booking.state in (BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED):
            return booking
        booking.move(state)
        booking.outcome = outcome.value
        if refund:
            await self._allowance.refund_within(u, actor, booking, outcome.value, our_fault=True, request_id=request_id)
        u.audit.append(
            "booking.close",
            actor,
            booking.id,
            {"state": state.value, "outcome": outcome.value, "refund": refund},
            request_id,
            prison_id=booking.prison_id,
        )
        return booking

    async def expire_holds(self) -> int:
        """The minute job: give back what lapsed holds kept. Booking clears them too; this is for the days' pictures."""
        async with self._uow() as u:
            count = await clear_lapsed_holds(u, self._clock())
            if count:
                await u.commit()
            return count

    async def _settle(
        self,
        u: UnitOfWork,
        actor: Actor,
        booking: Booking,
        considered: Considered,
        request_id: str | None,
        *,
        overdraw: bool = False,
    ) -> None:
        await self._watch(u, booking, considered)
        review = considered.decision.outcome is Outcome.REVIEW
        booking.move(BookingState.REQUESTED if review else BookingState.BOOKED)
        booking.hold_expires_at = None
        await self._allowance.charge_within(u, actor, booking, overdraw=overdraw)
        self._placing.note(u, "booking.confirm", actor, booking, considered, request_id)
        self._tell(u, "booking.requested" if review else "booking.confirmed", booking, request_id)

    async def _watch(self, u: UnitOfWork, booking: Booking, considered: Considered) -> None:
        """A restriction may have come since the hold that asks for an officer: then a seat is needed now."""
        if considered.supervision is SupervisionLevel.LIVE and booking.supervision is not SupervisionLevel.LIVE:
            span = considered.background.span(considered.slot)
            if not await take_seat(u, booking, considered.background, span):
                raise place_gone(considered, booking.id)
        if not booking.privileged:
            booking.supervision = considered.supervision

    async def _give_back(
        self, u: UnitOfWork, actor: Actor, booking: Booking, cause: str, request_id: str | None
    ) -> None:
        await u.flush()
        await u.scheduling.release(booking.id)
        await self._allowance.refund_within(
            u, actor, booking, cause, our_fault=not actor.is_family and not actor.is_prisoner, request_id=request_id
        )

    async def _release_own_holds(self, u: UnitOfWork, actor: Actor, request_id: str | None) -> None:
        """Give back what the lead, whose name is locked, keeps already: nobody keeps a whole month for themselves."""
        wanted = BookingFilter(contact_id=actor.id, states=frozenset({BookingState.HELD}))
        for each in (await u.scheduling.bookings(wanted, PageRequest(HOLDS_AT_ONCE))).items:
            if each.lead.contact_id != actor.id:
                continue
            held = await u.scheduling.get_booking(each.id, for_update=True)
            if held.state is not BookingState.HELD:
                continue
            held.move(BookingState.WITHDRAWN)
            await u.flush()
            await u.scheduling.release(held.id)
            u.audit.append("booking.hold_released", actor, held.id, None, request_id, prison_id=held.prison_id)

    async def _held(self, u: UnitOfWork, actor: Actor, hold_id: str) -> Booking:
        booking = await u.scheduling.get_booking(hold_id, for_update=True)
        self._leads(actor, booking)
        self._not_lapsed(booking)
        return booking

    def _not_lapsed(self, booking: Booking) -> None:
        if booking.state is BookingState.EXPIRED or (
            booking.state is BookingState.HELD
            and booking.hold_expires_at is not None
            and booking.hold_expires_at <= self._clock()
        ):
            raise Conflict("The place was kept for a few minutes, and they are over.", code="hold_expired")
        if booking.state is not BookingState.HELD:
            raise Conflict("This place is no longer kept.", code="booking_state")

    @staticmethod
    def _leads(actor: Actor, booking: Booking) -> None:
        own_booking(actor, booking)
        if actor.is_family and booking.lead.contact_id != actor.id:
            raise NotFound("There is no such booking.")
        if actor.is_prisoner:
            raise Forbidden("Visits are booked by the people outside, or by staff.")

    @staticmethod
    def _tell(u: UnitOfWork, topic: str, booking: Booking, request_id: str | None) -> None:
        u.outbox.add(
            topic,
            {"booking_id": booking.id, "revision": booking.revision},
            dedupe_key=f"{topic}:{booking.id}:{booking.revision}",
            request_id=request_id,
        )
