"""Asks the rules again about a booking that stands, as for its confirmation, without placing or locking anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from visitserver.domain.actors import ActorKind
from visitserver.domain.blocks import Block
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Outcome
from visitserver.domain.flagging import Found, reasons_of
from visitserver.domain.flags import FlagType, Reason
from visitserver.domain.people import Prison
from visitserver.domain.rules.discipline import discipline
from visitserver.domain.rules.engine import Rule, decide
from visitserver.domain.rules.facts import Known, Missing
from visitserver.domain.rules.order import decide_visit
from visitserver.domain.rules.relationship import relationship
from visitserver.domain.rules.restrictions import restrictions
from visitserver.domain.scheduling import Booking, SessionTemplate, SessionTerms, Slot, SupervisionLevel
from visitserver.domain.slots import slot_at
from visitserver.services.background import Background, Party
from visitserver.services.facts import FactsReader
from visitserver.services.ports.uow import UnitOfWork

RIGHTS: Final[tuple[Rule, ...]] = (relationship, restrictions, discipline)
"""The rules about the right itself: of time, place and pay nobody is asked at the door any more."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the rules say about a booking now, and the facts they had. `slot` is the booking's own time."""

    background: Background
    slot: Slot
    found: Found


class BookingCheck:
    """Finds what stands against a booking."""

    def __init__(self, clock: Clock, facts: FactsReader) -> None:
        self._clock = clock
        self._facts = facts

    async def check(self, u: UnitOfWork, booking: Booking) -> Checked:
        """Ask every rule, the booking not in its own way and paid for."""
        background, template = await self._read(u, booking)
        slot = _slot(template, booking, background)
        rooms = await self._facts.rooms(u, background, [slot], but=booking.id)
        facts = background.facts(slot, rooms[slot.key], already_charged=True)
        decision = decide_visit(replace(facts, kind=booking.kind))
        watched = booking.privileged or booking.supervision is SupervisionLevel.LIVE
        reasons, unknown = reasons_of(decision.trace, await self._accepted(u, booking), watched=watched)
        reasons = [_dated(each, booking, background) for each in reasons]
        day_is_offered = _is_valid(template, _day(booking, background.party.prison))
        reasons += _of_its_place(booking, template, background, day_is_offered=day_is_offered)
        return Checked(background, slot, Found(tuple(_each_once(reasons)), frozenset(unknown)))

    async def right(self, u: UnitOfWork, booking: Booking, *, watched: bool) -> Found:
        """Ask only whether its people have a right to it (RIGHTS). `watched`: an officer's watch is part of it."""
        background, template = await self._read(u, booking)
        facts = background.facts(_slot(template, booking, background), Missing("occupancy", "not_asked"))
        decision = decide(replace(facts, kind=booking.kind), RIGHTS)
        reasons, unknown = reasons_of(decision.trace, await self._accepted(u, booking), watched=watched)
        return Found(tuple(reasons), frozenset(unknown))

    async def _read(self, u: UnitOfWork, booking: Booking) -> tuple[Background, SessionTemplate]:
        ordered = sorted(booking.participants, key=lambda each: (not each.lead, each.contact_id))
        links = [await u.rights.get_relationship(each.relationship_id, fresh=True) for each in ordered]
        prisoner = await u.people.get_prisoner(booking.prisoner_id)
        # The prison of the booking, wherever the prisoner is by now: that is one of the questions.
        prison = await u.people.get_prison(booking.prison_id)
        contacts = await u.people.contacts([each.contact_id for each in links])
        day = _day(booking, prison)
        background = await self._facts.background(
            u,
            Party(prison, prisoner, tuple(links), contacts),
            now=self._clock(),
            # Whoever booked, it is booked: what only staff may book stands as well.
            asked_by=ActorKind.SYSTEM,
            first=day,
            last=day,
            but=booking.id,
        )
        return background, await u.scheduling.get_template(booking.template_id)

    async def _accepted(self, u: UnitOfWork, booking: Booking) -> list[dict[str, Any]]:
        """The trace with which the booking was last decided."""
        kept = await u.rights.decisions_of_booking(booking.id)
        return next((each.trace for each in reversed(kept) if each.outcome is not Outcome.REFUSE), [])


def decided_at(booking: Booking) -> datetime:
    """When the booking was last looked at as a whole, by its booker or by whoever approved it."""
    return booking.decided_at or booking.created_at


def _day(booking: Booking, prison: Prison) -> date:
    return booking.starts_at.astimezone(prison.zone).date()


def _slot(template: SessionTemplate, booking: Booking, background: Background) -> Slot:
    offered = slot_at(template, background.party.prison.zone, booking.starts_at, buffer=background.buffer)
    return offered or _own_slot(template, booking, background)


def _is_valid(template: SessionTemplate, day: date) -> bool:
    return template.valid_from <= day and (template.valid_to is None or day <= template.valid_to)


def _own_slot(template: SessionTemplate, booking: Booking, background: Background) -> Slot:
    """The booking's time as a slot, though the session is not offered then any more."""
    day = _day(booking, background.party.prison)
    return Slot(SessionTerms.of(template), booking.starts_at, booking.ends_at, day)


def _dated(reason: Reason, booking: Booking, background: Background) -> Reason:
    """An alert that was there when the booking was decided, and stands against it now, has been changed."""
    if reason.type is not FlagType.ALERT_CREATED or not isinstance(background.alerts, Known):
        return reason
    alert = next((each for each in background.alerts.value if each.id == reason.key), None)
    if alert is None or alert.created_at > decided_at(booking):
        return reason
    return replace(reason, type=FlagType.ALERT_UPDATED)


def _of_its_place(
    booking: Booking, template: SessionTemplate, background: Background, *, day_is_offered: bool
) -> list[Reason]:
    """What the rules do not know of: the very station that the booking has, and the session it stands on."""
    reasons = []
    if booking.station_id not in background.stations:
        reasons.append(_place(FlagType.STATION_OUT, booking.station_id, "The station is out of service.", "station"))
    if isinstance(background.blocks, Known):
        for block in background.blocks.value:
            if block.stops(booking.template_id, booking.station_id, booking.starts_at, booking.ends_at):
                reasons.append(_place(_type_of(block), block.id, "The time is blocked.", "block"))
    if not day_is_offered:
        reasons.append(
            _place(FlagType.SESSION_BLOCKED, template.id, "The session is not held on that day any more.", "template")
        )
    return reasons


def _type_of(block: Block) -> FlagType:
    if block.whole_prison:
        return FlagType.DATE_BLOCKED
    return FlagType.STATION_OUT if block.station_ids else FlagType.SESSION_BLOCKED


def _place(type_: FlagType, key: str, why: str, name: str) -> Reason:
    return Reason(type_, key, {"rule": "place", "outcome": "refuse", "binding": False, "why": why, name: key})


def _each_once(reasons: list[Reason]) -> list[Reason]:
    """The first of several with one identity."""
    return list({each.identity: each for each in reversed(reasons)}.values())[::-1]
