"""The waiting list's job: takes the news of places that have come and offers each to whoever has waited longest.

Every place is asked about anew: the rules decide for each entry, now, as for the family itself. Looking only chooses;
the place is taken by the database like any other, so two workers, or a worker and somebody who books, never get the
same one. News may come twice or late: a place that is gone is offered to nobody.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date, timedelta
from typing import Any, Final

import structlog

from signaling.ids import new_id
from visitserver.domain.clock import Clock
from visitserver.domain.errors import DomainError, Unavailable
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.people import Prison
from visitserver.domain.scheduling import Booking
from visitserver.domain.waitlist import NEWS_TOPICS, PLACE_FREED, WaitlistEntry, WaitlistOffer, waiting_for
from visitserver.services.asking import Asking
from visitserver.services.booking import BookingService
from visitserver.services.partly_failed import PartlyFailed, Turns
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
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
"""Told of a slot whose place nobody on the list could take: preferences look at it next."""


class WaitlistOffering:
    """Offers places. Any number of workers may run it at once."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        asking: Asking,
        booking: BookingService,
        unmatched: Unmatched | None = None,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._asking = asking
        self._booking = booking
        self._settling = OfferSettling(uow, clock)
        self._unmatched = unmatched
        self._looked_on: dict[str, date] = {}
        self._settled: str | None = None

    async def run_once(self) -> int:
        """Close what is over, end entries whose days are over, take the news. Gives how many places were offered.

        PartlyFailed, after all of it, when some of it could not be done.
        """
        await self._booking.expire_holds()
        turns = Turns()
        await self._settle(turns)
        await self._expire(turns)
        return turns.outcome(await self._take_news(turns))

    async def sweep(self) -> int:
        """Look for every entry that waits whether one of its times can be booked by now, however that came about.

        A safety net under the news. Gives how many places were offered; PartlyFailed as `run_once`.
        """
        turns, offered = Turns(), 0
        async for prison, today in self._asking.prisons():
            with turns.turn("waiting list not swept", prison_id=prison.id):
                offered += await self.offer_days(prison.id, today, today + timedelta(days=SWEPT_DAYS))
        return turns.outcome(offered)

    async def offer_slot(self, slot_key: str) -> bool:
        """Offer one place of the slot to the first who may have it. False when nobody can, or there is no place.

        PartlyFailed, after the others' turn, when it could not be found out for some.
        """
        async with self._uow(read_only=True) as u:
            found = await self._asking.slot(u, slot_key)
            entries = [] if found is None else await self._candidates(u, slot_key)
        if found is None:
            return False
        turns, taken = Turns(), False
        for entry in entries:
            # While the database is busy nothing is wrong with the entry: nobody may go before it for that.
            with turns.turn("waiting list entry passed over", let=Unavailable, entry=entry.id):
                may = await self._asking.may(entry.contact_id, entry.relationship_id, entry.guest_ids, slot_key)
                taken = may and await self._offer(entry, slot_key)
            if taken:
                break
        if not taken and self._unmatched is not None:
            await self._unmatched(slot_key)
        return bool(turns.outcome(int(taken)))

    async def offer_days(self, prison_id: str, first: date, last: date) -> int:
        """Offer each entry that waits for some of these days the first time that it may have, in order of the queue.

        Gives how many places were offered; PartlyFailed as `offer_slot`.
        """
        async with self._uow(read_only=True) as u:
            zone = (await u.people.get_prison(prison_id)).zone
            first = max(first, self._clock().astimezone(zone).date())
            entries = [each async for each in _waiting(u, prison_id, first, last)]
        turns, offered = Turns(), 0
        for entry in entries:
            # See offer_slot.
            with turns.turn("waiting list entry passed over", let=Unavailable, entry=entry.id):
                offered += await self._offer_first(entry, max(first, entry.first_day), min(last, entry.last_day))
        return turns.outcome(offered)

    async def _offer_first(self, entry: WaitlistEntry, first: date, last: date) -> bool:
        """Offer it the first time of those days that it may have."""
        for slot_key in await self._times(entry, first, last):
            if await self._offer(entry, slot_key):
                return True
        return False

    async def _take_news(self, turns: Turns) -> int:
        """How many places were offered."""
        async with self._uow() as u:
            news = list(await u.outbox.claim(self._clock(), lease=LEASE, limit=NEWS_AT_ONCE, topics=NEWS_TOPICS))
            if news:
                await u.commit()
        offered = 0
        for message in news:
            try:
                offered += await self._heed(message.topic, message.payload)
            except PartlyFailed as error:
                # Everybody else has had their turn: the sweep asks again about whom it failed for.
                offered += error.done
                turns.failed += error.failed
                await self._done(message)
            except DomainError as error:
                log.warning("news of a place not worked off yet", message=message.id, code=error.code)
                await self._done(message, error.code, again=True)
            except (KeyError, ValueError, TypeError) as error:
                # News that nobody can read stays visible instead of stopping the rest.
                log.exception("news of a place cannot be read", message=message.id)
                await self._done(message, type(error).__name__)
            except Exception as error:
                # Whatever it was, it counts and comes again: the rest of the batch must not wait for this one.
                log.exception("news of a place not worked off yet", message=message.id)
                turns.failed += 1
                await self._done(message, type(error).__name__, again=True)
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

    async def _settle(self, turns: Turns) -> None:
        """Close the offers that are answered or lapsed: a part of them, and in the next run those behind it.

        So those that cannot be closed keep no other waiting.
        """
        async with self._uow(read_only=True) as u:
            page = await u.offers.offers_to_settle(PageRequest(SETTLED_AT_ONCE, self._settled))
            over, self._settled = [each.id for each in page.items], page.next_cursor
        for offer_id in over:
            with turns.turn("offer not settled", offer_id=offer_id):
                await self._settling.settle(offer_id)

    async def _expire(self, turns: Turns) -> None:
        """End the entries whose days are over."""
        async for prison, today in self._asking.prisons():
            if self._looked_on.get(prison.id) == today:
                continue
            with turns.turn("waiting list not ended", prison_id=prison.id):
                if await self._expire_at(prison, today) < EXPIRED_AT_ONCE:
                    self._looked_on[prison.id] = today

    async def _expire_at(self, prison: Prison, today: date) -> int:
        async with self._uow() as u:
            over = await u.offers.entries_before(prison.id, today, EXPIRED_AT_ONCE)
            for entry in over:
                entry.expire(at=self._clock())
                u.audit.append("waitlist.expired", ACTOR, entry.id, None, None, prison_id=prison.id)
            if over:
                await u.commit()
            return len(over)

    async def _candidates(self, u: UnitOfWork, slot_key: str) -> Sequence[WaitlistEntry]:
        found = await self._asking.slot(u, slot_key)
        if found is None:
            return []
        slot, prison = found
        wall = slot.starts_at.astimezone(prison.zone).time()
        offered = await u.offers.offered_entries(slot_key)
        entries = [each async for each in _waiting(u, prison.id, slot.day, slot.day)]
        return waiting_for(entries, slot_key, slot.day, wall, offered)

    async def _times(self, entry: WaitlistEntry, first: date, last: date) -> Sequence[str]:
        """The keys of the times of those days that it waits for and may have now, in order."""
        async with self._uow(read_only=True) as u:
            zone = (await u.people.get_prison(entry.prison_id)).zone
        found: list[str] = []
        async for slot in self._asking.bookable(entry.contact_id, entry.relationship_id, entry.guest_ids, first, last):
            wall = slot.starts_at.astimezone(zone).time()
            # Whoever was moved to another prison waits at this one no more, and not at that one yet.
            if slot.prison_id != entry.prison_id or not entry.wants(slot.key, slot.day, wall):
                continue
            async with self._uow(read_only=True) as u:
                offered = await u.offers.offered_entries(slot.key)
            if entry.id not in offered:
                found.append(slot.key)
        return found

    async def _offer(self, entry: WaitlistEntry, slot_key: str) -> bool:
        """Keep the place for them and tell them, in one transaction. False when one of the two is gone."""

        async def keep(u: UnitOfWork, booking: Booking) -> None:
            now = self._clock()
            row = await u.offers.get_entry(entry.id, for_update=True)
            # Conflict when another worker offered them a place just now, or they left.
            row.offered()
            offer = WaitlistOffer(
                id=new_id("off"),
                entry_id=row.id,
                booking_id=booking.id,
                slot_key=slot_key,
                starts_at=booking.starts_at,
                offered_at=now,
                expires_at=booking.hold_expires_at or now,
            )
            u.offers.add(offer)
            told = {"offer_id": offer.id, "entry_id": row.id, "booking_id": booking.id}
            u.audit.append("waitlist.offer", ACTOR, row.id, {**told, "slot": slot_key}, prison_id=row.prison_id)
            u.outbox.add("waitlist.offered", told, dedupe_key=f"waitlist.offered:{offer.id}")

        try:
            await self._booking.offer(ACTOR, entry.relationship_id, slot_key, guests=entry.guest_ids, also=keep)
        except DomainError as error:
            log.info("place not offered", entry=entry.id, slot=slot_key, code=error.code)
            return False
        return True


async def _waiting(u: UnitOfWork, prison_id: str, first: date, last: date) -> AsyncIterator[WaitlistEntry]:
    cursor: str | None = None
    while True:
        page = await u.offers.waiting(prison_id, first, last, PageRequest(MAX_LIMIT, cursor))
        for entry in page.items:
            yield entry
        cursor = page.next_cursor
        if cursor is None:
            return
