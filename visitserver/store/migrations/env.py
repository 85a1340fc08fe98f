"""Alembic's entry: runs the revisions on the connection that store/migrate.py hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import TypeDecorator
from sqlalchemy.engine import Connection

from visitserver.store.base import JsonData
from visitserver.store.tables import metadata


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write our column types as the plain types beneath them: a revision must not change when our types do."""
    if kind != "type":
        return False
    if item is JsonData:
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return f"sa.{item.impl!r}" if isinstance(item, TypeDecorator) else False


def run(connection: Connection) -> None:
    """Run what alembic was asked for, within the caller's transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_item=render_item,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


found = context.config.attributes.get("connection")
if not isinstance(found, Connection):
    raise RuntimeError("run migrations with `visitserver migrate`: they need a connection")
run(found)
