"""Other people's things: whoever may do an action finds nothing that is not theirs.

For every route with an identifier in its path: an identifier of nothing, and one of somebody else's thing, are both
404; the thing's own person gets further (to an answer, or to what that thing cannot do now). A new kind of identifier
needs a maker in things.py; the test names what is missing.
"""

from __future__ import annotations

import json
import re
from datetime import time
from typing import Any

import pytest
from aiohttp import ClientResponse, FormData

from tests.access.things import DAY, ROUTES, Cast, Things
from tests.fixtures.http_app import Browser
from tests.fixtures.rights import (
    slot_key,
)
from visitserver.http.registry import SAFE_METHODS, Audience, Route, RouteKind

NOT_FAR = {"not_found", "access_denied", "sign_in_required", "csrf_failed"}
NEEDS_MORE = {
    # the track of an opening that was never made; tests/integration/recorder opens one
    "GET /api/recordings/{recording_id}/tracks/{number:[0-9]+}.webm",
}
PAGE_WITH_A_TOKEN = {
    Audience.FAMILY: "/signup/confirm?token=x",
    Audience.TERMINAL: "/terminal/enrol",
    Audience.STAFF: "/staff/security",
    Audience.API: "/healthz",
}
MAKES = {"PUT"}
"""Under an identifier of nothing these make a thing, or say what is missing for that."""
OWN_NAMES = {"PUT /api/v1/appointments/{external_id}"}
"""Identifiers that each prison has for itself: another's is one of nothing."""

# What a form of ours can be filled in with, by field: enough to get past the form to the question whose thing it is.
SAMPLES: dict[str, Any] = {
    "email": "friend@example.org",
    "slot": slot_key(DAY, time(16, 20)),
    "reason": "a reason of the test",
    "answer": "accept",
    "decision": "approve",
    "action": "place",
    "roles": ["officer"],
    "last_day": "2026-12-31",
    "opening": "opn_none",
    "code": "completed",
    "place": "place",
    "kind": "audio",
    "participant_id": "par_none",
    "muted": True,
    "text": "hello",
    "to": "all",
    "words": "hello",
    "note": "a note",
    "ground": "policy",
    "verdict": "approve",
    "approve": True,
    "outcome": "approve",
    "hold": True,
    "revision": 0,
    "weekdays": [0],
    "starts_at": "09:00",
    "ends_at": "17:00",
    "duration_minutes": 30,
    "capacity": 2,
    "station_ids": ["stn_1"],
    "kinds": ["social"],
    "supervision": "sample",
    "valid_from": "2026-12-30",
    "name": "a name",
    "first_day": "2026-03-20",
    "first_day_1": "2026-03-20",
    "why": "ill",
    "type": "compassionate",
    "key": "a-key-of-the-test",
    "active": True,
    "authority": "Governor",
    "starts_on": "2026-03-01",
    "other": "con_child",
    "token": "a token",
    "number": "K-2",
}


async def code_of(response: ClientResponse) -> tuple[int, str]:
    """The status, and the code of the failure (as a problem or on a page); no code where it is none."""
    text = await response.text() if response.status >= 400 else ""
    if response.content_type == "application/problem+json":
        return response.status, json.loads(text)["code"]
    found = re.search(r"req_[0-9a-f]+</span> · (\w+)</p>", text)
    return response.status, found[1] if found else ""


def filled(route: Route, values: dict[str, str]) -> str:
    path = route.path
    for name in route.parameters:
        start = path.index("{" + name)
        path = path[:start] + values[name] + path[path.index("}", start) + 1 :]
    return path


async def ask(browser: Browser, route: Route, values: dict[str, str]) -> ClientResponse:
    """A request that gets past the form."""
    path = filled(route, values)
    if route.query is not None:
        wanted = {n: SAMPLES[n] for n, f in route.query.model_fields.items() if f.is_required()}
        path += "?" + "&".join(f"{name}={value}" for name, value in wanted.items())
    if route.method in SAFE_METHODS:
        return await browser.request(route.method, path)
    body = {} if route.body is None else {n: SAMPLES[n] for n, f in route.body.model_fields.items() if f.is_required()}
    if route.kind is RouteKind.PAGE:
        return await browser.request(route.method, path, data={"csrf_token": browser.csrf, **body})
    headers = {"X-CSRF-Token": browser.csrf}
    if route.media_type == "multipart/form-data":
        form = FormData()
        form.add_field("frame", b"\xff\xd8\xff\xe0 not much", filename="a.jpg", content_type="image/jpeg")
        return await browser.request(route.method, path, data=form, headers=headers)
    if route.media_type is not None:
        headers["Content-Type"] = route.media_type
        return await browser.request(route.method, path, data=b"x", headers=headers)
    return await browser.request(route.method, path, json=body, headers=headers)


def test_there_is_a_maker_for_every_kind_of_identifier() -> None:
    missing = Things(None, None).missing()  # type: ignore[arg-type]
    assert not missing, "tests/access/things.py cannot make: " + "; ".join(missing)


async def said(response: ClientResponse, values: dict[str, str]) -> str:
    """What the answer shows, but for the request's own number, the page's token and what was asked for."""
    text = re.sub(r"req_[0-9a-f]+|[0-9a-f]{64}", "", await response.text())
    for value in values.values():
        text = text.replace(value, "1")
    return text


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_strangers_thing_is_not_found(cast: Cast, route: Route) -> None:
    """Another's, another prison's and nothing at all are one and the same answer, to the letter."""
    stranger, owner = await cast.stranger(route.audience), await cast.owner(route.audience)
    for browser in (stranger, owner):
        await browser.get(PAGE_WITH_A_TOKEN[route.audience])
    nowhere = dict.fromkeys(route.parameters, "1")
    nothing = await ask(stranger, route, nowhere)
    makes = route.method in MAKES
    assert await code_of(nothing) == ((422, "invalid_input") if makes else (404, "not_found")), await nothing.text()
    values = await cast.things.make(route)
    others = await ask(stranger, route, values)
    if route.name in OWN_NAMES:
        assert await code_of(others) == await code_of(nothing)
    else:
        assert await code_of(others) == (404, "not_found"), await others.text()
    if not makes or route.name in OWN_NAMES:
        assert await said(others, values) == await said(nothing, nowhere)
    for name in route.parameters if len(route.parameters) > 1 else ():
        # One's own thing, and a part of it that is not there (or the other way round).
        mixed = await ask(owner, route, {**values, name: "1"})
        if route.name not in NEEDS_MORE:
            assert await code_of(mixed) == (404, "not_found"), (name, await mixed.text())
    own = await ask(owner, route, values)
    if route.name not in NEEDS_MORE:
        status, code = await code_of(own)
        assert code not in NOT_FAR, (status, await own.text())


def test_every_route_that_names_a_thing_is_asked() -> None:
    assert {route.audience for route in ROUTES} >= {Audience.FAMILY, Audience.TERMINAL, Audience.STAFF, Audience.API}
    assert len(ROUTES) > 100
