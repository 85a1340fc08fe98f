"""Bookings that a person must decide: the decision, and what happens when nobody makes one (rule 21)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from zoneinfo import ZoneInfo

import structlog

from visitserver.domain.actors import Actor, system_actor
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision, Outcome, RuleResult, Words
from visitserver.domain.errors import Conflict
from visitserver.domain.paging import PageRequest
from visitserver.domain.policies import (
    ESCALATE_HOURS,
    HOLIDAYS,
    LAPSE_HOUR,
    NOTICE_DAYS_MIN,
    REVIEW_WORKING_DAYS,
    WORKING_DAYS,
    Policies,
)
from visitserver.domain.rejections import RejectionReason
from visitserver.domain.requests import Deadline, deadline
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.access_checks import family_words, need_reason, own_prison
from visitserver.services.decisions import keep_decision
from visitserver.services.partly_failed import Turns
from visitserver.services.placing import Placing
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.settling import Settling

log = structlog.get_logger(__name__)

ACTOR = system_actor("requests")
CLOCK = (NOTICE_DAYS_MIN, REVIEW_WORKING_DAYS, WORKING_DAYS, HOLIDAYS, LAPSE_HOUR, ESCALATE_HOURS)
"""The policies by which a request lapses."""

NOT_DECIDED = Words("Nobody could look at this visit in time.")
ASK_AGAIN = Words("Choose another time.")


class Requests:
    """The use cases of a REQUESTED booking."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, placing: Placing, settling: Settling) -> None:
        self._uow = uow
        self._clock = clock
        self._placing = placing
        self._settling = settling

    async def decide(
        self,
        actor: Actor,
        booking_id: str,
        *,
        approve: bool,
        reason: str,
        rejection: RejectionReason | None = None,
        rejection_day: date | None = None,
        words: str | None = None,
        request_id: str | None = None,
    ) -> Booking:
        """See BookingService.decide."""
        words = family_words(words)
        reason = need_reason(reason)

        async def work(u: UnitOfWork) -> Booking:
            booking = await u.scheduling.get_booking(booking_id)
            own_prison(actor, booking.prison_id)
            slot_key, people = booking.slot_key, frozenset(booking.contact_ids)
            links = await self._placing.links_of(u, booking)
            booking = await u.scheduling.get_booking(booking_id, for_update=True)
            if booking.state is not BookingState.REQUESTED:
                raise Conflict("This booking waits for no decision.", code="booking_state")
            if booking.slot_key != slot_key or not people.issuperset(booking.contact_ids):
                # What was locked is the session and the people from before it was moved.
                raise Conflict("This visit has just been changed. Try again.", code="changed_meanwhile")
            links = links.only(booking.contact_ids)
            booking.decided_by, booking.decided_at, booking.reason = actor.reference, self._clock(), reason
            booking.revision += 1
            if approve:
                considered = await self._placing.consider(
                    u,
                    actor,
                    links,
                    booking.slot_key,
                    booking=booking,
                    overrides=await _set_aside(u, booking),
                    deciding=True,
                )
                await self._settling.watch(u, booking, considered)
                booking.move(BookingState.BOOKED)
                self._placing.note(u, "booking.approve", actor, booking, considered, request_id)
                self._settling.tell(u, "booking.confirmed", booking, request_id)
            else:
                booking.move(BookingState.REJECTED)
                booking.rejection = rejection or RejectionReason.OTHER
                booking.rejection_day, booking.family_words = rejection_day, words
                await self._settling.give_back(u, actor, booking, "rejected", request_id)
                u.audit.append(
                    "booking.reject",
                    actor,
                    booking.id,
                    {"rejection": booking.rejection.value},
                    request_id,
                    prison_id=booking.prison_id,
                )
                self._settling.tell(u, "booking.rejected", booking, request_id)
            await u.commit()
            return booking

        return await self._placing.run(actor, "approve", request_id, work)

    async def run_once(self) -> int:
        """Reject what nobody decided in time, escalate what is about to lapse. Gives how many of both.

        Each in a transaction of its own that looks again, so any number of runs at once or after one another do it
        once. PartlyFailed, after every request's turn, when some could not be looked after.
        """
        turns, count = Turns(), 0
        async for booking, zone, policies in self._waiting():
            with turns.turn("request not looked after", booking_id=booking.id):
                count += await self._look(booking, zone, policies)
        return turns.outcome(count)

    async def _waiting(self) -> AsyncIterator[tuple[Booking, ZoneInfo, Policies]]:
        now = self._clock()
        wanted = BookingFilter(states=frozenset({BookingState.REQUESTED}))
        prisons: dict[str, tuple[ZoneInfo, Policies]] = {}
        cursor: str | None = None
        while True:
            async with self._uow(read_only=True) as u:
                page = await u.scheduling.bookings(wanted, PageRequest(100, cursor))
                for prison_id in {each.prison_id for each in page.items} - prisons.keys():
                    zone = (await u.people.get_prison(prison_id)).zone
                    prisons[prison_id] = (zone, await u.policies.at(prison_id, now))
            for booking in page.items:
                yield booking, *prisons[booking.prison_id]
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _look(self, seen: Booking, zone: ZoneInfo, policies: Policies) -> int:
        now = self._clock()
        if not _due(seen, zone, policies, now):
            return 0
        async with self._uow() as u:
            await u.lock(f"prisoner:{seen.prisoner_id}")
            booking = await u.scheduling.get_booking(seen.id, for_update=True)
            if booking.state is not BookingState.REQUESTED or not _due(booking, zone, policies, now):
                return 0
            if now >= _deadline(booking, zone, policies).lapses_at:
                await self._lapse(u, booking, policies, now)
            else:
                booking.escalated_at = now
                u.audit.append("booking.escalate", ACTOR, booking.id, prison_id=booking.prison_id)
                self._settling.tell(u, "booking.escalated", booking, None)
            await u.commit()
        return 1

    async def _lapse(self, u: UnitOfWork, booking: Booking, policies: Policies, now: datetime) -> None:
        booking.move(BookingState.AUTO_REJECTED)
        booking.decided_by, booking.decided_at = ACTOR.reference, now
        booking.revision += 1
        keep_decision(
            u,
            _lapsed(policies),
            at=now,
            purpose="auto_reject",
            actor=ACTOR,
            prison_id=booking.prison_id,
            prisoner_id=booking.prisoner_id,
            booking_id=booking.id,
            slot_key=booking.slot_key,
        )
        await self._settling.give_back(u, ACTOR, booking, "auto_rejected", None)
        u.audit.append("booking.auto_reject", ACTOR, booking.id, prison_id=booking.prison_id)
        self._settling.tell(u, "booking.auto_rejected", booking, None)


async def _set_aside(u: UnitOfWork, booking: Booking) -> dict[str, str]:
    """By rule, the reasons for which staff set its objection aside when the request was made or last moved."""
    kept = await u.rights.decisions_of_booking(booking.id)
    trace = next((each.trace for each in reversed(kept) if each.outcome is not Outcome.REFUSE), [])
    return {row["key"]: row["set_aside"] for row in trace if row.get("set_aside")}


def _deadline(booking: Booking, zone: ZoneInfo, policies: Policies) -> Deadline:
    return deadline(booking, zone, policies, asked_at=booking.requested_at or booking.created_at)


def _due(booking: Booking, zone: ZoneInfo, policies: Policies, now: datetime) -> bool:
    """Whether there is something to do about it now."""
    end = _deadline(booking, zone, policies)
    return now >= end.lapses_at or (booking.escalated_at is None and now >= end.escalates_at)


def _lapsed(policies: Policies) -> Decision:
    """The decision that the clock makes, in the form of all others."""
    return Decision(
        (
            RuleResult(
                key="decided_in_time",
                outcome=Outcome.REFUSE,
                staff_text="Nobody decided by the last working day on which there was time for it.",
                safe=NOT_DECIDED,
                change=ASK_AGAIN,
                policy_version=policies.used(*CLOCK),
            ),
        )
    )
