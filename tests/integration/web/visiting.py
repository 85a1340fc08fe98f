"""The application with real accounts, rights and bookings behind the families' and terminals' pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from types import SimpleNamespace
from typing import Any

from signaling.ids import new_id
from tests.fixtures.desk import desk_services
from tests.fixtures.http_app import HttpHouse
from tests.fixtures.rights import FakeIdentity, only_granted_credits
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.rights import PrisonerAnswer, Relationship, RelationshipState, kind_for
from visitserver.domain.scheduling import SessionTemplate, SupervisionLevel
from visitserver.domain.slots import to_utc
from visitserver.services.allowance import AllowanceService
from visitserver.services.booking import BookingService
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.relationships import RelationshipService
from visitserver.services.slots import SlotService
from visitserver.services.visits import VisitService
from visitserver.services.waiting_room import WaitingRoomService

TEMPLATE = "tpl_daily"
DAY = date(2026, 3, 6)


@dataclass
class Visiting:
    """A house in which Kim may visit Pat, every day from 9 to 12, half an hour each."""

    house: HttpHouse
    relationship: Relationship
    identity: FakeIdentity

    @property
    def services(self) -> Any:
        return self.house.services

    def slot_key(self, at: time, day: date = DAY) -> str:
        starts = to_utc(datetime.combine(day, at), self.house.prison.zone)
        assert starts is not None
        return f"{TEMPLATE}@{starts:%Y%m%dT%H%MZ}"

    async def grant(self, count: int) -> None:
        staff = Actor(ActorKind.STAFF, "stf_seed", self.house.prison.id)
        await self.services.allowance.grant(
            staff, self.house.prisoner.id, CreditType.STANDARD, "test", count=count, event_key=new_id("key")
        )

    async def book(self, at: time = time(9)) -> str:
        """A booking of Kim's with Pat; its id."""
        kim = Actor(ActorKind.FAMILY, self.house.contact.id)
        hold = await self.services.booking.hold(kim, self.relationship.id, self.slot_key(at))
        return str((await self.services.booking.confirm(kim, hold.id)).id)


def link(house: HttpHouse, contact_id: str, call_kind: CallKind = CallKind.SOCIAL, **changes: Any) -> Relationship:
    """An approved and accepted relationship with Pat."""
    values: dict[str, Any] = {
        "id": new_id("rel"),
        "prisoner_id": house.prisoner.id,
        "contact_id": contact_id,
        "kind": kind_for(call_kind),
        "call_kind": call_kind,
        "relation": "sibling",
        "requested_at": house.clock(),
        "state": RelationshipState.APPROVED,
        "prisoner_answer": PrisonerAnswer.ACCEPTED,
    }
    return Relationship(**{**values, **changes})


async def make_visiting(house: HttpHouse) -> Visiting:
    """Give the house the services of rights and booking, a session template, and Kim's relationship with Pat."""
    identity = FakeIdentity({house.contact.id, house.other_contact.id})
    facts = FactsReader(identity, new_id=new_id)
    placing = Placing(house.uow, house.clock, facts)
    services: Any = house.services
    services.relationships = RelationshipService(house.uow, house.clock)
    services.allowance = AllowanceService(house.uow, house.clock, facts)
    services.booking = BookingService(house.uow, house.clock, placing, services.allowance)
    services.slots = SlotService(house.uow, house.clock, facts, placing)
    services.visits = VisitService(house.uow, house.clock)
    services.waiting_room = WaitingRoomService(house.uow, services.visits)
    services.enrolment = SimpleNamespace(mine=_nobody_enrolled)
    desk_services(services, house.uow, house.clock, identity)
    relationship = link(house, house.contact.id)
    async with house.uow() as u:
        u.rights.add(relationship)
        u.scheduling.add(_template(house, [house.station.id]))
        for value in only_granted_credits(house.prison.id):
            u.policies.add(value)
        await u.commit()
    return Visiting(house, relationship, identity)


async def _nobody_enrolled(_actor: Actor) -> None:
    return None


def _template(house: HttpHouse, stations: Sequence[str]) -> SessionTemplate:
    return SessionTemplate(
        id=TEMPLATE,
        prison_id=house.prison.id,
        name="Daily",
        weekdays=tuple(range(7)),
        starts_at=time(9),
        ends_at=time(12),
        duration_minutes=30,
        capacity=1,
        station_ids=tuple(stations),
        valid_from=date(2026, 1, 1),
        supervision=SupervisionLevel.SAMPLE,
    )
