"""Occupancy, kept in SQL: the primary key decides who comes first, never a count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, String, and_, bindparam, delete, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from visitserver.domain.occupancy import Resource, ResourceKind, Span
from visitserver.store.base import Id, UtcDateTime
from visitserver.store.tables.scheduling import occupancy, occupancy_spans

LONGEST = timedelta(hours=4)
"""No booking takes anything up for longer: 180 minutes and a pause of 60 at most."""


def _each(name: str, of: Any = String) -> Any:
    """The elements of the array that is given as parameter `name`, in their order."""
    return func.unnest(bindparam(name, type_=ARRAY(of)))


def _take() -> Any:
    """Take all cells, in the order given; when nobody had one of them, write the spans (PostgreSQL).

    The text is the same however many there are, so it is planned once.
    """
    booking_id = bindparam("booking_id", type_=Id())
    cells = select(_each("cell_kinds"), _each("cell_ids"), _each("cells", BigInteger), booking_id)
    taken = (
        postgresql.insert(occupancy)
        .from_select(["kind", "resource", "cell", "booking_id"], cells)
        .on_conflict_do_nothing()
        .returning(occupancy.c.cell)
        .cte("taken")
    )
    all_taken = select(func.count()).select_from(taken).scalar_subquery() == bindparam("wanted", type_=BigInteger)
    spans = select(
        booking_id,
        _each("kinds"),
        _each("ids"),
        bindparam("starts_at", type_=UtcDateTime()),
        bindparam("ends_at", type_=UtcDateTime()),
    ).where(all_taken)
    return insert(occupancy_spans).from_select(["booking_id", "kind", "resource", "starts_at", "ends_at"], spans)


_TAKE = _take()


async def occupied(
    session: AsyncSession, resources: Sequence[Resource], span: Span, *, but: str | None = None
) -> set[tuple[Resource, int]]:
    """(resource, cell) of every occupied cell of these resources within `span`, but for the booking `but`."""
    by_kind: dict[ResourceKind, list[str]] = {}
    for resource in resources:
        by_kind.setdefault(resource.kind, []).append(resource.id)
    if not by_kind:
        return set()
    wanted = [and_(occupancy.c.kind == kind.value, occupancy.c.resource.in_(ids)) for kind, ids in by_kind.items()]
    rows = await session.execute(
        select(occupancy.c.kind, occupancy.c.resource, occupancy.c.cell).where(
            or_(*wanted),
            occupancy.c.cell >= span.cells.start,
            occupancy.c.cell < span.cells.stop,
            occupancy.c.booking_id != (but or ""),
        )
    )
    return {(Resource(ResourceKind(row.kind), row.resource), row.cell) for row in rows}


async def holders(session: AsyncSession, resource: Resource, span: Span) -> set[str]:
    """The bookings that occupy some cell of the resource within `span`."""
    rows = await session.scalars(
        select(occupancy.c.booking_id)
        .where(
            occupancy.c.kind == resource.kind.value,
            occupancy.c.resource == resource.id,
            occupancy.c.cell >= span.cells.start,
            occupancy.c.cell < span.cells.stop,
        )
        .distinct()
    )
    return set(rows)


async def occupy(session: AsyncSession, booking_id: str, resources: Sequence[Resource], span: Span) -> bool:
    """Take every cell of `span` for all these resources, or none; False when another booking has one of them.

    A transaction that is about to take the same cell is waited for. The savepoint makes a failed attempt vanish at
    once, so that nobody waits for cells that this transaction gave up; a successful one is not released, because it
    ends with the transaction anyway.
    """
    if session.autoflush:
        await session.flush()
    connection = await session.connection()
    await connection.exec_driver_sql("SAVEPOINT place")
    take = _take_at_once if connection.dialect.name == "postgresql" else _take_one_by_one
    if await take(connection, booking_id, resources, span):
        return True
    await connection.exec_driver_sql("ROLLBACK TO SAVEPOINT place")
    return False


async def _take_at_once(
    connection: AsyncConnection, booking_id: str, resources: Sequence[Resource], span: Span
) -> bool:
    cells = span.cells
    result = await connection.execute(
        _TAKE,
        {
            "booking_id": booking_id,
            "kinds": [each.kind.value for each in resources],
            "ids": [each.id for each in resources],
            "starts_at": span.starts_at,
            "ends_at": span.ends_at,
            "cell_kinds": [each.kind.value for each in resources for _ in cells],
            "cell_ids": [each.id for each in resources for _ in cells],
            "cells": [*cells] * len(resources),
            "wanted": len(cells) * len(resources),
        },
    )
    return result.rowcount == len(resources)


async def _take_one_by_one(
    connection: AsyncConnection, booking_id: str, resources: Sequence[Resource], span: Span
) -> bool:
    cells = [
        {"kind": each.kind.value, "resource": each.id, "cell": cell, "booking_id": booking_id}
        for each in resources
        for cell in span.cells
    ]
    result = await connection.execute(sqlite.insert(occupancy).values(cells).on_conflict_do_nothing())
    if result.rowcount != len(cells):
        return False
    spans = [
        {
            "booking_id": booking_id,
            "kind": each.kind.value,
            "resource": each.id,
            "starts_at": span.starts_at,
            "ends_at": span.ends_at,
        }
        for each in resources
    ]
    await connection.execute(insert(occupancy_spans).values(spans))
    return True


async def release(session: AsyncSession, booking_id: str, only: Resource | None = None) -> None:
    """Give back everything the booking occupies, or `only` one resource of it."""
    for table in (occupancy, occupancy_spans):
        statement = delete(table).where(table.c.booking_id == booking_id)
        if only is not None:
            statement = statement.where(table.c.kind == only.kind.value, table.c.resource == only.id)
        await session.execute(statement)
