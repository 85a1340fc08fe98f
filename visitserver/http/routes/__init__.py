"""The route tables of the application. A new file of routes is added to `all_tables`."""

from __future__ import annotations

from visitserver.http.registry import RouteTable
from visitserver.http.routes import family, officer, recordings, scheduler, terminal


def all_tables() -> tuple[RouteTable, ...]:
    """Every table of the application, except the media routes, which the media node brings."""
    return (family.routes, terminal.routes, officer.routes, scheduler.routes, recordings.routes)
