"""The pages of the terminals, and the JSON calls their modules make."""

from __future__ import annotations

from visitserver.http.registry import RouteTable

routes = RouteTable("terminal")
