"""Suspending an officer, or taking a role, ends what their warrants allow; what could not be said is said again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from signaling.errors import Unavailable
from tests.fixtures.http_app import HttpHouse
from visitserver.domain.access import Role
from visitserver.domain.actors import Actor, ActorKind
from visitserver.services.calls import WARRANT_LASTS
from visitserver.services.revoking import RevokingService


class Control:
    """Hears what is revoked; `away` as when a node cannot be told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, datetime]] = []
        self.away = False

    async def revoke(self, subject: str, at: datetime) -> None:
        if self.away:
            raise Unavailable("one node could not be told")
        self.heard.append((subject, at))


@pytest.mark.parametrize("how", ["suspended", "role taken", "role given"])
async def test_what_is_withdrawn_is_said_at_once_and_again_until_warrants_have_expired(
    http_house: HttpHouse, how: str
) -> None:
    house, control = http_house, Control()
    revoking = RevokingService(house.uow, control, house.clock)  # type: ignore[arg-type]
    accounts: Any = house.services.accounts
    accounts._revoking = revoking
    officer = house.accounts["officer"]
    administrator = Actor(ActorKind.STAFF, house.accounts["administrator"].person_id, house.prison.id)

    control.away = True  # the service does not fail for it: the account is suspended in any case
    if how == "suspended":
        await accounts.set_suspended(administrator, officer.id, True)
    elif how == "role taken":
        await accounts.set_roles(administrator, officer.id, frozenset({Role.SCHEDULER}))
    else:
        await accounts.set_roles(administrator, officer.id, frozenset({Role.OFFICER, Role.SCHEDULER}))
    lost = how != "role given"
    withdrawn_at = house.clock()
    assert control.heard == []
    control.away = False
    house.clock.advance(minutes=5)
    assert await revoking.run_once() == lost
    # As of then: who is let in again, and gets a new warrant, keeps that.
    assert control.heard == ([(officer.person_id, withdrawn_at)] if lost else [])
    house.clock.now = withdrawn_at + WARRANT_LASTS + timedelta(minutes=1)
    assert await revoking.run_once() == 0
