"""What became of an offered place: read off its booking, written once."""

from __future__ import annotations

from typing import Final

from visitserver.domain.actors import Actor, system_actor
from visitserver.domain.clock import Clock
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.domain.waitlist import EntryState, OfferState, WaitlistEntry, WaitlistOffer
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

ACTOR: Final = system_actor("waitlist")


class OfferSettling:
    """Closes offers. The booking is what counts: whichever way it was confirmed or given back, this follows."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def settle(self, offer_id: str, *, by: Actor = ACTOR, request_id: str | None = None) -> WaitlistOffer:
        """Bring the offer and its entry in line with the booking. Doing it again changes nothing."""
        async with self._uow() as u:
            found = await u.offers.get_offer(offer_id)
            # The entry first, then its offer: everybody takes them in this order.
            entry = await u.offers.get_entry(found.entry_id, for_update=True)
            offer = await u.offers.get_offer(offer_id, for_update=True)
            if offer.state is not OfferState.STANDING:
                return offer
            booking = await u.scheduling.get_booking(offer.booking_id, for_update=True)
            state = _became(booking)
            if state is OfferState.STANDING:
                return offer
            self._close(u, entry, offer, state, by, request_id)
            await u.commit()
            return offer

    def _close(
        self,
        u: UnitOfWork,
        entry: WaitlistEntry,
        offer: WaitlistOffer,
        state: OfferState,
        by: Actor,
        request_id: str | None,
    ) -> None:
        now = self._clock()
        offer.settle(state, at=now)
        if entry.state is EntryState.OFFERED:
            match state:
                case OfferState.ACCEPTED:
                    entry.accepted(offer.booking_id, at=now)
                case OfferState.DECLINED:
                    entry.declined(at=now)
                case OfferState.LAPSED:
                    entry.lapsed(at=now)
                case _:
                    entry.taken_back()
        u.audit.append(
            f"waitlist.{state}",
            by,
            entry.id,
            {"offer": offer.id, "booking": offer.booking_id, "slot": offer.slot_key, "entry": entry.state.value},
            request_id,
            prison_id=entry.prison_id,
        )
        if state is OfferState.LAPSED:
            u.outbox.add(
                "waitlist.lapsed",
                {"offer_id": offer.id, "entry_id": entry.id, "booking_id": offer.booking_id},
                dedupe_key=f"waitlist.lapsed:{offer.id}",
                request_id=request_id,
            )


def _became(booking: Booking) -> OfferState:
    match booking.state:
        case BookingState.HELD:
            return OfferState.STANDING
        case BookingState.EXPIRED:
            return OfferState.LAPSED
        case BookingState.WITHDRAWN:
            # Given back before it was confirmed: by the family, or taken back by the prison.
            own = (booking.decided_by or "").startswith("family:")
            return OfferState.DECLINED if own else OfferState.WITHDRAWN
        case _:
            return OfferState.ACCEPTED
