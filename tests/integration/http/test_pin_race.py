"""PIN guesses side by side are counted one by one, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from signaling.ids import new_id
from tests.fixtures.http_app import PIN, account_services
from tests.fixtures.store import SettableClock
from visitserver.domain.accounts import StationDevice
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.people import Prison, Prisoner
from visitserver.domain.scheduling import Station
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.signin import SignInFailed, SignInService

GUESSES = 12


async def test_no_guess_is_lost_and_none_outruns_the_lock(uow: UnitOfWorkFactory, clock: SettableClock) -> None:
    services = account_services(uow, clock)
    prison = Prison(new_id("pri"), "Aspen Hill", "Europe/Helsinki", "ASP")
    prisoner = Prisoner(
        new_id("psn"), "A1234", prison.id, "Pat", "Field", date(1990, 5, 6), datetime(2025, 1, 1, tzinfo=UTC)
    )
    station = Station(new_id("sta"), prison.id, "Wing A 1")
    async with uow() as u:
        u.people.add(prison)
        u.people.add(prisoner)
        u.scheduling.add(station)
        await u.commit()
    staff = Actor(ActorKind.SYSTEM, "seed", prison.id)
    await services.pins.set_pin(staff, prisoner.number, PIN)
    code = await services.stations.issue_code(staff, station.id)
    device = await services.stations.resolve(await services.stations.enrol(staff, code))
    assert device is not None

    async def count() -> tuple[int, bool]:
        async with uow(read_only=True) as u:
            account = await u.accounts.account_of_prisoner(prisoner.id)
        assert account is not None
        return account.failed_attempts, account.locked_at is not None

    await guess_at_once(services.signin, device)
    assert await count() == (5, True), "after the fifth, further guesses are not even judged"
    with pytest.raises(SignInFailed):
        await services.signin.prisoner(device, "A1234", PIN)

    await services.pins.set_pin(staff, prisoner.number, PIN)
    patient = SignInService(
        uow,
        clock,
        services.signin._passwords,
        services.sessions,
        services.signin._sealer,
        pin_attempts=100,
    )
    await guess_at_once(patient, device)
    assert await count() == (GUESSES, False), "no guess overwrote another's count"
    assert await services.signin.prisoner(replace(device), "A1234", PIN)
    assert await count() == (0, False)


async def guess_at_once(signin: SignInService, device: StationDevice) -> None:
    results = await asyncio.gather(
        *(signin.prisoner(device, "A1234", f"{n:06d}") for n in range(GUESSES)), return_exceptions=True
    )
    assert all(isinstance(result, SignInFailed) for result in results), results
