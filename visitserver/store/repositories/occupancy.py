"""Occupancy, kept in SQL: the primary key decides who comes first, never a count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, and_, delete, insert, or_, select, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.occupancy import Resource, ResourceKind, Span
from visitserver.store.tables.scheduling import occupancy, occupancy_spans

LONGEST = timedelta(hours=4)
"""No booking takes anything up for longer: 180 minutes and a pause of 60 at most."""


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


async def occupied_spans(
    session: AsyncSession, resources: Sequence[Resource], span: Span, *, but: str | None = None
) -> list[tuple[Resource, Span]]:
    """When these resources are taken within `span`: one row for a booking's whole time, read from the index alone."""
    by_kind: dict[ResourceKind, list[str]] = {}
    for resource in resources:
        by_kind.setdefault(resource.kind, []).append(resource.id)
    if not by_kind:
        return []
    columns = occupancy_spans.c
    # A branch for each kind, so that each is a search in the index (kind, resource, starts_at, …).
    branches = [
        select(columns.kind, columns.resource, columns.starts_at, columns.ends_at).where(
            columns.kind == kind.value,
            columns.resource.in_(ids),
            columns.starts_at > span.starts_at - LONGEST,
            columns.starts_at < span.ends_at,
            columns.ends_at > span.starts_at,
            columns.booking_id != (but or ""),
        )
        for kind, ids in by_kind.items()
    ]
    rows = await session.execute(union_all(*branches))
    return [(Resource(ResourceKind(row.kind), row.resource), Span(row.starts_at, row.ends_at)) for row in rows]


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

    One statement: a transaction that is about to take the same cell is waited for. The savepoint makes a failed attempt
    vanish at once, so that nobody waits for cells that this transaction gave up.
    """
    rows = [
        {"kind": resource.kind.value, "resource": resource.id, "cell": cell, "booking_id": booking_id}
        for resource in resources
        for cell in span.cells
    ]
    dialect = session.get_bind().dialect.name
    make: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert
    attempt = await session.begin_nested()
    result = await session.execute(make(occupancy).values(rows).on_conflict_do_nothing())
    if cast("CursorResult[Any]", result).rowcount != len(rows):
        await attempt.rollback()
        return False
    spans = [
        {
            "booking_id": booking_id,
            "kind": resource.kind.value,
            "resource": resource.id,
            "starts_at": span.starts_at,
            "ends_at": span.ends_at,
        }
        for resource in resources
    ]
    await session.execute(insert(occupancy_spans).values(spans))
    await attempt.commit()
    return True


async def release(session: AsyncSession, booking_id: str, only: Resource | None = None) -> None:
    """Give back everything the booking occupies, or `only` one resource of it."""
    for table in (occupancy, occupancy_spans):
        statement = delete(table).where(table.c.booking_id == booking_id)
        if only is not None:
            statement = statement.where(table.c.kind == only.kind.value, table.c.resource == only.id)
        await session.execute(statement)
