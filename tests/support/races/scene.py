"""The prison in which the clients race: so few people, stations and seats that all are in each other's way."""

from __future__ import annotations

import time as clock_time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from signaling.ids import new_id
from tests.fixtures.rights import (
    PRISON,
    STAFF,
    World,
    make_contact,
    make_link,
    make_prisoner,
    make_template,
    make_world,
    no_regular_credits,
    populate,
)
from visitserver.domain.allowance import CreditType
from visitserver.domain.policies import PolicyValue
from visitserver.domain.scheduling import SessionTemplate, Station, SupervisionLevel
from visitserver.services.ports.uow import UnitOfWorkFactory

BASE = datetime(2026, 3, 2, 7, tzinfo=UTC)
"""Where the race's clock begins: Monday, nine in the morning in Helsinki."""
FIRST_DAY = date(2026, 3, 5)
CAPACITY = 3
WATCHED_CAPACITY = 2
SEATS = 2
BUFFER = timedelta(minutes=5)
OPEN, WATCHED = "tpl_open", "tpl_watched"
STATIONS = tuple(f"stn_r{number}" for number in range(6))
"""The first five are the open session's, the last three the watched one's: two are both's."""

_POLICIES = {
    "limits.week_convicted": 100,
    "limits.week_remand": 100,
    "limits.reception_visits": 100,
    "supervision.officers": 1,
    "supervision.calls_per_officer": SEATS,
}


@dataclass(frozen=True, slots=True)
class Size:
    """How many people there are and on how many days they can meet; fewer days, more trouble."""

    prisoners: int = 12
    contacts: int = 18
    days: int = 2

    def prisoner_ids(self) -> list[str]:
        return [f"prs_r{number}" for number in range(self.prisoners)]

    def contact_ids(self) -> list[str]:
        return [f"con_r{number}" for number in range(self.contacts)]

    def linked(self, contact: int) -> list[int]:
        """The prisoners whom the contact may visit: a third of them."""
        return [each for each in range(self.prisoners) if (each + contact) % 3 == 0]


class RaceClock:
    """Domain time that runs `speed` times as fast as the machine's, the same in every process."""

    def __init__(self, started: float, speed: float) -> None:
        self._started = started
        self._speed = speed

    def __call__(self) -> datetime:
        return BASE + timedelta(seconds=(clock_time.monotonic() - self._started) * self._speed)

    def real(self, moment: datetime) -> float:
        """The machine's monotonic time at which this clock shows `moment`."""
        return self._started + (moment - BASE).total_seconds() / self._speed


def templates() -> list[SessionTemplate]:
    """The two sessions. The watched one begins a quarter of an hour later, so each of its slots touches two others."""
    return [
        make_template(
            OPEN,
            starts_at=time(9),
            ends_at=time(11, 20),
            capacity=CAPACITY,
            station_ids=STATIONS[:5],
        ),
        make_template(
            WATCHED,
            starts_at=time(9, 15),
            ends_at=time(11, 35),
            capacity=WATCHED_CAPACITY,
            station_ids=STATIONS[3:],
            supervision=SupervisionLevel.LIVE,
        ),
    ]


async def furnish(uow: UnitOfWorkFactory, size: Size, clock: Callable[[], datetime]) -> World:
    """Put everybody into the store, with more credits than they can spend."""
    await populate(uow)
    await no_regular_credits(uow)
    world = make_world(uow, clock)  # type: ignore[arg-type] # any clock will do
    async with uow() as u:
        for key, value in _POLICIES.items():
            long_ago = datetime(2020, 1, 1, tzinfo=UTC)
            u.policies.add(PolicyValue(new_id("pol"), PRISON, key, 1, value, long_ago, long_ago, "test", "the race"))
        for station in STATIONS:
            u.scheduling.add(Station(station, PRISON, station))
        for template in templates():
            u.scheduling.add(template)
        for number, prisoner in enumerate(size.prisoner_ids()):
            u.people.add(make_prisoner(prisoner, f"R-{number}"))
        for number, contact in enumerate(size.contact_ids()):
            u.people.add(make_contact(contact))
            for linked in size.linked(number):
                u.rights.add(make_link(contact, f"prs_r{linked}"))
        await u.commit()
    for prisoner in size.prisoner_ids():
        await world.allowance.grant(
            STAFF, prisoner, CreditType.STANDARD, "the race", count=26, event_key=f"race-{prisoner}"
        )
    return open_world(uow, size, clock)


def open_world(uow: UnitOfWorkFactory, size: Size, clock: Callable[[], datetime]) -> World:
    """The services over a store that is furnished already."""
    world = make_world(uow, clock)  # type: ignore[arg-type]
    world.identity.approved |= set(size.contact_ids())
    return world
