"""Many SELECTs in one statement: each becomes a column that holds its rows as JSON.

A transaction that needs a dozen small answers asks once and waits once. The rows become what they are elsewhere: every
column is read back by its own type.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Date,
    Dialect,
    Select,
    String,
    Table,
    Time,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import TypeDecorator, TypeEngine

from visitserver.store.base import TextEnum, UtcDateTime

T = TypeVar("T")

_Readers = Sequence[tuple[int, Callable[[Any], Any]]]
"""Which columns of a row have to be read back, and how."""


class Lists:
    """Writes "is one of these" so that the statement's text does not depend on how many there are."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect

    def has(self, wanted: ColumnElement[str], name: str) -> ColumnElement[bool]:
        """Whether `wanted` is in the list of texts that is given as parameter `name`."""
        if self._dialect == "postgresql":
            return wanted == any_(bindparam(name, type_=ARRAY(String)))
        texts = func.json_each(bindparam(name, type_=String)).table_valued("value")
        return wanted.in_(select(texts.c.value))

    def together(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """All values of the column in a group, as one list."""
        gather = func.json_agg if self._dialect == "postgresql" else func.json_group_array
        return gather(column, type_=JSON)


class Part(Generic[T]):
    """One SELECT of a bundle. `make` is called with a row's values, in the order of its columns."""

    def __init__(self, statement: Callable[[Lists], Select[Any]], make: Callable[..., T]) -> None:
        self.statement = statement
        self.make = make


def entities(cls: type[T], table: Table, where: Callable[[Lists], ColumnElement[bool]]) -> Part[T]:
    """The rows of a table as objects to look at: no session knows them, and none can be given one."""
    names = [each.key for each in table.c]

    def make(*values: Any) -> T:
        # Its own constructor would prepare it for being changed and stored, which takes longer than all the rest.
        made = cls.__new__(cls)
        made.__dict__.update(zip(names, values, strict=True))
        return made

    return Part(lambda lists: select(table).where(where(lists)), make)


class Found:
    """The answers of one bundle. Reading one raises ValueError when a row of it holds what its type does not know."""

    def __init__(self, raw: Mapping[Part[Any], Sequence[Sequence[Any]]], readers: Mapping[Part[Any], _Readers]) -> None:
        self._raw = raw
        self._readers = readers

    def all(self, part: Part[T]) -> list[T]:
        """The rows, in no particular order."""
        readers = self._readers[part]
        found = []
        for values in self._raw[part]:
            row = list(values)
            for position, read in readers:
                if row[position] is not None:
                    row[position] = read(row[position])
            found.append(part.make(*row))
        return found

    def one(self, part: Part[T]) -> T | None:
        """The first row, or None."""
        return next(iter(self.all(part)), None)


class Bundle:
    """Parts that are asked for together."""

    def __init__(self, *parts: Part[Any], leads: bool = False) -> None:
        """`leads`: on PostgreSQL the statements that follow in the transaction are not planned anew each time.

        Bundles look up few rows by their keys, so one plan fits all; making it costs more than carrying it out.
        """
        self._parts = parts
        self._leads = leads
        self._made: dict[str, tuple[Select[Any], dict[Part[Any], _Readers]]] = {}

    async def fetch(self, session: AsyncSession, **parameters: Any) -> Found:
        """Ask, once what the session has yet to write is written. A list or tuple of texts is for Lists."""
        if session.autoflush:
            await session.flush()
        dialect = session.get_bind().dialect
        made = self._made.get(dialect.name)
        if made is None:
            made = self._made[dialect.name] = self._make(dialect)
        statement, readers = made
        if dialect.name != "postgresql":
            parameters = {
                key: json.dumps(value) if isinstance(value, list | tuple) else value
                for key, value in parameters.items()
            }
        connection = await session.connection()
        row = (await connection.execute(statement, parameters)).one()
        return Found({part: value or () for part, value in zip(self._parts, row, strict=False)}, readers)

    def _make(self, dialect: Dialect) -> tuple[Select[Any], dict[Part[Any], _Readers]]:
        lists = Lists(dialect.name)
        postgres = dialect.name == "postgresql"
        row = func.json_build_array if postgres else func.json_array
        together = func.json_agg if postgres else func.json_group_array
        columns, readers = [], {}
        for number, part in enumerate(self._parts):
            asked = part.statement(lists)
            readers[part] = _readers([each.type for each in asked.selected_columns], dialect)
            rows = asked.subquery(f"p{number}")
            cells = [func.json(each) if isinstance(each.type, JSON) and not postgres else each for each in rows.c]
            answer = select(together(row(*cells), type_=JSON)).select_from(rows)
            columns.append(answer.scalar_subquery().label(f"a{number}"))
        if postgres and self._leads:
            columns.append(
                func.set_config("plan_cache_mode", "force_generic_plan", literal_column("true")).label("plan")
            )
        return select(*columns), readers


def _readers(types: Sequence[TypeEngine[Any]], dialect: Dialect) -> _Readers:
    return [(at, read) for at, type_ in enumerate(types) if (read := _reader(type_, dialect)) is not None]


def _reader(type_: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """From what JSON says to what the column's type says; None where that is the same."""
    if isinstance(type_, UtcDateTime):
        return _moment
    if isinstance(type_, TextEnum):
        return type_.enum
    if isinstance(type_, TypeDecorator):
        decorator = type_
        return lambda value: decorator.process_result_value(value, dialect)
    if isinstance(type_, Boolean):
        return bool
    if isinstance(type_, Date):
        return _date
    if isinstance(type_, Time):
        return time.fromisoformat
    return None


# So the driver writes the first and the last day of the calendar, and reads them back as such.
_DAYS_WITHOUT_END = {"infinity": date.max, "-infinity": date.min}


def _date(text: str) -> date:
    return _DAYS_WITHOUT_END.get(text) or date.fromisoformat(text)


def _moment(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
