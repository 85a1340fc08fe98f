"""Asking for somebody who is not there: what the rules would say now if this family came and chose a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Outcome
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.people import Prison
from visitserver.domain.rules.order import decide_visit
from visitserver.domain.scheduling import Slot
from visitserver.domain.slots import parse_slot_key, slot_at
from visitserver.services.clock import today_at
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.slots import MAX_DAYS, SlotService


class Asking:
    """Looks only: whoever takes a place asks again within the transaction that takes it."""

    def __init__(
        self, uow: UnitOfWorkFactory, clock: Clock, facts: FactsReader, placing: Placing, slots: SlotService
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts
        self._placing = placing
        self._slots = slots

    async def may(
        self, contact_id: str, relationship_id: str, guests: Sequence[str], slot_key: str, *, at_once: bool = False
    ) -> bool:
        """Whether they may have this very slot, now; `at_once`: without a person's look at it."""
        template_id, starts_at = parse_slot_key(slot_key)
        try:
            async with self._uow(read_only=True) as u:
                links = await self._placing.own_links(u, _family(contact_id), relationship_id, guests)
                party = await self._facts.party(u, links)
                template = await u.scheduling.get_template(template_id)
                day = starts_at.astimezone(party.prison.zone).date()
                background = await self._facts.background(
                    u, party, now=self._clock(), asked_by=ActorKind.FAMILY, first=day, last=day
                )
                slot = slot_at(template, party.prison.zone, starts_at, buffer=background.buffer)
                if slot is None or slot.prison_id != party.prison.id:
                    return False
                rooms = await self._facts.rooms(u, background, [slot])
                outcome = decide_visit(background.facts(slot, rooms[slot.key])).outcome
        except NotFound:
            # The relationship or the prisoner is not here any more.
            return False
        except Invalid as error:
            _need_callers(error)
            return False
        return outcome is Outcome.ALLOW or (outcome is Outcome.REVIEW and not at_once)

    async def bookable(
        self,
        contact_id: str,
        relationship_id: str,
        guests: Sequence[str],
        first: date,
        last: date,
        *,
        at_once: bool = False,
    ) -> AsyncIterator[Slot]:
        """The times of the prison's days `first` to `last` that they may have now, in order; see `may`."""
        cursor: str | None = None
        while first <= last:
            try:
                page = await self._slots.offers(
                    _family(contact_id),
                    relationship_id,
                    PageRequest(MAX_LIMIT, cursor),
                    guests=guests,
                    first=first,
                    days=min((last - first).days + 1, MAX_DAYS),
                )
            except NotFound:
                return
            except Invalid as error:
                _need_callers(error)
                return
            for offer in page.items:
                outcome = offer.decision.outcome
                if outcome is Outcome.ALLOW or (outcome is Outcome.REVIEW and not at_once):
                    yield offer.slot
            cursor = page.next_cursor
            if cursor is None:
                return

    async def slot(self, u: UnitOfWork, slot_key: str) -> tuple[Slot, Prison] | None:
        """The slot, if there is such a time and it is to come."""
        template_id, starts_at = parse_slot_key(slot_key)
        try:
            template = await u.scheduling.get_template(template_id)
        except NotFound:
            return None
        prison = await u.people.get_prison(template.prison_id)
        policies = await u.policies.at(prison.id, self._clock())
        buffer = timedelta(minutes=policies.number(keys.BUFFER_MINUTES))
        found = slot_at(template, prison.zone, starts_at, buffer=buffer)
        return None if found is None or starts_at <= self._clock() else (found, prison)

    async def prisons(self) -> AsyncIterator[tuple[Prison, date]]:
        """Every prison with the day it is there."""
        cursor: str | None = None
        while True:
            async with self._uow(read_only=True) as u:
                page = await u.people.prisons(PageRequest(MAX_LIMIT, cursor))
            for prison in page.items:
                yield prison, today_at(prison, self._clock())
            cursor = page.next_cursor
            if cursor is None:
                return


def _need_callers(error: Invalid) -> None:
    """Raise it again unless it says that these people are no party (any more): then they may have no time at all.

    Anything else that is invalid is the prison's, as a policy's value: nobody knows then who may have what.
    """
    if error.code != "callers":
        raise error


def _family(contact_id: str) -> Actor:
    return Actor(ActorKind.FAMILY, contact_id)
