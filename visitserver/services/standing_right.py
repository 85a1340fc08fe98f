"""Whether the right to a booked visit still stands when its people come: rights change after a booking is made."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor
from visitserver.domain.calls import Call
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import Restriction, RestrictionEffect
from visitserver.domain.scheduling import Booking, SupervisionLevel
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.uow import UnitOfWork

TURNED_AWAY: Final = "call.turned_away"
"""The audit log's word for it; services/call_events.py looks for it when a call is over."""


async def require_standing_right(u: UnitOfWork, booking: Booking, call: Call, clock: Clock) -> None:
    """Conflict (code `right_lost`) unless every caller's relationship is active and no restriction stands against it.

    A source that cannot be read raises, so nobody joins on it. The words are the same for every cause, and for both
    sides: neither learns that the other one, a court or the prison has said no.
    """
    policies = await u.policies.at(booking.prison_id, clock())
    acceptance_required = policies.flag(keys.ACCEPTANCE_REQUIRED)
    for participant in booking.participants:
        link = await u.rights.get_relationship(participant.relationship_id, fresh=True)
        if link.call_kind is not booking.kind or not link.is_active(acceptance_required=acceptance_required):
            raise _lost()
    prison = await u.people.get_prison(booking.prison_id)
    day = booking.starts_at.astimezone(prison.zone).date()
    found = await u.rights.restrictions_touching(
        prisoner_id=booking.prisoner_id,
        contact_ids=booking.contact_ids,
        relationship_ids=[participant.relationship_id for participant in booking.participants],
        first=day,
        last=day,
    )
    kept = {flag.key for flag in await u.flags.of_booking(booking.id) if flag.stands_kept}
    if any(_forbids(each, booking, call, kept) for each in found if each.applies_on(day)):
        raise _lost()


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


def _forbids(restriction: Restriction, booking: Booking, call: Call, kept: Collection[str]) -> bool:
    """`kept` are the restrictions in spite of which a person has kept the booking."""
    match restriction.effective:
        case RestrictionEffect.BLOCK:
            return True
        case RestrictionEffect.LIVE_SUPERVISED if not call.privileged:
            # The call's room was chartered with what was known when it was opened.
            return call.supervision != SupervisionLevel.LIVE.value
        case _:
            # A person looks at it first: whoever decided about this booking has seen what was there by then.
            seen = restriction.id in kept or restriction.created_at <= (booking.decided_at or booking.created_at)
            return not seen


def _lost() -> Conflict:
    return Conflict("This visit does not take place.", code="right_lost")
