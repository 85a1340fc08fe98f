"""Every route × every person, against the table that people wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.access.matrix import Person, Probe, answer_of, make_people, read_matrix
from tests.fixtures.http_app import HttpHouse
from visitserver.domain.access import POLICY, Grant
from visitserver.http.registry import SAFE_METHODS, Audience, Route, RouteKind

PEOPLE = (
    *("anonymous", "family", "prisoner", "officer", "supervisor", "scheduler", "administrator", "auditor"),
    *("expired", "suspended", "other_prison", "client"),
)


@pytest.fixture
async def people(http_house: HttpHouse) -> dict[str, Person]:
    return await make_people(http_house)


@pytest.fixture
async def probe(http_house: HttpHouse, people: dict[str, Person]) -> AsyncIterator[Probe]:
    probe = Probe(http_house)
    await probe.start()
    yield probe
    await probe.close()


async def wrong_cells(probe: Probe, people: dict[str, Person], routes: list[Route]) -> list[str]:
    """Where the application and the table do not say the same."""
    matrix = read_matrix()
    wrong = []
    for route in routes:
        expected = matrix.get(route.action)
        if expected is None:
            wrong.append(f"{route.action} ({route.name}) has no line")
            continue
        for name in PEOPLE:
            got = answer_of(route, await probe.ask(route, people[name]))
            if got != expected[name]:
                wrong.append(f"{route.name} ({route.action}) as {name}: {got}, not {expected[name]}")
    return wrong


async def test_every_route_answers_everybody_as_the_table_says(probe: Probe, people: dict[str, Person]) -> None:
    assert set(people) == set(PEOPLE)
    assert len(probe.routes) > 30
    wrong = await wrong_cells(probe, people, list(probe.routes))
    assert not wrong, "\n".join(wrong)


def test_the_table_and_the_policy_name_the_same_actions_and_people() -> None:
    matrix = read_matrix()
    assert set(matrix) == set(POLICY)
    for action, row in matrix.items():
        assert set(row) == set(PEOPLE), action
        assert set(row.values()) <= {"yes", "no", "sign-in", "ticket"}, action


async def test_without_any_one_line_of_the_policy_a_cell_is_wrong(probe: Probe, people: dict[str, Person]) -> None:
    """The table would notice: so no line of the policy is untested, and none is missed by the test above."""
    for action in sorted({route.action for route in probe.routes}):
        line = probe.policy[action]
        probe.policy[action] = Grant()
        one = next(route for route in probe.routes if route.action == action)
        wrong = await wrong_cells(probe, people, [one])
        probe.policy[action] = line
        assert wrong, f"nobody misses the line of {action}"


async def test_one_role_too_many_or_too_few_is_noticed(probe: Probe, people: dict[str, Person]) -> None:
    staff = {"officer", "supervisor", "scheduler", "administrator", "auditor"}
    seen: set[str] = set()
    for route in probe.routes:
        line = probe.policy[route.action]
        if route.audience is not Audience.STAFF or line.anyone or route.action in seen:
            continue
        seen.add(route.action)
        for role in sorted(staff):
            probe.policy[route.action] = Grant(roles=frozenset(line.roles ^ {role}))  # type: ignore[arg-type]
            expected = read_matrix()[route.action][role]
            assert answer_of(route, await probe.ask(route, people[role])) != expected, (route.action, role)
        probe.policy[route.action] = line
    assert seen


async def test_nothing_changes_anything_without_the_pages_own_token(probe: Probe, people: dict[str, Person]) -> None:
    """Every route that changes something and looks at a session refuses a request that another site could make."""
    cookie_of = {Audience.FAMILY: "family", Audience.TERMINAL: "prisoner", Audience.STAFF: None}
    checked = 0
    for route in probe.routes:
        if route.method in SAFE_METHODS or route.audience not in cookie_of:
            continue
        matrix = read_matrix()[route.action]
        name = cookie_of[route.audience] or next(n for n in PEOPLE[3:8] if matrix[n] == "yes")
        person = people[name]
        for forged in (
            {"data": {}},
            {"data": {"csrf_token": "0" * 64}},
            {"data": {"csrf_token": ""}, "headers": {"X-CSRF-Token": "0" * 64}},
        ):
            response = await probe.send(route, person, **forged)
            assert response.status == 403, route.name
            body = await response.text()
            assert "csrf_failed" in body, route.name
        for header in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            response = await probe.ask(route, person, headers=header)
            assert response.status == 403, (route.name, header)
        assert route.csrf
        assert route.kind in (RouteKind.PAGE, RouteKind.JSON)
        checked += 1
    assert checked > 10


async def test_the_same_holds_for_head_and_nothing_else_is_routed(probe: Probe, people: dict[str, Person]) -> None:
    for route in probe.routes:
        if route.method != "GET" or route.audience in (Audience.SYSTEM, Audience.MEDIA):
            continue
        for name in ("anonymous", "family", "auditor"):
            got = await probe.ask(route, people[name])
            head = await probe.ask(route, people[name], method="HEAD")
            assert (head.status, await head.read()) == (got.status, b""), (route.name, name)
