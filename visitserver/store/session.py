"""A session that writes new rows together: on PostgreSQL all that one transaction adds goes in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Executable, Table, bindparam, case, func, insert, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, make_transient_to_detached

from visitserver.store.tables.scheduling import bookings

AT_ONCE: Final = 12
"""So many rows go into one statement: what one booking writes, and then some."""


class WritingSession(Session):
    """Beside the objects that the session itself keeps, rows that are only ever added: they are written at each flush.

    Foreign keys are checked at the commit (docs/decisions/0041), so their order is free.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._rows: list[tuple[Table, Any]] = []

    def add_row(self, table: Table, entity: object) -> None:
        """Write an object of the table's class at the next flush; the session does not know it then or later."""
        self._rows.append((table, entity))

    def flush(self, objects: Sequence[Any] | None = None, *, lock: int | None = None) -> None:
        """Write what was changed, and all rows that wait.

        `lock`: then hold this advisory lock until the transaction ends (on PostgreSQL; SQLite has one writer anyway).
        """
        super().flush(objects)
        if not self._rows and lock is None:
            return
        rows, self._rows = self._rows, []
        connection = self.connection()
        if connection.dialect.name == "postgresql":
            few = rows if len(rows) <= AT_ONCE else []
            _one_by_one(connection, rows[len(few) :])
            _at_once(connection, few, lock)
        else:
            _one_by_one(connection, rows)
        for table, entity in rows:
            if table is bookings:
                self._keep(entity)

    def _keep(self, booking: Any) -> None:
        """From now on what is changed of the booking is the session's to write."""
        for each in booking.participants:
            make_transient_to_detached(each)
        make_transient_to_detached(booking)
        self.add(booking)


def _one_by_one(connection: Connection, rows: Sequence[tuple[Table, Any]]) -> None:
    """One statement for each table."""
    by_table: dict[Table, list[dict[str, Any]]] = {}
    for table, entity in rows:
        by_table.setdefault(table, []).append(_values(table, entity))
    for table, values in by_table.items():
        connection.execute(insert(table), values)


def _at_once(connection: Connection, rows: Sequence[tuple[Table, Any]], lock: int | None) -> None:
    if not rows and lock is None:
        return
    given: dict[str, Any] = {} if lock is None else {"lock": lock}
    for number, (table, entity) in enumerate(rows):
        for key, value in _values(table, entity).items():
            given[f"{key}_{number}"] = value
    connection.execute(_statement(tuple(table for table, _ in rows), lock is not None), given)


@lru_cache(maxsize=256)
def _statement(tables: tuple[Table, ...], locks: bool) -> Executable:
    """Inserts a row into each of the tables."""
    written = []
    for number, table in enumerate(tables):
        values = {each.key: bindparam(f"{each.key}_{number}", type_=each.type) for each in table.c}
        written.append(insert(table).values(values).returning(literal_column("1")).cte(f"row_{number}"))
    if not locks:
        return select(literal_column("1")).add_cte(*written)
    lock = func.pg_advisory_xact_lock(bindparam("lock"))
    if not written:
        return select(lock)
    # What waits for somebody's row waits before it has the lock: the rows are counted first.
    counted = [select(func.count()).select_from(each).scalar_subquery() for each in written]
    statement = select(case((sum(counted[1:], counted[0]) >= 0, lock)))
    return statement


def _values(table: Table, entity: Any) -> dict[str, Any]:
    return {each.key: getattr(entity, each.key) for each in table.c}


def writing(session: AsyncSession) -> WritingSession:
    """The session behind a unit of work's."""
    if not isinstance(session.sync_session, WritingSession):
        raise TypeError("only a unit of work's session writes rows")
    return session.sync_session
