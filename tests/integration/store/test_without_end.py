"""What has no end is read as such: PostgreSQL keeps the calendar's last day as 'infinity', and says so in JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from tests.fixtures.rights import MOTHER, OTHER_PRISONER, PRISONER, STAFF, World, family, relationship_id, slot_key
from visitserver.domain.decisions import Outcome
from visitserver.domain.errors import DecisionRefused
from visitserver.domain.rights import NonAssociation, Restriction, RestrictionScope

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
KEY = slot_key(date(2026, 3, 6), time(9))


async def test_a_ban_for_ever_is_a_ban(world: World) -> None:
    await world.grant(2)
    async with world.uow() as u:
        u.rights.add(
            Restriction(
                id="rst_1",
                scope=RestrictionScope.PERSON,
                type="BAN",
                starts_on=date(2026, 3, 1),
                authority="Governor",
                created_at=NOW,
                created_by="test",
                contact_id=MOTHER,
                ends_on=date.max,
            )
        )
        await u.commit()
    decision = await world.why.about(STAFF, relationship_id(MOTHER), KEY)
    assert any(each.key == "restrictions" and each.outcome is Outcome.REFUSE for each in decision.trace)
    with pytest.raises(DecisionRefused):
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)


async def test_a_non_association_for_ever_leaves_bookings_possible(world: World) -> None:
    await world.grant(2)
    first, second = sorted((PRISONER, OTHER_PRISONER))
    async with world.uow() as u:
        u.rights.add(NonAssociation("nas_1", first, second, date(2026, 3, 1), "import", ends_on=date.max))
        await u.commit()
    await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
