"""Cutting a file into records: CSV (RFC 4180) and JSON lines, one bad record never hiding the next one.

Lines are decoded one by one, so a byte that is not UTF-8 spoils its own line alone. A quote that is never closed would
swallow the rest of a CSV file; after `LONGEST_RECORD` lines the first one is given up and reading goes on behind it.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

from visitserver.domain.errors import Invalid
from visitserver.domain.importing import COLUMNS, Fault, ImportKind

LONGEST_LINE: Final = 64 * 1024
"""Bytes of one line; whoever reads the file cuts longer ones there (see `is_cut`)."""
LONGEST_RECORD: Final = 50
_BOM: Final = b"\xef\xbb\xbf"


class Format(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Record:
    """What stands at line `number` (from 1): the texts or values by column, or why it cannot be read."""

    number: int
    raw: dict[str, Any] | None
    fault: Fault | None = None


def read_records(kind: ImportKind, format: Format, lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of `lines`, which end with their line feed. Invalid when the head of the file cannot be used."""
    decoded = _decode(lines)
    return _csv_records(kind, decoded) if format is Format.CSV else _json_records(decoded)


def is_cut(line: bytes) -> bool:
    """Whether the line is longer than a line may be."""
    return len(line) > LONGEST_LINE


def _decode(lines: Iterable[bytes]) -> Iterator[str]:
    """Lines as text; bytes that are not UTF-8 become lone surrogates, which parse_record refuses by column."""
    first = True
    for line in lines:
        if first:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise Invalid("The file is UTF-16. Save it as UTF-8.", code="encoding", field="file")
            line = line.removeprefix(_BOM)
            first = False
        yield line.decode("utf-8", "surrogateescape")


def _json_records(lines: Iterable[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if is_cut(line.encode("utf-8", "surrogateescape")):
            yield Record(number, None, _TOO_LONG)
            continue
        try:
            value = json.loads(line, parse_constant=_no_constant, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            yield Record(number, None, Fault(None, "json", "This line is no JSON object."))
            continue
        if isinstance(value, dict):
            yield Record(number, value)
        else:
            yield Record(number, None, Fault(None, "json", "This line is no JSON object."))


def _csv_records(kind: ImportKind, lines: Iterable[str]) -> Iterator[Record]:
    rows = _rows(lines)
    head = next(rows, None)
    if head is None:
        raise Invalid("The file is empty.", code="empty", field="file")
    _, text, fault = head
    delimiter = max(",;\t", key=text.count)
    if fault is not None:
        raise Invalid("The first line of the file cannot be read.", code="head", field="file")
    names = [name.strip().lower() for name in _cells(text, delimiter) or ()]
    _check_head(kind, names)
    for number, text, fault in rows:
        if fault is not None:
            yield Record(number, None, fault)
            continue
        if not text.strip():
            continue
        cells = _cells(text, delimiter)
        if cells is None:
            yield Record(number, None, Fault(None, "quotes", "The quotes of this line cannot be read."))
        elif not any(cell.strip() for cell in cells):
            continue  # a spreadsheet's empty row
        elif len(cells) != len(names):
            yield Record(number, None, Fault(None, "cells", f"This line has {len(cells)} cells, not {len(names)}."))
        else:
            yield Record(number, dict(zip(names, cells, strict=True)))


def _check_head(kind: ImportKind, names: list[str]) -> None:
    known = [column.name for column in COLUMNS[kind]]
    if "external_id" not in names:
        raise Invalid("The first line must name the columns; external_id is missing.", code="head", field="file")
    if unknown := sorted({name for name in names if name not in known}):
        raise Invalid(
            f"There are {len(unknown)} unknown columns. Known: {', '.join(known)}.", code="head", field="file"
        )
    if len(set(names)) != len(names):
        raise Invalid("A column stands twice in the first line.", code="head", field="file")


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, str, Fault | None]]:
    """Line number and text of each row: several lines where a quoted cell has line breaks."""
    source = iter(lines)
    waiting: deque[str] = deque()
    number = 0

    def following(at: int) -> str | None:
        while len(waiting) <= at:
            line = next(source, None)
            if line is None:
                return None
            waiting.append(line)
        return waiting[at]

    while (line := following(0)) is not None:
        number += 1
        if is_cut(line.encode("utf-8", "surrogateescape")):
            waiting.popleft()
            yield number, "", _TOO_LONG
            continue
        taken, quotes = 1, line.count('"')
        while (
            quotes % 2
            and taken < LONGEST_RECORD
            and (more := following(taken)) is not None
            and not is_cut(more.encode("utf-8", "surrogateescape"))
        ):
            quotes += more.count('"')
            taken += 1
        if quotes % 2:
            waiting.popleft()
            yield number, "", Fault(None, "quotes", "A quote is opened in this line and never closed.")
            continue
        text = "".join(waiting.popleft() for _ in range(taken))
        yield number, text, None
        number += taken - 1


def _cells(text: str, delimiter: str) -> list[str] | None:
    try:
        found = list(csv.reader([text.rstrip("\r\n")], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


_TOO_LONG: Final = Fault(None, "too_long", f"A line has at most {LONGEST_LINE} bytes.")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON (RFC 8259 section 6)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose names stands twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
