"""Why (not)? The whole trace, for staff."""

from __future__ import annotations

from collections.abc import Sequence

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision, DecisionRecord
from visitserver.domain.errors import Forbidden, NotFound
from visitserver.domain.rules.order import decide_visit
from visitserver.domain.slots import parse_slot_key, slot_at
from visitserver.services.access_checks import own_prison
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.ports.uow import UnitOfWorkFactory


class WhyService:
    """Decisions asked for and decisions kept."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader, placing: Placing) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts
        self._placing = placing

    async def about(self, actor: Actor, relationship_id: str, slot_key: str, *, guests: Sequence[str] = ()) -> Decision:
        """What the rules say now about this party and this slot, as a family would be judged. Staff only."""
        if not (actor.is_staff or actor.is_system):
            raise Forbidden("The whole trace is for staff.")
        template_id, starts_at = parse_slot_key(slot_key)
        async with self._uow(read_only=True) as u:
            links = await self._placing.links_to_look(u, actor, relationship_id, guests)
            party = await self._facts.party(u, links)
            template = await u.scheduling.get_template(template_id)
            own_prison(actor, template.prison_id)
            day = starts_at.astimezone(party.prison.zone).date()
            background = await self._facts.background(
                u, party, now=self._clock(), asked_by=actor.kind, first=day, last=day
            )
            slot = slot_at(template, party.prison.zone, starts_at, buffer=background.buffer)
            if slot is None:
                raise NotFound("There is no such time.")
            rooms = await self._facts.rooms(u, background, [slot])
            return decide_visit(background.facts(slot, rooms[slot.key]))

    async def kept(self, actor: Actor, booking_id: str) -> Sequence[DecisionRecord]:
        """Every decision that was made about a booking of the actor's prison, oldest first."""
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            return await u.rights.decisions_of_booking(booking_id)
