"""Why (not)? The whole trace, for staff, and for whoever asks on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision, DecisionRecord
from visitserver.domain.errors import Forbidden
from visitserver.services.access_checks import own_prison
from visitserver.services.desk_why import Answer, look
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.why_question import resolve


class WhyService:
    """Decisions asked for and decisions kept."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader, placing: Placing) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts
        self._placing = placing

    async def about(
        self,
        actor: Actor,
        relationship_id: str,
        slot_key: str,
        *,
        guests: Sequence[str] = (),
        booking_id: str | None = None,
    ) -> Decision:
        """What the rules say now about this party and this slot, asked by the actor. Staff and system only.

        `booking_id`: a booking of theirs that does not stand in its own way, and whose credit counts as paid.
        """
        self._may(actor)
        async with self._uow(read_only=True) as u:
            links = await self._placing.links_to_look(u, actor, relationship_id, guests)
            booking = None if booking_id is None else await u.scheduling.get_booking(booking_id)
            if booking is not None:
                own_prison(actor, booking.prison_id)
            answer, _ = await look(u, self._facts, self._clock(), actor, links, slot_key, booking)
            return answer.decision

    async def ask(
        self,
        actor: Actor,
        prisoner: str,
        contact: str,
        at: str,
        *,
        also: Sequence[str] = (),
        session: str | None = None,
    ) -> Answer:
        """The same by words: see why_question.resolve for what each may be. Gives both answers, staff's and families'.

        NotFound for what there is not, Invalid where the words fit several; each says what to name instead.
        """
        self._may(actor)
        async with self._uow(read_only=True) as u:
            question = await resolve(u, actor, prisoner, contact, at, also=also, session=session)
            own_prison(actor, question.prison_id)
            answer, _ = await look(u, self._facts, self._clock(), actor, question.links, question.slot_key)
            return answer

    async def booking(self, actor: Actor, booking_id: str) -> Answer:
        """The same about a booking as it stands."""
        self._may(actor)
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            ordered = sorted(booking.participants, key=lambda each: (not each.lead, each.contact_id))
            links = [await u.rights.get_relationship(each.relationship_id) for each in ordered]
            answer, _ = await look(u, self._facts, self._clock(), actor, links, booking.slot_key, booking)
            return answer

    async def kept(self, actor: Actor, booking_id: str) -> Sequence[DecisionRecord]:
        """Every decision that was made about a booking of the actor's prison, oldest first."""
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            return await u.rights.decisions_of_booking(booking_id)

    @staticmethod
    def _may(actor: Actor) -> None:
        if not (actor.is_staff or actor.is_system):
            raise Forbidden("The whole trace is for staff.")
