"""Importing people and rights: files of many records, and one record at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, Final, TypeVar

import structlog

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.clients import ImportRun
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, DomainError, Invalid, NotFound
from visitserver.domain.import_lines import LONGEST_LINE, Format, Record, read_records
from visitserver.domain.importing import Change, Fault, ImportKind, LineRefused, Outcome, parse_record
from visitserver.domain.paging import Page, PageRequest
from visitserver.services.access_checks import own_prison
from visitserver.services.changes import Changes
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.record_appointments import AppointmentKeeper
from visitserver.services.record_associations import NonAssociationKeeper
from visitserver.services.record_people import ContactKeeper, PrisonerKeeper
from visitserver.services.record_rights import AlertKeeper, RelationshipKeeper, RestrictionKeeper
from visitserver.services.records import NOT_HERE, Keeper, Put, as_fault, etag_of, not_here

log = structlog.get_logger(__name__)
T = TypeVar("T")

BATCH: Final = 50
"""Records of one transaction: a writer on SQLite keeps the others waiting no longer than that takes."""
KEPT_FAULTS: Final = 1000
KEPT_CHANGES: Final = 1000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line that was refused, and every reason."""

    line: int
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class ImportReport:
    """What came of a file. At most 1,000 changes and 1,000 refusals are kept; the counts are of all."""

    run: ImportRun
    changes: list[Change] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Described:
    """One record as the prison's own system would write it, with its etag and our own identifier."""

    id: str
    values: Mapping[str, Any]
    etag: str


class ImportService:
    """Takes records in. Everything is of the actor's own prison; the command line (the system) may write for all."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes) -> None:
        self._uow = uow
        self._clock = clock
        self._changes = changes
        keepers: tuple[Keeper[Any], ...] = (
            PrisonerKeeper(clock, changes),
            ContactKeeper(clock, changes),
            RelationshipKeeper(clock, changes),
            RestrictionKeeper(clock, changes),
            AlertKeeper(clock, changes),
            NonAssociationKeeper(clock, changes),
            AppointmentKeeper(clock, changes),
        )
        self._keepers = {keeper.kind: keeper for keeper in keepers}

    async def run(
        self,
        actor: Actor,
        kind: ImportKind,
        format: Format,
        lines: Iterable[bytes],
        *,
        dry_run: bool = False,
        source: str = "",
        progress: Callable[[ImportReport], None] | None = None,
        request_id: str | None = None,
    ) -> ImportReport:
        """Import every record of `lines` that can be; what cannot is in the report.

        With `dry_run` nothing lasts but the note that it was tried. Records are written in transactions of 50; when
        one of those fails, its records are written one by one. Invalid when the head of the file cannot be used;
        Unavailable when the database cannot be reached: what was written until then stays, and the file can be
        imported again. `progress` is called after every transaction. `source`: whose numbering the identifiers are of,
        where the actor is the system; a prison's own otherwise.
        """
        self._may(actor)
        run = ImportRun(new_id("imp"), kind, actor.reference, dry_run, self._clock(), prison_id=actor.prison_id)
        report = ImportReport(run)
        seen: dict[str, int] = {}
        records = read_records(kind, format, lines)
        for batch in _batches(records, BATCH):
            fit = [pair for record in batch if (pair := self._read(report, kind, record, seen)) is not None]
            await self._write(report, Put(actor, request_id, source=source), kind, fit)
            if progress is not None:
                progress(report)
        run.finished_at = self._clock()
        async with self._uow() as u:
            faults: list[dict[str, object]] = [
                {"line": refusal.line, "column": fault.column, "code": fault.code, "message": fault.message}
                for refusal in report.refusals
                for fault in refusal.faults
            ]
            run.faults = faults[:KEPT_FAULTS]
            u.clients.add(run)
            counts = {outcome: getattr(run, outcome) for outcome in (*Outcome, "refused")}
            data = {"kind": kind, "dry_run": dry_run, "lines": run.lines, **counts}
            u.audit.append("import.run", actor, run.id, data, request_id, prison_id=actor.prison_id)
            await u.commit()
        log.info("imported", run_id=run.id, kind=kind, dry_run=dry_run, lines=run.lines, refused=run.refused)
        return report

    async def put(
        self,
        actor: Actor,
        kind: ImportKind,
        external_id: str,
        raw: Mapping[str, object],
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        request_id: str | None = None,
    ) -> tuple[Change, Described]:
        """Make the record under this identifier, or change it to these values; twice is once.

        LineRefused with every fault; NotFound for another prison's; Stale when it is not the record of `if_match`, or
        is there although `if_none_match` was said.
        """
        self._may(actor)
        values = parse_record(kind, {**raw, "external_id": external_id})
        keeper = self._keepers[kind]
        async with self._uow() as u:
            await _number(u, actor)
            await u.lock(*await u.records.lock_names(kind, values))
            try:
                change, record = await keeper.put(u, Put(actor, request_id, if_match, if_none_match), values)
            except LineRefused as error:
                if any(fault.code == NOT_HERE for fault in error.faults):
                    raise NotFound("There is no such record here.") from None
                raise
            described = await self._describe(u, kind, record)
            await u.commit()
        await self._changes.after_commit()
        return change, described

    async def get(self, actor: Actor, kind: ImportKind, external_id: str) -> Described:
        """One record of the actor's prison; NotFound otherwise."""
        self._may(actor)
        async with self._uow(read_only=True) as u:
            await _number(u, actor)
            record = await self._found(u, actor, kind, {"external_id": external_id})
            keeper = self._keepers[kind]
            if kind is ImportKind.PRISONERS:
                own_prison(actor, await keeper.prison_of(u, record))
            return await self._describe(u, kind, record)

    async def page(self, actor: Actor, kind: ImportKind, page: PageRequest) -> Page[Described]:
        """The records of the actor's prison, those that have no identifier of the prison's own system too."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            await _number(u, actor)
            found = await u.records.page(kind, actor.prison_id or "", page)
            return Page([await self._describe(u, kind, record) for record in found.items], found.next_cursor)

    async def source(self, prison_code: str | None) -> str:
        """The numbering of the prison of that code; without one, the numbering that all prisons share.

        Invalid when there is no such prison, or when they do not share one.
        """
        async with self._uow(read_only=True) as u:
            if prison_code is None:
                sources = await u.people.record_sources()
                if len(sources) > 1:
                    raise Invalid("Say which prison's record system this is from.", code="prison", field="prison")
                return next(iter(sources), "")
            found = await u.people.find_prison_by_code(prison_code)
            if found is None:
                raise Invalid("There is no prison with this code.", code="prison", field="prison")
            return found.record_source

    async def source_of(self, actor: Actor) -> str:
        """The numbering of the actor's prison."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return (await u.people.get_prison(actor.prison_id or "")).record_source

    async def runs(self, actor: Actor, page: PageRequest) -> Page[ImportRun]:
        """The imports at the actor's prison, newest first."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.clients.runs(actor.prison_id or "", page)

    async def get_run(self, actor: Actor, run_id: str) -> ImportRun:
        """One import at the actor's prison."""
        async with self._uow(read_only=True) as u:
            run = await u.clients.get_run(run_id)
            own_prison(actor, run.prison_id)
            return run

    @staticmethod
    def _may(actor: Actor) -> None:
        if not actor.is_system:
            own_prison(actor, actor.prison_id)

    def _read(
        self, report: ImportReport, kind: ImportKind, record: Record, seen: dict[str, int]
    ) -> tuple[int, dict[str, Any]] | None:
        """The line's values; None (and a refusal) when they cannot be used."""
        report.run.lines += 1
        if record.raw is None:
            assert record.fault is not None  # noqa: S101 - the one or the other
            _refuse(report, record.number, (record.fault,))
            return None
        try:
            values = parse_record(kind, record.raw)
        except LineRefused as error:
            _refuse(report, record.number, error.faults)
            return None
        first = seen.setdefault(values["external_id"], record.number)
        if first != record.number:
            words = f"This identifier stands in line {first} already."
            _refuse(report, record.number, (Fault("external_id", "repeated", words),))
            return None
        return record.number, values

    async def _write(
        self, report: ImportReport, put: Put, kind: ImportKind, records: list[tuple[int, dict[str, Any]]]
    ) -> None:
        if not records:
            return
        try:
            results = await self._transaction(put, kind, records, dry_run=report.run.dry_run)
        except Conflict as error:
            if len(records) == 1:
                _refuse(report, records[0][0], as_fault(error))
                return
            # One of them stands against another, or against somebody who was quicker: find out which.
            for record in records:
                await self._write(report, put, kind, [record])
            return
        for (line, _), result in zip(records, results, strict=True):
            if isinstance(result, Change):
                _count(report, result)
            else:
                _refuse(report, line, result)

    async def _transaction(
        self, put: Put, kind: ImportKind, records: list[tuple[int, dict[str, Any]]], *, dry_run: bool
    ) -> list[Change | tuple[Fault, ...]]:
        """One transaction of several records; refused ones write nothing. Conflict when the database says no."""
        keeper = self._keepers[kind]
        results: list[Change | tuple[Fault, ...]] = []
        async with self._uow() as u:
            await _number(u, put.actor, put.source)
            names: set[str] = set()
            for _, values in records:
                names |= await u.records.lock_names(kind, values)
            await u.lock(*names)
            for _, values in records:
                try:
                    results.append((await keeper.put(u, put, values))[0])
                except (LineRefused, Invalid, NotFound) as error:
                    results.append(as_fault(error))
            if dry_run:
                await u.flush()  # the database's constraints speak, and nothing lasts
                return results
            await u.commit()
        await self._changes.after_commit()
        return results

    async def _found(self, u: UnitOfWork, actor: Actor, kind: ImportKind, values: Mapping[str, Any]) -> Any:
        """The record of this identifier that the actor may see."""
        try:
            if (found := await self._keepers[kind].find(u, actor, values)) is None:
                not_here()
        except LineRefused:
            raise NotFound("There is no such record here.") from None
        return found

    async def _describe(self, u: UnitOfWork, kind: ImportKind, record: Any) -> Described:
        values = await self._keepers[kind].describe(u, record)
        return Described(record.id, values, etag_of(values))


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; one that is too long is cut to one byte more than a line may have, and the rest skipped."""
    while line := file.readline(LONGEST_LINE + 1):
        rest = line
        while len(rest) > LONGEST_LINE and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE + 1)
        yield line


async def _number(u: UnitOfWork, actor: Actor, source: str = "") -> None:
    """Read and write identifiers by the numbering of the actor's prison; the system's is what it says."""
    if actor.prison_id is None:
        u.records.source = source
    else:
        await u.records.use_source_of(actor.prison_id)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _count(report: ImportReport, change: Change) -> None:
    setattr(report.run, change.outcome, getattr(report.run, change.outcome) + 1)
    if change.outcome is not Outcome.UNCHANGED and len(report.changes) < KEPT_CHANGES:
        report.changes.append(change)


def _refuse(report: ImportReport, line: int, faults: tuple[Fault, ...]) -> None:
    report.run.refused += 1
    if len(report.refusals) < KEPT_FAULTS:
        report.refusals.append(Refusal(line, faults))


__all__ = ["Described", "DomainError", "ImportReport", "ImportService", "Refusal", "read_lines"]
