"""News that a booking's place is free again: written in the transaction that gives it back."""

from __future__ import annotations

from datetime import datetime

from visitserver.domain.scheduling import Booking
from visitserver.services.ports.uow import UnitOfWork


def note_freed(u: UnitOfWork, booking: Booking, *, now: datetime, request_id: str | None = None) -> None:
    """Tell the waiting list that the booking's place is free, unless its time has come already.

    References only: whoever offers the place asks every rule anew.
    """
    if booking.starts_at <= now:
        return
    u.outbox.add(
        "place.freed",
        {"prison_id": booking.prison_id, "template_id": booking.template_id, "slot_key": booking.slot_key},
        request_id=request_id,
    )
