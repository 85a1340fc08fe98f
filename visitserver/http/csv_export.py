"""CSV files that a spreadsheet opens without running anything in them.

A cell that begins with one of ``= + - @``, a tab or a carriage return is taken for a formula by spreadsheets (OWASP,
"CSV Injection"); an apostrophe before it makes it text. Files are UTF-8 with a byte order mark, lines end in CRLF and
cells are quoted as RFC 4180 says.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Final

from aiohttp import web

DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r")
_LIKE_THEM: Final = str.maketrans({"＝": "=", "＋": "+", "－": "-", "＠": "@"})
_SAFE_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")

Value = str | int | float | date | datetime | None


def safe_cell(value: Value) -> str:
    """`value` as the text of a cell. Numbers stay numbers (a negative one, too); texts begin no formula."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    text = value.replace("\0", "")
    # A line feed before the sign hides it from us and not from every spreadsheet; so do blanks and full-width signs.
    start = text.lstrip(" \n").translate(_LIKE_THEM)
    return f"'{text}" if start.startswith(DANGEROUS) else text


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """The whole file, byte order mark included. ValueError when a row is not as long as the header."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([safe_cell(name) for name in header])
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells below {len(header)} names")
        writer.writerow([safe_cell(value) for value in row])
    return "\ufeff" + out.getvalue()


def csv_response(name: str, header: Sequence[str], rows: Iterable[Sequence[Value]]) -> web.Response:
    """The file as a download called `name` (anything but letters, digits, dots and dashes is left out of it)."""
    safe = _SAFE_NAME.sub("-", name).strip("-.") or "export.csv"
    return web.Response(
        body=csv_text(header, rows).encode(),
        headers={
            "Content-Type": "text/csv; charset=utf-8; header=present",
            "Content-Disposition": f'attachment; filename="{safe}"',
            "Cache-Control": "no-store",
        },
    )
