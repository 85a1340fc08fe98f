"""Moving a booking to another time, or to other callers: one transaction, the same booking.

The booking keeps its id, so that the invitation in people's calendars (whose UID is made of it) moves along; its
revision grows and BookingChange keeps what it was (docs/decisions/0220).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Outcome
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.rights import Relationship
from visitserver.domain.scheduling import Booking, BookingChange, BookingParticipant, BookingState
from visitserver.services.access_checks import own_prison
from visitserver.services.allowance import AllowanceService
from visitserver.services.freed import note_freed
from visitserver.services.names import Locked
from visitserver.services.places import take_place
from visitserver.services.placing import Considered, Placing, chosen_overrides, place_gone
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.settling import Settling


@dataclass(frozen=True, slots=True)
class _Move:
    """Where to, with whom, why."""

    considered: Considered
    links: Sequence[Relationship]
    station_id: str | None
    reason: str | None
    overdraw: bool


class Moving:
    """The use case."""

    def __init__(self, clock: Clock, placing: Placing, allowance: AllowanceService, settling: Settling) -> None:
        self._clock = clock
        self._placing = placing
        self._allowance = allowance
        self._settling = settling

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
        """See BookingService.change."""
        chosen = chosen_overrides(actor, overrides)

        async def work(u: UnitOfWork) -> Booking:
            booking = await u.scheduling.get_booking(booking_id)
            self._settling.leads(actor, booking)
            locked = await self._links(u, actor, booking, slot_key, guests)
            booking = await u.scheduling.get_booking(booking_id, for_update=True)
            if guests is None:
                # Somebody may have declined between the look and the lock.
                locked = locked.only(booking.contact_ids)
            same_party = {each.contact_id for each in locked.links} == set(booking.contact_ids)
            same_place = booking.slot_key == slot_key and station_id in (None, booking.station_id)
            if same_place and same_party and booking.open:
                return booking
            if revision is not None and booking.revision != revision:
                raise Conflict("Somebody changed this booking meanwhile.", code="booking_changed")
            given = await self._may_move(u, actor, booking, reason)
            considered = await self._placing.consider(u, actor, locked, slot_key, booking=booking, overrides=chosen)
            own_prison_of_slot(actor, considered)
            move = _Move(considered, considered.party.relationships, station_id, given, overdraw="allowance" in chosen)
            await self._move(u, actor, booking, move, request_id)
            await u.commit()
            return booking

        return await self._placing.run(actor, "change", request_id, work)

    async def _links(
        self, u: UnitOfWork, actor: Actor, booking: Booking, slot_key: str, guests: Sequence[str] | None
    ) -> Locked:
        if guests is None:
            return await self._placing.links_of(u, booking, slot_key)
        return await self._placing.links(u, actor, booking.lead.relationship_id, guests, slot_key)

    async def _may_move(self, u: UnitOfWork, actor: Actor, booking: Booking, reason: str | None) -> str | None:
        if booking.state is BookingState.HELD:
            raise Conflict("This place is only kept for you. Choose the other time instead.", code="booking_state")
        if not booking.open:
            raise Conflict("This booking is over.", code="booking_state")
        policies = await u.policies.at(booking.prison_id, self._clock())
        given = self._settling.need_late_reason(policies, actor, booking, reason)
        if await u.calls.find_of_booking(booking.id) is not None:
            raise Conflict("The waiting room of this visit is open already.", code="visit_begun")
        return given

    async def _move(self, u: UnitOfWork, actor: Actor, booking: Booking, move: _Move, request_id: str | None) -> None:
        considered, links, slot = move.considered, move.links, move.considered.slot
        if move.station_id is not None and move.station_id not in slot.station_ids:
            raise Invalid("This session does not use that station.", code="station", field="station_id")
        cost = None if booking.privileged else slot.credit_type
        if booking.charged and cost != booking.credit_type:
            raise Conflict(
                "This time costs another kind of visit credit. Cancel this visit and book that one.",
                code="other_credit",
            )
        now = self._clock()
        moved = booking.slot_key != slot.key
        outcome = OutcomeCode.SUPERSEDED if moved else OutcomeCode.DETAILS_CHANGED
        before = {"from": booking.slot_key, "outcome": outcome.value}
        await u.scheduling.release(booking.id)
        if moved:
            note_freed(u, booking, now=now, request_id=request_id)
        booking.revision += 1
        u.scheduling.add(
            BookingChange(
                id=new_id("chg"),
                booking_id=booking.id,
                revision=booking.revision,
                at=now,
                actor=actor.reference,
                outcome=outcome.value,
                from_slot_key=booking.slot_key,
                from_starts_at=booking.starts_at,
                from_ends_at=booking.ends_at,
                from_station_id=booking.station_id,
                to_slot_key=slot.key,
                reason=move.reason,
            )
        )
        booking.prison_id, booking.template_id, booking.slot_key = slot.prison_id, slot.template_id, slot.key
        booking.starts_at, booking.ends_at = slot.starts_at, slot.ends_at
        booking.supervision, booking.credit_type = considered.supervision, cost
        booking.overbook_reason = considered.overbook_reason
        booking.acknowledged_at = booking.escalated_at = None
        if {each.contact_id for each in links} != set(booking.contact_ids):
            booking.participants = _participants(booking, links)
        if not await take_place(
            u, booking, slot, considered.background, station_id=move.station_id, seen=considered.seen
        ):
            raise place_gone(considered, booking.id)
        self._decided(booking, considered)
        await self._allowance.charge_within(u, actor, booking, overdraw=move.overdraw, read=considered.background)
        self._placing.note(u, "booking.change", actor, booking, considered, request_id, **before)
        booked = booking.state is BookingState.BOOKED
        self._settling.tell(u, "booking.changed" if booked else "booking.requested", booking, request_id)

    def _decided(self, booking: Booking, considered: Considered) -> None:
        """What a person decided about the old time says nothing about the new one."""
        wanted = BookingState.REQUESTED if considered.decision.outcome is Outcome.REVIEW else BookingState.BOOKED
        if booking.state is not wanted:
            booking.move(wanted)
        booking.requested_at = self._clock() if wanted is BookingState.REQUESTED else None
        booking.decided_by, booking.decided_at, booking.reason = None, None, None


def own_prison_of_slot(actor: Actor, considered: Considered) -> None:
    """Staff move bookings within their own prison; NotFound otherwise."""
    if not actor.is_family:
        own_prison(actor, considered.slot.prison_id)


def _participants(booking: Booking, links: Sequence[Relationship]) -> list[BookingParticipant]:
    """The callers as `links` has them, the lead first; those who stay keep their row."""
    stay = {each.contact_id: each for each in booking.participants}
    return [
        stay.get(each.contact_id) or BookingParticipant(booking.id, each.contact_id, each.id, lead=number == 0)
        for number, each in enumerate(links)
    ]
