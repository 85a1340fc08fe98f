"""CSV files: nothing in them runs, everything in them is read back."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest

from visitserver.http.csv_export import csv_response, csv_text, safe_cell


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://evil.example","click")',
        "+358 40 1234567",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "  =1",
        "\n=1",
        "＝1",
    ],
)
def test_no_text_begins_a_formula(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


def test_what_is_harmless_stays_as_it_is() -> None:
    assert [safe_cell(each) for each in ("Aino Aalto", "a=b", "", None, -3, 2.5, date(2026, 3, 1))] == [
        *("Aino Aalto", "a=b", "", "", "-3", "2.5", "2026-03-01"),
    ]


def test_a_file_is_read_back_cell_by_cell() -> None:
    rows = [['says "no", twice', "line\nbreak"], ["Ä, ö", "=2"]]
    text = csv_text(["name", "remark"], rows)
    assert text.startswith("\ufeff")
    read = list(csv.reader(io.StringIO(text[1:], newline="")))
    assert read == [["name", "remark"], ['says "no", twice', "line\nbreak"], ["Ä, ö", "'=2"]]
    assert text.count("\r\n") == 3


def test_a_row_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="2 cells below 1"):
        csv_text(["one"], [["a", "b"]])


def test_the_answer_is_a_download_with_a_plain_name() -> None:
    response = csv_response('day "x"\r\n2026.csv', ["a"], [["b"]])
    assert response.headers["Content-Disposition"] == 'attachment; filename="day-x-2026.csv"'
    assert response.headers["Content-Type"].startswith("text/csv; charset=utf-8")
    assert isinstance(response.body, bytes)
    assert response.body.startswith(b"\xef\xbb\xbf")
