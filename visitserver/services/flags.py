"""The queue of flagged bookings, and what a person does about one: see to it, keep, move or cancel the booking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, NotFound
from visitserver.domain.flags import Flag, FlagClosed, FlagType
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Prison
from visitserver.domain.scheduling import Booking, SupervisionLevel
from visitserver.domain.slots import day_starts
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.booking import BookingService
from visitserver.services.booking_check import BookingCheck
from visitserver.services.desk import BookingView, read_views
from visitserver.services.flagging import STANDING, Flagging, flags_of
from visitserver.services.places import take_seat
from visitserver.services.ports.flags import FlagFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.slots import SlotOffer, SlotService

ALTERNATIVES: Final = 3


@dataclass(frozen=True, slots=True)
class FlagView:
    """A flag with its booking and everybody whom that names."""

    flag: Flag
    view: BookingView


@dataclass(frozen=True, slots=True)
class FlagQuery:
    """What part of the queue is wanted. `day` is the visit's (the prison's day); `older_than` counts since raising."""

    types: frozenset[FlagType] = field(default_factory=frozenset)
    day: date | None = None
    older_than: timedelta | None = None
    acknowledged: bool | None = None


@dataclass(frozen=True, slots=True)
class Flagged:
    """One flag with all there is to decide by: the booking's other open flags, and other times for the visit."""

    one: FlagView
    others: Sequence[Flag]
    alternatives: Sequence[SlotOffer]
    decidable: bool


class FlagService:
    """Everything is of the actor's own prison; what is not is NotFound."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        check: BookingCheck,
        flagging: Flagging,
        booking: BookingService,
        slots: SlotService,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._check = check
        self._flagging = flagging
        self._booking = booking
        self._slots = slots

    async def queue(self, actor: Actor, wanted: FlagQuery, page: PageRequest) -> Page[FlagView]:
        """Open flags, those of the visit that comes first first."""
        async with self._uow(read_only=True) as u:
            found = await u.flags.queue(await self._filter(u, actor, wanted), page)
            return Page(await _views(u, found.items), found.next_cursor)

    async def counts(self, actor: Actor, wanted: FlagQuery) -> Mapping[FlagType, int]:
        """How many there are of each type, whatever types are asked for."""
        async with self._uow(read_only=True) as u:
            every = FlagQuery(frozenset(), wanted.day, wanted.older_than, wanted.acknowledged)
            return await u.flags.counts(await self._filter(u, actor, every))

    async def of_bookings(self, actor: Actor, booking_ids: Sequence[str]) -> Mapping[str, Sequence[Flag]]:
        """The open flags of these bookings of the actor's prison, by booking."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            found = await u.flags.open_of(booking_ids)
        return {id: [one for one in flags if one.prison_id == actor.prison_id] for id, flags in found.items()}

    async def get(self, actor: Actor, flag_id: str) -> Flagged:
        """One flag, open or closed. Other times are looked for while it is open and the visit is still to come."""
        async with self._uow(read_only=True) as u:
            flag = await self._own(u, actor, flag_id)
            view = (await _views(u, [flag]))[0]
            others = [each for each in await u.flags.of_booking(flag.booking_id) if each.open and each.id != flag.id]
        booking = view.view.booking
        decidable = flag.open and booking.state in STANDING
        alternatives: Sequence[SlotOffer] = ()
        if decidable and booking.starts_at > self._clock():
            alternatives = await self._slots.alternatives(actor, booking.id, ALTERNATIVES)
        return Flagged(view, others, alternatives, decidable)

    async def acknowledge(self, actor: Actor, flag_id: str, *, request_id: str | None = None) -> Flag:
        """Say that one looks after it. Whoever was first stays. Conflict (`flag_closed`) when it is closed."""
        async with self._uow() as u:
            flag = await self._locked(u, actor, flag_id)
            if flag.acknowledge(by=actor.reference, at=self._clock()):
                self._note(u, "flag.acknowledge", actor, flag, request_id)
                await u.commit()
            return flag

    async def keep(self, actor: Actor, flag_id: str, reason: str, *, request_id: str | None = None) -> Flag:
        """The visit stays as it is, for this reason; where an officer must watch it, one is taken for it.

        Raises Invalid without a reason; Conflict `flag_binding` (nobody may decide that), `flag_closed`, `place_gone`
        (no officer is free then).
        """
        reason = need_reason(reason)
        async with self._uow() as u:
            flag = await self._locked(u, actor, flag_id)
            booking = await u.scheduling.get_booking(flag.booking_id, for_update=True)
            if booking.state not in STANDING:
                raise Conflict("This booking does not stand any more.", code="booking_state")
            flag.keep(by=actor.reference, reason=reason, at=self._clock())
            if flag.attributes.get("outcome") == "live":
                await self._watch(u, booking)
            self._note(u, "flag.keep", actor, flag, request_id)
            await u.commit()
            return flag

    async def cancel(self, actor: Actor, flag_id: str, reason: str, *, request_id: str | None = None) -> Booking:
        """A person cancels the visit because of it; its people are told. Raises as BookingService.cancel."""
        booking_id = await self._open_booking(actor, flag_id)
        booking = await self._booking.cancel(actor, booking_id, reason=need_reason(reason), request_id=request_id)
        await self._close(actor, booking_id, FlagClosed.CANCELLED, request_id)
        return booking

    async def move(
        self,
        actor: Actor,
        flag_id: str,
        slot_key: str,
        reason: str,
        *,
        revision: int | None = None,
        request_id: str | None = None,
    ) -> Booking:
        """A person moves the visit to another time because of it. Raises as BookingService.change.

        What stands against the new time as well is left open.
        """
        booking_id = await self._open_booking(actor, flag_id)
        booking = await self._booking.change(
            actor, booking_id, slot_key, revision=revision, reason=need_reason(reason), request_id=request_id
        )
        await self._close(actor, booking_id, FlagClosed.MOVED, request_id)
        await self._flagging.look(booking_id)
        return booking

    async def _filter(self, u: UnitOfWork, actor: Actor, wanted: FlagQuery) -> FlagFilter:
        own_prison(actor, actor.prison_id)
        prison: Prison = await u.people.get_prison(actor.prison_id or "")
        raised_before = None if wanted.older_than is None else self._clock() - wanted.older_than
        starts_from = starts_before = None
        if wanted.day is not None:
            starts_from = day_starts(wanted.day, prison.zone)
            starts_before = day_starts(wanted.day + timedelta(days=1), prison.zone)
        return FlagFilter(prison.id, wanted.types, starts_from, starts_before, raised_before, wanted.acknowledged)

    async def _own(self, u: UnitOfWork, actor: Actor, flag_id: str) -> Flag:
        flag = await u.flags.get(flag_id)
        own_prison(actor, flag.prison_id)
        return flag

    async def _locked(self, u: UnitOfWork, actor: Actor, flag_id: str) -> Flag:
        flag = await self._own(u, actor, flag_id)
        booking = await u.scheduling.get_booking(flag.booking_id)
        await u.lock(f"prisoner:{booking.prisoner_id}", flags_of(booking.id))
        return await u.flags.get(flag_id, for_update=True)

    async def _open_booking(self, actor: Actor, flag_id: str) -> str:
        async with self._uow(read_only=True) as u:
            flag = await self._own(u, actor, flag_id)
        if not flag.open:
            raise Conflict("This has been seen to already.", code="flag_closed")
        return flag.booking_id

    async def _close(self, actor: Actor, booking_id: str, how: FlagClosed, request_id: str | None) -> None:
        """Close what is open on the booking in the person's name; those that hold again are raised anew."""
        async with self._uow() as u:
            await u.lock(flags_of(booking_id))
            closed = [flag for flag in await u.flags.of_booking(booking_id, fresh=True) if flag.open]
            for flag in closed:
                flag.close(how, by=actor.reference, at=self._clock())
                self._note(u, "flag.close", actor, flag, request_id)
            if closed:
                await u.commit()

    async def _watch(self, u: UnitOfWork, booking: Booking) -> None:
        """Take an officer's seat for a visit that was booked without one."""
        if booking.privileged or booking.supervision is SupervisionLevel.LIVE:
            return
        checked = await self._check.check(u, booking)
        if not await take_seat(u, booking, checked.slot, checked.background):
            raise Conflict("No officer is free to watch then: move or cancel the booking.", code="place_gone")
        booking.supervision = SupervisionLevel.LIVE

    @staticmethod
    def _note(u: UnitOfWork, action: str, actor: Actor, flag: Flag, request_id: str | None) -> None:
        data = {"booking": flag.booking_id, "type": flag.type.value, "about": flag.key}
        if flag.closed_how is not None:
            data["how"] = flag.closed_how.value
        u.audit.append(action, actor, flag.id, data, request_id, prison_id=flag.prison_id)


async def _views(u: UnitOfWork, flags: Sequence[Flag]) -> list[FlagView]:
    bookings: dict[str, Booking] = {}
    for flag in flags:
        if flag.booking_id not in bookings:
            bookings[flag.booking_id] = await u.scheduling.get_booking(flag.booking_id)
    views = {view.booking.id: view for view in await read_views(u, list(bookings.values()))}
    missing = [flag for flag in flags if flag.booking_id not in views]
    if missing:
        raise NotFound("There is no such booking.")
    return [FlagView(flag, views[flag.booking_id]) for flag in flags]
