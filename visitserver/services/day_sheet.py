"""The day sheet: one line per visit, for the wall of an office and for those who fetch people. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from visitserver.domain.actors import Actor
from visitserver.domain.flags import Flag
from visitserver.domain.paging import MAX_LIMIT, Page, PageRequest
from visitserver.domain.scheduling import BookingState
from visitserver.domain.slots import day_starts
from visitserver.services.access_checks import own_prison
from visitserver.services.desk import SHOWN, BookingView, read_views
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MOST: Final = 1000
"""So many visits stand on one sheet at most; no prison has so many in a day."""

LISTED: Final = SHOWN - {BookingState.HELD}


@dataclass(frozen=True, slots=True)
class Line:
    """A visit and the open flags on it."""

    view: BookingView
    flags: tuple[Flag, ...]
    day: date

    @property
    def minors(self) -> int:
        """How many of the callers are under age on that day."""
        return sum(not contact.is_adult_on(self.day) for contact in self.view.contacts)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What whoever fetches the prisoner and watches the call ought to know."""
        booking = self.view.booking
        remarks = []
        if booking.privileged:
            remarks.append("Privileged: not watched, not recorded")
        elif booking.kind.value != "social":
            remarks.append(booking.kind.value.capitalize())
        if self.minors:
            remarks.append("1 child" if self.minors == 1 else f"{self.minors} children")
        if booking.state is BookingState.REQUESTED:
            remarks.append("Not decided yet")
        elif booking.state is not BookingState.BOOKED:
            remarks.append(booking.state.value.replace("_", " ").capitalize())
        if booking.overbook_reason:
            remarks.append("Overbooked")
        if booking.acknowledged_at is not None:
            remarks.append("Prisoner has seen it")
        return tuple(remarks)


class DaySheetService:
    """Everything is of the actor's own prison."""

    def __init__(self, uow: UnitOfWorkFactory) -> None:
        self._uow = uow

    async def page(self, actor: Actor, day: date, page: PageRequest, *, wing_id: str = "") -> Page[Line]:
        """The visits of the prison's `day` in order of start; a wing's only (of this page) where one is named."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await _lines(u, actor, day, page, wing_id)

    async def whole(self, actor: Actor, day: date, *, wing_id: str = "") -> tuple[list[Line], bool]:
        """All of them at once, as of one moment; whether some are left off (beyond 1000)."""
        own_prison(actor, actor.prison_id)
        found: list[Line] = []
        cursor: str | None = None
        async with self._uow(read_only=True) as u:
            while True:
                page = await _lines(u, actor, day, PageRequest(MAX_LIMIT, cursor), wing_id)
                found += page.items
                cursor = page.next_cursor
                if cursor is None or len(found) >= MOST:
                    return found, cursor is not None


async def _lines(u: UnitOfWork, actor: Actor, day: date, page: PageRequest, wing_id: str) -> Page[Line]:
    prison = await u.people.get_prison(actor.prison_id or "")
    wanted = BookingFilter(
        prison_id=prison.id,
        states=LISTED,
        starts_from=day_starts(day, prison.zone),
        starts_before=day_starts(day + timedelta(days=1), prison.zone),
    )
    found = await u.scheduling.bookings(wanted, page)
    views: Sequence[BookingView] = await read_views(u, found.items)
    flags: Mapping[str, Sequence[Flag]] = await u.flags.open_of([view.booking.id for view in views])
    return Page(
        [
            Line(view, tuple(flags.get(view.booking.id, ())), day)
            for view in views
            if not wing_id or view.prisoner.wing_id == wing_id
        ],
        found.next_cursor,
    )
