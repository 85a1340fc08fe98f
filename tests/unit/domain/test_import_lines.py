"""Files become records; what is wrong with a line stays with that line."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visitserver.domain.errors import Invalid
from visitserver.domain.import_lines import LONGEST_LINE, Format, Record, read_records
from visitserver.domain.importing import COLUMNS, ImportKind, LineRefused, parse_record
from visitserver.import_command import END, START, column_tables, example_csv, format_of
from visitserver.services.imports import read_lines

DOCS = Path(__file__).parents[3] / "docs" / "import.md"


def csv_records(text: str | bytes, kind: ImportKind = ImportKind.CONTACTS) -> list[Record]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_records(kind, Format.CSV, read_lines(io.BytesIO(data))))


def json_records(text: str) -> list[Record]:
    return list(read_records(ImportKind.CONTACTS, Format.JSONL, read_lines(io.BytesIO(text.encode()))))


def codes(kind: ImportKind, raw: dict[str, object]) -> set[tuple[str | None, str]]:
    with pytest.raises(LineRefused) as refused:
        parse_record(kind, raw)
    return {(fault.column, fault.code) for fault in refused.value.faults}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_of_every_common_program_is_read(delimiter: str, mark: bytes, end: str) -> None:
    lines = [["external_id", "Family_Name"], ["1", "Ääkkönen"], ["2", f'"O{delimiter}""N"" eil"']]
    data = mark + end.join(delimiter.join(line) for line in lines).encode()
    assert [(r.number, r.raw) for r in csv_records(data)] == [
        (2, {"external_id": "1", "family_name": "Ääkkönen"}),
        (3, {"external_id": "2", "family_name": f'O{delimiter}"N" eil'}),
    ]


def test_a_cell_may_have_line_breaks_and_the_numbers_stay_those_of_the_file() -> None:
    found = csv_records('external_id,note\n1,"two\nlines"\n\n2,x\n', ImportKind.ALERTS)
    assert [(r.number, r.raw) for r in found] == [
        (2, {"external_id": "1", "note": "two\nlines"}),
        (5, {"external_id": "2", "note": "x"}),
    ]


def test_a_quote_that_is_never_closed_spoils_its_own_line_alone() -> None:
    lines = ["external_id,phone", '1,"oops', *(f"{n},ok" for n in range(2, 200))]
    found = csv_records("\n".join(lines))
    assert [(r.number, r.fault.code) for r in found if r.fault] == [(2, "quotes")]
    assert [r.raw["external_id"] for r in found if r.raw] == [str(n) for n in range(2, 200)]


def test_bytes_that_are_not_utf_8_spoil_their_own_cell_alone() -> None:
    first, second = csv_records(b"external_id,family_name\n1,M\xfcller\n2,M\xc3\xbcller\n")
    assert first.raw is not None
    assert second.raw is not None
    assert codes(ImportKind.CONTACTS, first.raw) == {("family_name", "encoding")}
    assert parse_record(ImportKind.CONTACTS, second.raw)["family_name"] == "Müller"


def test_a_line_that_is_too_long_is_refused_and_the_next_one_read() -> None:
    long = "x" * (3 * LONGEST_LINE)
    found = csv_records(f"external_id,phone\n1,{long}\n2,ok\n")
    assert [(r.number, r.fault.code if r.fault else None) for r in found] == [(2, "too_long"), (3, None)]
    found = json_records(f'{{"external_id":"1","phone":"{long}"}}\n{{"external_id":"2"}}\n')
    assert [(r.number, r.fault.code if r.fault else None) for r in found] == [(1, "too_long"), (2, None)]


@pytest.mark.parametrize(
    ("line", "code"),
    [("1,2,3", "cells"), ("1", "cells"), ('1,"a"b', "quotes")],
)
def test_lines_that_do_not_fit_the_head(line: str, code: str) -> None:
    found = csv_records(f"external_id,phone\n{line}\n9,ok\n")
    assert [r.fault.code if r.fault else r.raw["external_id"] if r.raw else "" for r in found] == [code, "9"]


@pytest.mark.parametrize(
    "text",
    ["", "name,phone\n1,2\n", "external_id,what\n", "external_id,phone,phone\n", '"external_id,phone\n', "\xff"],
)
def test_a_file_whose_head_says_nothing_useful_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(Invalid):
        csv_records(text)


def test_utf_16_is_named_as_such() -> None:
    with pytest.raises(Invalid) as refused:
        csv_records("external_id,phone\n".encode("utf-16"))
    assert refused.value.code == "encoding"


@pytest.mark.parametrize("line", ["[1]", "1", '{"external_id":NaN}', '{"a":1,"a":2}', "{", "[" * 5000])
def test_json_lines_that_are_no_objects_are_refused_one_by_one(line: str) -> None:
    found = json_records(f'{line}\n\n{{"external_id":"2"}}\n')
    assert [(r.number, r.fault.code if r.fault else None) for r in found] == [(1, "json"), (3, None)]


@given(st.binary(max_size=400))
def test_no_bytes_at_all_break_the_reading(data: bytes) -> None:
    for head in (b"", b"external_id,phone\n"):
        for format in Format:
            try:
                found = list(read_records(ImportKind.CONTACTS, format, read_lines(io.BytesIO(head + data))))
            except Invalid:
                continue
            for record in found:
                assert (record.raw is None) is (record.fault is not None)
                if record.raw is not None:
                    try:
                        parse_record(ImportKind.CONTACTS, record.raw)
                    except LineRefused as refused:
                        assert refused.faults


RIGHT: dict[str, object] = {
    "external_id": "P-1",
    "number": " A1 ",
    "born_on": "1990-05-01",
    "admitted_at": "2026-02-27T12:00:00+02:00",
    "location": "A / 2 / 14",
    "legal_status": "Remand",
    "category": "",
    "language": "",
}


def test_values_are_what_they_mean() -> None:
    assert parse_record(ImportKind.PRISONERS, RIGHT) == {
        "external_id": "P-1",
        "number": "A1",
        "born_on": date(1990, 5, 1),
        "admitted_at": datetime(2026, 2, 27, 10, tzinfo=UTC),
        "location": ("A", "2", "14"),
        "legal_status": "remand",
        "category": None,
    }


@pytest.mark.parametrize(
    ("kind", "change", "column", "code"),
    [
        (ImportKind.PRISONERS, {"born_on": "1.5.1990"}, "born_on", "date"),
        (ImportKind.PRISONERS, {"born_on": "1990-02-30"}, "born_on", "date"),
        (ImportKind.PRISONERS, {"born_on": "0001-01-01"}, "born_on", "range"),
        (ImportKind.PRISONERS, {"admitted_at": "2026-02-27T12:00:00"}, "admitted_at", "offset"),
        (ImportKind.PRISONERS, {"admitted_at": "2026-02-27"}, "admitted_at", "moment"),
        (ImportKind.PRISONERS, {"admitted_at": "9999-12-31T23:59:59-12:00"}, "admitted_at", "range"),
        (ImportKind.PRISONERS, {"released_at": "2026-01-01T00:00:00Z"}, "released_at", "order"),
        (ImportKind.PRISONERS, {"legal_status": "guilty"}, "legal_status", "choice"),
        (ImportKind.PRISONERS, {"location": "a/b/c/d/e"}, "location", "levels"),
        (ImportKind.PRISONERS, {"location": "a//b"}, "location", "levels"),
        (ImportKind.PRISONERS, {"location": 7}, "location", "type"),
        (ImportKind.PRISONERS, {"number": 7}, "number", "type"),
        (ImportKind.PRISONERS, {"number": "x" * 65}, "number", "too_long"),
        (ImportKind.PRISONERS, {"number": "a\x00b"}, "number", "characters"),
        (ImportKind.PRISONERS, {"number": "a\udc80"}, "number", "encoding"),
        (ImportKind.PRISONERS, {"external_id": "a/b"}, "external_id", "identifier"),
        (ImportKind.PRISONERS, {"external_id": ".."}, "external_id", "identifier"),
        (ImportKind.PRISONERS, {"external_id": " "}, "external_id", "required"),
        (ImportKind.PRISONERS, {"colour": "red"}, None, "column_unknown"),
        (ImportKind.CONTACTS, {"email": "nobody"}, "email", "email"),
        (ImportKind.CONTACTS, {"timezone": "Mars/Base"}, "timezone", "timezone"),
        (ImportKind.RELATIONSHIPS, {"state": "ended"}, "reason", "required"),
        (ImportKind.RESTRICTIONS, {"starts_on": "2026-03-02", "ends_on": "2026-03-01"}, "ends_on", "order"),
        (ImportKind.RESTRICTIONS, {"lifted": "maybe"}, "lifted", "flag"),
        (
            ImportKind.APPOINTMENTS,
            {"starts_at": "2026-03-02T09:00Z", "ends_at": "2026-03-02T09:00Z"},
            "ends_at",
            "order",
        ),
    ],
)
def test_what_cannot_be_used_is_named_by_column_and_code(
    kind: ImportKind, change: dict[str, object], column: str | None, code: str
) -> None:
    raw = {**(RIGHT if kind is ImportKind.PRISONERS else {"external_id": "1"}), **change}
    assert (column, code) in codes(kind, raw)


def test_no_message_repeats_what_stood_in_the_line() -> None:
    secret = "Hemmelig"
    for kind, columns in COLUMNS.items():
        for column in columns:
            for value in (secret * 300, f"{secret}\x01", f"{secret}/{secret}/a/b/c/d", {"x": secret}):
                try:
                    parse_record(kind, {"external_id": "1", column.name: value, secret: "1"})
                except LineRefused as refused:
                    assert all(secret not in fault.message for fault in refused.faults)


@pytest.mark.parametrize("kind", list(ImportKind))
def test_the_examples_of_the_documentation_can_be_read(kind: ImportKind) -> None:
    (record,) = csv_records("\n".join(example_csv(kind)), kind)
    assert record.raw is not None
    assert parse_record(kind, record.raw)["external_id"] == COLUMNS[kind][0].example


def test_the_documentation_has_the_columns_that_there_are() -> None:
    text = DOCS.read_text(encoding="utf-8")
    found = text[text.index(START) : text.index(END) + len(END)]
    assert found == column_tables(), "run: visitserver import-columns, and put it into docs/import.md"


def test_the_format_is_what_was_said_or_what_the_name_ends_in() -> None:
    assert format_of(Path("a.CSV"), None) is Format.CSV
    assert format_of(Path("a.ndjson"), None) is Format.JSONL
    assert format_of(Path("a.csv"), "jsonl") is Format.JSONL
    with pytest.raises(Invalid):
        format_of(Path("a.txt"), None)
