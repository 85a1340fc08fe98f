"""The small prison with everything that flags bookings wired as in bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta

from signaling.control import RoomControl
from signaling.ids import new_id
from tests.fixtures.rights import MOTHER, PRISONER, STAFF, World, family, relationship_id, slot_key
from visitserver.domain.changes import Change
from visitserver.domain.flags import Flag, FlagType
from visitserver.domain.scheduling import Booking
from visitserver.services.appointments import AppointmentService
from visitserver.services.blocks import BlockService
from visitserver.services.booking_check import BookingCheck
from visitserver.services.change_work import ChangeWorker
from visitserver.services.changes import Changes
from visitserver.services.facts import FactsReader
from visitserver.services.flag_scan import FlagScanner
from visitserver.services.flagging import Flagging
from visitserver.services.flags import FlagService
from visitserver.services.live_rights import LiveRights
from visitserver.services.non_associations import NonAssociationService
from visitserver.services.policies import PolicyService
from visitserver.services.relationships import RelationshipService
from visitserver.services.restrictions import RestrictionService
from visitserver.services.stations import StationService

DAY = date(2026, 3, 6)
AUTHORITY = "governor"


def in_words(language: str, message: str) -> str:
    """A translation that shows its language."""
    return message if language == "en" else f"[{language}] {message}"


@dataclass
class Flagged:
    """The world, and the services that note changes and work them off."""

    world: World
    changes: Changes
    worker: ChangeWorker
    flagging: Flagging
    scanner: FlagScanner
    flags: FlagService
    stations: StationService
    blocks: BlockService
    appointments: AppointmentService
    non_associations: NonAssociationService

    async def book(
        self, at: time = time(9), *, day: date = DAY, contact: str = MOTHER, prisoner: str = PRISONER
    ) -> Booking:
        """A booking of one contact with the prisoner."""
        await self.world.grant(1, prisoner)
        hold = await self.world.booking.hold(family(contact), relationship_id(contact, prisoner), slot_key(day, at))
        return await self.world.booking.confirm(family(contact), hold.id)

    async def of(self, booking: Booking) -> list[Flag]:
        """All its flags, oldest first."""
        async with self.world.uow(read_only=True) as u:
            return list(await u.flags.of_booking(booking.id))

    async def open(self, booking: Booking) -> list[FlagType]:
        """The types of its open flags."""
        return sorted(flag.type for flag in await self.of(booking) if flag.open)

    async def pending(self) -> Sequence[Change]:
        """Changes that are not worked off, due or not."""
        async with self.world.uow(read_only=True) as u:
            return await u.flags.pending(self.world.clock().replace(year=2100), 200)


def make_flagged(world: World, control: RoomControl | None = None) -> Flagged:
    """Wire it over the world; with `control` changes reach calls too."""
    uow, clock = world.uow, world.clock
    facts = FactsReader(world.identity, new_id=new_id)
    check = BookingCheck(clock, facts)
    flagging = Flagging(uow, clock, check)
    live = None if control is None else LiveRights(uow, clock, check, control, in_words)
    worker = ChangeWorker(uow, clock, flagging, live)
    changes = Changes(clock, worker.work_off)
    world.relationships = RelationshipService(uow, clock, changes)
    world.restrictions = RestrictionService(uow, clock, changes)
    world.policies = PolicyService(uow, clock, changes)
    return Flagged(
        world,
        changes,
        worker,
        flagging,
        FlagScanner(uow, clock, flagging),
        FlagService(uow, clock, check, flagging, world.booking, world.slots),
        StationService(uow, clock, new_id, code_lasts=timedelta(minutes=5), changes=changes),
        BlockService(uow, clock, changes),
        AppointmentService(uow, clock, changes, world.slots),
        NonAssociationService(uow, clock, changes),
    )


async def out(flagged: Flagged, station_id: str) -> None:
    """Take a station out of service."""
    await flagged.stations.set_active(STAFF, station_id, False, "broken")
