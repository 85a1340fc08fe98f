"""Whether the right to a booked visit still stands when its people come: rights change after a booking is made."""

from __future__ import annotations

from typing import Final

from visitserver.domain.actors import Actor
from visitserver.domain.calls import Call
from visitserver.domain.errors import Conflict, Unavailable
from visitserver.domain.flagging import compare
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import Booking, SupervisionLevel
from visitserver.services.booking_check import BookingCheck
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.uow import UnitOfWork

TURNED_AWAY: Final = "call.turned_away"
"""The audit log's word for it; services/call_events.py looks for it when a call is over."""


async def require_standing_right(u: UnitOfWork, booking: Booking, call: Call, check: BookingCheck) -> None:
    """Conflict (code `right_lost`) unless the rules about the right (BookingCheck.right) have nothing against the call.

    What was seen when the booking was decided, and what a person has kept it in spite of since, closes no door; a
    relationship that is gone, a ban and a court's order always do. Unavailable when a source cannot be read: nobody
    joins on it. The words are the same for every cause, and for both sides: neither learns that the other one, a court
    or the prison has said no.
    """
    # The call's room was chartered with what was known when it was opened.
    watched = call.privileged or call.supervision == SupervisionLevel.LIVE.value
    found = await check.right(u, booking, watched=watched)
    kept = [flag for flag in await u.flags.of_booking(booking.id) if flag.stands_kept]
    to_watch = any(each.attributes["outcome"] == "live" for each in found.reasons)
    if to_watch or compare(kept, found, booking.starts_at).new:
        raise _lost()
    if found.unknown:
        raise Unavailable("The right to this visit cannot be looked at now.")


async def note_turned_away(u: UnitOfWork, actor: Actor, call: Call, request_id: str | None) -> None:
    """Note that `actor` came to the call and was refused with `right_lost`: once for each who came, and only people of
    the visit come to it."""
    if not (actor.is_family or actor.is_prisoner):
        return
    wanted = AuditFilter(action=TURNED_AWAY, actor_id=actor.id, object_id=call.id)
    if not (await u.audit.rows(wanted, PageRequest(limit=1))).items:
        u.audit.append(TURNED_AWAY, actor, call.id, {}, request_id, prison_id=call.prison_id)


async def was_turned_away(u: UnitOfWork, call: Call) -> bool:
    """Whether anybody came to the call and was refused with `right_lost`."""
    wanted = AuditFilter(action=TURNED_AWAY, object_id=call.id)
    return bool((await u.audit.rows(wanted, PageRequest(limit=1))).items)


def _lost() -> Conflict:
    return Conflict("This visit does not take place.", code="right_lost")
