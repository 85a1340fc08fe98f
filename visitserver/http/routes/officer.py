"""The officers' pages: today, wall, calls, reviews."""

from __future__ import annotations

from visitserver.http.registry import RouteTable

routes = RouteTable("staff")
