"""Places that are kept for a few minutes: giving back what is over, and what somebody keeps already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from visitserver.domain.actors import SYSTEM, Actor
from visitserver.domain.scheduling import BookingState, HoldKind
from visitserver.services.freed import note_freed
from visitserver.services.ports.uow import UnitOfWork

HOLDS_AT_ONCE = 100
"""How many lapsed holds one transaction clears away."""


async def release_holds(
    u: UnitOfWork, actor: Actor, booking_ids: Sequence[str], now: datetime, request_id: str | None
) -> None:
    """Give back what the actor keeps already: nobody keeps a whole month for themselves."""
    for booking_id in booking_ids:
        held = await u.scheduling.get_booking(booking_id, for_update=True)
        if held.state is not BookingState.HELD or held.hold_kind is HoldKind.OFFER:
            continue
        held.move(BookingState.WITHDRAWN)
        await u.flush()
        await u.scheduling.release(held.id)
        note_freed(u, held, now=now, request_id=request_id)
        u.audit.append("booking.hold_released", actor, held.id, None, request_id, prison_id=held.prison_id)


async def clear_lapsed_holds(
    u: UnitOfWork,
    now: datetime,
    *,
    but: str | None = None,
    around: tuple[datetime, datetime] | None = None,
) -> int:
    """Give back the places of holds whose time is over, within this transaction. Gives how many, at most HOLDS_AT_ONCE.

    `around`: only of visits that start in this interval (those that can stand in somebody's way). Holds that somebody
    else is changing just now are left to them.
    """
    count = 0
    for held in await u.scheduling.lapsed_holds(now, HOLDS_AT_ONCE, around=around):
        if held.id == but:
            continue
        held.move(BookingState.EXPIRED)
        await u.scheduling.release(held.id)
        note_freed(u, held, now=now)
        u.audit.append("booking.hold_expired", SYSTEM, held.id, prison_id=held.prison_id)
        count += 1
    return count
