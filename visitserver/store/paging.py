"""Keyset paging: a cursor is the sort key of the last row, as URL-safe text."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.errors import Invalid
from visitserver.domain.paging import Page, PageRequest

T = TypeVar("T")


def encode_cursor(values: Sequence[Any]) -> str:
    """The cursor of a row with these sort values (text, integers, aware datetimes)."""
    plain = [["t", value.isoformat()] if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(text: str, length: int) -> list[Any]:
    """The sort values of a cursor; Invalid for anything that `encode_cursor` did not make."""
    try:
        plain = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not isinstance(plain, list) or len(plain) != length:
            raise ValueError(text)
        values = [datetime.fromisoformat(value[1]) if isinstance(value, list) else value for value in plain]
        if any(isinstance(value, datetime) and value.tzinfo is None for value in values):
            raise ValueError(text)
        return values
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise Invalid("This page does not exist.", code="cursor", field="cursor") from error


async def fetch_page(
    session: AsyncSession,
    statement: Select[T],
    order: Sequence[ColumnElement[Any]],
    request: PageRequest,
    key: Callable[[T], Sequence[Any]],
    *,
    descending: bool = False,
) -> Page[T]:
    """One page of `statement` in the order of the columns `order`, whose last one must be unique.

    `key` gives a row's values of those columns. Needs no OFFSET, so late pages cost as much as the first.
    """
    if request.cursor is not None:
        values = decode_cursor(request.cursor, len(order))
        branches = []
        for position, column in enumerate(order):
            same = [order[i] == values[i] for i in range(position)]
            beyond = column < values[position] if descending else column > values[position]
            branches.append(and_(*same, beyond))
        statement = statement.where(or_(*branches))
    statement = statement.order_by(*(column.desc() if descending else column.asc() for column in order))
    rows = list((await session.scalars(statement.limit(request.limit + 1))).all())
    if len(rows) <= request.limit:
        return Page(rows)
    rows = rows[: request.limit]
    return Page(rows, encode_cursor(key(rows[-1])))
