"""Which bookings a bulk cancellation would take: those of some days, and narrower. Looks only; cancel_many cancels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Final

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Invalid
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.scheduling import BookingState
from visitserver.domain.slots import day_starts
from visitserver.services.access_checks import own_prison
from visitserver.services.cancelling import MOST_AT_ONCE
from visitserver.services.desk import MAX_DAYS, BookingView, read_views
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWorkFactory

CANCELLABLE: Final = frozenset({BookingState.BOOKED, BookingState.REQUESTED})


@dataclass(frozen=True, slots=True)
class BulkChoice:
    """Days and times of the prison (both days included; a visit begins at or after the one time, before the other).

    Empty texts narrow nothing.
    """

    first_day: date
    last_day: date
    from_time: time | None = None
    to_time: time | None = None
    template_id: str = ""
    station_id: str = ""
    wing_id: str = ""

    def takes(self, view: BookingView, wall: time) -> bool:
        """Whether a booking of these days that begins at that wall-clock time is one of them."""
        return (
            (self.from_time is None or self.from_time <= wall)
            and (self.to_time is None or wall < self.to_time)
            and self.template_id in ("", view.booking.template_id)
            and self.station_id in ("", view.station.id)
            and self.wing_id in ("", view.prisoner.wing_id or "-")
        )


class BulkService:
    """Everything is of the actor's own prison."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def candidates(self, actor: Actor, choice: BulkChoice) -> tuple[list[BookingView], bool]:
        """What would be cancelled, in order of start: BOOKED and REQUESTED ones that have not begun.

        At most MOST_AT_ONCE, and whether there are more. Invalid for no day or more than 31.
        """
        own_prison(actor, actor.prison_id)
        if not timedelta(0) <= choice.last_day - choice.first_day < timedelta(days=MAX_DAYS):
            raise Invalid(f"Choose 1 to {MAX_DAYS} days.", code="bulk", field="last_day")
        found: list[BookingView] = []
        async with self._uow(read_only=True) as u:
            prison = await u.people.get_prison(actor.prison_id or "")
            wanted = BookingFilter(
                prison_id=prison.id,
                template_id=choice.template_id or None,
                states=CANCELLABLE,
                starts_from=max(self._clock(), day_starts(choice.first_day, prison.zone)),
                starts_before=day_starts(choice.last_day + timedelta(days=1), prison.zone),
            )
            cursor: str | None = None
            while True:
                page = await u.scheduling.bookings(wanted, PageRequest(MAX_LIMIT, cursor))
                found += [
                    view
                    for view in await read_views(u, page.items)
                    if choice.takes(view, view.booking.starts_at.astimezone(prison.zone).time())
                ]
                cursor = page.next_cursor
                if cursor is None or len(found) > MOST_AT_ONCE:
                    return found[:MOST_AT_ONCE], cursor is not None or len(found) > MOST_AT_ONCE
