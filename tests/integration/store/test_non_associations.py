"""Two prisoners who must not meet: added, ended, listed by staff of where one of them is; on both databases."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from tests.fixtures.rights import (
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    PRISONER_ACTOR,
    STAFF,
    STRANGER_STAFF,
    World,
    family,
)
from tests.unit.services.flags_for_tests import DAY, make_flagged
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.services.ports.audit import AuditFilter


async def test_added_once_ended_once_and_audited(world: World) -> None:
    service = make_flagged(world).non_associations
    made = await service.add(STAFF, PRISONER, OTHER_PRISONER, reason="a feud", request_id="req_1")
    assert (made.prisoner_a, made.prisoner_b) == (PRISONER, OTHER_PRISONER)
    for one, other in ((PRISONER, OTHER_PRISONER), (OTHER_PRISONER, PRISONER)):
        with pytest.raises(Conflict) as error:
            await service.add(STAFF, one, other, reason="again")
        assert error.value.code == "non_association_exists"
    assert [each.id for each in await service.of(STAFF, OTHER_PRISONER)] == [made.id]
    ended = await service.end(STAFF, made.id, "settled")
    assert not ended.applies_on(world.clock().date())
    with pytest.raises(Conflict) as error:
        await service.end(STAFF, made.id, "again")
    assert error.value.code == "non_association_ended"
    await service.add(STAFF, PRISONER, OTHER_PRISONER, reason="it began anew")
    async with world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(object_id=made.id), PageRequest())).items
    assert sorted(row.action for row in rows) == ["non_association.add", "non_association.end"]
    assert {(row.actor_id, row.prison_id) for row in rows} == {(STAFF.id, PRISON)}


async def test_only_staff_of_where_one_of_them_is(sqlite_world: World) -> None:
    service = make_flagged(sqlite_world).non_associations
    made = await service.add(STAFF, PRISONER, OTHER_PRISONER, reason="a feud", starts_on=DAY)
    for actor in (STRANGER_STAFF, PRISONER_ACTOR, family(MOTHER)):
        with pytest.raises(NotFound):
            await service.add(actor, PRISONER, OTHER_PRISONER, reason="a feud", starts_on=DAY)
        with pytest.raises(NotFound):
            await service.end(actor, made.id, "over")
        with pytest.raises(NotFound):
            await service.of(actor, PRISONER)


async def test_what_makes_no_sense_is_refused(sqlite_world: World) -> None:
    service = make_flagged(sqlite_world).non_associations
    with pytest.raises(Invalid):
        await service.add(STAFF, PRISONER, PRISONER, reason="alone")
    with pytest.raises(Invalid):
        await service.add(STAFF, PRISONER, OTHER_PRISONER, reason=" ")
    with pytest.raises(Invalid):
        await service.add(STAFF, PRISONER, OTHER_PRISONER, reason="why", starts_on=DAY, ends_on=DAY - timedelta(days=1))
    for wrong in ({"ends_on": date.max}, {"starts_on": date(1066, 10, 14)}):
        with pytest.raises(Invalid, match="too far away") as error:
            await service.add(STAFF, PRISONER, OTHER_PRISONER, reason="why", **wrong)  # type: ignore[arg-type]
        assert error.value.field in wrong
    with pytest.raises(NotFound):
        await service.add(STAFF, PRISONER, "prs_nobody", reason="why")
