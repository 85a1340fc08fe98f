"""The demo's plans: visits of the coming days, and what a scheduler finds in the morning because of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from visitserver.demo.seed import SignIns
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.decisions import Outcome
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import Booking
from visitserver.services.appointments import AppointmentDraft
from visitserver.services.blocks import BlockDraft
from visitserver.services.relationships import RelationshipView
from visitserver.services.waitlist import WaitlistWish

if TYPE_CHECKING:
    from visitserver.bootstrap import House

BOOKED: Final = ("Ulla", "Aron", "Erik")
ASKS: Final = "Doris"
WAITS: Final = "Ulla"
IN_COURT: Final = "Erik"


async def plans(house: House, sign_ins: SignIns) -> None:
    """Book, ask and wait as families would; then a court date and a repair get in the way."""
    story = _Story(house, sign_ins)
    await story.meet()
    booked = {name: await story.book(name, Outcome.ALLOW, days_ahead=number + 2) for number, name in enumerate(BOOKED)}
    await story.book(ASKS, Outcome.REVIEW, days_ahead=6)
    await story.wait(WAITS)
    await story.court(booked[IN_COURT])
    await story.repair()


class _Story:
    def __init__(self, house: House, sign_ins: SignIns) -> None:
        self._services = house.services
        self._today = house.clock().date()
        self._scheduler = Actor(
            ActorKind.STAFF, sign_ins.scheduler_id, sign_ins.prison_id, frozenset({"scheduler", "supervisor"})
        )
        self._stations = sign_ins.stations
        self._links: dict[str, RelationshipView] = {}

    async def meet(self) -> None:
        """Learn who is allowed to visit whom."""
        found = await self._services.desk.search_prisoners(self._scheduler, "", PageRequest(200))
        for prisoner in found.items:
            views = await self._services.relationships.of_prisoner(self._scheduler, prisoner.id, PageRequest(50))
            self._links |= {view.contact.given_name: view for view in views.items}

    async def book(self, name: str, wanted: Outcome, *, days_ahead: int) -> Booking | None:
        """Hold and confirm the first time, some days ahead, about which the rules say what is wanted."""
        link = self._links[name].relationship
        family = Actor(ActorKind.FAMILY, link.contact_id)
        first = self._today + timedelta(days=days_ahead)
        offers = await self._services.slots.offers(family, link.id, PageRequest(200), first=first, days=10)
        fitting = next((offer for offer in offers.items if offer.decision.outcome is wanted), None)
        if fitting is None:  # the calendar of the day on which the demo is made leaves no such time
            return None
        hold = await self._services.booking.hold(family, link.id, fitting.slot.key)
        return await self._services.booking.confirm(family, hold.id)

    async def wait(self, name: str) -> None:
        """Join the waiting list for a day."""
        link = self._links[name].relationship
        day = self._today + timedelta(days=3)
        await self._services.waitlist.join(
            Actor(ActorKind.FAMILY, link.contact_id), link.id, WaitlistWish(first_day=day, last_day=day)
        )

    async def court(self, booking: Booking | None) -> None:
        """A court date at the time of a visit: the visit is flagged."""
        if booking is None:
            return
        draft = AppointmentDraft(
            kind=AppointmentKind.COURT,
            starts_at=booking.starts_at - timedelta(hours=1),
            ends_at=booking.ends_at + timedelta(hours=1),
        )
        await self._services.appointments.add(self._scheduler, booking.prisoner_id, draft)

    async def repair(self) -> None:
        """A terminal is out of service for a day."""
        day = self._today + timedelta(days=4)
        station = next(id_ for name, id_ in self._stations.items() if "South terminal" in name)
        await self._services.blocks.add(
            self._scheduler, BlockDraft(day, day, "repair of the terminal", station_ids=frozenset({station}))
        )
