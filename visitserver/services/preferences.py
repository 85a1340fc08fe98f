"""Preferences (rule 22): a family for whom nothing fits says up to three times that would.

Schedulers see them with the times that fit by now, and the family is told when one comes. Nothing is kept for them:
that is what the waiting list is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Final

import structlog

from signaling.ids import new_id
from visitserver.domain.actors import Actor, system_actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import MAX_LIMIT, Page, PageRequest
from visitserver.domain.people import Prison
from visitserver.domain.preferences import DAYS_MAX, PREFERENCES_MAX, Preference, PreferenceEnd
from visitserver.domain.rights import Relationship
from visitserver.domain.rules.engine import NOT_POSSIBLE
from visitserver.domain.scheduling import Booking, BookingState, Slot
from visitserver.domain.time_ranges import check_times
from visitserver.services.access_checks import own_prison
from visitserver.services.asking import Asking
from visitserver.services.clock import today_at
from visitserver.services.partly_failed import Turns
from visitserver.services.placing import Placing
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

log: Final = structlog.get_logger(__name__)

ACTOR: Final = system_actor("preferences")
NOTE_MAX: Final = 500
AHEAD: Final = timedelta(days=92)
"""So far ahead one may wish."""

TOLD_EVERY: Final = timedelta(hours=24)
"""A family is told of another time that fits no sooner than this after the last one."""

AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """One preference: see Preference for the meaning of each. Days and times are the prison's."""

    first_day: date
    last_day: date
    weekdays: tuple[int, ...] = ()
    from_time: time | None = None
    to_time: time | None = None


class PreferenceService:
    """The use cases of preferences. A family acts for itself, staff for the people of their prison."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, placing: Placing, asking: Asking) -> None:
        self._uow = uow
        self._clock = clock
        self._placing = placing
        self._asking = asking

    async def put(
        self,
        actor: Actor,
        relationship_id: str,
        wishes: Sequence[Wish],
        *,
        note: str | None = None,
        guests: Sequence[str] = (),
        request_id: str | None = None,
    ) -> Sequence[Preference]:
        """Say one to three preferences, the dearest first. They take the place of what the contact said before.

        Invalid for none or more, for days that are past, too many or too far ahead; Conflict (`relationship_inactive`)
        for somebody who is at no prison; NotFound for a stranger's relationship.
        """
        if not 1 <= len(wishes) <= PREFERENCES_MAX:
            raise Invalid(f"Say one to {PREFERENCES_MAX} preferences.", code="preferences", field="wishes")
        note = (note or "").strip() or None
        if note is not None and len(note) > NOTE_MAX:
            raise Invalid(f"A note has at most {NOTE_MAX} characters.", code="too_long", field="note")
        async with self._uow() as u:
            link = (await self._placing.own_links(u, actor, relationship_id, guests))[0]
            await u.lock(f"prisoner:{link.prisoner_id}", f"contact:{link.contact_id}")
            prison = await self._prison(u, actor, link)
            now = self._clock()
            for old in await u.offers.preferences_of(link.prisoner_id, link.contact_id):
                old.close(PreferenceEnd.REPLACED, at=now)
            made = [
                self._new(actor, link, prison, rank, wish, note, tuple(guests))
                for rank, wish in enumerate(wishes, start=1)
            ]
            for each in made:
                u.offers.add(each)
            u.audit.append(
                "preference.put",
                actor,
                link.id,
                {"preferences": [each.id for each in made]},
                request_id,
                prison_id=prison.id,
            )
            await u.commit()
            return made

    async def withdraw(self, actor: Actor, relationship_id: str, *, request_id: str | None = None) -> int:
        """Wish no more; gives how many were withdrawn. Doing it twice changes nothing."""
        async with self._uow() as u:
            link = (await self._placing.own_links(u, actor, relationship_id, ()))[0]
            if not actor.is_family:
                own_prison(actor, (await u.people.get_prisoner(link.prisoner_id)).prison_id)
            await u.lock(f"prisoner:{link.prisoner_id}", f"contact:{link.contact_id}")
            standing = await u.offers.preferences_of(link.prisoner_id, link.contact_id)
            for each in standing:
                each.close(PreferenceEnd.WITHDRAWN, at=self._clock())
            if standing:
                u.audit.append("preference.withdraw", actor, link.id, {"count": len(standing)}, request_id)
                await u.commit()
            return len(standing)

    async def of(self, actor: Actor, relationship_id: str) -> Sequence[Preference]:
        """What stands for this relationship's two people, by rank: for its contact and for staff."""
        async with self._uow(read_only=True) as u:
            link = (await self._placing.own_links(u, actor, relationship_id, ()))[0]
            if not actor.is_family:
                own_prison(actor, (await u.people.get_prisoner(link.prisoner_id)).prison_id)
            return await u.offers.preferences_of(link.prisoner_id, link.contact_id)

    async def list(self, actor: Actor, page: PageRequest, *, day: date | None = None) -> Page[Preference]:
        """The standing preferences of the actor's prison, oldest first; with `day`, those that include it."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.offers.preferences(actor.prison_id or "", page, day=day)

    async def matches(self, actor: Actor, preference_id: str, *, count: int = 5) -> Sequence[Slot]:
        """The first 1 to 20 times that fit it and can be booked now, without a person's look."""
        if not 1 <= count <= 20:
            raise Invalid("Ask for 1 to 20 times.", field="count")
        async with self._uow(read_only=True) as u:
            preference = await u.offers.get_preference(preference_id)
            if actor.is_family:
                if preference.contact_id != actor.id:
                    raise NotFound("There is no such preference.")
            else:
                own_prison(actor, preference.prison_id)
            prison = await u.people.get_prison(preference.prison_id)
        return await self._fitting(preference, prison, count)

    async def match_slot(self, slot_key: str) -> bool:
        """Tell the first, in order of asking, whom this slot fits and who may have it. False when nobody is.

        PartlyFailed, after the others' turn, when it could not be found out for some.
        """
        async with self._uow(read_only=True) as u:
            found = await self._asking.slot(u, slot_key)
            if found is None:
                return False
            slot, prison = found
            wall = slot.starts_at.astimezone(prison.zone).time()
            fitting = [
                each
                for each in (await u.offers.preferences(prison.id, PageRequest(MAX_LIMIT), day=slot.day)).items
                if each.wants(slot.day, wall) and self._may_tell(each, slot_key)
            ]
        turns, told = Turns(), False
        for each in fitting:
            with turns.turn("preference not looked after", preference_id=each.id):
                told = await self._tell_if(each, slot_key)
            if told:
                break
        return bool(turns.outcome(int(told)))

    async def run_once(self) -> int:
        """The hourly job: end what is over or met, tell each family of the first time that fits by now; how many.

        PartlyFailed, after everybody's turn, when it could not be done for some.
        """
        turns, told = Turns(), 0
        async for prison, today in self._asking.prisons():
            with turns.turn("preferences not ended", prison_id=prison.id):
                await self._expire(prison, today)
            cursor: str | None = None
            while True:
                async with self._uow(read_only=True) as u:
                    page = await u.offers.preferences(prison.id, PageRequest(MAX_LIMIT, cursor))
                for preference in page.items:
                    with turns.turn("preference not looked after", preference_id=preference.id):
                        told += await self._look_after(preference, prison)
                cursor = page.next_cursor
                if cursor is None:
                    break
        return turns.outcome(told)

    async def _look_after(self, preference: Preference, prison: Prison) -> bool:
        if await self._close_met(preference, prison):
            return False
        fitting = await self._fitting(preference, prison, 1)
        return (
            bool(fitting)
            and self._may_tell(preference, fitting[0].key)
            and await self._tell(preference, fitting[0].key)
        )

    async def _close_met(self, preference: Preference, prison: Prison) -> bool:
        """Whether they have got a visit that fits; then all that they said for this prisoner is met."""
        wanted = BookingFilter(
            prisoner_id=preference.prisoner_id,
            contact_id=preference.contact_id,
            states=frozenset({BookingState.BOOKED, BookingState.REQUESTED}),
            starts_from=self._clock(),
            created_from=preference.created_at,
        )
        async with self._uow(read_only=True) as u:
            found = (await u.scheduling.bookings(wanted, PageRequest(MAX_LIMIT))).items
        if not any(_fits(preference, each, prison) for each in found):
            return False
        async with self._uow() as u:
            for each in await u.offers.preferences_of(preference.prisoner_id, preference.contact_id):
                each.close(PreferenceEnd.MET, at=self._clock())
                u.audit.append("preference.met", ACTOR, each.id, None, None, prison_id=prison.id)
            await u.commit()
            return True

    async def _expire(self, prison: Prison, today: date) -> None:
        async with self._uow() as u:
            over = await u.offers.preferences_before(prison.id, today, AT_ONCE)
            for each in over:
                each.close(PreferenceEnd.EXPIRED, at=self._clock())
                u.audit.append("preference.expired", ACTOR, each.id, None, None, prison_id=prison.id)
            if over:
                await u.commit()

    async def _fitting(self, preference: Preference, prison: Prison, count: int) -> Sequence[Slot]:
        found: list[Slot] = []
        first = max(preference.first_day, today_at(prison, self._clock()))
        async for slot in self._asking.bookable(
            preference.contact_id,
            preference.relationship_id,
            preference.guest_ids,
            first,
            preference.last_day,
            at_once=True,
        ):
            wall = slot.starts_at.astimezone(prison.zone).time()
            if slot.prison_id == preference.prison_id and preference.wants(slot.day, wall):
                found.append(slot)
                if len(found) == count:
                    break
        return found

    async def _tell_if(self, preference: Preference, slot_key: str) -> bool:
        """Tell of this slot if they may have it without a person's look."""
        may = await self._asking.may(
            preference.contact_id, preference.relationship_id, preference.guest_ids, slot_key, at_once=True
        )
        return may and await self._tell(preference, slot_key)

    def _may_tell(self, preference: Preference, slot_key: str) -> bool:
        if preference.matched_slot_key == slot_key:
            return False
        return preference.matched_at is None or self._clock() >= preference.matched_at + TOLD_EVERY

    async def _tell(self, preference: Preference, slot_key: str) -> bool:
        async with self._uow() as u:
            await u.lock(f"prisoner:{preference.prisoner_id}", f"contact:{preference.contact_id}")
            row = await u.offers.get_preference(preference.id, fresh=True)
            if not row.stands or not self._may_tell(row, slot_key):
                return False
            now = self._clock()
            # One letter for a family, not one for each of its wishes.
            for each in await u.offers.preferences_of(row.prisoner_id, row.contact_id):
                each.matched_at = now
            row.matched_slot_key = slot_key
            u.audit.append("preference.match", ACTOR, row.id, {"slot": slot_key}, None, prison_id=row.prison_id)
            u.outbox.add(
                "preference.matched",
                {"preference_id": row.id, "slot_key": slot_key},
                dedupe_key=f"preference.matched:{row.id}:{slot_key}",
            )
            await u.commit()
            return True

    async def _prison(self, u: UnitOfWork, actor: Actor, link: Relationship) -> Prison:
        prisoner = await u.people.get_prisoner(link.prisoner_id)
        if not actor.is_family:
            own_prison(actor, prisoner.prison_id)
        if prisoner.prison_id is None:
            raise Conflict(NOT_POSSIBLE.render(), code="relationship_inactive")
        return await u.people.get_prison(prisoner.prison_id)

    def _new(
        self,
        actor: Actor,
        link: Relationship,
        prison: Prison,
        rank: int,
        wish: Wish,
        note: str | None,
        guests: tuple[str, ...],
    ) -> Preference:
        now = self._clock()
        today = today_at(prison, now)
        if wish.last_day < today:
            raise Invalid("This day is over.", code="preferences", field="last_day")
        if not timedelta(0) <= wish.last_day - wish.first_day < timedelta(days=DAYS_MAX):
            raise Invalid(f"A preference names 1 to {DAYS_MAX} days.", code="preferences", field="last_day")
        if wish.last_day > today + AHEAD:
            raise Invalid("This day is too far ahead.", code="preferences", field="last_day")
        if any(day not in range(7) for day in wish.weekdays):
            raise Invalid("Choose days of the week.", code="preferences", field="weekdays")
        check_times(wish.from_time, wish.to_time, field="to_time")
        return Preference(
            id=new_id("prf"),
            prison_id=prison.id,
            prisoner_id=link.prisoner_id,
            contact_id=link.contact_id,
            relationship_id=link.id,
            rank=rank,
            first_day=wish.first_day,
            last_day=wish.last_day,
            created_at=now,
            created_by=actor.reference,
            weekdays=tuple(sorted(set(wish.weekdays))),
            from_time=wish.from_time,
            to_time=wish.to_time,
            guest_ids=guests,
            note=note,
        )


def _fits(preference: Preference, booking: Booking, prison: Prison) -> bool:
    local = booking.starts_at.astimezone(prison.zone)
    return preference.wants(local.date(), local.time())
