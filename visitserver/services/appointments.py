"""Prisoners' appointments (rule 19): written by staff and by the prison's own systems. Social calls give way to most.

Nothing is cancelled here. Bookings in the way are flagged, and whoever works the flag off is shown other times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.appointments import Appointment, AppointmentKind
from visitserver.domain.calls import CallKind
from visitserver.domain.changes import ChangeKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Prisoner
from visitserver.domain.scheduling import Booking
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.changes import Changes
from visitserver.services.opened import note_opened
from visitserver.services.ports.offers import AppointmentFilter, TouchedFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.slots import SlotOffer

LONGEST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class AppointmentDraft:
    """What is said about an appointment; see Appointment. Moments are aware."""

    kind: AppointmentKind
    starts_at: datetime
    ends_at: datetime
    external_id: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class InTheWay:
    """A booking at the time of an appointment. `gives_way`: it is the booking that has to; other times for it then."""

    booking: Booking
    gives_way: bool
    alternatives: Sequence[SlotOffer]


class Alternatives(Protocol):
    """Finds other times for a booking: SlotService."""

    async def alternatives(self, actor: Actor, booking_id: str, count: int = 3) -> Sequence[SlotOffer]: ...


class AppointmentService:
    """The use cases of an appointment."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes, slots: Alternatives) -> None:
        self._uow = uow
        self._clock = clock
        self._changes = changes
        self._slots = slots

    async def add(
        self, actor: Actor, prisoner_id: str, draft: AppointmentDraft, *, request_id: str | None = None
    ) -> Appointment:
        """Write it down; with an `external_id` that is known already, bring that one up to date instead.

        So the same message may come any number of times. Invalid for times in the wrong order or longer than 366 days;
        Conflict (`appointment_cancelled`) for one that was cancelled, (`appointment_prisoner`) for another prisoner's.
        """
        self._check(draft)
        async with self._uow() as u:
            prisoner = await self._of(u, actor, prisoner_id)
            prison_id = prisoner.prison_id or ""
            # The names in one call: whoever takes several takes them in one order.
            external = [] if draft.external_id is None else [f"appointment:{prison_id}:{draft.external_id}"]
            await u.lock(f"prisoner:{prisoner.id}", *external)
            known = None
            if draft.external_id is not None:
                known = await u.offers.find_appointment(prison_id, draft.external_id)
            if known is None:
                known = self._new(actor, prisoner, draft)
                u.offers.add(known)
                self._record(u, "appointment.add", ChangeKind.APPOINTMENT_ADDED, actor, known, request_id)
            else:
                if known.prisoner_id != prisoner.id:
                    raise Conflict("This appointment is another prisoner's.", code="appointment_prisoner")
                if not await self._update(u, actor, known, draft, request_id):
                    return known
            await u.commit()
        await self._changes.after_commit()
        return known

    async def move(
        self,
        actor: Actor,
        appointment_id: str,
        starts_at: datetime,
        ends_at: datetime,
        *,
        request_id: str | None = None,
    ) -> Appointment:
        """Give it another time. Errors as `add`; moving it to where it is changes nothing."""
        async with self._uow() as u:
            found = await self._locked(u, actor, appointment_id)
            draft = AppointmentDraft(found.kind, starts_at, ends_at, found.external_id, found.note)
            self._check(draft)
            if not await self._update(u, actor, found, draft, request_id):
                return found
            await u.commit()
        await self._changes.after_commit()
        return found

    async def cancel(
        self, actor: Actor, appointment_id: str, reason: str, *, request_id: str | None = None
    ) -> Appointment:
        """It does not take place: its flags close by themselves. Cancelling twice changes nothing."""
        reason = need_reason(reason)
        async with self._uow() as u:
            found = await self._locked(u, actor, appointment_id)
            if not found.stands:
                return found
            found.cancelled_at = self._clock()
            found.note = f"{found.note or ''}\n{reason}".strip()
            self._record(u, "appointment.cancel", ChangeKind.APPOINTMENT_CANCELLED, actor, found, request_id)
            await self._opened(u, found, found.starts_at, found.ends_at)
            await u.commit()
        await self._changes.after_commit()
        return found

    async def get(self, actor: Actor, appointment_id: str) -> Appointment:
        """One appointment of a prisoner at the actor's prison. Staff only: notes name courts and hospitals."""
        async with self._uow(read_only=True) as u:
            found = await u.offers.get_appointment(appointment_id)
            await self._own(u, actor, found)
            return found

    async def list(
        self,
        actor: Actor,
        page: PageRequest,
        *,
        prisoner_id: str | None = None,
        starts_before: datetime | None = None,
        past: bool = False,
        cancelled: bool = False,
    ) -> Page[Appointment]:
        """Those of one prisoner, or of the actor's prison, in order of start; past, cancelled ones when asked."""
        async with self._uow(read_only=True) as u:
            if prisoner_id is not None:
                await self._of(u, actor, prisoner_id)
            else:
                own_prison(actor, actor.prison_id)
            wanted = AppointmentFilter(
                prison_id=actor.prison_id if prisoner_id is None else None,
                prisoner_id=prisoner_id,
                ends_after=None if past else self._clock(),
                starts_before=starts_before,
                cancelled=cancelled,
            )
            return await u.offers.appointments(wanted, page)

    async def in_the_way(
        self, actor: Actor, appointment_id: str, page: PageRequest, *, count: int = 3
    ) -> Page[InTheWay]:
        """The prisoner's bookings at that time, in order of start; `count` other times for each that gives way."""
        async with self._uow(read_only=True) as u:
            found = await u.offers.get_appointment(appointment_id)
            await self._own(u, actor, found)
            if not found.stands:
                return Page([])
            prisoner = await u.people.get_prisoner(found.prisoner_id)
            touched = TouchedFilter(
                prisoner.prison_id or found.prison_id, found.starts_at, found.ends_at, prisoner_id=found.prisoner_id
            )
            bookings = await u.offers.touched(touched, page)
        return Page(
            [await self._weigh(actor, found, booking, count) for booking in bookings.items], bookings.next_cursor
        )

    async def _weigh(self, actor: Actor, appointment: Appointment, booking: Booking, count: int) -> InTheWay:
        gives_way = appointment.outranks and booking.kind is CallKind.SOCIAL
        others = await self._slots.alternatives(actor, booking.id, count) if gives_way else []
        return InTheWay(booking, gives_way, others)

    def _new(self, actor: Actor, prisoner: Prisoner, draft: AppointmentDraft) -> Appointment:
        return Appointment(
            id=new_id("apt"),
            prison_id=prisoner.prison_id or "",
            prisoner_id=prisoner.id,
            kind=draft.kind,
            starts_at=draft.starts_at,
            ends_at=draft.ends_at,
            created_at=self._clock(),
            created_by=actor.reference,
            external_id=draft.external_id,
            note=draft.note,
        )

    async def _update(
        self, u: UnitOfWork, actor: Actor, found: Appointment, draft: AppointmentDraft, request_id: str | None
    ) -> bool:
        if not found.stands:
            raise Conflict("This appointment was cancelled.", code="appointment_cancelled")
        before = (found.kind, found.starts_at, found.ends_at)
        if (*before, found.note) == (draft.kind, draft.starts_at, draft.ends_at, draft.note):
            return False
        found.kind, found.starts_at, found.ends_at = draft.kind, draft.starts_at, draft.ends_at
        found.note = draft.note
        # The old time counts as well: what was flagged there is asked again.
        reach = (min(before[1], found.starts_at), max(before[2], found.ends_at))
        self._record(u, "appointment.change", ChangeKind.APPOINTMENT_CHANGED, actor, found, request_id, reach)
        if before != (found.kind, found.starts_at, found.ends_at):
            await self._opened(u, found, before[1], before[2])
        return True

    def _record(
        self,
        u: UnitOfWork,
        action: str,
        kind: ChangeKind,
        actor: Actor,
        found: Appointment,
        request_id: str | None,
        reach: tuple[datetime, datetime] | None = None,
    ) -> None:
        u.audit.append(
            action,
            actor,
            found.id,
            {
                "prisoner": found.prisoner_id,
                "outranks": found.outranks,
                "from": found.starts_at.isoformat(),
                "to": found.ends_at.isoformat(),
            },
            request_id,
            prison_id=found.prison_id,
        )
        first, last = reach or (found.starts_at, found.ends_at)
        self._changes.note(
            u,
            kind,
            by=actor,
            prison_id=found.prison_id,
            prisoner_id=found.prisoner_id,
            from_=first,
            to=last,
            appointment_id=found.id,
        )

    async def _opened(self, u: UnitOfWork, found: Appointment, starts_at: datetime, ends_at: datetime) -> None:
        prison = await u.people.get_prison(found.prison_id)
        note_opened(u, prison, max(starts_at, self._clock()), ends_at, cause=found.id)

    async def _locked(self, u: UnitOfWork, actor: Actor, appointment_id: str) -> Appointment:
        found = await u.offers.get_appointment(appointment_id)
        await self._own(u, actor, found)
        await u.lock(f"prisoner:{found.prisoner_id}")
        return await u.offers.get_appointment(appointment_id, fresh=True)

    @staticmethod
    async def _own(u: UnitOfWork, actor: Actor, found: Appointment) -> None:
        """Whoever holds the prisoner now looks after the appointment; after a release whoever held them last."""
        prisoner = await u.people.get_prisoner(found.prisoner_id)
        own_prison(actor, prisoner.prison_id or found.prison_id)

    @staticmethod
    async def _of(u: UnitOfWork, actor: Actor, prisoner_id: str) -> Prisoner:
        prisoner = await u.people.get_prisoner(prisoner_id)
        own_prison(actor, prisoner.prison_id)
        if prisoner.prison_id is None:
            raise Conflict("This person is at no prison now.", code="prisoner_released")
        return prisoner

    @staticmethod
    def _check(draft: AppointmentDraft) -> None:
        if draft.starts_at.tzinfo is None or draft.ends_at.tzinfo is None:
            raise Invalid("Say the time zone.", code="time_zone", field="starts_at")
        if draft.ends_at <= draft.starts_at:
            raise Invalid("The appointment ends before it begins.", code="time_order", field="ends_at")
        if draft.ends_at - draft.starts_at > LONGEST:
            raise Invalid("An appointment lasts at most 366 days.", code="too_long", field="ends_at")
        if draft.external_id is not None and not 0 < len(draft.external_id) <= 100:
            raise Invalid("An external identifier has 1 to 100 characters.", field="external_id")
        if draft.note is not None and len(draft.note) > 2000:
            raise Invalid("A note has at most 2000 characters.", code="too_long", field="note")
