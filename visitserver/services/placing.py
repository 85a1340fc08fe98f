"""Deciding about one slot within a transaction, and taking the place: what every way of booking has in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from signaling.ids import new_id
from visitserver.domain.access import Role, allows
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision, Outcome, RuleResult
from visitserver.domain.errors import Conflict, DecisionRefused, Forbidden, Invalid, NotFound
from visitserver.domain.occupancy import Resource, places
from visitserver.domain.rights import Relationship
from visitserver.domain.rules.engine import OTHER_TIME
from visitserver.domain.rules.facts import Known, Missing, Room
from visitserver.domain.rules.order import RULES, decide_visit
from visitserver.domain.rules.room import GONE, free_place
from visitserver.domain.scheduling import (
    Booking,
    BookingParticipant,
    BookingState,
    HoldKind,
    Slot,
    SupervisionLevel,
)
from visitserver.domain.slots import parse_slot_key, slot_at
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.background import Background, Party, buffer_of
from visitserver.services.decisions import keep_decision
from visitserver.services.facts import Asked, FactsReader
from visitserver.services.holds import clear_lapsed_holds, release_holds
from visitserver.services.names import Locked, lock_names
from visitserver.services.places import MOST_BEYOND, take_place
from visitserver.services.ports.facts import LinkRows
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.rooms import Occupied

T = TypeVar("T")

LONGEST_BOOKING = timedelta(hours=4)
"""The longest call and the longest pause after it."""

OVERRIDABLE = frozenset(rule.key for rule in RULES if rule.overridable)

OVERBOOK = "schedule.overbook"
"""The action that setting `free_place` aside asks for besides: rule 24."""


@dataclass(frozen=True, slots=True)
class Considered:
    """A slot, all that is known about it, and what the rules say."""

    background: Background
    slot: Slot
    decision: Decision
    room: Known[Room] | Missing
    occupied: Known[Occupied] | Missing

    @property
    def party(self) -> Party:
        return self.background.party

    @property
    def seen(self) -> frozenset[Resource] | None:
        """What is taken at the slot's time, as far as it was looked at; None when it could not be read."""
        if isinstance(self.occupied, Missing):
            return None
        return self.occupied.value.taken.resources(self.background.span(self.slot))

    @property
    def supervision(self) -> SupervisionLevel:
        """How this call is to be watched: never a privileged one, live where a rule asks for it."""
        if self.party.relationships[0].call_kind.privileged:
            return SupervisionLevel.NONE
        return SupervisionLevel.LIVE if self.decision.live_supervision else self.slot.supervision

    @property
    def overbook_reason(self) -> str | None:
        """Why the visit is placed beyond the session's capacity, when it is."""
        full = isinstance(self.room, Known) and self.room.value.free_places <= 0
        return self.background.overrides.get(free_place.key) if full else None


class Refused(Exception):
    """Inside a transaction: it is to be rolled back, the decision kept, and DecisionRefused raised."""

    def __init__(self, considered: Considered, decision: Decision | None = None, booking_id: str | None = None) -> None:
        super().__init__(considered.slot.key)
        self.considered = considered
        self.decision = decision or considered.decision
        self.booking_id = booking_id


class Placing:
    """Reads, decides and places within the transactions of the booking services."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts

    async def run(
        self, actor: Actor, purpose: str, request_id: str | None, work: Callable[[UnitOfWork], Awaitable[T]]
    ) -> T:
        """Do `work` in a write transaction. When it raises Refused, the decision is kept and DecisionRefused raised."""
        try:
            async with self._uow() as u:
                return await work(u)
        except Refused as refused:
            about = refused.considered
            async with self._uow() as u:
                keep_decision(
                    u,
                    refused.decision,
                    at=self._clock(),
                    purpose=purpose,
                    actor=actor,
                    prison_id=about.slot.prison_id,
                    prisoner_id=about.party.prisoner.id,
                    booking_id=refused.booking_id,
                    slot_key=about.slot.key,
                )
                u.audit.append(
                    "booking.refused",
                    actor,
                    refused.booking_id or about.party.relationships[0].id,
                    {"purpose": purpose, "slot": about.slot.key, "rules": [r.key for r in refused.decision.deciding]},
                    request_id,
                    prison_id=about.slot.prison_id,
                )
                await u.commit()
            raise DecisionRefused(refused.decision) from refused

    async def links(
        self, u: UnitOfWork, actor: Actor, relationship_id: str, guests: Sequence[str], slot_key: str
    ) -> Locked:
        """The lead's relationship and the guests', with the locks of everybody they concern.

        The slot's template is locked too, shared: it is not ended while somebody is being placed on it. So are those
        whom the prisoner must not meet: of two bookings at once the second sees the first. What is decided is decided
        by what is read after that: `consider` reads all of it again.
        """
        rows = await self._own_rows(u, actor, relationship_id, guests)
        if not actor.is_family:
            own_prison(actor, rows.prison_id)
        return await lock_names(u, rows, slot_key)

    async def links_to_look(
        self, u: UnitOfWork, actor: Actor, relationship_id: str, guests: Sequence[str]
    ) -> tuple[Relationship, ...]:
        """The same without locks, for looking at what could be booked."""
        rows = await self._own_rows(u, actor, relationship_id, guests)
        if not actor.is_family:
            own_prison(actor, rows.prison_id)
        return rows.links

    async def own_links(
        self, u: UnitOfWork, actor: Actor, relationship_id: str, guests: Sequence[str]
    ) -> tuple[Relationship, ...]:
        """The relationships as far as they concern one prisoner and (for families) are the actor's own to use."""
        return (await self._own_rows(u, actor, relationship_id, guests)).links

    async def _own_rows(self, u: UnitOfWork, actor: Actor, relationship_id: str, guests: Sequence[str]) -> LinkRows:
        if actor.is_prisoner:
            raise Forbidden("Visits are booked by the people outside, or by staff.")
        rows = await u.facts.links((relationship_id, *guests))
        lead = rows.links[0]
        if actor.is_family and lead.contact_id != actor.id:
            raise NotFound("There is no such relationship.")
        if any(each.prisoner_id != lead.prisoner_id for each in rows.links):
            raise NotFound("There is no such relationship.")
        if len({each.contact_id for each in rows.links}) != len(rows.links):
            raise Invalid("Everybody is on a call once.", code="callers", field="guests")
        return rows

    async def links_of(self, u: UnitOfWork, booking: Booking, slot_key: str | None = None) -> Locked:
        """The relationships that a booking rests on, the lead's first, with the same locks.

        `slot_key`: where it is about to be moved to. The session that it leaves is locked as the other one is.
        """
        ordered = sorted(booking.participants, key=lambda each: (not each.lead, each.contact_id))
        rows = await u.facts.links([each.relationship_id for each in ordered])
        return await lock_names(u, rows, slot_key or booking.slot_key, booking.template_id)

    async def consider(
        self,
        u: UnitOfWork,
        actor: Actor,
        locked: Locked,
        slot_key: str,
        *,
        booking: Booking | None = None,
        overrides: Mapping[str, str] | None = None,
        asked_by: ActorKind | None = None,
        deciding: bool = False,
        instead_of_holds: bool = False,
        request_id: str | None = None,
    ) -> Considered:
        """Ask every rule about the slot, now. `booking` does not stand in its own way.

        `asked_by`: whom the rules see asking, where it is not the actor: an offer of the waiting list is the family's.
        `deciding`: the booking is a request, and the actor decides it now. `instead_of_holds`: what the actor, whose
        name is locked, keeps already is given back first.
        """
        now = self._clock()
        template_id, starts_at = parse_slot_key(slot_key)
        around = (starts_at - LONGEST_BOOKING, starts_at + LONGEST_BOOKING)
        but = booking.id if booking else None
        holder = actor.id if instead_of_holds else None
        rows = await u.facts.place(locked.links, template_id, at=now, around=around, holder=holder, but=but)
        locked.still_all(rows)
        if rows.held:
            await release_holds(u, actor, rows.held, now, request_id)
        if rows.lapsed:
            await clear_lapsed_holds(u, now, but=but, around=around)
        if rows.prison is None:
            raise NotFound("This person is at no prison now.", code="prisoner_moved")
        slot = slot_at(rows.template, rows.venue.zone, starts_at, buffer=buffer_of(rows.policies))
        if slot is None:
            raise Conflict("This time is no longer offered.", code="slot_gone")
        asked = Asked(
            now,
            asked_by or actor.kind,
            overrides or {},
            but,
            standing=booking is not None and booking.state is not BookingState.HELD and booking.slot_key == slot_key,
            deciding=deciding,
        )
        party = Party(rows.prison, rows.prisoner, rows.links, rows.contacts)
        beyond = MOST_BEYOND if free_place.key in asked.overrides else 0
        looked = await self._facts.look(
            u, party, rows.policies, slot, asked, places(slot.key, slot.capacity + beyond), stations=rows.stations
        )
        facts = looked.background.facts(slot, looked.room, already_charged=booking is not None and booking.charged)
        considered = Considered(looked.background, slot, decide_visit(facts), looked.room, looked.occupied)
        if considered.decision.outcome is Outcome.REFUSE:
            raise Refused(considered, booking_id=but)
        return considered

    async def place(
        self, u: UnitOfWork, actor: Actor, considered: Considered, hold_kind: HoldKind = HoldKind.BOOKER
    ) -> Booking:
        """Make a HELD booking with its place taken. Refused when the database gave the place to somebody else."""
        party, slot = considered.party, considered.slot
        booking_id = new_id("bkg")
        kind = party.relationships[0].call_kind
        booking = Booking(
            id=booking_id,
            prison_id=slot.prison_id,
            prisoner_id=party.prisoner.id,
            kind=kind,
            state=BookingState.HELD,
            template_id=slot.template_id,
            slot_key=slot.key,
            starts_at=slot.starts_at,
            ends_at=slot.ends_at,
            supervision=considered.supervision,
            created_at=self._clock(),
            created_by=actor.reference,
            station_id="",
            participants=[
                BookingParticipant(booking_id, each.contact_id, each.id, lead=number == 0)
                for number, each in enumerate(party.relationships)
            ],
            credit_type=None if kind.privileged else slot.credit_type,
            hold_kind=hold_kind,
            overbook_reason=considered.overbook_reason,
        )
        if not await take_place(u, booking, slot, considered.background, seen=considered.seen):
            raise place_gone(considered)
        u.scheduling.add_new(booking)
        return booking

    def note(
        self,
        u: UnitOfWork,
        action: str,
        actor: Actor,
        booking: Booking,
        considered: Considered,
        request_id: str | None,
        **data: object,
    ) -> None:
        """Keep the decision and write the audit row of what was done to the booking."""
        keep_decision(
            u,
            considered.decision,
            at=self._clock(),
            purpose=action.removeprefix("booking."),
            actor=actor,
            prison_id=booking.prison_id,
            prisoner_id=booking.prisoner_id,
            booking_id=booking.id,
            slot_key=booking.slot_key,
        )
        if booking.overbook_reason is not None:
            data["overbooked"] = True
        u.audit.append(
            action,
            actor,
            booking.id,
            {"slot": booking.slot_key, "state": booking.state.value, **data},
            request_id,
            prison_id=booking.prison_id,
        )


def place_gone(considered: Considered, booking_id: str | None = None) -> Refused:
    """The refusal of somebody who was too slow: the rules' trace, with the database's answer in it."""
    lost = RuleResult(
        key=free_place.key,
        outcome=Outcome.REFUSE,
        staff_text="Somebody else took the place at the same moment.",
        safe=GONE,
        change=OTHER_TIME,
        policy_version=considered.background.policies.used(*free_place.uses),
    )
    kept = tuple(result for result in considered.decision.trace if result.key != free_place.key)
    return Refused(considered, replace(considered.decision, trace=(*kept, lost)), booking_id)


def chosen_overrides(actor: Actor, overrides: Mapping[str, str] | None) -> dict[str, str]:
    """What staff set aside, each with its reason, checked. Forbidden, and Invalid for a rule that cannot be."""
    chosen = {key: need_reason(reason) for key, reason in (overrides or {}).items()}
    if chosen and not (actor.is_staff or actor.is_system):
        raise Forbidden("Only staff set rules aside.")
    if unknown := sorted(set(chosen) - OVERRIDABLE):
        raise Invalid(f"This rule cannot be set aside: {unknown[0]}.", code="override", field="overrides")
    if free_place.key in chosen and not (
        actor.is_system or allows(OVERBOOK, [role for role in Role if role in actor.roles])
    ):
        raise Forbidden("Overbooking is not yours to decide.", code="overbook")
    return chosen
