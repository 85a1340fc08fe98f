"""Two prisons whose record systems number by themselves: one identifier, two people, and neither is taken or shown."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.fixtures.rights import PRISON, SYSTEM_ACTOR, World
from tests.fixtures.store import SettableClock
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.import_lines import Format
from visitserver.domain.importing import ImportKind
from visitserver.domain.merging import identifier_for
from visitserver.domain.paging import PageRequest
from visitserver.services.changes import Changes
from visitserver.services.imports import ImportReport, ImportService, read_lines
from visitserver.services.ports.uow import UnitOfWorkFactory

ELSEWHERE = "prn_elsewhere"
HERE = Actor(ActorKind.CLIENT, "cli_here", PRISON)
THERE = Actor(ActorKind.CLIENT, "cli_there", ELSEWHERE)
CODES = {PRISON: "KUU", ELSEWHERE: "ELS"}


def lines_of(actor: Actor) -> dict[ImportKind, dict[str, Any]]:
    """One record of each kind, under the same identifiers at both prisons, of people of its own."""
    own = CODES[str(actor.prison_id)]
    return {
        ImportKind.PRISONERS: {
            "external_id": "P-1",
            "number": f"{own}-7",
            "given_name": own,
            "family_name": "Ek",
            "born_on": "1991-02-03",
            "prison": own,
            "admitted_at": "2026-01-05T10:00:00Z",
        },
        ImportKind.CONTACTS: {"external_id": "C-1", "given_name": own, "family_name": "Aho", "born_on": "1990-01-01"},
        ImportKind.RELATIONSHIPS: {
            "external_id": "R-1",
            "prisoner_external_id": "P-1",
            "contact_external_id": "C-1",
            "call_kind": "social",
            "relation": own,
            "state": "requested",
        },
        ImportKind.RESTRICTIONS: {
            "external_id": "X-1",
            "scope": "person",
            "subject_external_id": "C-1",
            "type": "BAN",
            "starts_on": "2026-03-01",
            "authority": own,
        },
        ImportKind.ALERTS: {
            "external_id": "W-1",
            "prisoner_external_id": "P-1",
            "code": own,
            "starts_on": "2026-03-01",
        },
        ImportKind.APPOINTMENTS: {
            "external_id": "T-1",
            "prisoner_external_id": "P-1",
            "kind": "court",
            "note": own,
            "starts_at": "2026-03-10T09:00:00Z",
            "ends_at": "2026-03-10T10:00:00Z",
        },
    }


async def run(
    imports: ImportService, actor: Actor, kind: ImportKind, *lines: dict[str, Any], **options: Any
) -> ImportReport:
    data = "\n".join(map(json.dumps, lines)).encode()
    return await imports.run(actor, kind, Format.JSONL, read_lines(io.BytesIO(data)), **options)


def faults(report: ImportReport) -> list[tuple[str | None, str]]:
    return [(fault.column, fault.code) for each in report.refusals for fault in each.faults]


@pytest.fixture
def store_url(request: pytest.FixtureRequest) -> str:
    """SQLite; both kinds for what rests on the constraint (`on_both`)."""
    name = "postgres_store_url" if getattr(request, "param", "sqlite") == "postgresql" else "sqlite_store_url"
    url: str = request.getfixturevalue(name)
    return url


on_both = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
async def imports(uow: UnitOfWorkFactory, world: World, clock: SettableClock) -> ImportService:
    async with uow() as u:
        for prison_id, code in CODES.items():
            (await u.people.get_prison(prison_id)).record_source = code
        await u.commit()
    made = ImportService(uow, clock, Changes(clock))
    for actor in (HERE, THERE):
        for kind, line in lines_of(actor).items():
            report = await run(made, actor, kind, line)
            assert (report.run.created, faults(report)) == (1, []), kind
    return made


async def described(imports: ImportService, actor: Actor) -> dict[ImportKind, Any]:
    """Everything that the prison may read under these identifiers, with our own identifiers."""
    found = {}
    for kind, line in lines_of(actor).items():
        one = await imports.get(actor, kind, line["external_id"])
        found[kind] = {**one.values, "id": one.id}
    return found


@on_both
async def test_each_prison_has_its_own_under_one_identifier(imports: ImportService) -> None:
    here, there = await described(imports, HERE), await described(imports, THERE)
    for kind in here:
        assert here[kind]["id"] != there[kind]["id"], kind
        for actor, own in ((HERE, here), (THERE, there)):
            listed = (await imports.page(actor, kind, PageRequest())).items
            named = {each.id: each.values["external_id"] for each in listed if each.values["external_id"]}
            assert named == {own[kind]["id"]: lines_of(actor)[kind]["external_id"]}, kind
    changes: dict[ImportKind, dict[str, Any]] = {
        ImportKind.PRISONERS: {"family_name": "Oksa", "released_at": "2026-03-01T10:00:00Z"},
        ImportKind.CONTACTS: {"family_name": "Oksa", "email": "oksa@example.org"},
        ImportKind.RELATIONSHIPS: {"state": "refused", "reason": "not here"},
        ImportKind.RESTRICTIONS: {"lifted": True},
        ImportKind.ALERTS: {"closed": True},
        ImportKind.APPOINTMENTS: {"cancelled": True},
    }
    for kind in reversed(ImportKind):
        if kind in changes:
            line = lines_of(THERE)[kind]
            change, _ = await imports.put(THERE, kind, line["external_id"], changes[kind])
            assert set(changes[kind]) <= set(change.fields) | {"reason"}
    assert await described(imports, HERE) == here


async def test_who_is_handed_over_is_named_anew_and_frees_the_identifier(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    mine = await imports.get(HERE, ImportKind.PRISONERS, "P-1")
    theirs = await imports.get(THERE, ImportKind.PRISONERS, "P-1")
    await imports.put(HERE, ImportKind.PRISONERS, "P-1", {"prison": "ELS"})
    with pytest.raises(NotFound):
        await imports.get(HERE, ImportKind.PRISONERS, "P-1")
    assert (await imports.get(THERE, ImportKind.PRISONERS, "P-1")).id == theirs.id
    listed = {
        each.id: each.values["external_id"]
        for each in (await imports.page(THERE, ImportKind.PRISONERS, PageRequest())).items
    }
    assert listed == {theirs.id: "P-1", mine.id: None}
    # The prison that has them now names them by their number; the identifier here is for somebody else.
    report = await run(imports, THERE, ImportKind.PRISONERS, {"external_id": "P-2", "number": "KUU-7"})
    assert (report.run.changed, faults(report)) == (1, [])
    assert (await imports.get(THERE, ImportKind.PRISONERS, "P-2")).id == mine.id
    # An alert that came along is theirs to close once they have named it; until then it has no identifier there.
    alert = (await imports.page(THERE, ImportKind.ALERTS, PageRequest())).items
    assert sorted((each.values["external_id"] or "-", each.values["code"]) for each in alert) == [
        ("-", "KUU"),
        ("W-1", "ELS"),
    ]
    named = {"external_id": "W-2", "prisoner_external_id": "P-2", "code": "KUU", "starts_on": "2026-03-01"}
    report = await run(imports, THERE, ImportKind.ALERTS, named)
    assert (report.run.changed, faults(report)) == (1, [])
    assert (await run(imports, THERE, ImportKind.ALERTS, {"external_id": "W-2", "closed": True})).run.ended == 1
    other = lines_of(HERE)[ImportKind.PRISONERS] | {"number": "KUU-8", "given_name": "Toinen"}
    assert (await run(imports, HERE, ImportKind.PRISONERS, other)).run.created == 1
    assert (await imports.get(HERE, ImportKind.PRISONERS, "P-1")).id not in (mine.id, theirs.id)
    async with uow(read_only=True) as u:
        assert (await u.people.get_prisoner(mine.id)).prison_id == ELSEWHERE


async def test_a_number_alone_takes_nobody(imports: ImportService) -> None:
    """Another prison's prisoner, a released one of another birth date: refused. The same released person: taken in."""
    back = lines_of(THERE)[ImportKind.PRISONERS] | {"external_id": "P-9", "number": "KUU-7"}
    report = await run(imports, THERE, ImportKind.PRISONERS, back)
    assert faults(report) == [("number", "taken")]
    mine = await imports.get(HERE, ImportKind.PRISONERS, "P-1")
    await imports.put(HERE, ImportKind.PRISONERS, "P-1", {"released_at": "2026-03-01T10:00:00Z"})
    wrong = [back | {"born_on": "1970-01-01"}, {name: back[name] for name in ("external_id", "number", "prison")}]
    for line in wrong:
        assert faults(await run(imports, THERE, ImportKind.PRISONERS, line)) == [("number", "taken")]
    taken_in = await run(imports, THERE, ImportKind.PRISONERS, back | {"released_at": None})
    assert (taken_in.run.changed, faults(taken_in)) == (1, [])
    assert (await imports.get(THERE, ImportKind.PRISONERS, "P-9")).id == mine.id
    with pytest.raises(NotFound):
        await imports.get(HERE, ImportKind.PRISONERS, "P-1")


async def test_the_command_line_says_whose_numbering_it_reads(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    with pytest.raises(Invalid):
        await imports.source(None)
    with pytest.raises(Invalid):
        await imports.source("NONE")
    before = await described(imports, HERE)
    line = {"external_id": "C-1", "family_name": "Oksa"}
    assert (
        await run(imports, SYSTEM_ACTOR, ImportKind.CONTACTS, line, source=await imports.source("ELS"))
    ).run.changed == 1
    assert await described(imports, HERE) == before
    assert (await described(imports, THERE))[ImportKind.CONTACTS]["family_name"] == "Oksa"
    async with uow() as u:
        for prison_id in CODES:
            (await u.people.get_prison(prison_id)).record_source = "national"
        await u.commit()
    assert await imports.source(None) == "national"


async def test_prisons_of_one_source_share_what_it_names(imports: ImportService, uow: UnitOfWorkFactory) -> None:
    """One national system: a contact whom the prison knows is found under the identifier that the other one gave."""
    async with uow() as u:
        (await u.people.get_prison(ELSEWHERE)).record_source = CODES[PRISON]
        await u.commit()
    with pytest.raises(NotFound):  # known at the other prison alone
        await imports.get(THERE, ImportKind.CONTACTS, "C-1")
    await imports.put(HERE, ImportKind.PRISONERS, "P-1", {"prison": "ELS"})
    mine = await imports.get(THERE, ImportKind.PRISONERS, "P-1")
    assert mine.values["number"] == "KUU-7"
    assert (await imports.get(THERE, ImportKind.CONTACTS, "C-1")).values["given_name"] == "KUU"


async def test_an_identifier_goes_with_its_source_when_two_records_become_one(
    imports: ImportService, uow: UnitOfWorkFactory
) -> None:
    async with uow() as u:
        u.records.source = "ELS"
        named = await u.records.find(ImportKind.CONTACTS, "C-1")
        nameless = await u.people.get_contact("con_mother")
        assert identifier_for(nameless, named) == ("C-1", "ELS")
        assert named.external_id is None
        u.records.source = "KUU"
        other = await u.records.find(ImportKind.CONTACTS, "C-1")
        named.external_id = "C-1"
        assert identifier_for(other, named) == ("C-1", "KUU")
        assert named.external_id == "C-1"
