"""Imports: what a file makes, changes, ends and leaves, and what it refuses, on both databases."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import text

from tests.fixtures.rights import MOTHER, PRISON, PRISONER, STAFF, STRANGER_STAFF, SYSTEM_ACTOR, World
from tests.fixtures.store import SettableClock
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Forbidden, Invalid, NotFound
from visitserver.domain.import_lines import Format
from visitserver.domain.importing import ImportKind, Outcome
from visitserver.domain.paging import PageRequest
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.rights import PrisonerAnswer, RelationshipState, RestrictionEffect
from visitserver.services.changes import Changes
from visitserver.services.imports import BATCH, ImportReport, ImportService, read_lines
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.records import Stale

CLIENT = Actor(ActorKind.CLIENT, "cli_records", PRISON)
ELSEWHERE = Actor(ActorKind.CLIENT, "cli_elsewhere", "prn_elsewhere")

PRISONERS = """external_id,number,given_name,family_name,born_on,prison,admitted_at,wing,location,incentive_level
P-1,K-100,Eino,Ek,1991-02-03,KUU,2026-01-05T10:00:00+02:00,A,A / 1,enhanced
P-2,K-101,Väinö,Öhman,1985-07-08,KUU,2026-01-06T10:00:00+02:00,,,
"""
CONTACTS = """external_id;given_name;family_name;born_on;email
C-1;Liisa;Ek;1990-01-01;liisa@example.org
C-2;Olli;Öhman;1960-01-01;
"""
LINKS = """external_id,prisoner_external_id,contact_external_id,call_kind,relation,state,reason
R-1,P-1,C-1,social,wife,approved,checked
R-2,P-2,C-2,legal,lawyer,requested,
"""


@pytest.fixture
def store_url(request: pytest.FixtureRequest) -> str:
    """SQLite; both kinds for what rests on constraints, locks and types (`on_both`)."""
    name = "postgres_store_url" if getattr(request, "param", "sqlite") == "postgresql" else "sqlite_store_url"
    url: str = request.getfixturevalue(name)
    return url


on_both = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def imports(uow: UnitOfWorkFactory, world: World, clock: SettableClock) -> ImportService:
    return ImportService(uow, clock, Changes(clock))


async def run(
    imports: ImportService, kind: ImportKind, data: str, actor: Actor = SYSTEM_ACTOR, **options: Any
) -> ImportReport:
    format = Format.JSONL if data.lstrip().startswith("{") else Format.CSV
    return await imports.run(actor, kind, format, read_lines(io.BytesIO(data.encode())), **options)


async def load_all(imports: ImportService) -> None:
    for kind, data in (
        (ImportKind.PRISONERS, PRISONERS),
        (ImportKind.CONTACTS, CONTACTS),
        (ImportKind.RELATIONSHIPS, LINKS),
    ):
        report = await run(imports, kind, data)
        assert not report.refusals, report.refusals


def counts(report: ImportReport) -> tuple[int, int, int, int, int]:
    """Created, changed, ended, unchanged, refused."""
    done = report.run
    return done.created, done.changed, done.ended, done.unchanged, done.refused


def faults(report: ImportReport) -> list[tuple[int, str | None, str]]:
    return [(each.line, fault.column, fault.code) for each in report.refusals for fault in each.faults]


async def find(uow: UnitOfWorkFactory, kind: ImportKind, external_id: str, prison_id: str | None = None) -> Any:
    async with uow(read_only=True) as u:
        return await u.records.find(kind, external_id, prison_id=prison_id)


async def noted(uow: UnitOfWorkFactory) -> list[tuple[str, str | None]]:
    """What has been noted for bookings, in order: kind and prisoner."""
    async with uow(read_only=True) as u:
        found = await u.flags.pending(datetime(2100, 1, 1, tzinfo=UTC), 100)
    return [(change.kind.value, change.prisoner_id) for change in sorted(found, key=lambda each: each.id)]


async def every_row(uow: UnitOfWorkFactory) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that an import can write, but its own note and the audit log."""
    tables = ("prisoners", "contacts", "relationships", "restrictions", "alerts", "appointments", "changes", "outbox")
    async with uow(read_only=True) as u:
        session = u.session  # type: ignore[attr-defined]
        found = {}
        for name in tables:
            rows = (await session.execute(text(f"SELECT * FROM {name}"))).all()
            found[name] = sorted(tuple(map(str, row)) for row in rows)
        return found


@on_both
async def test_a_file_makes_what_it_says_and_twice_is_once(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    assert counts(await run(imports, ImportKind.PRISONERS, PRISONERS)) == (2, 0, 0, 0, 0)
    assert counts(await run(imports, ImportKind.CONTACTS, CONTACTS)) == (2, 0, 0, 0, 0)
    assert counts(await run(imports, ImportKind.RELATIONSHIPS, LINKS)) == (2, 0, 0, 0, 0)
    prisoner = await find(uow, ImportKind.PRISONERS, "P-1")
    assert (prisoner.number, prisoner.prison_id, prisoner.wing_id) == ("K-100", PRISON, "wng_a")
    assert prisoner.location == ("A", "1")
    assert (prisoner.incentive_level, prisoner.legal_status) == (IncentiveLevel.ENHANCED, LegalStatus.CONVICTED)
    assert prisoner.admitted_at == datetime(2026, 1, 5, 8, tzinfo=UTC)
    link = await find(uow, ImportKind.RELATIONSHIPS, "R-1")
    assert (link.state, link.prisoner_answer) == (RelationshipState.APPROVED, PrisonerAnswer.UNANSWERED)
    before = await every_row(uow)
    for kind, data in (
        (ImportKind.PRISONERS, PRISONERS),
        (ImportKind.CONTACTS, CONTACTS),
        (ImportKind.RELATIONSHIPS, LINKS),
    ):
        report = await run(imports, kind, data)
        assert counts(report) == (0, 0, 0, 2, 0)
        assert report.changes == []
    assert await every_row(uow) == before


async def test_a_dry_run_says_field_by_field_what_would_be_and_writes_nothing(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    await load_all(imports)
    before = await every_row(uow)
    changed = PRISONERS.replace("enhanced", "basic").replace("P-2,K-101", "P-3,K-103")
    report = await run(imports, ImportKind.PRISONERS, changed, dry_run=True)
    assert counts(report) == (1, 1, 0, 0, 0)
    difference = {change.external_id: change for change in report.changes}
    assert difference["P-1"].fields == {"incentive_level": ("enhanced", "basic")}
    assert difference["P-3"].outcome is Outcome.CREATED
    assert difference["P-3"].fields["number"] == (None, "K-103")
    assert await every_row(uow) == before
    async with uow(read_only=True) as u:
        assert (await u.clients.get_run(report.run.id)).dry_run
    again = await run(imports, ImportKind.PRISONERS, changed)
    assert counts(again) == counts(report)


@on_both
async def test_bad_lines_are_named_and_stop_no_other(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    data = (
        "external_id,number,given_name,family_name,born_on,prison,admitted_at,wing\n"
        "P-1,K-100,Eino,Ek,1991-02-03,KUU,2026-01-05T10:00:00Z,A\n"
        "P-2,K-101,Eino,Ek,1991-13-03,KUU,2026-01-05T10:00:00Z,A\n"  # 3
        "P-3,K-1,Eino,Ek,1991-02-03,KUU,2026-01-05T10:00:00Z,A\n"  # 4: the number of somebody who gets P-3
        "P-4,K-102,Eino,Ek,1991-02-03,XXX,2026-01-05T10:00:00Z,A\n"  # 5
        "P-5,K-103,Eino,Ek,1991-02-03,KUU,2026-01-05T10:00:00Z,Z\n"  # 6
        "P-6,K-100,Eino,Ek,1991-02-03,KUU,2026-01-05T10:00:00Z,A\n"  # 7: the number of line 2
        "P-1,K-104,Eino,Ek,1991-02-03,KUU,2026-01-05T10:00:00Z,A\n"  # 8
        "P-7,,Eino,Ek,,KUU,2026-01-05T10:00:00Z,A\n"  # 9
        "P-8,K-105,Eino,Ek,2030-01-01,KUU,2026-01-05T10:00:00Z,A\n"  # 10
        "P-9,K-106,Eino,Ek,1991-02-03,KUU,2026-01-05T10:00:00Z\n"  # 11
        "P-10,K-107,Eino,Ek,1991-02-03,KUU,2026-01-05T10:00:00Z,A\n"
    )
    report = await run(imports, ImportKind.PRISONERS, data)
    assert sorted(faults(report), key=lambda each: (each[0], each[2], str(each[1]))) == [
        (3, "born_on", "date"),
        (5, "prison", "reference"),
        (6, "wing", "reference"),
        (7, "number", "taken"),
        (8, "external_id", "repeated"),
        (9, "born_on", "required"),
        (9, "number", "required"),
        (10, "born_on", "range"),
        (11, None, "cells"),
    ]
    assert counts(report) == (2, 1, 0, 0, 8)
    for external_id in ("P-2", "P-4", "P-5", "P-6", "P-7", "P-8", "P-9"):
        assert await find(uow, ImportKind.PRISONERS, external_id) is None
    adopted = await find(uow, ImportKind.PRISONERS, "P-3")
    assert adopted.id == PRISONER
    async with uow(read_only=True) as u:
        kept = await u.clients.get_run(report.run.id)
    assert [fault["line"] for fault in kept.faults] == [line for line, _, _ in faults(report)]
    assert "Eino" not in json.dumps(kept.faults)


@on_both
async def test_a_line_that_the_database_refuses_is_found_out_among_the_good_ones(
    imports: ImportService, uow: UnitOfWorkFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a constraint sees: here, because the question before it is made blind."""

    async def blind(self: object, number: str) -> None:
        return None

    monkeypatch.setattr("visitserver.store.repositories.people.SqlPeople.find_prisoner_by_number", blind)
    lines = [f"P-{n},K-{n if n != 7 else 6},E,E,1991-02-03,KUU,2026-01-05T10:00:00Z" for n in range(5, 10 + BATCH)]
    head = "external_id,number,given_name,family_name,born_on,prison,admitted_at\n"
    report = await run(imports, ImportKind.PRISONERS, head + "\n".join(lines))
    assert faults(report) == [(4, None, "constraint")]
    assert report.run.created == len(lines) - 1
    assert await find(uow, ImportKind.PRISONERS, "P-7") is None


async def test_release_transfer_status_and_return_are_noted_for_the_bookings(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    await load_all(imports)
    first, second = await find(uow, ImportKind.PRISONERS, "P-1"), await find(uow, ImportKind.PRISONERS, "P-2")
    head = "external_id,prison,legal_status,released_at\n"
    moved = await run(imports, ImportKind.PRISONERS, head + "P-1,ELS,,\nP-2,KUU,remand,\n")
    assert counts(moved) == (0, 2, 0, 0, 0)
    assert (await find(uow, ImportKind.PRISONERS, "P-1")).wing_id is None
    released = head + "P-1,ELS,,2026-03-01T08:00:00Z\n"
    assert counts(await run(imports, ImportKind.PRISONERS, released)) == (0, 0, 1, 0, 0)
    assert counts(await run(imports, ImportKind.PRISONERS, released)) == (0, 0, 0, 1, 0)
    gone = await find(uow, ImportKind.PRISONERS, "P-1")
    assert (gone.prison_id, gone.released_at) == (None, datetime(2026, 3, 1, 8, tzinfo=UTC))
    assert counts(await run(imports, ImportKind.PRISONERS, head + "P-1,KUU,,\n")) == (0, 1, 0, 0, 0)
    assert (await find(uow, ImportKind.PRISONERS, "P-1")).prison_id == PRISON
    assert [each for each in await noted(uow) if each[0].startswith("prisoner")] == [
        ("prisoner_transferred", first.id),
        ("prisoner_status_changed", second.id),
        ("prisoner_released", first.id),
        ("prisoner_status_changed", first.id),
    ]


async def test_another_persons_identifier_takes_no_released_prisoners_record(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    await load_all(imports)
    head = "external_id,number,given_name,born_on,prison,released_at\n"
    gone = head + "P-1,K-100,Eino,1991-02-03,KUU,2026-03-01T08:00:00Z\n"
    assert counts(await run(imports, ImportKind.PRISONERS, gone)) == (0, 0, 1, 0, 0)
    before = await every_row(uow)
    for other in (
        head + "P-1,E-7,Aatos,1970-05-06,ELS,\n",
        head + "P-1,E-7,Aatos,1970-05-06,ELS,2026-03-02T08:00:00Z\n",
        "external_id,number,prison,released_at\nP-1,E-7,ELS,\n",
    ):
        report = await run(imports, ImportKind.PRISONERS, other, ELSEWHERE)
        assert faults(report) == [(2, "external_id", "another_person")]
    assert await every_row(uow) == before
    same = head + "P-1,E-7,Eino,1991-02-03,ELS,\n"
    assert counts(await run(imports, ImportKind.PRISONERS, same, ELSEWHERE)) == (0, 1, 0, 0, 0)
    taken_in = await find(uow, ImportKind.PRISONERS, "P-1")
    assert (taken_in.prison_id, taken_in.number) == ("prn_elsewhere", "E-7")


async def test_a_corrected_birth_date_has_bookings_looked_at_again(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    await load_all(imports)
    await run(imports, ImportKind.PRISONERS, "external_id,born_on\nP-1,2009-02-03\nP-2,1985-07-08\n")
    await run(imports, ImportKind.CONTACTS, "external_id,born_on,email\nC-1,2010-01-01,\nC-2,,new@example.org\n")
    prisoner, contact = await find(uow, ImportKind.PRISONERS, "P-1"), await find(uow, ImportKind.CONTACTS, "C-1")
    async with uow(read_only=True) as u:
        found = await u.flags.pending(datetime(2100, 1, 1, tzinfo=UTC), 100)
    assert {(each.kind.value, each.prisoner_id, each.contact_id) for each in found} == {
        ("prisoner_status_changed", prisoner.id, None),
        ("contact_changed", None, contact.id),
    }


RIGHTS = """{"external_id":"X-1","scope":"person","subject_external_id":"C-1","type":"ban","starts_on":"2026-03-01",\
"ends_on":"2026-03-31","authority":"Governor"}
{"external_id":"X-2","scope":"relationship","subject_external_id":"R-1","type":"CLOSED","starts_on":"2026-03-01",\
"authority":"Governor","effect":"block"}
{"external_id":"X-3","scope":"prisoner","subject_external_id":"P-2","type":"CHILD","starts_on":"2026-03-01",\
"authority":"Court","lifted":false}
"""


async def test_restrictions_are_added_changed_and_lifted_for_good(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    await load_all(imports)
    assert counts(await run(imports, ImportKind.RESTRICTIONS, RIGHTS)) == (3, 0, 0, 0, 0)
    assert counts(await run(imports, ImportKind.RESTRICTIONS, RIGHTS)) == (0, 0, 0, 3, 0)
    ban = await find(uow, ImportKind.RESTRICTIONS, "X-1")
    assert (ban.type, ban.ends_on, ban.effective) == ("BAN", date(2026, 3, 31), RestrictionEffect.BLOCK)
    lines = ({"external_id": "X-1", "ends_on": None}, {"external_id": "X-2", "lifted": True})
    longer = "\n".join(map(json.dumps, (*lines, {"external_id": "X-3", "scope": "person"})))
    report = await run(imports, ImportKind.RESTRICTIONS, longer)
    assert counts(report) == (0, 1, 1, 0, 1)
    assert faults(report) == [(3, "scope", "fixed")]
    assert (await find(uow, ImportKind.RESTRICTIONS, "X-1")).ends_on is None
    assert (await find(uow, ImportKind.RESTRICTIONS, "X-2")).lifted_at is not None
    again = await run(imports, ImportKind.RESTRICTIONS, '{"external_id":"X-2","lifted":false}')
    assert faults(again) == [(1, "lifted", "ended")]
    wrong = await run(imports, ImportKind.RESTRICTIONS, '{"external_id":"X-1","ends_on":"2026-02-01"}')
    assert faults(wrong) == [(1, "ends_on", "order")]
    assert [kind for kind, _ in await noted(uow) if kind.startswith("restriction")] == [
        *("restriction_added", "restriction_added", "restriction_added"),
        *("restriction_changed", "restriction_lifted"),
    ]


async def meet(imports: ImportService, contact: str, state: str) -> None:
    """Another prison's prisoner asks for the contact."""
    prisoner = PRISONERS.splitlines()[0] + "\nP-9,E-9,Nils,Ny,1980-01-02,ELS,2026-01-05T10:00:00Z,,,\n"
    await run(imports, ImportKind.PRISONERS, prisoner)
    link = LINKS.splitlines()[0] + f"\nR-9,P-9,{contact},social,friend,{state},asked\n"
    assert not (await run(imports, ImportKind.RELATIONSHIPS, link)).refusals


async def test_a_ban_of_a_person_is_the_prisons_alone_that_made_it(
    imports: ImportService, uow: UnitOfWorkFactory, world: World
) -> None:
    await load_all(imports)
    await run(imports, ImportKind.RESTRICTIONS, RIGHTS, CLIENT)
    await meet(imports, "C-1", "approved")
    before = await every_row(uow)
    for line in (
        {"external_id": "X-1", "lifted": True},
        {"external_id": "X-1", "ends_on": "2026-03-02"},
        {"external_id": "X-1", "type": "RESTRICTED"},
    ):
        report = await run(imports, ImportKind.RESTRICTIONS, json.dumps(line), ELSEWHERE)
        assert faults(report) == [(1, "external_id", "other_prison")]
    ban = await find(uow, ImportKind.RESTRICTIONS, "X-1")
    assert ban.prison_id == PRISON
    with pytest.raises(Forbidden):
        await world.restrictions.lift(STRANGER_STAFF, ban.id, "not with us")
    assert await every_row(uow) == before
    unchanged = await run(imports, ImportKind.RESTRICTIONS, RIGHTS.splitlines()[0], ELSEWHERE)
    assert counts(unchanged) == (0, 0, 0, 1, 0), "who knows the contact reads it"
    own = RIGHTS.splitlines()[0].replace("X-1", "X-9")
    assert counts(await run(imports, ImportKind.RESTRICTIONS, own, ELSEWHERE)) == (1, 0, 0, 0, 0)
    with pytest.raises(Forbidden):
        await world.restrictions.lift(STAFF, (await find(uow, ImportKind.RESTRICTIONS, "X-9")).id, "theirs")
    assert (await world.restrictions.lift(STAFF, ban.id, "appeal upheld")).lifted_at is not None


async def test_a_restriction_from_before_that_was_written_down_is_changed_as_ever(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    await load_all(imports)
    await run(imports, ImportKind.RESTRICTIONS, RIGHTS)
    await meet(imports, "C-1", "approved")
    assert (await find(uow, ImportKind.RESTRICTIONS, "X-1")).prison_id is None
    lifted = await run(imports, ImportKind.RESTRICTIONS, '{"external_id":"X-1","lifted":true}', ELSEWHERE)
    assert counts(lifted) == (0, 0, 1, 0, 0)


async def test_birth_date_and_address_are_not_rewritten_on_a_mere_request(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    await load_all(imports)
    await meet(imports, "C-1", "requested")
    before = await every_row(uow)
    for column, value in (("email", "mine@example.org"), ("born_on", "2001-02-03")):
        line = json.dumps({"external_id": "C-1", column: value})
        report = await run(imports, ImportKind.CONTACTS, line, ELSEWHERE)
        assert faults(report) == [(1, column, "not_approved")]
    assert await every_row(uow) == before
    named = await run(imports, ImportKind.CONTACTS, '{"external_id":"C-1","phone":"+358401234567"}', ELSEWHERE)
    assert counts(named) == (0, 1, 0, 0, 0)
    await run(imports, ImportKind.RELATIONSHIPS, "external_id,state,reason\nR-9,approved,checked\n")
    address = '{"external_id":"C-1","email":"mine@example.org"}'
    assert counts(await run(imports, ImportKind.CONTACTS, address, ELSEWHERE)) == (0, 1, 0, 0, 0)
    new = CONTACTS.splitlines()[0] + "\nC-7;Ny;Ny;1990-01-01;\n"
    assert counts(await run(imports, ImportKind.CONTACTS, new, ELSEWHERE)) == (1, 0, 0, 0, 0)
    address = '{"external_id":"C-7","email":"ny@example.org"}'
    assert counts(await run(imports, ImportKind.CONTACTS, address, ELSEWHERE)) == (0, 1, 0, 0, 0)


@on_both
async def test_alerts_and_appointments(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    await load_all(imports)
    alerts = "external_id,prisoner_external_id,code,starts_on,closed\nW-1,P-1,XCU,2026-03-01,no\n"
    assert counts(await run(imports, ImportKind.ALERTS, alerts)) == (1, 0, 0, 0, 0)
    assert counts(await run(imports, ImportKind.ALERTS, alerts)) == (0, 0, 0, 1, 0)
    assert counts(await run(imports, ImportKind.ALERTS, alerts.replace("XCU", "HA"))) == (0, 1, 0, 0, 0)
    closed = alerts.replace("XCU", "HA").replace("no", "yes")
    assert counts(await run(imports, ImportKind.ALERTS, closed)) == (0, 0, 1, 0, 0)
    dates = (
        "external_id,prisoner_external_id,kind,starts_at,ends_at,cancelled\n"
        "T-1,P-1,court,2026-03-10T09:00:00+02:00,2026-03-10T11:00:00+02:00,\n"
    )
    assert counts(await run(imports, ImportKind.APPOINTMENTS, dates)) == (1, 0, 0, 0, 0)
    assert counts(await run(imports, ImportKind.APPOINTMENTS, dates)) == (0, 0, 0, 1, 0)
    later = dates.replace("T11:00", "T12:30")
    assert counts(await run(imports, ImportKind.APPOINTMENTS, later)) == (0, 1, 0, 0, 0)
    off = await run(imports, ImportKind.APPOINTMENTS, later.replace(",\n", ",yes\n"))
    assert counts(off) == (0, 0, 1, 0, 0)
    found = await find(uow, ImportKind.APPOINTMENTS, "T-1", PRISON)
    assert (found.ends_at, found.stands) == (datetime(2026, 3, 10, 10, 30, tzinfo=UTC), False)
    kinds = [kind for kind, _ in await noted(uow) if kind.startswith(("alert", "appointment"))]
    assert kinds == [
        *("alert_created", "alert_updated", "alert_ended"),
        *("appointment_added", "appointment_changed", "appointment_cancelled"),
    ]


async def test_a_relationship_ends_with_a_reason_and_is_never_the_prisoners_answer(
    imports: ImportService, uow: UnitOfWorkFactory, world: World
) -> None:
    await load_all(imports)
    head = "external_id,state,reason\n"
    assert faults(await run(imports, ImportKind.RELATIONSHIPS, head + "R-1,ended,\n")) == [(2, "reason", "required")]
    assert counts(await run(imports, ImportKind.RELATIONSHIPS, head + "R-1,ended,moved away\n")) == (0, 0, 1, 0, 0)
    wrong = await run(imports, ImportKind.RELATIONSHIPS, head + "R-1,requested,\n")
    assert faults(wrong) == [(2, "state", "relationship_state")]
    kind = "external_id,call_kind\nR-1,legal\nR-2,consular\n"
    report = await run(imports, ImportKind.RELATIONSHIPS, kind)
    assert faults(report) == [(2, "call_kind", "call_kind")]
    assert (await find(uow, ImportKind.RELATIONSHIPS, "R-2")).call_kind == "consular"
    moved = await run(imports, ImportKind.RELATIONSHIPS, "external_id,contact_external_id\nR-1,C-2\n")
    assert faults(moved) == [(2, "contact_external_id", "fixed")]
    twin = LINKS.replace("R-1", "R-9").splitlines()[:2]
    assert faults(await run(imports, ImportKind.RELATIONSHIPS, "\n".join(twin))) == [(2, "external_id", "exists")]


async def test_a_client_finds_nothing_of_another_prison(
    imports: ImportService, uow: UnitOfWorkFactory, world: World
) -> None:
    """Another prison's record is refused in the words of one that does not exist, and stays as it is."""
    await load_all(imports)
    await run(imports, ImportKind.RESTRICTIONS, RIGHTS)
    await run(imports, ImportKind.ALERTS, "external_id,prisoner_external_id,code,starts_on\nW-1,P-1,XCU,2026-03-01\n")
    before = await every_row(uow)
    for kind, known, change in (
        (ImportKind.PRISONERS, "P-1", {"given_name": "Taken"}),
        (ImportKind.CONTACTS, "C-1", {"given_name": "Taken"}),
        (ImportKind.RELATIONSHIPS, "R-1", {"relation": "taken"}),
        (ImportKind.RESTRICTIONS, "X-1", {"note": "taken"}),
        (ImportKind.RESTRICTIONS, "X-2", {"note": "taken"}),
        (ImportKind.RESTRICTIONS, "X-3", {"note": "taken"}),
        (ImportKind.ALERTS, "W-1", {"code": "TAKEN"}),
    ):
        with pytest.raises(NotFound):
            await imports.get(ELSEWHERE, kind, known)
        with pytest.raises(NotFound):
            await imports.put(ELSEWHERE, kind, known, change)
        line = json.dumps({"external_id": known, **change})
        assert faults(await run(imports, kind, line, ELSEWHERE)) == [(1, "external_id", "not_found")]
        assert (await imports.page(ELSEWHERE, kind, PageRequest())).items == []
        assert known in [each.values["external_id"] for each in (await imports.page(CLIENT, kind, PageRequest())).items]
    references = []
    for named in ("P-1", "P-none"):
        line = json.dumps({"external_id": "W-9", "prisoner_external_id": named, "code": "X", "starts_on": "2026-03-01"})
        report = await run(imports, ImportKind.ALERTS, line, ELSEWHERE)
        references.append([(f.column, f.code, f.message) for each in report.refusals for f in each.faults])
    assert references[0] == references[1] != []
    assert await every_row(uow) == before


async def test_who_holds_a_prisoner_hands_them_over(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    await load_all(imports)
    new = json.dumps(
        {
            "external_id": "P-9",
            "number": "K-9",
            "given_name": "A",
            "family_name": "B",
            "born_on": "1990-01-01",
            "prison": "ELS",
            "admitted_at": "2026-01-01T00:00:00Z",
        }
    )
    assert faults(await run(imports, ImportKind.PRISONERS, new, CLIENT)) == [(1, "prison", "other_prison")]
    change, _ = await imports.put(CLIENT, ImportKind.PRISONERS, "P-1", {"prison": "ELS"})
    assert change.fields["prison"] == ("KUU", "ELS")
    with pytest.raises(NotFound):
        await imports.get(CLIENT, ImportKind.PRISONERS, "P-1")
    assert (await imports.get(ELSEWHERE, ImportKind.PRISONERS, "P-1")).values["number"] == "K-100"
    with pytest.raises(NotFound):
        await imports.put(CLIENT, ImportKind.PRISONERS, "P-1", {"prison": "KUU"})


async def test_conditions_keep_two_writers_apart(imports: ImportService) -> None:
    await load_all(imports)
    seen = await imports.get(CLIENT, ImportKind.CONTACTS, "C-1")
    _, changed = await imports.put(CLIENT, ImportKind.CONTACTS, "C-1", {"phone": "1"}, if_match=seen.etag)
    assert changed.etag != seen.etag
    with pytest.raises(Stale):
        await imports.put(CLIENT, ImportKind.CONTACTS, "C-1", {"phone": "2"}, if_match=seen.etag)
    with pytest.raises(Stale):
        await imports.put(CLIENT, ImportKind.CONTACTS, "C-1", {"phone": "2"}, if_none_match=True)
    with pytest.raises(Stale):
        await imports.put(CLIENT, ImportKind.CONTACTS, "C-77", {"phone": "2"}, if_match="*")
    assert (await imports.get(CLIENT, ImportKind.CONTACTS, "C-1")).values["phone"] == "1"


@on_both
async def test_the_same_file_imported_at_once_is_imported_once(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    lines = [f"P-{n},K-{n},E,E,1991-02-03,KUU,2026-01-05T10:00:00Z" for n in range(100, 130)]
    data = "external_id,number,given_name,family_name,born_on,prison,admitted_at\n" + "\n".join(lines)
    reports = await asyncio.gather(*(run(imports, ImportKind.PRISONERS, data) for _ in range(3)))
    assert sum(report.run.created for report in reports) == len(lines)
    assert all(report.run.refused == 0 for report in reports)
    assert sum(report.run.unchanged for report in reports) == 2 * len(lines)


async def test_an_import_is_in_the_audit_log_without_names(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    report = await run(imports, ImportKind.PRISONERS, PRISONERS, CLIENT)
    async with uow(read_only=True) as u:
        rows = [row async for row in u.audit.walk()]
    found = [row for row in rows if row.actor_id == CLIENT.id]
    assert [row.action for row in found] == ["record.prisoners", "record.prisoners", "import.run"]
    assert {row.actor_kind for row in found} == {"client"}
    assert {row.prison_id for row in found} == {PRISON}
    assert found[-1].object_id == report.run.id
    assert found[-1].data["created"] == 2
    assert "Eino" not in json.dumps([row.data for row in found])


async def test_people_who_signed_up_by_themselves_are_listed_without_an_identifier(
    imports: ImportService, world: World
) -> None:
    found = {each.id: each for each in (await imports.page(CLIENT, ImportKind.CONTACTS, PageRequest())).items}
    assert found[MOTHER].values["external_id"] is None


async def test_nobody_else_imports(imports: ImportService) -> None:
    for actor in (Actor(ActorKind.FAMILY, MOTHER), Actor(ActorKind.ANONYMOUS, "")):
        with pytest.raises(NotFound):
            await run(imports, ImportKind.CONTACTS, CONTACTS, actor)


async def test_a_file_without_a_head_is_refused_whole(imports: ImportService) -> None:
    with pytest.raises(Invalid):
        await run(imports, ImportKind.CONTACTS, "a,b\n1,2\n")
