"""Who must not meet whom, from the prison's own system: by file and one by one."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from tests.fixtures.rights import (
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    STAFF,
    World,
    family,
    relationship_id,
    slot_key,
)
from tests.fixtures.store import SettableClock
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import DecisionRefused, NotFound
from visitserver.domain.import_lines import Format
from visitserver.domain.importing import ImportKind, LineRefused
from visitserver.domain.paging import PageRequest
from visitserver.services.changes import Changes
from visitserver.services.imports import ImportReport, ImportService, read_lines
from visitserver.services.non_associations import NonAssociationService
from visitserver.services.ports.uow import UnitOfWorkFactory

KIND = ImportKind.NON_ASSOCIATIONS
CLIENT = Actor(ActorKind.CLIENT, "cli_records", PRISON)
THERE = Actor(ActorKind.CLIENT, "cli_there", "prn_elsewhere")
HEAD = "external_id,prisoner_external_id,other_external_id,starts_on,ends_on,reason\n"
LINE = "N-1,P-1,P-2,2026-03-01,2026-06-30,a fight\n"


@pytest.fixture
def store_url(request: pytest.FixtureRequest) -> str:
    """SQLite; both kinds for what rests on locks and constraints (`on_both`)."""
    name = "postgres_store_url" if getattr(request, "param", "sqlite") == "postgresql" else "sqlite_store_url"
    url: str = request.getfixturevalue(name)
    return url


on_both = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def imports(uow: UnitOfWorkFactory, world: World, clock: SettableClock) -> ImportService:
    async with uow() as u:
        for number, prisoner_id in enumerate((PRISONER, OTHER_PRISONER), 1):
            prisoner = await u.people.get_prisoner(prisoner_id)
            prisoner.external_id, prisoner.wing_id = f"P-{number}", "wng_a"
        await u.commit()
    return ImportService(uow, clock, Changes(clock))


async def run(imports: ImportService, data: str, actor: Actor = CLIENT, **options: Any) -> ImportReport:
    format = Format.JSONL if data.startswith("{") else Format.CSV
    return await imports.run(actor, KIND, format, read_lines(io.BytesIO(data.encode())), **options)


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    done = report.run
    return done.created, done.changed, done.unchanged, done.refused


def faults(report: ImportReport) -> list[tuple[int, str | None, str]]:
    return [(each.line, fault.column, fault.code) for each in report.refusals for fault in each.faults]


async def rows(uow: UnitOfWorkFactory) -> list[tuple[str | None, date, date | None, str | None]]:
    async with uow(read_only=True) as u:
        found = await u.rights.non_associations_of(PRISONER, first=date.min, last=date.max)
    return [(each.external_id, each.starts_on, each.ends_on, each.reason) for each in found]


@on_both
async def test_a_file_keeps_two_apart_and_twice_is_once(
    imports: ImportService, uow: UnitOfWorkFactory, world: World
) -> None:
    dry = await run(imports, HEAD + LINE, dry_run=True)
    assert (counts(dry), await rows(uow)) == ((1, 0, 0, 0), [])
    shown = dry.changes[0].fields
    assert {shown[name] for name in ("prisoner_external_id", "other_external_id")} == {(None, "P-1"), (None, "P-2")}
    assert counts(await run(imports, HEAD + LINE)) == (1, 0, 0, 0)
    stands = [("N-1", date(2026, 3, 1), date(2026, 6, 30), "a fight")]
    assert await rows(uow) == stands
    assert counts(await run(imports, HEAD + LINE)) == (0, 0, 1, 0)
    # The two have no order.
    assert counts(await run(imports, HEAD + LINE.replace("P-1,P-2", "P-2,P-1"))) == (0, 0, 1, 0)
    assert counts(await run(imports, json.dumps({"external_id": "N-1", "other_external_id": "P-1"}))) == (0, 0, 1, 0)
    assert await rows(uow) == stands
    # And it is the rule's: one of them has a visit, so the other has none on the same wing at that time.
    await world.grant(1)
    await world.grant(1, OTHER_PRISONER)
    key = slot_key(date(2026, 3, 6), time(9))
    await world.booking.hold(family(MOTHER), relationship_id(MOTHER), key)
    with pytest.raises(DecisionRefused) as refused:
        await world.booking.hold(family(FRIEND), relationship_id(FRIEND, OTHER_PRISONER), key)
    assert "non_association" in {each.key for each in refused.value.decision.deciding}
    # A dry run shows what an end would change, field by field; the end itself frees the time.
    over = {"external_id": "N-1", "ends_on": "2026-03-01"}
    dry = await run(imports, json.dumps(over), dry_run=True)
    assert dry.changes[0].fields == {"ends_on": (date(2026, 6, 30), date(2026, 3, 1))}
    assert counts(await run(imports, json.dumps(over))) == (0, 1, 0, 0)
    await world.booking.hold(family(FRIEND), relationship_id(FRIEND, OTHER_PRISONER), key)
    async with uow(read_only=True) as u:
        noted = [each.kind.value for each in await u.flags.pending(datetime(2100, 1, 1, tzinfo=UTC), 100)]
    assert sorted(noted) == ["non_association_added"] * 2 + ["non_association_ended"] * 2


async def test_what_is_wrong_is_refused_line_by_line(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    report = await run(
        imports,
        HEAD
        + LINE  # 2
        + "N-2,P-1,P-1,2026-07-01,,with himself\n"  # 3
        + "N-3,P-1,P-9,2026-07-01,,with nobody\n"  # 4
        + "N-4,P-2,P-1,2026-05-01,,on some of these days\n"  # 5
        + "N-5,P-1,P-2,2026-07-10,2026-07-01,the wrong way round\n"  # 6
        + "N-6,P-1,P-2,2026-07-01,,\n"  # 7
        + "N-1,P-1,P-2,2026-03-01,,again\n"  # 8
        + "N-7,P-1,P-2,2026-07-01,,later\n",  # 9
    )
    assert counts(report) == (2, 0, 0, 6)
    assert faults(report) == [
        (6, "ends_on", "order"),
        (8, "external_id", "repeated"),
        (3, "other_external_id", "same"),
        (4, "other_external_id", "reference"),
        (5, "external_id", "exists"),
        (7, "reason", "required"),
    ]
    wrong = await run(
        imports,
        "\n".join(
            map(
                json.dumps,
                (
                    {"external_id": "N-7", "starts_on": "2026-06-01"},
                    {"external_id": "N-1", "prisoner_external_id": "P-3"},
                ),
            )
        ),
    )
    assert faults(wrong) == [(1, "starts_on", "exists"), (2, "prisoner_external_id", "fixed")]
    assert [each[0] for each in await rows(uow)] == ["N-1", "N-7"]


async def test_what_staff_wrote_down_gets_the_identifier(
    imports: ImportService, uow: UnitOfWorkFactory, clock: SettableClock
) -> None:
    staff = NonAssociationService(uow, clock)
    made = await staff.add(STAFF, PRISONER, OTHER_PRISONER, reason="seen by an officer", starts_on=date(2026, 3, 1))
    other_day = {"external_id": "N-1", "prisoner_external_id": "P-1", "other_external_id": "P-2"}
    with pytest.raises(LineRefused):
        await imports.put(CLIENT, KIND, "N-1", {**other_day, "starts_on": "2026-04-01", "reason": "a fight"})
    _, found = await imports.put(CLIENT, KIND, "N-1", {**other_day, "starts_on": "2026-03-01", "reason": "a fight"})
    assert found.id == made.id
    assert await rows(uow) == [("N-1", date(2026, 3, 1), None, "a fight")]


async def test_another_prison_neither_sees_nor_changes_it(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    await run(imports, HEAD + LINE)
    with pytest.raises(NotFound):
        await imports.get(THERE, KIND, "N-1")
    with pytest.raises(NotFound):
        await imports.put(THERE, KIND, "N-1", {"ends_on": "2026-03-01"})
    assert (await imports.page(THERE, KIND, PageRequest())).items == []
    assert faults(await run(imports, HEAD + LINE.replace("N-1", "N-2"), THERE)) == [
        (2, "prisoner_external_id", "reference")
    ]
    # One of them is handed over: it is both prisons' record, and of no third.
    await imports.put(CLIENT, ImportKind.PRISONERS, "P-2", {"prison": "ELS"})
    for actor in (CLIENT, THERE):
        assert (await imports.get(actor, KIND, "N-1")).values["reason"] == "a fight"
        assert len((await imports.page(actor, KIND, PageRequest())).items) == 1
