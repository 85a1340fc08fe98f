"""The policy's own rules, without a request."""

from __future__ import annotations

import pytest
from aiohttp import web

from visitserver.domain.access import POLICY, STAFF_ROLES, Grant, Role, allows
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteError, RouteTable, check_routes
from visitserver.http.routes import all_tables


async def handler(_request: web.Request, _ctx: Ctx) -> web.StreamResponse:
    return web.Response()


def table(audience: str = "staff", **route: object) -> RouteTable:
    made = RouteTable(audience)
    fields = {"method": "GET", "path": "/x", "handler": handler, "action": "staff.home", "summary": "X", **route}
    made.add(**fields)  # type: ignore[arg-type]
    return made


def test_an_action_without_a_line_is_nobodys() -> None:
    assert not allows("no.such_action", set(Role))
    assert not Grant().allows(set(Role))


def test_signed_in_or_not_is_a_difference() -> None:
    assert allows("session.sign_in", ())
    assert not allows("visit.list", ())


def test_nobody_who_administers_watches() -> None:
    """An administrator makes accounts and stations, and sees neither a call nor a recording."""
    for action in POLICY:
        if action.startswith(("call.", "recording.", "review.")):
            assert not allows(action, {Role.ADMINISTRATOR}), action
            assert not allows(action, {Role.SCHEDULER}) or action == "review.booking.decide", action


def test_families_and_prisoners_share_no_action_with_staff() -> None:
    for action, line in POLICY.items():
        if not line.anyone and not line.ticket and not line.client:
            assert line.roles, action
            assert line.roles <= STAFF_ROLES or len(line.roles) == 1, action


def test_a_clients_action_is_nobody_elses() -> None:
    for action, line in POLICY.items():
        assert line.client is action.startswith("api."), action
        if line.client:
            assert line == Grant(client=True), action
            assert not allows(action, set(Role)), action


def test_the_real_routes_pass() -> None:
    check_routes([route for real in all_tables() for route in real])


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ({"action": ""}, "no action"),
        ({"action": "Staff.Home"}, "no action"),
        ({"action": "staff.nothing"}, "no line in domain/access.py"),
        ({"action": "media.publish"}, "tickets authorise media routes"),
        ({"summary": ""}, "no summary"),
        ({"path": "x"}, "starts with /"),
        ({"method": "BREW"}, "not a method"),
        ({"csrf": False}, "needs the CSRF check"),
        ({"audience": "media", "csrf": False}, "tickets authorise media routes"),
        ({"audience": "system"}, "must be public"),
    ],
)
def test_the_application_does_not_start_with(route: dict[str, object], words: str) -> None:
    with pytest.raises(RouteError, match=words):
        check_routes(table(**route))  # type: ignore[arg-type]


def test_one_address_is_declared_once() -> None:
    with pytest.raises(RouteError, match="declared twice"):
        check_routes([*table(path="/x/{a}"), *table(path="/x/{b}")])


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(RouteError) as caught:
        check_routes([*table(action=""), *table(path="/y", summary="")])
    assert "GET /x: no action" in str(caught.value)
    assert "GET /y: no summary" in str(caught.value)
