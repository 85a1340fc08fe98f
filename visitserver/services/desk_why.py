"""Why (not)? for staff and, beside it, the decision by which the family itself would be answered. Looks only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision
from visitserver.domain.errors import Forbidden, NotFound
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.rights import Relationship
from visitserver.domain.rules.order import decide_visit
from visitserver.domain.scheduling import Booking, SessionTemplate, Slot
from visitserver.domain.slots import parse_slot_key, slot_at
from visitserver.services.access_checks import own_prison
from visitserver.services.background import Background
from visitserver.services.facts import FactsReader
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rules say about a party and a slot: asked by staff, and asked by the lead caller."""

    prison: Prison
    prisoner: Prisoner
    lead: Contact
    slot: Slot
    template: SessionTemplate
    decision: Decision
    family: Decision


class DeskWhy:
    """Everything is of the actor's own prison; what is not is NotFound."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts

    async def about(self, actor: Actor, relationship_id: str, slot_key: str, *, guests: Sequence[str] = ()) -> Answer:
        """About the relationship's contact as lead, with the `guests`' relationships, all with one prisoner."""
        if not actor.is_staff:
            raise Forbidden("The whole trace is for staff.")
        async with self._uow(read_only=True) as u:
            links = [await u.rights.get_relationship(each) for each in (relationship_id, *guests)]
            if any(each.prisoner_id != links[0].prisoner_id for each in links):
                raise NotFound("There is no such relationship.")
            own_prison(actor, (await u.people.get_prisoner(links[0].prisoner_id)).prison_id)
            answer, _ = await look(u, self._facts, self._clock(), actor, links, slot_key)
            return answer


async def look(
    u: UnitOfWork,
    facts: FactsReader,
    now: datetime,
    actor: Actor,
    links: Sequence[Relationship],
    slot_key: str,
    booking: Booking | None = None,
) -> tuple[Answer, Background]:
    """Ask every rule, once for staff and once for the family. `booking` does not stand in its own way, and is paid.

    NotFound for a slot that there is not, or that is another prison's.
    """
    template_id, starts_at = parse_slot_key(slot_key)
    template = await u.scheduling.get_template(template_id)
    own_prison(actor, template.prison_id)
    party = await facts.party(u, links)
    day = starts_at.astimezone(party.prison.zone).date()
    but = booking.id if booking else None
    background = await facts.background(u, party, now=now, asked_by=actor.kind, first=day, last=day, but=but)
    slot = slot_at(template, party.prison.zone, starts_at, buffer=background.buffer)
    if slot is None:
        raise NotFound("There is no such time.")
    room = (await facts.rooms(u, background, [slot], but=but))[slot.key]
    paid = booking is not None and booking.charged
    families = replace(background, asked_by=ActorKind.FAMILY)
    answer = Answer(
        prison=party.prison,
        prisoner=party.prisoner,
        lead=party.contacts[links[0].contact_id],
        slot=slot,
        template=template,
        decision=decide_visit(background.facts(slot, room, already_charged=paid)),
        family=decide_visit(families.facts(slot, room, already_charged=paid)),
    )
    return answer, background
