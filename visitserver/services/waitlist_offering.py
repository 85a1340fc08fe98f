"""The waiting list's job: takes the news of places that have come and offers each to whoever has waited longest.

Every place is asked about anew: the rules decide for each entry, now, as for the family itself. Looking only chooses;
the place is taken by the database like any other, so two workers, or a worker and somebody who books, never get the
same one. News may come twice or late: a place that is gone is offered to nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import structlog

from signaling.ids import new_id
from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Outcome
from visitserver.domain.errors import DomainError, NotFound
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.people import Prison
from visitserver.domain.rules.order import decide_visit
from visitserver.domain.scheduling import Booking, Slot
from visitserver.domain.slots import parse_slot_key, slot_at
from visitserver.domain.waitlist import NEWS_TOPICS, PLACE_FREED, WaitlistEntry, WaitlistOffer
from visitserver.services.booking import BookingService
from visitserver.services.clock import today_at
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.slots import SlotService
from visitserver.services.waitlist_settling import ACTOR, OfferSettling

log: Final = structlog.get_logger(__name__)

LEASE: Final = timedelta(minutes=10)
NEWS_AT_ONCE: Final = 20
SETTLED_AT_ONCE: Final = 100
EXPIRED_AT_ONCE: Final = 200
SWEPT_DAYS: Final = 62
ATTEMPTS_MAX: Final = 8
AGAIN_AFTER: Final = timedelta(minutes=1)

Unmatched = Callable[[str], Awaitable[object]]
"""Told of a slot that nobody on the list could take: preferences look at it next."""


class WaitlistOffering:
    """Offers places. Any number of workers may run it at once."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        facts: FactsReader,
        placing: Placing,
        booking: BookingService,
        slots: SlotService,
        unmatched: Unmatched | None = None,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._facts = facts
        self._placing = placing
        self._booking = booking
        self._slots = slots
        self._settling = OfferSettling(uow, clock)
        self._unmatched = unmatched

    async def run_once(self) -> int:
        """Close what is over, end entries whose days are over, take the news. Gives how many places were offered."""
        await self._booking.expire_holds()
        await self._settle()
        await self._expire()
        return await self._take_news()

    async def sweep(self) -> int:
        """Look for every entry that waits whether one of its times can be booked by now, however that came about.

        A safety net under the news. Gives how many places were offered.
        """
        offered = 0
        for prison in [each async for each in self._prisons()]:
            today = today_at(prison, self._clock())
            offered += await self.offer_days(prison.id, today, today + timedelta(days=SWEPT_DAYS))
        return offered

    async def offer_slot(self, slot_key: str) -> bool:
        """Offer one place of the slot to the first who may have it. False when nobody can, or there is no place."""
        async with self._uow(read_only=True) as u:
            slot, entries = await self._candidates(u, slot_key)
        if slot is None:
            return False
        for entry in entries:
            if await self._may(entry, slot_key) and await self._offer(entry, slot_key):
                return True
        if self._unmatched is not None:
            await self._unmatched(slot_key)
        return False

    async def offer_days(self, prison_id: str, first: date, last: date) -> int:
        """Offer each entry that waits for some of these days the first time that it may have, in order of the queue."""
        async with self._uow(read_only=True) as u:
            entries = [each async for each in _waiting(u, prison_id, first, last)]
        offered = 0
        for entry in entries:
            for slot_key in await self._times(entry, max(first, entry.first_day), min(last, entry.last_day)):
                if await self._offer(entry, slot_key):
                    offered += 1
                    break
        return offered

    async def _take_news(self) -> int:
        async with self._uow() as u:
            news = list(await u.outbox.claim(self._clock(), lease=LEASE, limit=NEWS_AT_ONCE, topics=NEWS_TOPICS))
            if news:
                await u.commit()
        offered = 0
        for message in news:
            try:
                offered += await self._heed(message.topic, message.payload)
            except DomainError as error:
                log.warning("news of a place not worked off yet", message=message.id, code=error.code)
                await self._done(message, error.code, again=True)
            except (KeyError, ValueError, TypeError) as error:
                # News that nobody can read stays visible instead of stopping the rest.
                log.exception("news of a place cannot be read", message=message.id)
                await self._done(message, type(error).__name__)
            else:
                await self._done(message)
        return offered

    async def _heed(self, topic: str, payload: dict[str, Any]) -> int:
        if topic == PLACE_FREED:
            return int(await self.offer_slot(payload["slot_key"]))
        first, last = (date.fromisoformat(payload[name]) for name in ("first_day", "last_day"))
        return await self.offer_days(payload["prison_id"], first, last)

    async def _done(self, message: OutboxMessage, why: str | None = None, *, again: bool = False) -> None:
        async with self._uow() as u:
            row = await u.outbox.get(message.id)
            now = self._clock()
            row.attempts += 1
            row.last_error, row.claimed_until = why, None
            if why is None:
                row.state, row.delivered_at = OutboxState.DELIVERED, now
            elif again and row.attempts < ATTEMPTS_MAX:
                row.due_at = now + AGAIN_AFTER
            else:
                row.state = OutboxState.FAILED
            await u.commit()

    async def _settle(self) -> None:
        async with self._uow(read_only=True) as u:
            over = [each.id for each in await u.offers.offers_to_settle(SETTLED_AT_ONCE)]
        for offer_id in over:
            await self._settling.settle(offer_id)

    async def _expire(self) -> None:
        now = self._clock()
        for prison in [each async for each in self._prisons()]:
            async with self._uow() as u:
                over = await u.offers.entries_before(prison.id, today_at(prison, now), EXPIRED_AT_ONCE)
                for entry in over:
                    entry.expire(at=now)
                    u.audit.append("waitlist.expired", ACTOR, entry.id, None, None, prison_id=prison.id)
                if over:
                    await u.commit()

    async def _candidates(self, u: UnitOfWork, slot_key: str) -> tuple[Slot | None, Sequence[WaitlistEntry]]:
        template_id, starts_at = parse_slot_key(slot_key)
        try:
            template = await u.scheduling.get_template(template_id)
        except NotFound:
            return None, []
        prison = await u.people.get_prison(template.prison_id)
        slot = slot_at(template, prison.zone, starts_at, buffer=await self._buffer(u, prison.id))
        if slot is None or starts_at <= self._clock():
            return None, []
        wall = starts_at.astimezone(prison.zone).time()
        offered = await u.offers.offered_entries(slot_key)
        return slot, [
            each
            async for each in _waiting(u, prison.id, slot.day, slot.day)
            if each.id not in offered and each.wants(slot_key, slot.day, wall)
        ]

    async def _buffer(self, u: UnitOfWork, prison_id: str) -> timedelta:
        policies = await u.policies.at(prison_id, self._clock())
        return timedelta(minutes=policies.number(keys.BUFFER_MINUTES))

    async def _may(self, entry: WaitlistEntry, slot_key: str) -> bool:
        """Whether the rules say now that they may have it: allowed, or after a person's look."""
        template_id, starts_at = parse_slot_key(slot_key)
        try:
            async with self._uow(read_only=True) as u:
                links = await self._placing.own_links(u, _family(entry), entry.relationship_id, entry.guest_ids)
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
                return decide_visit(background.facts(slot, rooms[slot.key])).outcome is not Outcome.REFUSE
        except NotFound:
            # The relationship or the prisoner is not here any more.
            return False

    async def _times(self, entry: WaitlistEntry, first: date, last: date) -> Sequence[str]:
        """The keys of the times of those days that it waits for and may have now, in order."""
        found: list[str] = []
        if last < first:
            return found
        try:
            async with self._uow(read_only=True) as u:
                prison = await u.people.get_prison(entry.prison_id)
            first = max(first, today_at(prison, self._clock()))
            async for slot in self._bookable(entry, first, last):
                wall = slot.starts_at.astimezone(prison.zone).time()
                if entry.wants(slot.key, slot.day, wall):
                    async with self._uow(read_only=True) as u:
                        offered = await u.offers.offered_entries(slot.key)
                    if entry.id not in offered:
                        found.append(slot.key)
        except NotFound:
            return []
        return found

    async def _bookable(self, entry: WaitlistEntry, first: date, last: date) -> AsyncIterator[Slot]:
        days = (last - first).days + 1
        if days < 1:
            return
        cursor: str | None = None
        while True:
            page = await self._slots.offers(
                _family(entry),
                entry.relationship_id,
                PageRequest(MAX_LIMIT, cursor),
                guests=entry.guest_ids,
                first=first,
                days=min(days, SWEPT_DAYS),
            )
            for offer in page.items:
                if offer.decision.outcome is not Outcome.REFUSE:
                    yield offer.slot
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _offer(self, entry: WaitlistEntry, slot_key: str) -> bool:
        """Keep the place for them and tell them, in one transaction. False when one of the two is gone."""

        async def keep(u: UnitOfWork, booking: Booking) -> None:
            row = await u.offers.get_entry(entry.id, for_update=True)
            # Conflict when another worker offered them a place just now, or they left.
            row.offered()
            expires_at: datetime = booking.hold_expires_at or self._clock()
            offer = WaitlistOffer(
                id=new_id("off"),
                entry_id=row.id,
                booking_id=booking.id,
                slot_key=slot_key,
                starts_at=booking.starts_at,
                offered_at=self._clock(),
                expires_at=expires_at,
            )
            u.offers.add(offer)
            u.audit.append(
                "waitlist.offer",
                ACTOR,
                row.id,
                {"offer": offer.id, "booking": booking.id, "slot": slot_key},
                None,
                prison_id=row.prison_id,
            )
            u.outbox.add(
                "waitlist.offered",
                {"offer_id": offer.id, "entry_id": row.id, "booking_id": booking.id},
                dedupe_key=f"waitlist.offered:{offer.id}",
            )

        try:
            await self._booking.offer(ACTOR, entry.relationship_id, slot_key, guests=entry.guest_ids, also=keep)
        except DomainError as error:
            log.info("place not offered", entry=entry.id, slot=slot_key, code=error.code)
            return False
        return True

    async def _prisons(self) -> AsyncIterator[Prison]:
        cursor: str | None = None
        while True:
            async with self._uow(read_only=True) as u:
                page = await u.people.prisons(PageRequest(MAX_LIMIT, cursor))
            for prison in page.items:
                yield prison
            cursor = page.next_cursor
            if cursor is None:
                return


def _family(entry: WaitlistEntry) -> Actor:
    return Actor(ActorKind.FAMILY, entry.contact_id)


async def _waiting(u: UnitOfWork, prison_id: str, first: date, last: date) -> AsyncIterator[WaitlistEntry]:
    cursor: str | None = None
    while True:
        page = await u.offers.waiting(prison_id, first, last, PageRequest(MAX_LIMIT, cursor))
        for entry in page.items:
            yield entry
        cursor = page.next_cursor
        if cursor is None:
            return
