"""Calls under way whose right has changed: ended in the name of the person who took it back, or paused for an officer.

The audit row stands before the command goes out. What a media node did not hear is said again until the call is over.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from signaling.calls import BEFORE_LIVE, Phase
from signaling.calls import Actor as CallActor
from signaling.calls import ActorKind as CallActorKind
from signaling.control import RoomControl
from signaling.errors import SignalingError, UnknownCall, WrongState
from visitserver.domain import policies as keys
from visitserver.domain.actors import SYSTEM, Actor, ActorKind
from visitserver.domain.calls import Call, CallPhase
from visitserver.domain.changes import Change
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Words
from visitserver.domain.flags import Reason
from visitserver.domain.live_rights import ENDED, PAUSED, TOUCHES_CALLS, Step, step_for
from visitserver.domain.paging import PageRequest
from visitserver.domain.policies import Policies
from visitserver.domain.scheduling import Booking
from visitserver.services.booking_check import BookingCheck
from visitserver.services.call_access import call_id_of
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.flags import BookingScope
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

log = structlog.get_logger(__name__)

ENDS: Final = "call.right_withdrawn"
PAUSES: Final = "call.right_in_question"
AFTER_END: Final = timedelta(minutes=5)
"""A call may still be ending that long after its time."""
Translate = Callable[[str, str], str]
_NOT_LIVE: Final = frozenset({Phase.SCHEDULED, *BEFORE_LIVE})
_EARLY: Final = frozenset({CallPhase.SCHEDULED, CallPhase.LOBBY_OPEN, CallPhase.READY})


class LiveRights:
    """`see_to` a change: what it means for the calls that people are in, or are about to be."""

    def __init__(
        self, uow: UnitOfWorkFactory, clock: Clock, check: BookingCheck, control: RoomControl, translate: Translate
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._check = check
        self._control = control
        self._translate = translate

    async def see_to(self, change: Change) -> bool:
        """End or pause what it ends or pauses. Whether that is done: False when a node has not heard of it yet, or a
        call is about to begin that has to be paused once it has.
        """
        if change.kind not in TOUCHES_CALLS:
            return True
        done = True
        for booking in await self._booked(change):
            try:
                done &= await self._see_to_call(change, booking.id)
            except SignalingError as error:
                log.warning("call not told of a changed right yet", booking_id=booking.id, code=error.code)
                done = False
            except Exception:
                # Whatever is wrong with one booking, the person's other calls are seen to.
                log.exception("call not seen to after a change", booking_id=booking.id, change_id=change.id)
                done = False
        return done

    async def _booked(self, change: Change) -> list[Booking]:
        """The bookings whose calls are open or about to be."""
        now = self._clock()
        scope = BookingScope(
            after=now - AFTER_END,
            prisoner_id=change.prisoner_id,
            contact_id=change.contact_id,
            relationship_id=change.relationship_id,
            starts_before=now + timedelta(minutes=keys.LOBBY_MINUTES.highest),
        )
        if not (scope.prisoner_id or scope.contact_id or scope.relationship_id):
            return []
        async with self._uow(read_only=True) as u:
            # One person's within an hour and a half: never more than a page.
            return list((await u.flags.bookings(scope, PageRequest())).items)

    async def _see_to_call(self, change: Change, booking_id: str) -> bool:
        async with self._uow(read_only=True) as u:
            call = await u.calls.find_of_booking(booking_id)
            if call is None or call.over:
                return True
            booking = await u.scheduling.get_booking(booking_id)
            policies = await u.policies.at(booking.prison_id, self._clock())
            found = (await self._check.check(u, booking)).found
            words = await self._languages(u, booking)
        try:
            snapshot = await self._control.snapshot(call_id_of(call.id))
        except UnknownCall:
            # No room: nobody is in it, and whoever comes finds the door closed (services/standing_right.py). A room
            # that is being moved to another node while people are in the call will be there in a moment.
            return call.phase in _EARLY
        ends = policies.flag(keys.END_ON_WITHDRAWAL)
        step, reason = step_for(change, found, watched=bool(snapshot.officers), ends=ends, privileged=call.privileged)
        if reason is None:
            return True
        if snapshot.phase in _NOT_LIVE and not any(person.present for person in snapshot.participants):
            return await self._close_door(booking)
        if step is Step.END:
            return await self._end(change, call, reason, policies, self._say(ENDED, words))
        return await self._pause(change, call, reason, self._say(PAUSED, words))

    async def _close_door(self, booking: Booking) -> bool:
        """Nobody has come yet. What was issued to them is good no more; they get nothing new while this stands."""
        now = self._clock()
        for person_id in (booking.prisoner_id, *booking.contact_ids):
            await self._control.revoke(person_id, now)
        return True

    async def _end(self, change: Change, call: Call, reason: Reason, policies: Policies, words: str) -> bool:
        who = person_of(change)
        data = {**_why(change, reason), "policy": policies.used(keys.END_ON_WITHDRAWAL)}
        await self._note(ENDS, who, call, data)
        try:
            await self._control.withdraw(call_id_of(call.id), _in_call(who), words)
        except WrongState:
            return True  # It is over.
        return True

    async def _pause(self, change: Change, call: Call, reason: Reason, words: str) -> bool:
        try:
            snapshot = await self._control.snapshot(call_id_of(call.id))
            if snapshot.phase in _NOT_LIVE:
                # Nobody new gets in; those who are in already are paused as soon as it begins.
                return False
            if not snapshot.held_by_officer:
                await self._note(PAUSES, SYSTEM, call, _why(change, reason), tell=True)
                await self._control.question(call_id_of(call.id), words)
        except WrongState:
            return True
        return True

    async def _note(self, action: str, who: Actor, call: Call, data: dict[str, str], *, tell: bool = False) -> None:
        """One row for one change and one call, however often it has to be said."""
        async with self._uow() as u:
            rows = (await u.audit.rows(AuditFilter(action=action, object_id=call.id), PageRequest())).items
            if any(row.data.get("change") == data["change"] for row in rows):
                return
            u.audit.append(action, who, call.id, data, prison_id=call.prison_id)
            if tell:
                u.outbox.add("call.right_in_question", {"call_id": call.id, "booking_id": call.booking_id})
            await u.commit()

    @staticmethod
    async def _languages(u: UnitOfWork, booking: Booking) -> list[str]:
        prisoner = await u.people.get_prisoner(booking.prisoner_id)
        contacts = await u.people.contacts(booking.contact_ids)
        return [prisoner.language, *(contacts[each].language for each in booking.contact_ids if each in contacts)]

    def _say(self, words: Words, languages: list[str]) -> str:
        """One text for everybody in the call, in each language that somebody in it speaks."""
        sentences = [words.render(partial(self._translate, language)) for language in languages]
        return "\n".join(dict.fromkeys(sentences))


def person_of(change: Change) -> Actor:
    """The person who made the change, as the audit log names them."""
    kind, _, id = change.by.partition(":")
    return Actor(ActorKind(kind), id, change.prison_id)


def _in_call(who: Actor) -> CallActor:
    return CallActor(CallActorKind.STAFF if who.is_staff else CallActorKind.PARTICIPANT, who.id)


def _why(change: Change, reason: Reason) -> dict[str, str]:
    return {"change": change.id, "kind": change.kind.value, "flag": reason.type.value, "about": reason.key}
