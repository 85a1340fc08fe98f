"""The waiting list as its people use it: join, leave, take or decline what is offered (rule 22)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

from signaling.ids import new_id
from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Prison
from visitserver.domain.rights import Relationship
from visitserver.domain.rules.engine import NOT_POSSIBLE
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.domain.slots import parse_slot_key, slot_at
from visitserver.domain.time_ranges import check_times
from visitserver.domain.waitlist import (
    DAYS_MAX,
    ENTRIES_MAX,
    STANDING,
    EntryState,
    OfferState,
    WaitlistEntry,
    WaitlistOffer,
)
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.booking import BookingService
from visitserver.services.clock import today_at
from visitserver.services.placing import Placing
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.waitlist_settling import OfferSettling

AHEAD = timedelta(days=62)
"""So far ahead one may wait: longer than any booking window."""


@dataclass(frozen=True, slots=True)
class WaitlistWish:
    """What somebody waits for: one slot, or days (the prison's, both included) and, narrower, times of the day.

    A slot has to begin at or after `from_time` and before `to_time`, wall clock of the prison. With a `slot_key` the
    rest is read off the slot.
    """

    slot_key: str | None = None
    first_day: date | None = None
    last_day: date | None = None
    from_time: time | None = None
    to_time: time | None = None


@dataclass(frozen=True, slots=True)
class WaitlistView:
    """An entry with the place that is kept for it just now, if one is: `offer` and its held booking."""

    entry: WaitlistEntry
    offer: WaitlistOffer | None
    booking: Booking | None


class WaitlistService:
    """The use cases of an entry and its offers. A family acts for itself, staff for the people of their prison."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, placing: Placing, booking: BookingService) -> None:
        self._uow = uow
        self._clock = clock
        self._placing = placing
        self._booking = booking
        self._settling = OfferSettling(uow, clock)

    async def join(
        self,
        actor: Actor,
        relationship_id: str,
        wish: WaitlistWish,
        *,
        guests: Sequence[str] = (),
        reason: str | None = None,
        request_id: str | None = None,
    ) -> WaitlistEntry:
        """Wait for a place. `relationship_id` and `guests` as for booking; whether they may have it is asked then.

        A contact has one entry per day with one prisoner, and five at most: Conflict (`waitlist_exists`,
        `waitlist_full`). Invalid for days that are past, too many or too far ahead; Conflict (`relationship_inactive`)
        when the two may not talk at all; NotFound for a stranger's relationship.
        """
        async with self._uow() as u:
            link = (await self._placing.own_links(u, actor, relationship_id, guests))[0]
            await u.lock(f"prisoner:{link.prisoner_id}", f"contact:{link.contact_id}")
            link = await u.rights.get_relationship(link.id, fresh=True)
            prison = await self._prison(u, actor, link)
            entry = await self._entry(u, actor, link, prison, wish, tuple(guests))
            standing = await u.offers.standing_entries(link.prisoner_id, link.contact_id)
            if any(each.first_day <= entry.last_day and entry.first_day <= each.last_day for each in standing):
                raise Conflict("You are on the waiting list for this day already.", code="waitlist_exists")
            if len(standing) >= ENTRIES_MAX:
                raise Conflict("You are on the waiting list often enough. Leave one first.", code="waitlist_full")
            u.offers.add(entry)
            u.audit.append(
                "waitlist.join",
                actor,
                entry.id,
                {
                    "relationship": link.id,
                    "first": entry.first_day.isoformat(),
                    "last": entry.last_day.isoformat(),
                    **({"reason": reason} if reason else {}),
                },
                request_id,
                prison_id=prison.id,
            )
            await u.commit()
            return entry

    async def put_on(
        self,
        actor: Actor,
        relationship_id: str,
        wish: WaitlistWish,
        reason: str,
        *,
        guests: Sequence[str] = (),
        request_id: str | None = None,
    ) -> WaitlistEntry:
        """Staff let somebody wait, at the end of the queue like everybody, for a reason. Errors as `join`; Invalid
        without a reason."""
        return await self.join(
            actor, relationship_id, wish, guests=guests, reason=need_reason(reason), request_id=request_id
        )

    async def take_off(
        self, actor: Actor, entry_id: str, reason: str, *, request_id: str | None = None
    ) -> WaitlistEntry:
        """Staff let somebody wait no more, for a reason. Errors as `leave`; Invalid without a reason."""
        return await self.leave(actor, entry_id, reason=need_reason(reason), request_id=request_id)

    async def leave(
        self, actor: Actor, entry_id: str, *, reason: str | None = None, request_id: str | None = None
    ) -> WaitlistEntry:
        """Wait no more; a place that is offered just now goes to the next. Leaving twice changes nothing."""
        async with self._uow(read_only=True) as u:
            entry = await u.offers.get_entry(entry_id)
            self._own(actor, entry)
            offer = (await u.offers.standing_offers([entry.id])).get(entry.id)
        if offer is not None:
            await self.decline(actor, offer.id, request_id=request_id)
        async with self._uow() as u:
            entry = await u.offers.get_entry(entry_id, for_update=True)
            if not entry.stands:
                return entry
            if entry.state is EntryState.OFFERED:
                raise Conflict("A place has come free just now: take it or decline it.", code="waitlist_offered")
            entry.leave(at=self._clock())
            data = {"reason": reason} if reason else None
            u.audit.append("waitlist.leave", actor, entry.id, data, request_id, prison_id=entry.prison_id)
            await u.commit()
            return entry

    async def accept(self, actor: Actor, offer_id: str, *, request_id: str | None = None) -> Booking:
        """Take the place: everything is checked again, as when any hold is confirmed (BookingService.confirm).

        Conflict (`hold_expired`) when it came too late. Accepting what is accepted gives the same booking.
        """
        offer = await self._offer(actor, offer_id)
        booking = await self._booking.confirm(actor, offer.booking_id, request_id=request_id)
        await self._settling.settle(offer.id, by=actor, request_id=request_id)
        return booking

    async def decline(self, actor: Actor, offer_id: str, *, request_id: str | None = None) -> WaitlistOffer:
        """Not this place: it goes to the next, the entry keeps its place in the queue. Twice changes nothing."""
        offer = await self._offer(actor, offer_id)
        if offer.state is not OfferState.STANDING:
            return offer
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(offer.booking_id)
        if booking.state is BookingState.HELD:
            await self._booking.cancel(actor, booking.id, request_id=request_id)
        return await self._settling.settle(offer.id, by=actor, request_id=request_id)

    async def mine(self, actor: Actor, page: PageRequest, *, ended: bool = False) -> Page[WaitlistView]:
        """A contact's own entries, with what is offered; those that have ended only when asked for."""
        if not actor.is_family:
            raise NotFound("There is no such list.")
        states = frozenset(EntryState) if ended else STANDING
        async with self._uow(read_only=True) as u:
            return await self._views(u, await u.offers.entries(states, page, contact_id=actor.id))

    async def list(
        self, actor: Actor, page: PageRequest, *, prisoner_id: str | None = None, ended: bool = False
    ) -> Page[WaitlistView]:
        """The waiting list of the actor's prison, in order of the queue. Staff only."""
        own_prison(actor, actor.prison_id)
        states = frozenset(EntryState) if ended else STANDING
        async with self._uow(read_only=True) as u:
            found = await u.offers.entries(states, page, prison_id=actor.prison_id, prisoner_id=prisoner_id)
            return await self._views(u, found)

    async def get(self, actor: Actor, entry_id: str) -> WaitlistView:
        """One entry, for its contact and staff of its prison."""
        async with self._uow(read_only=True) as u:
            entry = await u.offers.get_entry(entry_id)
            self._own(actor, entry)
            return (await self._views(u, Page([entry]))).items[0]

    async def _views(self, u: UnitOfWork, found: Page[WaitlistEntry]) -> Page[WaitlistView]:
        offers = await u.offers.standing_offers([each.id for each in found.items])
        views = []
        for entry in found.items:
            offer = offers.get(entry.id)
            booking = None if offer is None else await u.scheduling.get_booking(offer.booking_id)
            views.append(WaitlistView(entry, offer, booking))
        return Page(views, found.next_cursor)

    async def _offer(self, actor: Actor, offer_id: str) -> WaitlistOffer:
        async with self._uow(read_only=True) as u:
            offer = await u.offers.get_offer(offer_id)
            self._own(actor, await u.offers.get_entry(offer.entry_id))
            return offer

    async def _prison(self, u: UnitOfWork, actor: Actor, link: Relationship) -> Prison:
        prisoner = await u.people.get_prisoner(link.prisoner_id)
        if not actor.is_family:
            own_prison(actor, prisoner.prison_id)
        if prisoner.prison_id is None:
            raise Conflict(NOT_POSSIBLE.render(), code="relationship_inactive")
        policies = await u.policies.at(prisoner.prison_id, self._clock())
        if not link.is_active(acceptance_required=policies.flag(keys.ACCEPTANCE_REQUIRED)):
            raise Conflict(NOT_POSSIBLE.render(), code="relationship_inactive")
        return await u.people.get_prison(prisoner.prison_id)

    async def _entry(
        self,
        u: UnitOfWork,
        actor: Actor,
        link: Relationship,
        prison: Prison,
        wish: WaitlistWish,
        guests: tuple[str, ...],
    ) -> WaitlistEntry:
        now = self._clock()
        today = today_at(prison, now)
        if wish.slot_key is not None:
            first = last = await self._day_of(u, link, prison, wish.slot_key)
            from_time = to_time = None
        else:
            if wish.first_day is None:
                raise Invalid("Choose a day.", code="waitlist", field="first_day")
            first, last = wish.first_day, wish.last_day or wish.first_day
            from_time, to_time = wish.from_time, wish.to_time
        if first < today:
            raise Invalid("This day is over.", code="waitlist", field="first_day")
        if not timedelta(0) <= last - first < timedelta(days=DAYS_MAX):
            raise Invalid(f"Wait for 1 to {DAYS_MAX} days.", code="waitlist", field="last_day")
        if last > today + AHEAD:
            raise Invalid("This day is too far ahead.", code="waitlist", field="last_day")
        check_times(from_time, to_time, field="to_time")
        return WaitlistEntry(
            id=new_id("wtl"),
            prison_id=prison.id,
            prisoner_id=link.prisoner_id,
            contact_id=link.contact_id,
            relationship_id=link.id,
            first_day=first,
            last_day=last,
            created_at=now,
            created_by=actor.reference,
            queued_at=now,
            slot_key=wish.slot_key,
            guest_ids=guests,
            from_time=from_time,
            to_time=to_time,
        )

    async def _day_of(self, u: UnitOfWork, link: Relationship, prison: Prison, slot_key: str) -> date:
        template_id, starts_at = parse_slot_key(slot_key)
        template = await u.scheduling.get_template(template_id)
        policies = await u.policies.at(prison.id, self._clock())
        buffer = timedelta(minutes=policies.number(keys.BUFFER_MINUTES))
        slot = None
        if template.prison_id == prison.id:
            slot = slot_at(template, prison.zone, starts_at, buffer=buffer)
        if slot is None or link.call_kind not in slot.kinds:
            raise Invalid("There is no such time.", code="slot_key", field="slot")
        if slot.starts_at <= self._clock():
            raise Invalid("This time is over.", code="waitlist", field="slot")
        return slot.day

    @staticmethod
    def _own(actor: Actor, entry: WaitlistEntry) -> None:
        if actor.is_family and actor.id == entry.contact_id:
            return
        if actor.is_family:
            raise NotFound("There is no such entry.")
        own_prison(actor, entry.prison_id)
