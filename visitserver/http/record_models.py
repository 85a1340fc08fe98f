"""The bodies of the REST interface, made from the same columns as the imports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from visitserver.domain.importing import COLUMNS, EXTERNAL_ID, LEVELS, Column, ColumnType, ImportKind

SINGULAR: Final[Mapping[ImportKind, str]] = {kind: kind.value.removesuffix("s") for kind in ImportKind}
_DATE: Final = r"^(19|20|21)\d{2}-\d{2}-\d{2}$"


def _class_name(kind: ImportKind) -> str:
    return "".join(part.capitalize() for part in SINGULAR[kind].split("-"))


def _type(column: Column) -> Any:
    """The column's type as JSON has it."""
    match column.type:
        case ColumnType.FLAG:
            return bool
        case ColumnType.PATH:
            return Annotated[list[Annotated[str, Field(min_length=1, max_length=40)]], Field(max_length=LEVELS)]
        case ColumnType.CHOICE:
            return Literal[column.choices]
        case ColumnType.ID:
            return Annotated[str, Field(pattern=f"^{EXTERNAL_ID.pattern}$", max_length=80)]
        case ColumnType.DATE:
            return Annotated[str, Field(pattern=_DATE, json_schema_extra={"format": "date"})]
        case ColumnType.MOMENT:
            return Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]
        case ColumnType.EMAIL:
            return Annotated[str, Field(max_length=column.longest, json_schema_extra={"format": "email"})]
        case _:
            return Annotated[str, Field(max_length=column.longest)]


def _put_model(kind: ImportKind) -> type[BaseModel]:
    fields: dict[str, Any] = {
        column.name: (_type(column) | None, Field(None, description=column.meaning, examples=[column.example]))
        for column in COLUMNS[kind]
        if column.name != "external_id"
    }
    name = _class_name(kind)
    return create_model(
        f"{name}Put",
        __config__=ConfigDict(extra="forbid"),
        __doc__=f"What is to be written about a {SINGULAR[kind]}. A field that is left out stays as it is.",
        **fields,
    )


def _out_model(kind: ImportKind) -> type[BaseModel]:
    fields: dict[str, Any] = {"id": (str, Field(description="Our own identifier."))}
    for column in COLUMNS[kind]:
        given: Any = bool if column.type is ColumnType.FLAG else str
        if column.type is ColumnType.PATH:
            given = list[str]
        elif column.type is not ColumnType.FLAG:
            given = str | None
        fields[column.name] = (given, Field(description=column.meaning))
    name = _class_name(kind)
    return create_model(f"{name}Out", __doc__=f"A {SINGULAR[kind]} as the prison's own system writes it.", **fields)


PUT_MODELS: Final = {kind: _put_model(kind) for kind in ImportKind}
OUT_MODELS: Final = {kind: _out_model(kind) for kind in ImportKind}


def _page_model(kind: ImportKind) -> type[BaseModel]:
    item: Any = OUT_MODELS[kind]
    fields: dict[str, Any] = {"items": (list[item], ...), "next_cursor": (str | None, None)}
    name = _class_name(kind)
    return create_model(f"{name}Page", __doc__="A part of a list; `next_cursor` asks for the one after it.", **fields)


PAGE_MODELS: Final = {kind: _page_model(kind) for kind in ImportKind}
