"""The unit of work on both databases."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tests.fixtures.store import SettableClock
from visitserver.domain.actors import SYSTEM
from visitserver.domain.errors import Conflict, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.people import Prison, Prisoner
from visitserver.store.uow import SqlUnitOfWorkFactory


def prison(number: int = 1) -> Prison:
    return Prison(id=f"prn_{number}", name=f"Prison {number}", timezone="Europe/Helsinki", code=f"P{number}")


def prisoner(number: int = 1) -> Prisoner:
    return Prisoner(
        id=f"prs_{number}",
        number=f"N{number}",
        prison_id="prn_1",
        given_name="Äiti",
        family_name="Öhman",
        born_on=date(1990, 2, 28),
        admitted_at=datetime(2025, 1, 1, tzinfo=UTC),
        location=("A", "2"),
    )


async def test_what_is_committed_stays_and_what_is_not_does_not(uow: SqlUnitOfWorkFactory) -> None:
    async with uow() as u:
        u.people.add(prison())
        u.people.add(prisoner())
        await u.commit()
    async with uow() as u:
        u.people.add(prison(2))
        await u.flush()
    async with uow(read_only=True) as u:
        found = await u.people.get_prisoner("prs_1")
        assert found.location == ("A", "2")
        assert found.admitted_at == datetime(2025, 1, 1, tzinfo=UTC)
        with pytest.raises(NotFound):
            await u.people.get_prison("prn_2")


async def test_search_knows_letters_beyond_ascii(uow: SqlUnitOfWorkFactory) -> None:
    async with uow() as u:
        u.people.add(prison())
        u.people.add(prisoner())
        await u.commit()
    async with uow(read_only=True) as u:
        page = await u.people.search_prisoners("prn_1", "ÖH", PageRequest())
        assert [found.id for found in page.items] == ["prs_1"]
        assert (await u.people.search_prisoners("prn_1", "%", PageRequest())).items == []


async def test_pages_cover_everything_once(uow: SqlUnitOfWorkFactory) -> None:
    async with uow() as u:
        for number in range(7):
            u.people.add(prison(number))
        await u.commit()
    seen: list[str] = []
    cursor = None
    async with uow(read_only=True) as u:
        while True:
            page = await u.people.prisons(PageRequest(limit=3, cursor=cursor))
            seen += [found.id for found in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == [f"prn_{number}" for number in range(7)]


async def test_a_broken_constraint_is_a_conflict(uow: SqlUnitOfWorkFactory) -> None:
    async with uow() as u:
        u.people.add(prison())
        await u.commit()
    with pytest.raises(Conflict):
        async with uow() as u:
            u.people.add(prison(1))
            await u.commit()
    orphan = prisoner()
    orphan.prison_id = "prn_nowhere"
    with pytest.raises(Conflict):
        async with uow() as u:
            u.people.add(orphan)
            await u.commit()


async def test_a_read_only_unit_of_work_commits_nothing(uow: SqlUnitOfWorkFactory) -> None:
    async with uow(read_only=True) as u:
        with pytest.raises(RuntimeError):
            await u.commit()


async def test_a_writer_within_a_writer_is_told_so(sqlite_uow: SqlUnitOfWorkFactory) -> None:
    async with sqlite_uow():
        with pytest.raises(RuntimeError, match="within another"):
            async with sqlite_uow():
                pass


async def test_audit_rows_are_written_with_the_rest(uow: SqlUnitOfWorkFactory, clock: SettableClock) -> None:
    async with uow() as u:
        u.people.add(prison())
        u.audit.append("prison.create", SYSTEM, "prn_1", {"z": 1, "a": [1, 2]}, "req_1")
        u.audit.append("prison.open", SYSTEM, "prn_1")
        await u.commit()
    async with uow() as u:
        u.audit.append("lost", SYSTEM, "prn_1")
    async with uow(read_only=True) as u:
        rows = [row async for row in u.audit.walk()]
    assert [(row.sequence, row.action) for row in rows] == [(1, "prison.create"), (2, "prison.open")]
    assert rows[1].previous == rows[0].sha256
    assert rows[0].data == {"z": 1, "a": [1, 2]}
    assert rows[0].at == clock()
