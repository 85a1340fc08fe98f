"""The scheduling desk."""

from __future__ import annotations

from visitserver.http.registry import RouteTable

routes = RouteTable("staff")
