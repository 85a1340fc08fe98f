"""The control: the same tables without what makes a double booking impossible."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


async def drop_constraints(engine: AsyncEngine) -> None:
    """Take the primary key of `occupancy` away, and on PostgreSQL the exclusion constraint besides."""
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("ALTER TABLE occupancy DROP CONSTRAINT pk_occupancy"))
            await connection.execute(text("ALTER TABLE occupancy_spans DROP CONSTRAINT ex_occupancy_spans_overlap"))
        else:
            await connection.execute(text("DROP TABLE occupancy"))
            await connection.execute(
                text("CREATE TABLE occupancy (kind TEXT, resource TEXT, cell BIGINT, booking_id TEXT)")
            )
