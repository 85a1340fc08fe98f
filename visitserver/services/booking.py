"""Hold, confirm, change, cancel; bookings by staff; requests that a person decides. Each is one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Forbidden
from visitserver.domain.rejections import RejectionReason
from visitserver.domain.scheduling import Booking, BookingState, Hold, HoldKind
from visitserver.services.allowance import AllowanceService
from visitserver.services.cancelling import CancelledMany, Cancelling
from visitserver.services.guests import Declining
from visitserver.services.holds import HOLDS_AT_ONCE, clear_lapsed_holds
from visitserver.services.moving import Moving
from visitserver.services.placing import Placing, chosen_overrides
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.requests import Requests
from visitserver.services.settling import Settling


class BookingService(Declining):
    """A booking's life until its call, and how it ends. A guest's declining is inherited."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, placing: Placing, allowance: AllowanceService) -> None:
        super().__init__(uow, clock)
        self._placing = placing
        self._settling = Settling(clock, placing, allowance)
        self._moving = Moving(clock, placing, allowance, self._settling)
        self._cancelling = Cancelling(uow, clock, allowance, self._settling)
        self._requests = Requests(uow, clock, placing, self._settling)

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
            considered = await self._placing.consider(
                u, actor, links, slot_key, instead_of_holds=actor.is_family, request_id=request_id
            )
            booking = await self._placing.place(u, actor, considered)
            minutes = considered.background.policies.number(keys.HOLD_MINUTES)
            booking.hold_expires_at = self._clock() + timedelta(minutes=minutes)
            self._placing.note(u, "booking.hold", actor, booking, considered, request_id)
            await u.commit()
            return Hold(booking.id, considered.slot, booking.hold_expires_at, may_extend=True)

        return await self._placing.run(actor, "hold", request_id, work)

    async def offer(
        self,
        actor: Actor,
        relationship_id: str,
        slot_key: str,
        *,
        guests: Sequence[str] = (),
        lasts: timedelta | None = None,
        also: Callable[[UnitOfWork, Booking], Awaitable[None]] | None = None,
        request_id: str | None = None,
    ) -> Hold:
        """Keep a freed place for somebody on the waiting list, for `lasts` (default: policy `waitlist.offer_minutes`).

        The system's, or staff's. The rules are asked as for the family, and the booker confirms or cancels it like any
        hold; it cannot be extended, and another hold of theirs does not give it back. Raises as `hold`.
        `also` is done in the same transaction, with the booking placed: what the waiting list writes about it.
        """
        if not (actor.is_system or actor.is_staff):
            raise Forbidden("Places are offered by the waiting list.")

        async def work(u: UnitOfWork) -> Hold:
            links = await self._placing.links(u, actor, relationship_id, guests, slot_key)
            considered = await self._placing.consider(u, actor, links, slot_key, asked_by=ActorKind.FAMILY)
            booking = await self._placing.place(u, actor, considered, HoldKind.OFFER)
            policy = timedelta(minutes=considered.background.policies.number(keys.OFFER_MINUTES))
            # An offer never outlasts the visit's own beginning.
            booking.hold_expires_at = min(self._clock() + (lasts or policy), considered.slot.starts_at)
            self._placing.note(u, "booking.offer", actor, booking, considered, request_id)
            if also is not None:
                await also(u, booking)
            await u.commit()
            return Hold(booking.id, considered.slot, booking.hold_expires_at, may_extend=False)

        return await self._placing.run(actor, "offer", request_id, work)

    async def extend(self, actor: Actor, hold_id: str, *, request_id: str | None = None) -> Booking:
        """Keep the place for another few minutes from now, once. Conflict the second time and when it has lapsed."""
        async with self._uow() as u:
            booking = await self._held(u, actor, hold_id)
            if booking.hold_extended or booking.hold_kind is HoldKind.OFFER:
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
            self._settling.leads(actor, booking)
            links = await self._placing.links_of(u, booking)
            booking = await u.scheduling.get_booking(hold_id, for_update=True)
            if booking.state in (BookingState.BOOKED, BookingState.REQUESTED):
                return booking
            self._not_lapsed(booking)
            considered = await self._placing.consider(u, actor, links, booking.slot_key, booking=booking)
            await self._settling.settle(u, actor, booking, considered, request_id)
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

        Setting `free_place` aside books beyond the session's capacity, for whoever may (action `schedule.overbook`).
        Raises Forbidden for families, Invalid for a rule that cannot be set aside, otherwise as `hold`.
        """
        if not (actor.is_staff or actor.is_system):
            raise Forbidden("Only staff book in one step.")
        chosen = chosen_overrides(actor, overrides)

        async def work(u: UnitOfWork) -> Booking:
            links = await self._placing.links(u, actor, relationship_id, guests, slot_key)
            considered = await self._placing.consider(u, actor, links, slot_key, overrides=chosen)
            booking = await self._placing.place(u, actor, considered)
            await self._settling.settle(u, actor, booking, considered, request_id, overdraw="allowance" in chosen)
            await u.commit()
            return booking

        return await self._placing.run(actor, "book", request_id, work)

    async def decide(
        self,
        actor: Actor,
        booking_id: str,
        *,
        approve: bool,
        reason: str,
        rejection: RejectionReason | None = None,
        rejection_day: date | None = None,
        words: str | None = None,
        request_id: str | None = None,
    ) -> Booking:
        """A person decides a REQUESTED booking. Approving checks everything again: a refusal stays a refusal.

        `reason` is for staff. What the family is told of a rejection is `rejection` (default: other) with its day, and
        `words` that staff wrote for them.

        That it is too late to book meanwhile is no objection: it was asked for in time.
        """
        return await self._requests.decide(
            actor,
            booking_id,
            approve=approve,
            reason=reason,
            rejection=rejection,
            rejection_day=rejection_day,
            words=words,
            request_id=request_id,
        )

    async def lapse_requests(self) -> int:
        """The minute job of rule 21: reject what nobody decided in time, escalate what is about to lapse; how many."""
        return await self._requests.run_once()

    async def change(
        self,
        actor: Actor,
        booking_id: str,
        slot_key: str,
        *,
        guests: Sequence[str] | None = None,
        station_id: str | None = None,
        revision: int | None = None,
        reason: str | None = None,
        overrides: Mapping[str, str] | None = None,
        request_id: str | None = None,
    ) -> Booking:
        """Move a REQUESTED or BOOKED booking to another time, and (with `guests`) to other further callers.

        One transaction: everything is checked again for the new time, its place is taken, the old one given back, the
        credit stays with the booking. When any of it fails the booking stays as it was. It keeps its id; `revision`
        grows. It becomes REQUESTED where the new time needs a person's look. Moving it to where it is changes nothing.

        `station_id`: to that station of the session and no other. `revision`: only if it is still this one (Conflict
        `booking_changed`). `reason` as for `cancel`; `overrides` (staff) as for `book`.
        Raises DecisionRefused, Conflict (`visit_begun`, `booking_state`, `other_credit` when the new time costs another
        kind of credit), Invalid (`reason_required`), NotFound.
        """
        return await self._moving.change(
            actor,
            booking_id,
            slot_key,
            guests=guests,
            station_id=station_id,
            revision=revision,
            reason=reason,
            overrides=overrides,
            request_id=request_id,
        )

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
        """Give the place and the credit back. Late (policy `booking.free_cancel_hours`), and by staff, with a reason.

        `outcome` (staff and system only): on whose account; else it is who cancels that says so. `words`: what staff
        wrote for the family; `reason` is for staff.
        Raises Invalid (`reason_required`) and Conflict when the call has begun or the booking is over. Cancelling what
        is cancelled gives it back unchanged: one refund.
        """
        return await self._cancelling.cancel(
            actor, booking_id, reason=reason, outcome=outcome, words=words, request_id=request_id
        )

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
        """Staff cancel many bookings with one reason; the people of each are told as of any cancellation, with `words`.

        One transaction each, so that one that cannot be cancelled (its code is in `refused`) keeps none of the others.
        Doing it again does the rest. Invalid for more than MOST_AT_ONCE.
        """
        return await self._cancelling.cancel_many(
            actor, booking_ids, reason, outcome, words=words, request_id=request_id
        )

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
        """Within the transaction of whoever knows how the call went: COMPLETED, NO_SHOW or FAILED, with its code.

        `refund` gives the credit back as our own fault; `owed` are seconds that were lost without the callers' doing.
        Closing what is closed changes nothing, so events may come twice.
        """
        return await self._cancelling.close_within(
            u, actor, booking_id, state, outcome, refund=refund, owed=owed, request_id=request_id
        )

    async def expire_holds(self) -> int:
        """The minute job: give back what lapsed holds kept. Booking clears those in its way too; this does the rest."""
        total = 0
        while True:
            async with self._uow() as u:
                count = await clear_lapsed_holds(u, self._clock())
                if count:
                    await u.commit()
            total += count
            if count < HOLDS_AT_ONCE:
                return total

    async def _held(self, u: UnitOfWork, actor: Actor, hold_id: str) -> Booking:
        booking = await u.scheduling.get_booking(hold_id, for_update=True)
        self._settling.leads(actor, booking)
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
