"""`visitserver import` and `visitserver client`: what the command line does for a prison's own systems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from visitserver.config import Settings
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.import_lines import Format
from visitserver.domain.importing import COLUMNS, Change, Column, ColumnType, ImportKind
from visitserver.services.clients import Issued
from visitserver.services.imports import ImportReport, read_lines
from visitserver.services.records import plain

SHOWN: Final = 200
START: Final = "<!-- columns: made by `visitserver import-columns` -->"
END: Final = "<!-- end of columns -->"


async def run_import(
    settings: Settings,
    kind: ImportKind,
    path: Path,
    format: Format,
    *,
    dry_run: bool,
    out: Console,
    err: Console,
    prison_code: str | None = None,
) -> int:
    """Import the file; the report goes to `out`, progress to `err`. 0: every line was taken, 1: some were refused.

    `prison_code`: the prison whose record system numbered the records; Invalid without it where prisons number apart.
    """
    from visitserver.bootstrap import House
    from visitserver.keyring import KeyPaths, load_keys

    house = House(settings, load_keys(KeyPaths.of(settings)))
    try:
        with path.open("rb") as file:
            size = path.stat().st_size

            def progress(report: ImportReport) -> None:
                share = 100 * file.tell() // size if size else 100
                run = report.run
                err.print(f"{share:3} %  {run.lines} lines, {run.refused} refused", highlight=False)

            actor = Actor(ActorKind.SYSTEM, "import")
            source = await house.services.imports.source(prison_code)
            report = await house.services.imports.run(
                actor, kind, format, read_lines(file), dry_run=dry_run, source=source, progress=progress
            )
    finally:
        await house.close()
    for line in report_lines(report):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    return 1 if report.run.refused else 0


async def add_client(settings: Settings, *, name: str, prison_code: str, actions: Sequence[str], days: int) -> Issued:
    """Issue a token at the prison of that code. NotFound, Invalid."""
    from visitserver.bootstrap import House
    from visitserver.keyring import KeyPaths, load_keys

    house = House(settings, load_keys(KeyPaths.of(settings)))
    try:
        async with house.uow(read_only=True) as u:
            prison = await u.people.find_prison_by_code(prison_code)
        if prison is None:
            raise NotFound("There is no prison with this code.")
        maker = Actor(ActorKind.SYSTEM, "command-line")
        return await house.services.clients.issue(maker, name, actions, days=days, prison_id=prison.id)
    finally:
        await house.close()


def format_of(path: Path, chosen: str | None) -> Format:
    """What was chosen, else what the name ends in. Invalid when neither says it."""
    text = chosen or {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(path.suffix.lower(), "")
    try:
        return Format(text)
    except ValueError:
        raise Invalid("Say --format csv or --format jsonl.", field="format") from None


def report_lines(report: ImportReport) -> Iterator[str]:
    """The report for a person: what changed, field by field, which lines were refused and why, and the counts."""
    run = report.run
    for change in report.changes[:SHOWN]:
        yield from _change_lines(change)
    more = run.created + run.changed + run.ended - min(len(report.changes), SHOWN)
    if more > 0:
        yield f"… and {more} more"
    for refusal in report.refusals:
        for fault in refusal.faults:
            yield f"line {refusal.line}, {fault.column or '-'}: {fault.code}: {fault.message}"
    done = "would be " if run.dry_run else ""
    counts = f"{run.created} {done}created, {run.changed} {done}changed, {run.ended} {done}ended"
    yield f"{run.lines} lines: {counts}, {run.unchanged} unchanged, {run.refused} refused"
    if run.dry_run:
        yield "Nothing was written."


def _change_lines(change: Change) -> Iterator[str]:
    yield f"{change.outcome} {change.external_id}"
    for name, (before, after) in change.fields.items():
        yield f"    {name}: {_shown(before)} -> {_shown(after)}"


def _shown(value: object) -> str:
    match plain(value):
        case None | []:
            return "(nothing)"
        case list() as parts:
            return " / ".join(parts)
        case bool() as flag:
            return "yes" if flag else "no"
        case other:
            return str(other)


def column_tables() -> str:
    """The tables of docs/import.md: every kind, every column."""
    parts = [START]
    for kind in ImportKind:
        parts += ["", f"### {kind}", "", "| column | written as | needed | meaning | example |"]
        parts += ["| --- | --- | --- | --- | --- |"]
        parts += [_row(column) for column in COLUMNS[kind]]
    return "\n".join([*parts, "", END])


def _row(column: Column) -> str:
    if column.choices:
        written = ", ".join(f"`{choice}`" for choice in column.choices)
    elif column.type in (ColumnType.TEXT, ColumnType.LONG, ColumnType.EMAIL):
        written = f"{column.type}, at most {column.longest} characters"
    else:
        written = column.type.value
    if column.name == "external_id":
        need = "always"
    else:
        need = "for a new record" if column.required else "may be emptied" if column.clearable else "no"
    example = f"`{column.example}`" if column.example else ""
    return f"| `{column.name}` | {written} | {need} | {column.meaning} | {example} |"


def example_csv(kind: ImportKind) -> list[str]:
    """A file with one line: each column's example."""
    columns: Iterable[Column] = COLUMNS[kind]
    names, cells = zip(*((column.name, column.example) for column in columns), strict=True)
    return [",".join(names), ",".join(cells)]
