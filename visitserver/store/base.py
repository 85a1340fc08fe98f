"""What every table shares: one metadata with a naming convention, one mapper registry, the column types."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import DDL, JSON, DateTime, Dialect, MetaData, String, Table, Text, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import registry
from sqlalchemy.types import TypeDecorator

# Names for every constraint, so that a migration can name what it changes on both databases.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)
mapper_registry = registry(metadata=metadata)

ID_LENGTH = 40
"""Longest identifier: an 8-letter prefix, an underscore, 26 characters."""


def after_create(table: Table, statements: Iterable[tuple[str, str]]) -> None:
    """Run each (dialect, statement) after `table` is created on that dialect: triggers and such."""
    for dialect, statement in statements:
        ddl: Any = DDL
        event.listen(table, "after_create", ddl(statement).execute_if(dialect=dialect))


def Id() -> String:  # noqa: N802 - reads as a column type
    """The column type of our identifiers."""
    return String(ID_LENGTH)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, to the microsecond. A naive datetime is refused.

    PostgreSQL keeps `timestamptz`. SQLite keeps naive text, which sorts by time because it is always UTC.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime in the store needs a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


E_ = TypeVar("E_", bound=StrEnum)


class TextEnum(TypeDecorator[E_]):
    """A StrEnum stored as its text (64 characters at most). An unknown text on reading raises ValueError."""

    impl = String(64)
    cache_ok = True

    def __init__(self, enum: type[E_]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else self.enum(value).value

    def process_result_value(self, value: Any, dialect: Dialect) -> E_ | None:
        return None if value is None else self.enum(value)


JsonData = JSON().with_variant(JSONB(), "postgresql")
"""A JSON value: JSONB on PostgreSQL, text on SQLite."""


class TextTuple(TypeDecorator[tuple[str, ...]]):
    """A tuple of texts, in its order, as a JSON array in a text column."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(list(value), ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[str, ...] | None:
        return None if value is None else tuple(json.loads(value))


class IntTuple(TypeDecorator[tuple[int, ...]]):
    """A tuple of integers, in its order, as a JSON array in a text column."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps([int(item) for item in value])

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[int, ...] | None:
        return None if value is None else tuple(json.loads(value))


class PathSet(TypeDecorator[frozenset[tuple[str, ...]]]):
    """A frozenset of paths (tuples of texts), sorted, as a JSON array of arrays in a text column."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(sorted(list(path) for path in value), ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> frozenset[tuple[str, ...]] | None:
        return None if value is None else frozenset(tuple(path) for path in json.loads(value))


class TextSet(TypeDecorator[frozenset[str]]):
    """A frozenset of texts (or of a StrEnum, when given), sorted, as a JSON array in a text column."""

    impl = Text
    cache_ok = True

    def __init__(self, enum: type[StrEnum] | None = None) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(sorted(str(item) for item in value), ensure_ascii=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> frozenset[str] | None:
        if value is None:
            return None
        return frozenset(self.enum(item) if self.enum else item for item in json.loads(value))
