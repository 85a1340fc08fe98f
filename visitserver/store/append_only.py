"""Triggers that let a table only grow, for both databases."""

from __future__ import annotations


def append_only_ddl(table: str) -> list[tuple[str, str]]:
    """(dialect, statement) pairs after which UPDATE, DELETE and (PostgreSQL) TRUNCATE of `table` fail."""
    function = f"{table}_append_only"
    statements = [
        (
            "sqlite",
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} only grows'); END",
        )
        for verb in ("UPDATE", "DELETE")
    ]
    statements.append(
        (
            "postgresql",
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $body$ BEGIN RAISE EXCEPTION '{table} only grows'; END $body$",
        )
    )
    statements += [
        (
            "postgresql",
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {function}()",
        )
        for verb in ("UPDATE", "DELETE", "TRUNCATE")
    ]
    return statements
