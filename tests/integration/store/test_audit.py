"""The audit log on both databases: it only grows, and whatever is done to it behind its back is found and named."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.fixtures.rights import STAFF, STRANGER_STAFF, SYSTEM_ACTOR
from tests.fixtures.store import AUDIT_KEY, SettableClock
from visitserver.domain.actors import SYSTEM
from visitserver.domain.audit import AuditEntry, chain_hash, seal_of
from visitserver.domain.audit_check import Anchor, AuditReport, Damage
from visitserver.domain.paging import PageRequest
from visitserver.services.audit import AuditService
from visitserver.services.ports.audit import AuditFilter
from visitserver.store.anchors import FileAnchors
from visitserver.store.tables.audit import audit_log
from visitserver.store.uow import SqlUnitOfWorkFactory

ROWS = 12
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)


@pytest.fixture
def anchor_path(tmp_path: Path) -> Path:
    return tmp_path / "anchors.jsonl"


@pytest.fixture
def audit(uow: SqlUnitOfWorkFactory, clock: SettableClock, anchor_path: Path) -> AuditService:
    return AuditService(uow, clock, key=AUDIT_KEY, anchors=FileAnchors(anchor_path), signing_key=SIGNING_KEY)


async def fill(uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock, rows: int = ROWS) -> None:
    """`rows` rows, the head anchored after every fourth."""
    for number in range(rows):
        async with uow() as u:
            u.audit.append("thing.do", STAFF, f"obj_{number}", {"n": number, "ä": ["ö", None, True]}, f"req_{number}")
            await u.commit()
        clock.advance(seconds=20)
        if number % 4 == 3:
            await audit.anchor_head()


async def behind_its_back(uow: SqlUnitOfWorkFactory, *statements: str, **values: object) -> None:
    """What somebody with full rights on the database does: the guards are taken away first."""
    async with uow.engine.begin() as connection:
        await unguard(connection)
        for statement in statements:
            await connection.execute(text(statement), values)


async def unguard(connection: AsyncConnection) -> None:
    on = " ON audit_log" if connection.dialect.name == "postgresql" else ""
    for verb in ("update", "delete"):
        await connection.execute(text(f"DROP TRIGGER IF EXISTS audit_log_no_{verb}{on}"))


async def forge(uow: SqlUnitOfWorkFactory, sequence: int, previous_of: int, *, key: bytes) -> AuditEntry:
    """A row that was never written, hashed properly, sealed with `key`."""
    async with uow(read_only=True) as u:
        rows = [row async for row in u.audit.walk()]
    model = rows[previous_of - 1]
    made = AuditEntry(
        sequence=sequence,
        at=model.at,
        action="thing.invented",
        actor_kind="staff",
        actor_id="stf_x",
        object_id="obj_x",
        previous=model.sha256,
        sha256="",
        seal="",
        data={},
    )
    made.sha256 = chain_hash(made)
    made.seal = seal_of(made.sha256, key)
    return made


async def insert(uow: SqlUnitOfWorkFactory, row: AuditEntry) -> None:
    async with uow.engine.begin() as connection:
        await connection.execute(
            audit_log.insert().values({column.name: getattr(row, column.name) for column in audit_log.columns})
        )


async def test_a_clean_log_is_valid(uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock) -> None:
    assert await audit.verify() == AuditReport(True, 0)
    await fill(uow, audit, clock)
    assert await audit.verify() == AuditReport(True, ROWS)


async def test_the_database_itself_refuses_changes(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock, 2)
    forbidden = ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"]
    if uow.engine.dialect.name == "postgresql":
        forbidden.append("TRUNCATE audit_log")
    for statement in forbidden:
        with pytest.raises(DBAPIError, match="only grows"):
            async with uow.engine.begin() as connection:
                await connection.execute(text(statement))
    assert (await audit.verify()).rows == 2


@pytest.mark.parametrize(
    "column", ["action", "actor_id", "actor_kind", "object_id", "request_id", "prison_id", "previous", "sha256", "seal"]
)
async def test_an_edited_row_is_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock, column: str
) -> None:
    await fill(uow, audit, clock)
    await behind_its_back(uow, f"UPDATE audit_log SET {column} = 'forged' WHERE sequence = 6")
    report = await audit.verify()
    assert (report.valid, report.sequence) == (False, 6)
    if column not in ("previous", "sha256", "seal"):
        assert report.damage is Damage.EDITED


async def test_edited_data_and_time_are_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock)
    await behind_its_back(uow, "UPDATE audit_log SET data = '{\"n\": 99}' WHERE sequence = 3")
    assert (await audit.verify()).sequence == 3
    await behind_its_back(uow, "UPDATE audit_log SET at = '2026-03-02 08:00:00.000000' WHERE sequence = 2")
    report = await audit.verify()
    assert (report.sequence, report.damage) == (2, Damage.EDITED)


async def test_an_edited_row_with_a_new_hash_is_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock)
    async with uow(read_only=True) as u:
        rows = [row async for row in u.audit.walk()]
    row = rows[5]
    row.action = "thing.else"
    await behind_its_back(
        uow, "UPDATE audit_log SET action = 'thing.else', sha256 = :sha WHERE sequence = 6", sha=chain_hash(row)
    )
    report = await audit.verify()
    assert (report.sequence, report.damage) == (6, Damage.EDITED)


@pytest.mark.parametrize("sequence", [1, 6])
async def test_a_deleted_row_is_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock, sequence: int
) -> None:
    await fill(uow, audit, clock)
    await behind_its_back(uow, f"DELETE FROM audit_log WHERE sequence = {sequence}")
    report = await audit.verify()
    assert (report.sequence, report.damage) == (sequence, Damage.DELETED)


async def test_a_deleted_row_whose_place_was_closed_up_is_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock)
    moves = [f"UPDATE audit_log SET sequence = {n - 1} WHERE sequence = {n}" for n in range(7, ROWS + 1)]
    await behind_its_back(uow, "DELETE FROM audit_log WHERE sequence = 6", *moves)
    report = await audit.verify()
    assert (report.sequence, report.damage) == (6, Damage.DELETED)


async def test_a_row_put_in_between_is_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock)
    row = await forge(uow, 6, 5, key=b"not the key")
    moves = [f"UPDATE audit_log SET sequence = {n + 1} WHERE sequence = {n}" for n in range(ROWS, 5, -1)]
    await behind_its_back(uow, *moves)
    await insert(uow, row)
    report = await audit.verify()
    assert (report.sequence, report.damage) == (6, Damage.INSERTED)


async def test_a_row_put_at_the_end_is_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock)
    await insert(uow, await forge(uow, ROWS + 1, ROWS, key=b"not the key"))
    report = await audit.verify()
    assert (report.sequence, report.damage) == (ROWS + 1, Damage.INSERTED)


async def test_rows_cut_off_at_the_end_are_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock)
    await behind_its_back(uow, "DELETE FROM audit_log WHERE sequence > 9")
    report = await audit.verify()
    assert (report.sequence, report.damage) == (10, Damage.CUT_OFF)
    await behind_its_back(uow, "DELETE FROM audit_log")
    assert (await audit.verify()).sequence == 1


async def test_a_log_rewritten_by_somebody_with_the_key_disagrees_with_the_anchors(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock)
    async with uow(read_only=True) as u:
        rows = [row async for row in u.audit.walk()]
    previous = rows[5].previous
    rows[5].action = "thing.else"
    for row in rows[5:]:
        row.previous = previous
        row.sha256 = previous = chain_hash(row)
        row.seal = seal_of(row.sha256, AUDIT_KEY)
    await behind_its_back(uow, "DELETE FROM audit_log WHERE sequence > 5")
    for row in rows[5:]:
        await insert(uow, row)
    report = await audit.verify()
    assert report.damage is Damage.REWRITTEN
    assert report.sequence == 5  # after the anchor at 4, up to the one at 8
    assert "8" in report.detail


async def test_a_forged_anchor_is_named(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock, anchor_path: Path
) -> None:
    await fill(uow, audit, clock)
    lines = [json.loads(line) for line in anchor_path.read_text().splitlines()]
    assert [line["sequence"] for line in lines] == [4, 8, 12]
    lines[1]["sha256"] = "0" * 64
    anchor_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = await audit.verify()
    assert (report.sequence, report.damage) == (8, Damage.ANCHOR_FORGED)
    lines[1]["signature"] = base64.b64encode(b"\x00" * 64).decode()
    anchor_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert (await audit.verify()).damage is Damage.ANCHOR_FORGED


async def test_nothing_new_makes_no_anchor_and_half_a_line_does_no_harm(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock, anchor_path: Path
) -> None:
    assert await audit.anchor_head() is None
    await fill(uow, audit, clock, 4)
    assert await audit.anchor_head() is None
    with anchor_path.open("a") as file:
        file.write('{"sequence": 5, "sha')
    restarted = AuditService(uow, clock, key=AUDIT_KEY, anchors=FileAnchors(anchor_path), signing_key=SIGNING_KEY)
    await fill(uow, restarted, clock, 4)
    assert [anchor.sequence for anchor in await FileAnchors(anchor_path).read()] == [4, 8]
    assert (await restarted.verify()).valid


async def test_rows_appended_at_once_make_one_chain(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    async def work(number: int) -> None:
        async with uow() as u:
            u.audit.append("thing.do", SYSTEM, f"obj_{number}", {"n": number})
            u.audit.append("thing.done", SYSTEM, f"obj_{number}")
            await asyncio.sleep(0)
            await u.commit()

    await asyncio.gather(*(work(number) for number in range(60)))
    assert await audit.verify() == AuditReport(True, 120)
    async with uow(read_only=True) as u:
        rows = [row async for row in u.audit.walk(chunk=7)]
    assert {row.object_id for row in rows} == {f"obj_{number}" for number in range(60)}
    assert all(rows[i].object_id == rows[i + 1].object_id for i in range(0, 120, 2))


async def test_staff_see_their_prisons_rows_newest_first(
    uow: SqlUnitOfWorkFactory, audit: AuditService, clock: SettableClock
) -> None:
    await fill(uow, audit, clock, 5)
    page = await audit.list(STAFF, AuditFilter(), PageRequest(limit=2))
    assert [row.sequence for row in page.items] == [5, 4]
    page = await audit.list(STAFF, AuditFilter(), PageRequest(limit=2, cursor=page.next_cursor))
    assert [row.sequence for row in page.items] == [3, 2]
    assert (await audit.list(STRANGER_STAFF, AuditFilter(prison_id=STAFF.prison_id), PageRequest())).items == []
    assert len((await audit.list(SYSTEM_ACTOR, AuditFilter(object_id="obj_3"), PageRequest())).items) == 1


async def test_audit_data_takes_no_floats(uow: SqlUnitOfWorkFactory) -> None:
    async with uow() as u:
        with pytest.raises(TypeError):
            u.audit.append("thing.do", SYSTEM, "obj", {"x": 0.1})
        with pytest.raises(TypeError):
            u.audit.append("thing.do", SYSTEM, "obj", {"x": object()})


def test_anchors_of_different_rows_sign_different_bytes(clock: SettableClock) -> None:
    from visitserver.services.audit import anchor_bytes

    one = Anchor(1, "a" * 64, clock())
    assert anchor_bytes(one) != anchor_bytes(replace(one, sequence=2))
    assert anchor_bytes(one) != anchor_bytes(replace(one, sha256="b" * 64))
